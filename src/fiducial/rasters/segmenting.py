"""Segmenting a map: window by window, then the things of all windows, then the phrase, once."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.contents import CONTENTS, contents_of, fingerprint_of
from fiducial.errors import InputError
from fiducial.files import make_folder, write_atomically
from fiducial.images import Image
from fiducial.journal import Journal
from fiducial.language import Outcome
from fiducial.language.answers import check_instruction
from fiducial.pipeline import Pipeline
from fiducial.rasters.asking import Asker, asker_for
from fiducial.rasters.configs import RasterOptions
from fiducial.rasters.grid import Grid, Tile
from fiducial.rasters.ground import Ground
from fiducial.rasters.joining import Thing, join
from fiducial.rasters.pieces import Seen
from fiducial.rasters.raster import Raster
from fiducial.rasters.result import RasterSegmentation
from fiducial.rasters.vectors import require_writable

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

GLANCES = 9
"""Windows at most by which it is judged what kind of picture a map is."""
WINDOWS, STRETCH = "windows.jsonl", "stretch.json"
OnWindow = Callable[[Seen, int, int], None]
"""Called with what came of every window that is looked at, the number done and the number planned."""


def segment(
    pipeline: Pipeline,
    path: str | Path,
    instruction: str,
    options: RasterOptions | None = None,
    *,
    out: str | Path | None = None,
) -> GeoDataFrame:
    """Segment a map by an instruction.

    Args:
        pipeline: such as ``fiducial.load("nano")``.
        path: of a raster (:meth:`fiducial.rasters.Raster.open`).
        instruction: what to segment; sides are the map's, north up, lengths may be in metres.
        options: bands, resolution, windows, files; default: those of the description.
        out: folder for the results; one that holds a part of the same work is continued.

    Returns:
        One row per thing in the CRS of the raster, or in its pixels: see :data:`fiducial.rasters.result.COLUMNS`. Its
        ``attrs`` hold ``outcome``, ``text``, ``notes`` and ``instruction``.

    Raises:
        InputError: a raster or an instruction that cannot be used, a map of another kind than the one in which the
            prompter looks for what is named, or a folder that holds other work.
    """
    return segment_raster(pipeline, path, instruction, options, out=out).table


def segment_raster(
    pipeline: Pipeline,
    path: str | Path,
    instruction: str,
    options: RasterOptions | None = None,
    *,
    out: str | Path | None = None,
    recipe: Mapping[str, Any] | None = None,
    command: Sequence[str] = (),
    on_window: OnWindow | None = None,
) -> RasterSegmentation:
    """Segment a map as :func:`segment` does, and return all that came of it.

    Args:
        pipeline: as there.
        path: as there.
        instruction: as there.
        options: as there.
        out: as there.
        recipe: what the pipeline is made of, for the card in the folder.
        command: the words that started this, for the card.
        on_window: called with what comes of every window that is looked at.
    """
    options = options or RasterOptions()
    instruction = check_instruction(instruction)
    with (
        Raster.open(path, bands=options.bands, crs=options.crs, stretch=options.stretch) as raster,
        ExitStack() as stack,
    ):
        require_writable(options, raster)
        grid = grid_of(raster, options)
        ground = Ground.under(raster, grid)
        asker = asker_for(pipeline, instruction, ground)
        journal = None
        if out is not None:
            settings = _settings(raster, grid, asker, recipe or {"name": pipeline.name})
            journal = stack.enter_context(Journal(out, WINDOWS, settings, command))
            _tidy(Path(out))
            if raster.stretch is not None:
                write_atomically(make_folder(out) / STRETCH, raster.stretch.text())
        tiles = grid.tiles()
        if refused := asker.refusal(glances(raster, grid, tiles)):  # a map as a whole is of a kind, its windows are not
            raise InputError(f"{raster.path}: {refused}")
        seen = look(raster, grid, asker, tiles, journal, on_window)
        things = join(tiles, {number: one.pieces for number, one in seen.items()}, by_label=asker.by_label)
        result = _described(raster, grid, ground, instruction, asker, tiles, seen, things)
        if out is not None:
            result.save(out, options)
    return result


def grid_of(raster: Raster, options: RasterOptions) -> Grid:
    """Lay the grid of a resolution over a raster; its own where none is asked for.

    Raises:
        InputError: metres of a raster of which nobody knows where it lies, or too few pixels.
    """
    size = (raster.width, raster.height)
    own = Grid.of(size, (1.0, 1.0), options.tile, options.tile_overlap)
    if options.resolution is None:
        return own
    if raster.crs is None:
        raise InputError(f"{raster.path}: where it lies is not known, so metres a pixel are not: --crs says it")
    across, down = Ground.under(raster, own).pixel
    shrink = (options.resolution / across, options.resolution / down)
    return Grid.of(size, shrink, options.tile, options.tile_overlap)


def look(
    raster: Raster,
    grid: Grid,
    asker: Asker,
    tiles: Sequence[Tile],
    journal: Journal | None = None,
    on_window: OnWindow | None = None,
    order: Iterable[int] | None = None,
) -> dict[int, Seen]:
    """Ask about every window that is not in the journal, or failed there; returns what came of each, by its number.

    Args:
        raster: that is looked at.
        grid: on it.
        asker: asks about one window.
        tiles: the windows of the grid.
        journal: holds what is done.
        on_window: called with what comes of every window that is looked at.
        order: of the windows' numbers; it changes nothing of what comes out.

    Raises:
        ImageError: a window cannot be read. What came of those before is in the journal.
    """
    done = {} if journal is None else _done(journal, len(tiles))
    for number in range(len(tiles)) if order is None else order:
        if number in done:
            continue
        done[number] = _ask(raster, grid, asker, tiles[number])
        if journal is not None:
            journal.append(done[number].as_json(number))
        if on_window is not None:
            on_window(done[number], len(done), len(tiles))
    return done


def _tidy(folder: Path) -> None:
    """Remove what a run that was killed had half written, under hidden names; nobody else writes here now."""
    for half in folder.glob(".*.part*"):
        if half.is_dir():
            shutil.rmtree(half, ignore_errors=True)
        else:
            half.unlink(missing_ok=True)


def glances(raster: Raster, grid: Grid, tiles: Sequence[Tile]) -> list[Image]:
    """Return some windows, evenly spread, without those that hold no data, or one colour alone."""
    count = min(GLANCES, len(tiles))
    some = (tiles[(2 * number + 1) * len(tiles) // (2 * count)] for number in range(count))
    return [image for tile in some if (image := _window(raster, grid, tile)) is not None]


def _ask(raster: Raster, grid: Grid, asker: Asker, tile: Tile) -> Seen:
    """Ask about one window; one without data, or of one colour alone, is not worth asking about."""
    image = _window(raster, grid, tile)
    return Seen(Outcome.NO_TARGET, empty=True) if image is None else asker.look(image, tile.x, tile.y)


def _window(raster: Raster, grid: Grid, tile: Tile) -> Image | None:
    """Read a window; None where it holds no data, or one colour alone."""
    x1, y1 = tile.x * grid.across, tile.y * grid.down
    x2, y2 = (tile.x + tile.width) * grid.across, (tile.y + tile.height) * grid.down
    x2, y2 = min(x2, raster.width), min(y2, raster.height)
    pixels, valid = raster.read(x1, y1, x2 - x1, y2 - y1, (tile.height, tile.width))
    if not valid.any() or (pixels == pixels[0, 0]).all():
        return None
    return Image(pixels, name=f"{raster.path.name}, window {tile.name}")


def _done(journal: Journal, count: int) -> dict[int, Seen]:
    found = {}
    for where, line in journal:
        try:
            number, one = int(line["tile"]), Seen.from_json(line)
        except (ArithmeticError, AttributeError, InputError, LookupError, TypeError, ValueError) as error:
            raise InputError(f"{where}: not what came of a window ({error}): was the file edited?") from None
        if 0 <= number < count and one.outcome is not Outcome.FAILED:
            found[number] = one
    return found


def _settings(raster: Raster, grid: Grid, asker: Asker, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what determines what the windows give: the phrase may change, as long as it names the same kinds."""
    return {
        "raster": {"size": [raster.width, raster.height], "sha256": [fingerprint_of(file) for file in raster.files]},
        "bands": [*raster.bands],
        "stretch": None if raster.stretch is None else [[*raster.stretch.low], [*raster.stretch.high]],
        "grid": {name: getattr(grid, name) for name in ("width", "height", "tile", "overlap")},
        "asked": asker.asked,
        "recipe": dict(recipe),
        CONTENTS: contents_of(recipe, {}),
    }


def _described(
    raster: Raster,
    grid: Grid,
    ground: Ground,
    instruction: str,
    asker: Asker,
    tiles: Sequence[Tile],
    seen: Mapping[int, Seen],
    things: Sequence[Thing],
) -> RasterSegmentation:
    """Choose what is meant, and tell what is to be told of the windows."""
    chosen = asker.choose(things, ground)
    outcome, text = chosen.outcome, chosen.text
    named = dict(chosen.chosen)
    kept = tuple(replace(things[number], label=named[number] or things[number].label) for number in sorted(named))
    looked = [one for one in seen.values() if not one.empty]
    counts = Counter(one.outcome for one in looked)
    useless = [one for one in Outcome if one not in (Outcome.FOUND, Outcome.NO_TARGET) and counts[one]]
    notes = [*raster.notes, *ground.notes]
    for one in useless:
        number = min(number for number, window in seen.items() if window.outcome is one)
        notes.append(
            f"{counts[one]} of {len(looked)} windows ended {one.value}; {tiles[number].name}: {seen[number].text}"
        )
    if not things and useless:
        outcome = max(useless, key=lambda one: counts[one])
        text = f"Nothing was found, and {sum(counts[one] for one in useless)} of {len(looked)} windows gave no answer."
    if empty := sum(one.empty for one in seen.values()):
        notes.append(f"{empty} of {len(seen)} windows hold no data, or one colour alone: not asked")
    blank = [one for one in looked if one.outcome is Outcome.FOUND and one.text.endswith("masks were empty")]
    if blank:
        notes.append(f"in {len(blank)} windows something was found, but no mask was cut of it")
    return RasterSegmentation(
        raster.path, instruction, outcome, text, tuple(notes), kept, len(things), tuple(tiles), grid, ground
    )
