"""Studies: one thing is varied, everything else stays, and a table says what it does."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from fiducial.errors import InputError
from fiducial.evaluation.comparing import Comparison, compare
from fiducial.evaluation.folder import Run
from fiducial.evaluation.jobs import Job, Loader
from fiducial.evaluation.prompting import BlindPrompts, TruthPrompts, parse_source
from fiducial.evaluation.report import write_comparison, write_reports
from fiducial.evaluation.report.text import (
    cell,
    difference,
    label,
    markdown_table,
    milliseconds,
    number,
    size_class,
)
from fiducial.evaluation.running import OnRecord, Selection, evaluate
from fiducial.evaluation.summary import SIZES, Row, Summary, summarise
from fiducial.metrics import Policy
from fiducial.overlays import parse_grid
from fiducial.recipes import PartSpec, Recipe
from fiducial.results import write_atomically

GRID_SIZES = ("3", "5", "7", "9", "20")
"""Cells per axis, as the SJTU and grid papers varied them."""
GRID_OPACITIES = (0.1, 0.3, 0.5, 0.7, 1.0)
GRID_COLOURS = ("black", "white")
_GRID, _OPACITY = "9", 0.3

PROMPTS = (
    "truth:box",
    "truth:points=1",
    "truth:points=3",
    "truth:points=5",
    "truth:points=3,negatives=2",
    "truth:box,points=1",
    "truth:box,points=3",
    "truth:box,points=3,negatives=2",
    "truth:box,jitter=0.05",
    "truth:box,jitter=0.1",
    "truth:box,jitter=0.2",
    "truth:box,jitter=0.4",
    "truth:box,points=1,jitter=0.2",
    "blind",
)
"""From good prompts to none."""

COCO_SIZES = (
    ("small: up to 32 x 32 px", 0.0, 32.0**2),
    ("medium: up to 96 x 96 px", 32.0**2, 96.0**2),
    ("large: over 96 x 96 px", 96.0**2, math.inf),
)
"""COCO's classes of area."""
COLUMNS = ("mean_iou", "cum_iou", "p@0.5", "p@0.9", "dice", "box_iou")


@dataclass(frozen=True, slots=True)
class Variant:
    """One value of what is varied.

    Args:
        name: for the table.
        job: what is measured.
    """

    name: str
    job: Job


@dataclass(frozen=True, slots=True)
class Table:
    """The result of a study.

    Args:
        title: what was varied, on which data.
        header: of the columns.
        rows: texts, one per column.
        values: the same as plain values, for programs.
        files: what was written.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    values: dict[str, Any]
    files: tuple[Path, ...] = ()

    def markdown(self, note: str = "") -> str:
        """Write it as Markdown."""
        return "\n\n".join(filter(None, [f"# {cell(self.title)}", markdown_table(self.header, self.rows), note])) + "\n"


# -- what is varied -----------------------------------------------------------------------------------


def grid_variants(
    job: Job,
    *,
    sizes: Sequence[str] = GRID_SIZES,
    opacities: Sequence[float] = GRID_OPACITIES,
    colours: Sequence[str] = GRID_COLOURS,
) -> list[Variant]:
    """Vary the grid: none; its size in the first colour at opacity 0.3; opacity in every colour at 9 x 9."""
    looks = [Look(size, colours[0], _OPACITY) for size in sizes]
    looks += [Look(_GRID, colour, opacity) for colour in colours for opacity in opacities]
    return look_variants(job, looks)


@dataclass(frozen=True, slots=True)
class Look:
    """How a grid looks: cells per axis (``"9"`` or ``"9x6"``), colour, opacity of its lines in 0..1."""

    size: str
    colour: str = GRID_COLOURS[0]
    opacity: float = _OPACITY

    @classmethod
    def parse(cls, text: str) -> Look:
        """Read ``SIZE[:OPACITY[:COLOUR]]``.

        Raises:
            InputError: it is written otherwise.

        Example:
            >>> Look.parse("9:0.5:white")
            Look(size='9', colour='white', opacity=0.5)
        """
        size, _, rest = text.partition(":")
        opacity, _, colour = rest.partition(":")
        try:
            return cls(size.strip(), colour.strip() or GRID_COLOURS[0], float(opacity or _OPACITY))
        except ValueError:
            raise InputError(f"a grid is written as SIZE:OPACITY:COLOUR, such as 9:0.3:black, got {text!r}") from None


def look_variants(job: Job, looks: Iterable[Look]) -> list[Variant]:
    """Vary the look of the grid, from none.

    Raises:
        InputError: the job's prompts do not come from a prompter, or a grid that cannot be.
    """
    if job.source is not None:
        raise InputError("a grid is drawn for a prompter; prompts of the truth do not look at it")
    found = [Variant("no grid", replace(job, recipe=_with_grid(job.recipe, None)))]
    for look in dict.fromkeys(looks):
        columns, rows = parse_grid(look.size)
        options = {"columns": columns, "rows": rows, "colour": look.colour, "opacity": look.opacity, "line_width": 1}
        name = f"{columns} x {rows} {look.colour}, opacity {look.opacity:g}"
        found.append(Variant(name, replace(job, recipe=_with_grid(job.recipe, options))))
    return found


def _with_grid(recipe: Recipe, options: dict[str, Any] | None) -> Recipe:
    others = tuple(spec for spec in recipe.overlays if spec.name != "grid")
    added = () if options is None else (PartSpec("overlay", "grid", options=options),)
    return replace(recipe, overlays=(*others, *added))


def prompt_variants(job: Job, prompts: Iterable[str] = PROMPTS, seed: int = 0) -> list[Variant]:
    """Vary the prompts that the segmenter gets: of the truth, good and bad, and blind."""
    return [Variant(text, replace(job, source=_source(text, seed))) for text in prompts]


def _source(text: str, seed: int) -> TruthPrompts | BlindPrompts:
    source = parse_source(text, seed)
    if source is None:
        raise InputError(f"a study of prompts takes truth:... and blind:..., got {text!r}")
    return source


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
) -> Table:
    """Measure every variant in a folder of its own and put them side by side; what was measured is not done again.

    Args:
        name: of the study, for the files and the title.
        variants: the first is what the others are held against.
        out: folder of the study.
        selection: which samples; the same for all.
        workers: number of processes.
        retry_failed: ask again where a model gave no answer.
        images: put pictures into the variants' reports.
        command: the words that started this.
        on_record: told of every record.

    Raises:
        InputError: two variants of one name, or as :func:`fiducial.evaluation.evaluate`.
    """
    folders = [Path(out) / _slug(variant.name) for variant in variants]
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


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "variant"


def _write(
    name: str, variants: Sequence[Variant], runs: Sequence[Run], comparison: Comparison | None, out: Path
) -> Table:
    summaries = comparison.summaries if comparison else (summarise(runs[0]),)
    differences = [None, *(each.get("mean_iou") for each in comparison.differences)] if comparison else [None]
    rules, columns = summaries[0].policy, _columns(summaries)
    rows = []
    for variant, summary, apart in zip(variants, summaries, differences, strict=True):
        low, high = summary.intervals.get("mean_iou", (float("nan"), float("nan")))
        seconds = summary.seconds.get("total", {}).get("mean", 0.0)
        figures = (number(summary.report[column]) for column in columns)
        bounds = f"{low:.3f} to {high:.3f}" if "mean_iou" in summary.intervals else "–"
        useful = summary.outcomes["found"] + summary.outcomes["no_target"]
        rows.append((variant.name, *figures, bounds, difference(apart), f"{useful:,}", milliseconds(seconds)))
    told = [label(column, rules)[0] for column in columns]
    header = ("", *told, "95 % of mean IoU", "against the first", "answers of use", "ms")
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
    table = Table(title, header, tuple(rows), values)
    files = write_table(out, name, table, note_of(runs[-1]))
    return replace(table, files=(*files, *(write_comparison(out, comparison) if comparison else ())))


def _columns(summaries: Sequence[Summary]) -> list[str]:
    return [name for name in COLUMNS if any(summary.report.get(name) is not None for summary in summaries)]


def write_table(out: Path, name: str, table: Table, note: str = "") -> tuple[Path, Path]:
    """Write a table as ``NAME.md``, with a note below it, and as ``NAME.json``."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(table.values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return (
        write_atomically(out / f"{name}.md", table.markdown(note)),
        write_atomically(out / f"{name}.json", text),
    )


# -- size ---------------------------------------------------------------------------------------------


def size_table(run: Run, out: str | Path) -> Table:
    """Tell the accuracy by the target's size: by its part of the picture, and by COCO's classes of area.

    Args:
        run: a run.
        out: folder for ``size.md`` and ``size.json``.
    """
    summary = summarise(run)
    rules = summary.policy
    told = [
        (name, *_fared([row for row in summary.rows if row.score.counted and held(row)], rules))
        for name, held in _size_classes()
    ]
    title = f"size: {run.name} on {run.dataset_name}, {summary.report['n']} samples, policy {rules.name}"
    rows = tuple((name, f"{count:,}", *map(number, values)) for name, count, *values in told if count)
    keys = ("target", "n", "mean_iou", "p@0.5", "p@0.7", "missed")
    values = {
        "study": "size",
        "policy": rules.name,
        "settings": dict(run.settings),
        "classes": [dict(zip(keys, line, strict=True)) for line in told],
    }
    header = ("target", "samples", "mean IoU", "P@0.5", "P@0.7", "IoU 0")
    table = Table(title, header, rows, values)
    return replace(table, files=write_table(Path(out), "size", table, note_of(run)))


def _size_classes() -> list[tuple[str, Callable[[Row], bool]]]:
    shares = [
        (f"{size_class(low, high)} of the picture", _between("share", low, high)) for low, high in pairwise(SIZES)
    ]
    areas = [(name, _between("area", least, most)) for name, least, most in COCO_SIZES]
    return [("no target", lambda row: row.area == 0), *shares, *areas]


def _between(key: str, low: float, high: float) -> Callable[[Row], bool]:
    return lambda row: low < getattr(row, key) <= high


def _fared(rows: Sequence[Row], rules: Policy) -> tuple[int, float | None, float | None, float | None, float | None]:
    ious = [row.quality for row in rows if row.quality is not None]
    if not ious:
        return 0, None, None, None, None
    count = len(ious)
    half, more = (sum(rules.passes(iou, t) for iou in ious) / count for t in (0.5, 0.7))
    return count, sum(ious) / count, half, more, sum(iou == 0 for iou in ious) / count


def note_of(run: Run) -> str:
    """Say by which command a run was made, and at which commit."""
    latest = run.sessions[-1] if run.sessions else {}
    command = " ".join(latest.get("command") or ["called from Python"])
    return f"    {command}\n\nCommit {latest.get('commit') or 'not known'}."
