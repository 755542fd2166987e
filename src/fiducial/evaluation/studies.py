"""Studies: one thing is varied, everything else stays, and a table says what it does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fiducial.config import read_part
from fiducial.errors import InputError
from fiducial.evaluation.breakdowns import StudyTable
from fiducial.evaluation.comparison import Comparison, compare
from fiducial.evaluation.job import Job, Loader
from fiducial.evaluation.prompting import Place, TruthPrompts, parse_source
from fiducial.evaluation.report import write_comparison, write_reports
from fiducial.evaluation.report.text import difference, interval, label, milliseconds, number
from fiducial.evaluation.run import Run
from fiducial.evaluation.running import OnRecord, Selection, evaluate
from fiducial.evaluation.summary import summarise
from fiducial.overlays import GridOverlay
from fiducial.refiners.configs import BoundaryOptimisation, ForegroundPoint

GRIDS = (
    *(f"grid?columns={cells}&rows={cells}" for cells in (3, 5, 7, 9, 20)),
    *(
        f"grid?colour={colour}&opacity={opacity}"
        for colour in ("black", "white")
        for opacity in (0.1, 0.3, 0.5, 0.7, 1)
    ),
)
"""Size, opacity and colour of the grid, as the SJTU and grid papers varied them."""

PROMPTS = (
    "truth",
    "truth?box=false&points=1",
    "truth?box=false&points=3",
    "truth?box=false&points=5",
    "truth?box=false&points=3&negatives=2",
    "truth?points=1",
    "truth?points=3",
    "truth?points=3&negatives=2",
    "truth?jitter=0.05",
    "truth?jitter=0.1",
    "truth?jitter=0.2",
    "truth?jitter=0.4",
    "truth?points=1&jitter=0.2",
    "blind",
)
"""From good prompts to none."""

PUBLISHED_CFPG = ForegroundPoint(reach=2.0)
"""CFPG as it was published: it never abstains."""
PUBLISHED_MBO = BoundaryOptimisation(min_area=1, min_gain=-1.0, max_score=1.0)
"""MBO as it was published: it never abstains."""
_TRUE_POINTS: tuple[tuple[str, Place], ...] = (
    ("box + true centroid", "centroid"),
    ("box + deepest point", "deepest"),
    ("box + random inside point", "random"),
)
COLUMNS = ("mean_iou", "cum_iou", "p@0.5", "p@0.9", "dice", "box_iou")


@dataclass(frozen=True, slots=True)
class Variant:
    """One value of what is varied: its name for the table, and what is measured."""

    name: str
    job: Job


# -- what is varied -----------------------------------------------------------------------------------


def grid_variants(job: Job, grids: Iterable[str] = GRIDS) -> list[Variant]:
    """Vary the grid, from none; grids are short forms such as ``grid?columns=9&rows=7&opacity=0.5&colour=white``."""
    if job.source is not None:
        raise InputError("a grid is drawn for a prompter; prompts of the truth do not look at it")
    found = {"no grid": replace(job, recipe=job.recipe.with_grid(0))}
    others = found["no grid"].recipe.overlays
    for text in grids:
        grid = read_part("overlay", text)
        if not isinstance(grid, GridOverlay):
            raise InputError(f"a study of grids takes grid?key=value&..., got {text!r}")
        name = f"{grid.columns} x {grid.rows} {grid.colour}, opacity {grid.opacity:g}"
        found[name] = replace(job, recipe=replace(job.recipe, overlays=(*others, grid)))
    return [Variant(name, each) for name, each in found.items()]


def prompt_variants(job: Job, prompts: Iterable[str] = PROMPTS, seed: int = 0) -> list[Variant]:
    """Vary the prompts that the segmenter gets: of the truth, good and bad, and blind."""
    variants = []
    for text in prompts:
        source = parse_source(text, seed)
        if source is None:
            raise InputError(f"a study of prompts takes truth?... and blind?..., got {text!r}")
        variants.append(Variant(text, replace(job, source=source)))
    return variants


def cfpg_variants(job: Job, jitter: float = 0.0, seed: int = 0) -> list[Variant]:
    """Vary the point that is given with the true box; the box alone comes first.

    The data is best one sample per object (``objects=true``); every variant gets the same jittered boxes.
    """
    truth = TruthPrompts(jitter=jitter, seed=seed)
    box = replace(job, source=truth)
    pointed = [
        ("box + CFPG point", ForegroundPoint()),
        ("box + CFPG point as published", PUBLISHED_CFPG),
        ("CFPG point as published, alone", replace(PUBLISHED_CFPG, keep_box=False)),
    ]
    return [
        Variant("box", _refined(box)),
        *(Variant(name, _refined(box, refiner)) for name, refiner in pointed),
        *(Variant(name, _refined(replace(job, source=replace(truth, points=1, at=at)))) for name, at in _TRUE_POINTS),
    ]


def mbo_variants(job: Job, jitter: float = 0.0, seed: int = 0) -> list[Variant]:
    """Vary what is done to the masks that a segmenter (``truth``: the true ones) cuts from jittered true boxes."""
    box = replace(job, source=TruthPrompts(jitter=jitter, seed=seed))
    return [
        Variant("as cut", _refined(box)),
        Variant("MBO", _refined(box, BoundaryOptimisation())),
        Variant("MBO as published", _refined(box, PUBLISHED_MBO)),
    ]


def parse_jitter(values: Sequence[str]) -> float:
    """Read the one value that these studies take: the jitter of the boxes."""
    try:
        (jitter,) = [float(value) for value in values] or [0.0]
    except ValueError:
        raise InputError(f"this study takes one value, the jitter of the boxes such as 0.1, got {values}") from None
    return jitter


def _refined(job: Job, *refiners: ForegroundPoint | BoundaryOptimisation) -> Job:
    """Return the job with these refiners and no others."""
    recipe = replace(
        job.recipe,
        prompt_refiners=tuple(one for one in refiners if isinstance(one, ForegroundPoint)),
        mask_refiners=tuple(one for one in refiners if isinstance(one, BoundaryOptimisation)),
    )
    return replace(job, recipe=recipe)


# -- running ------------------------------------------------------------------------------------------


def run_study(
    name: str,
    variants: Sequence[Variant],
    out: str | Path,
    *,
    selection: Selection | None = None,
    workers: int = 1,
    retry_failed: bool = False,
    images: bool = True,
    command: Sequence[str] = (),
    on_record: OnRecord | None = None,
) -> StudyTable:
    """Measure every variant in a folder of its own and put them side by side; what was measured is not done again.

    The first variant is what the others are held against; ``images`` puts pictures into their reports; the rest is as
    :func:`fiducial.evaluation.evaluate` takes it.
    """
    slugs = [re.sub(r"[^a-z0-9.]+", "-", variant.name.lower()).strip("-.") or "variant" for variant in variants]
    folders = [Path(out) / slug for slug in slugs]
    if len(set(folders)) < len(folders) or not folders:
        raise InputError("a study needs variants, each with a name of its own")
    loader, runs = Loader(), []
    for variant, folder in zip(variants, folders, strict=True):
        run = evaluate(
            variant.job,
            folder,
            selection=selection,
            workers=workers,
            retry_failed=retry_failed,
            loader=loader,
            command=command,
            on_record=on_record,
        )
        write_reports(run, images=images)
        runs.append(run)
    comparison = compare(folders) if len(folders) > 1 else None
    return _write(name, variants, runs, comparison, Path(out))


def _write(
    name: str, variants: Sequence[Variant], runs: Sequence[Run], comparison: Comparison | None, out: Path
) -> StudyTable:
    summaries = comparison.summaries if comparison else (summarise(runs[0]),)
    differences = [None, *(each.get("mean_iou") for each in comparison.differences)] if comparison else [None]
    rules = summaries[0].policy
    columns = [name for name in COLUMNS if any(summary.report.get(name) is not None for summary in summaries)]
    rows = []
    for variant, summary, apart in zip(variants, summaries, differences, strict=True):
        seconds = summary.seconds.get("total", {}).get("mean", 0.0)
        figures = (number(summary.report[column]) for column in columns)
        bounds = interval(summary.intervals.get("mean_iou"))
        useful = summary.outcomes["found"] + summary.outcomes["no_target"]
        rows.append((variant.name, *figures, bounds, difference(apart), f"{useful:,}", milliseconds(seconds)))
    labels = (label(column, rules)[0] for column in columns)
    header = ("", *labels, "95 % of mean IoU", "against the first", "answers of use", "ms")
    title = f"{name} on {runs[0].dataset_name}, {summaries[0].report['n']} samples, policy {rules.name}"
    values = {
        "study": name,
        "policy": rules.name,
        "settings": dict(runs[0].settings),
        "session": dict(runs[-1].sessions[-1]),
        "variants": [
            {"name": variant.name, "folder": run.folder.name, **summary.as_json()}
            for variant, run, summary in zip(variants, runs, summaries, strict=True)
        ],
    }
    table = StudyTable(title, header, tuple(rows), values).write(out, name, runs[-1])
    return replace(table, files=(*table.files, *(write_comparison(out, comparison) if comparison else ())))
