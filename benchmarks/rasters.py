"""Maps: what window borders cost in things, what size costs in memory and time, and runs that are killed.

    python benchmarks/rasters.py                       # seams, costs and kills
    python benchmarks/rasters.py --parts seams         # one of them; the others stay as they were

The maps are drawn aerial scenes laid over N x N pixels (``fiducial.rasters.make_map``), so that things lie on every
border. Two finders: ``nano``, the default recipe, and ``drawn``, which sees of each window exactly what is drawn there,
cut by its border, so that what it costs is the cost of everything but the model.

- **Seams.** A thing counts as found when an answer of its name has an IoU of at least 0.5 with it. At a seam are things
  that touch the border of some window. The same pieces are put together by ``joined``, which is ours, and by
  ``overwritten``, the way of the leading library for text on rasters (samgeo 1.4.2, ``_merge_tile_mask``): ids of each
  window's own, painted into one array of the whole raster, later windows over earlier ones.
- **Costs.** Each in a process of its own: peak memory beyond what the imports and the model take, and the processor's
  seconds. ``overwritten`` holds the whole output in memory.
- **Kills.** A run is killed (SIGKILL) at random moments until it ends by itself; its files are compared with those of a
  run that nobody stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recording import RESULTS, record

import fiducial
from fiducial.geometry import Mask
from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.rasters import Raster, RasterOptions, make_map, segmenting
from fiducial.rasters.asking import Chosen, asker_for
from fiducial.rasters.grid import Tile
from fiducial.rasters.ground import Ground
from fiducial.rasters.joining import Thing, join
from fiducial.rasters.pieces import Patch, Piece, Seen

KINDS = "all airplanes, ships, storage tanks, tennis courts, baseball diamonds, harbors and bridges"
SEAMS_SIDE, SIDES, PAINTED_SIDES, NANO_SIDES = 4096, (2048, 5120, 10240), (2048, 5120), (2048, 4096)
FOUND = 0.5
SCENES = 16


class Drawn:
    """Sees what is drawn in a window, cut by its border."""

    by_label = True
    asked = "what is drawn"

    def __init__(self, truth: Sequence[Piece]) -> None:
        self.truth = truth
        self.boxes = np.array([piece.patch.box for piece in truth])

    def look(self, image: Image, x: int, y: int) -> Seen:
        """Cut what is drawn in the window."""
        box = (x, y, x + image.width, y + image.height)
        left, top, right, bottom = self.boxes.T
        near = np.flatnonzero((left < box[2]) & (right > box[0]) & (top < box[3]) & (bottom > box[1]))
        pieces = []
        for number in near:
            patch = Patch.of(self.truth[number].patch.within(box), x, y)
            pieces += [] if patch is None else [Piece(patch, self.truth[number].label, 0.9)]
        return Seen(Outcome.FOUND if pieces else Outcome.NO_TARGET, pieces=tuple(pieces))

    def choose(self, things: Sequence[Thing], ground: Ground) -> Chosen:
        """Choose everything."""
        return Chosen(Outcome.FOUND, tuple((number, thing.label) for number, thing in enumerate(things)), "all")


def overwritten(shape: tuple[int, int], tiles: Sequence[Tile], seen: Mapping[int, Seen]) -> np.ndarray:
    """Paint each window's things, by ids of its own, over what was painted before."""
    whole, last = np.zeros(shape, np.uint32), 0
    for number in sorted(seen):
        tile, own = tiles[number], np.zeros((tiles[number].height, tiles[number].width), np.uint32)
        for piece in seen[number].pieces:
            last += 1
            own[piece.patch.within(tile.box).to_dense()] = last
        part = whole[tile.y : tile.box[3], tile.x : tile.box[2]]
        part[own > 0] = own[own > 0]
    return whole


def instances_of(whole: np.ndarray, labels: Mapping[int, str]) -> list[tuple[Patch, str]]:
    """Return the things of a painted array."""
    from scipy import ndimage

    found = []
    for number, place in enumerate(ndimage.find_objects(whole.astype(np.int32)), start=1):
        if place is not None:
            patch = Patch.of(Mask.from_dense(whole[place] == number), place[1].start, place[0].start)
            found += [] if patch is None else [(patch, labels[number])]
    return found


# -- seams ------------------------------------------------------------------------------------------------


def shared(one: Patch, other: Patch) -> int:
    (a, b, c, d), (e, f, g, h) = one.box, other.box
    if a >= g or e >= c or b >= h or f >= d:
        return 0
    return one.mask.shared_area(other.within(one.box))


def score(truth: Sequence[Piece], answers: Sequence[tuple[Patch, str]], tiles: Sequence[Tile]) -> dict[str, Any]:
    """Count what was found at seams and away from them, what was answered rightly, and what came out in pieces."""
    boxes = np.array([patch.box for patch, _ in answers]).reshape(-1, 4)
    used: set[int] = set()
    counts = {"things": [0, 0], "found": [0, 0], "in_pieces": [0, 0]}
    for thing in sorted(truth, key=lambda one: -one.patch.mask.area):
        patch = thing.patch
        at = int(any(tile.cuts(patch.box) and shares(tile, patch.box) for tile in tiles))
        a, b, c, d = patch.box
        near = np.flatnonzero((boxes[:, 0] < c) & (boxes[:, 2] > a) & (boxes[:, 1] < d) & (boxes[:, 3] > b))
        same = [int(k) for k in near if answers[int(k)][1] == thing.label]
        over = {k: shared(patch, answers[k][0]) for k in same}
        parts = [k for k in same if over[k] >= 0.1 * patch.mask.area and over[k] >= 0.5 * answers[k][0].mask.area]
        iou = {k: over[k] / (patch.mask.area + answers[k][0].mask.area - over[k]) for k in same if k not in used}
        best = max(iou, key=lambda k: iou[k], default=None)
        counts["things"][at] += 1
        counts["in_pieces"][at] += len(parts) > 1
        if best is not None and iou[best] >= FOUND:
            used.add(best)
            counts["found"][at] += 1
    names = ("away", "at_seams")
    told: dict[str, Any] = {f"{what}_{name}": counts[what][k] for what in counts for k, name in enumerate(names)}
    for k, name in enumerate(names):
        told[f"recall_{name}"] = round(counts["found"][k] / max(counts["things"][k], 1), 4)
    told |= {"answers": len(answers), "precision": round(len(used) / max(len(answers), 1), 4)}
    return told


def shares(tile: Tile, box: tuple[int, int, int, int]) -> bool:
    (a, b, c, d), (e, f, g, h) = tile.box, box
    return a < g and e < c and b < h and f < d


def seams(folder: Path, options: RasterOptions, side: int) -> dict[str, Any]:
    """Measure what window borders cost."""
    truth = make_map(folder / "seams.tif", (side, side), seed=11, scenes=SCENES)
    pipe, told = fiducial.load("nano"), {"side": side, "tile": options.tile, "tile_overlap": options.tile_overlap}
    with Raster.open(folder / "seams.tif") as raster:
        grid = segmenting.grid_of(raster, options)
        tiles = grid.tiles()
        ground = Ground.under(raster, grid)
        for name, asker in (("drawn", Drawn(truth)), ("nano", asker_for(pipe, KINDS, ground))):
            seen = segmenting.look(raster, grid, asker, tiles)
            asked = [thing for thing in truth if name == "drawn" or thing.label in asker.asked.split(", ")]
            things = join(tiles, {number: one.pieces for number, one in seen.items()})
            labels = dict(enumerate((piece.label for number in sorted(seen) for piece in seen[number].pieces), start=1))
            painted = instances_of(overwritten((side, side), tiles, seen), labels)
            told[name] = {
                "joined": score(asked, [(thing.patch, thing.label) for thing in things], tiles),
                "overwritten": score(asked, painted, tiles),
            }
    return told


# -- costs ------------------------------------------------------------------------------------------------


def cost(way: str, side: int, options: RasterOptions, folder: Path) -> dict[str, Any]:
    """Segment one map one way, in this process."""
    path = folder / f"cost{side}.tif"
    truth = make_map(path, (side, side), seed=12, scenes=6)
    pipe, asker = fiducial.load("nano"), Drawn(truth)
    if way == "nano":  # loaded, and once through a window
        pipe(np.zeros((options.tile, options.tile, 3), np.uint8), "all ships")
    else:
        segmenting.asker_for = lambda *_: asker  # type: ignore[assignment]
    before, started = _peak(), time.process_time()
    if way == "overwritten":
        with Raster.open(path) as raster:
            grid = segmenting.grid_of(raster, options)
            tiles = grid.tiles()
            overwritten((side, side), tiles, segmenting.look(raster, grid, asker, tiles))
    else:
        segmenting.segment_raster(pipe, path, KINDS, options, out=folder / f"out{way}{side}")
    seconds = time.process_time() - started
    return {
        "way": way,
        "side": side,
        "things_drawn": len(truth),
        "seconds_of_processor": round(seconds, 2),
        "seconds_a_megapixel": round(seconds / (side * side / 1e6), 4),
        "peak_MB_beyond_the_model": round((_peak() - before) / 1e6, 1),
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def costs(sides: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
    """Measure each way at each size in a process of its own."""
    rows = []
    for way, side in [(way, side) for way, some in sides.items() for side in some]:
        command = [sys.executable, __file__, "--one", way, str(side)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    return rows


# -- kills ------------------------------------------------------------------------------------------------


def kills(folder: Path, wanted: int, side: int = 1024) -> dict[str, Any]:
    """Kill runs at random moments, go on, and compare the files with those of one that nobody stopped."""
    path, every = folder / "kills.tif", ("gpkg", "geoparquet", "geojson", "shapefile")
    options = RasterOptions(tile=256, tile_overlap=64, vectors=every)
    asker = Drawn(make_map(path, (side, side), seed=13, scenes=3))
    segmenting.asker_for = lambda *_: asker  # type: ignore[assignment]
    pipe = fiducial.load("classic")
    started = time.perf_counter()
    segmenting.segment_raster(pipe, path, KINDS, options, out=folder / "whole")
    usual = time.perf_counter() - started
    expected, rng, killed, runs, differ = contents(folder / "whole"), np.random.default_rng(5), 0, 0, 0
    while killed < wanted:
        out, runs = folder / f"run{runs}", runs + 1
        while True:
            child = os.fork()
            if not child:
                segmenting.segment_raster(pipe, path, KINDS, options, out=out)
                os._exit(0)
            time.sleep(float(rng.uniform(0, 0.7)) * usual)
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                assert status == 0
                break
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            killed += 1
        differ += contents(out) != expected
    windows = (folder / "whole" / segmenting.WINDOWS).read_text().count("\n")
    return {"killed": killed, "runs": runs, "windows": windows, "files": len(expected), "runs_that_differ": differ}


def contents(folder: Path) -> dict[str, bytes]:
    """Return what a run's files hold, but for its card."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "run.json"}


def main() -> None:
    """Measure, and write the numbers down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=["seams", "costs", "kills"])
    parser.add_argument("--one", nargs=2, metavar=("WAY", "SIDE"), help="print the cost of one way at one size")
    parser.add_argument("--side", type=int, default=SEAMS_SIDE)
    parser.add_argument("--sides", nargs="+", type=int, default=SIDES)
    parser.add_argument("--painted-sides", nargs="+", type=int, default=PAINTED_SIDES, help="of overwritten")
    parser.add_argument("--nano-sides", nargs="+", type=int, default=NANO_SIDES)
    parser.add_argument("--kills", type=int, default=100)
    given = parser.parse_args()
    options = RasterOptions()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.one:
            print(json.dumps(cost(given.one[0], int(given.one[1]), options, folder)))
            return
        before = RESULTS / "rasters.json"
        measured = json.loads(before.read_text())["measured"] if before.is_file() else {}
        if "seams" in given.parts:
            measured["seams"] = seams(folder, options, given.side)
        if "kills" in given.parts:
            measured["kills"] = kills(folder, given.kills)
        if "costs" in given.parts:
            sides = {"drawn": given.sides, "overwritten": given.painted_sides, "nano": given.nano_sides}
            measured["costs"] = costs(sides)
    record("rasters", measured, ("numpy", "rasterio", "geopandas", "onnxruntime"))


if __name__ == "__main__":
    main()
