"""``python tests/reference_pages.py`` writes ``docs/reference/``: every public name, room by room."""

import importlib
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
ROOMS = sorted(path.parent.name for path in (FOLDER.parents[1] / "src" / "fiducial").glob("*/__init__.py"))
PAGES = {
    "pipeline": (
        "Pipeline, recipes, results",
        "What most programs need. `import fiducial` offers these, and the types of geometry, pictures and contracts, "
        "as `fiducial.NAME`.",
        ("pipeline:Pipeline", "recipes", "results", "language:Answer,Outcome"),
    ),
    "geometry": (
        "Geometry",
        "Numbers with a frame; NumPy only. [Why frames](../explanation/frames.md).",
        ("geometry",),
    ),
    "images": ("Images", "Pictures coming in. [What is read, and how](../pictures.md).", ("images",)),
    "language": (
        "Language",
        "Words to coordinates and back: candidates, dialects, spatial phrases.",
        ("language", "language.dialects", "language.phrases"),
    ),
    "contracts": (
        "Contracts",
        "What parts promise each other. [A prompter](../how-to/prompter.md) and [a segmenter](../how-to/segmenter.md) "
        "of your own keep them.",
        (
            "contracts:Prompter,Conversational,TextReply,SamplingPrompter,Segmenter,Embedding,PromptRefiner,MaskRefiner,"
            "ReportingPromptRefiner,ReportingMaskRefiner,Refinement,Overlay,Text2Centroid,SentenceEmbedder,paired",
        ),
    ),
    "config": (
        "Descriptions, plugins, errors",
        "Every option of a part, its default, unit and range, stands in one typed description.",
        (
            "config:Config,option,read,read_part,read_short,build,as_plain,as_fields,fields_of,summary",
            "plugins:find,names,parts",
            "errors:FiducialError,InputError,UnknownNameError,GeometryError,FrameError,ImageError,MissingExtraError,ModelError",
        ),
    ),
    "parts": ("Refiners and overlays", "What goes between, and onto, the picture.", ("refiners", "overlays")),
    "datasets": (
        "Datasets",
        "Benchmark folders as samples. [The layouts](../datasets.md).",
        ("datasets", "datasets.sample:Choice,mask_sample", "datasets.splits:Selection"),
    ),
    "metrics": ("Metrics", "Counted by a named [policy](../policies.md).", ("metrics",)),
    "evaluation": (
        "Evaluation",
        "Run a recipe on a dataset, resumably, and count what came of it.",
        ("evaluation", "evaluation.summary:read_rows", "misground"),
    ),
    "rewards": ("Rewards", "What a model's reply is worth, and who cuts its masks.", ("rewards",)),
    "volumes": (
        "Volumes and rasters",
        "Scans with their place in the patient, maps with theirs on Earth.",
        ("volumes", "rasters"),
    ),
    "serving": (
        "Client and batches",
        "A server that is asked as a pipeline is; tables of any length.",
        ("client:Client", "jobs"),
    ),
}
"""By page: title, what it holds, and modules, whose ``__all__`` is meant where no names follow."""


def names(source: str) -> list[str]:
    """Return the full names that a source means."""
    module, _, chosen = source.partition(":")
    public = chosen.split(",") if chosen else importlib.import_module(f"fiducial.{module}").__all__
    return [f"fiducial.{module}.{name}" for name in public]


def pages() -> dict[str, str]:
    """Return the text of every page; a name stands on the first page that has it."""
    found, seen = {}, set()
    for page, (title, about, sources) in PAGES.items():
        every = [name for source in sources for name in names(source) if name not in seen]
        seen |= set(every)
        head = f"# {title}\n\n<!-- Made by python tests/reference_pages.py; do not edit. -->\n\n{about}\n"
        found[page] = head + "".join(f"\n::: {name}\n" for name in every)
    return found


if __name__ == "__main__":
    for page, text in pages().items():
        (FOLDER / f"{page}.md").write_text(text, encoding="utf-8")
