"""``fiducial models``: checkpoints, licences, and what is on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fiducial.cli import common
from fiducial.config import Config, option
from fiducial.errors import InputError, extra_needed
from fiducial.models import model_names, read_card, weights_of
from fiducial.recipes import checkpoints, read_recipe, recipe_names
from fiducial.recipes.recipe import model_of


@dataclass(frozen=True, kw_only=True)
class Models(Config):
    """List the checkpoints that recipes name, and their licences; or make the graph by which weights run."""

    name: str | None = option(
        None,
        "show the card of weights that come with the package, or of those that a recipe uses; with the words that can "
        "be asked for",
        positional=True,
    )
    json: bool = option(False, "print one JSON object per checkpoint")
    export: bool = option(
        False,
        "write the ONNX graphs of NAME, weights of the nano segmenter, grounder or judge that come with the package, "
        "or a safetensors file of such weights: one for any runtime, one for fiducial, of the segmenter one more "
        "in eight bits (bits=8), beside the weights that they take",
    )
    out: Path | None = option(
        None, "folder for the graphs and the weights (default: where the weights are)", unit="DIR"
    )


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    arguments = common.parse(Models, "models", words)
    if arguments.export:
        print(*(f"wrote {path}" for path in _export(arguments)), sep="\n")
        return 0
    if arguments.out is not None:
        raise InputError("--out is for --export: say what is to be written")
    if arguments.name:
        for name in _embedded(arguments.name):
            _show_card(name, as_json=arguments.json)
        return 0
    for found in checkpoints():
        if arguments.json:
            common.print_json(
                {
                    "name": found.name,
                    "role": found.role,
                    "licence": found.licence,
                    "parameters": found.parameters,
                    "download": found.download,
                    "used_by": [*found.used_by],
                    "local": None if found.local is None else str(found.local),
                }
            )
            continue
        where = (
            f"on this machine: {found.local}"
            if found.local
            else f"not on this machine: {found.download} loaded when first used"
        )
        print(f"{found.name}  ({found.role}, {found.parameters} parameters)")
        print(f"  licence: {found.licence}\n  used by: {', '.join(found.used_by)}\n  {where}")
    if not arguments.json:
        print(f"With the package come {', '.join(model_names())}: fiducial models NAME shows the card.")
        print("The recipe 'classic' needs none of these. Any part takes a local folder instead: NAME:FOLDER.")
    return 0


def _export(arguments: Models) -> tuple[Path, ...]:
    if not arguments.name:
        raise InputError("--export needs a NAME: nano-segmenter, nano-grounder, nano-kinds, or a safetensors file")
    with extra_needed("models --export", "train"):
        from fiducial.training.exporting import export
    return export(arguments.name, arguments.out)


def _embedded(name: str) -> list[str]:
    """Return the embedded weights that a name stands for: its own, or those of a recipe's parts."""
    if name in model_names() or name not in recipe_names():
        return [name]
    used = dict.fromkeys(model_of(part) for part in read_recipe(name).parts)
    found = [model for model in used if model in model_names()]
    if not found:
        raise InputError(f"the recipe {name!r} uses no weights that come with the package: see fiducial models")
    return found


def _show_card(name: str, *, as_json: bool) -> None:
    card = read_card(name)
    weights = weights_of(name)
    # A vision-language model lies in a folder; its card says what it was taught.
    detects = card.facts["role"] == "prompter" and weights is not None and weights.is_file()
    words = _vocabulary(name) if detects else ""
    if as_json:
        common.print_json({"name": card.name, **card.facts, "card": card.text, "vocabulary": words})
        return
    print(card.text)
    if words:
        print(f"## What can be asked for\n\n{words}")


def _vocabulary(name: str) -> str:
    """Describe the names that weights were taught, with the other words for them."""
    from fiducial.prompters.grounder.vocabulary import Vocabulary
    from fiducial.prompters.grounder.weights import load_names

    return Vocabulary.read().covering((one.name, one.domain) for one in load_names(name)).describe()
