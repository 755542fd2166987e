"""Maps for ``fiducial segment``: window by window, outlines and labels out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fiducial.cli import common, terminal
from fiducial.config import Config, as_fields, fields_of
from fiducial.errors import InputError
from fiducial.language import Outcome
from fiducial.rasters.configs import RasterOptions
from fiducial.recipes import Recipe, load
from fiducial.results import file_stems

if TYPE_CHECKING:
    from fiducial.cli.segment import Segment
    from fiducial.rasters import RasterSegmentation


def of_kind(options: Config, kind: type[Config]) -> dict[str, object]:
    """Return the options that belong to maps, or to volumes."""
    return {field.name: getattr(options, field.name) for field, _ in fields_of(kind)}


def require_unsaid(options: Config, kind: type[Config], whose: str, these: str) -> None:
    """Refuse options that are for something else.

    Raises:
        InputError: one of them was given.
    """
    usual = as_fields(kind())
    if said := [name for name, value in of_kind(options, kind).items() if value != usual[name]]:
        raise InputError(f"--{said[0].replace('_', '-')} is for {whose}, and these are {these}: leave it out")


def segment_maps(options: Segment, recipe: Recipe, words: Sequence[str]) -> int:
    """Segment maps, each into the folder itself or, where there are several, into one of its own in it."""
    from fiducial.evaluation.progress import Progress
    from fiducial.rasters import segment_raster

    if options.explain or options.check_ or options.convention:
        raise InputError("--explain, --check and --convention are for pictures, and these are maps: leave them out")
    if options.format != type(options).format:
        raise InputError("--format is for pictures, and these are maps: --vectors says which files of outlines")
    wanted = RasterOptions(**of_kind(options, RasterOptions))  # type: ignore[arg-type]
    folder, pipeline = options.folder(), load(recipe)
    stems = file_stems([str(path) for path in options.images])
    status = 0
    for path, stem in zip(options.images, stems, strict=True):
        out = folder if folder is None or len(stems) == 1 else folder / stem
        if options.again and out is not None:
            _forget(out)
        command = ["fiducial", "segment", *words]
        try:
            with Progress(path.name) as progress:
                result = segment_raster(
                    pipeline, path, options.instruction, wanted, out=out, recipe=recipe.as_json(), command=command,
                    on_window=progress,
                )  # fmt: skip
        except InputError as error:
            if len(stems) == 1:
                raise
            terminal.say(f"fiducial: {error}")
            status = 2
            continue
        _print(result, out, options)
        status = max(status, 1 if result.outcome is Outcome.FAILED else 0)
    return status


def _forget(folder: Path) -> None:
    """Let the windows of a map be looked at anew."""
    from fiducial.rasters.segmenting import WINDOWS

    (folder / WINDOWS).unlink(missing_ok=True)


def _print(result: RasterSegmentation, out: Path | None, options: Segment) -> None:
    if options.json:
        common.print_json(result.as_json())
        return
    lines = [f"{result.path.name}: {common.ended(result.outcome, len(result.things))}", f"  {result.text}"]
    lines += [f"  note: {note}" for note in result.notes]
    lines += [] if out is None else [f"  wrote {out}: {', '.join((*options.vectors, 'labels.tif', 'result.json'))}"]
    print("\n".join(lines), flush=True)
