"""What came of a map: a table of outlines in its coordinates, and files of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fiducial.files import json_text, make_folder, rounded, write_atomically
from fiducial.geometry.polygons import Polygon
from fiducial.language import Outcome
from fiducial.rasters.configs import RasterOptions
from fiducial.rasters.grid import Grid, Tile
from fiducial.rasters.ground import Ground
from fiducial.rasters.joining import Thing

if TYPE_CHECKING:
    from geopandas import GeoDataFrame
    from shapely import MultiPolygon

COLUMNS = (
    "id",
    "label",
    "score",
    "area_m2",
    "perimeter_m",
    "centroid_x",
    "centroid_y",
    "left_px",
    "top_px",
    "right_px",
    "bottom_px",
    "window",
    "outcome",
)
"""Of the table. Area and perimeter are on the ellipsoid (``area_px``, ``perimeter_px`` where no CRS is known), the
centroid is in coordinates of the table, the box in pixels of the raster; windows are called ``r0c1``: row, column."""


@dataclass(frozen=True, eq=False)
class RasterSegmentation:
    """Everything that came of one instruction on one map.

    Args:
        path: of the raster.
        instruction: as the user said it.
        outcome: how it ended.
        text: in plain words, what was chosen and why.
        notes: what was assumed, and which windows gave no answer.
        things: what was chosen, by place; the ids of the files are 1, 2, ... in this order.
        found: how many things were found to choose from.
        tiles: the windows.
        grid: the pixels in which things are.
        ground: where they lie.
    """

    path: Path
    instruction: str
    outcome: Outcome
    text: str
    notes: tuple[str, ...]
    things: tuple[Thing, ...]
    found: int
    tiles: tuple[Tile, ...]
    grid: Grid
    ground: Ground

    @cached_property
    def table(self) -> GeoDataFrame:
        """One row per thing (:data:`COLUMNS`), outlines along the pixels' edges."""
        return self.outlined()

    def outlined(self, simplify: float = 0.0) -> GeoDataFrame:
        """Return the table with outlines that may stray from the pixels' edges by so many pixels."""
        from geopandas import GeoDataFrame

        columns: dict[str, list[Any]] = {name: [] for name in self.columns}
        outlines = []
        for number, thing in enumerate(self.things, start=1):
            outline = outline_of(thing, self.ground, simplify)
            outlines.append(outline)
            area, perimeter = self.ground.measure(outline)
            x1, y1, x2, y2 = thing.patch.box
            across, down = self.grid.across, self.grid.down
            box = (x1 * across, y1 * down, x2 * across, y2 * down)
            names = "+".join(self.tiles[tile].name for tile in thing.tiles)
            centre = (outline.centroid.x, outline.centroid.y)
            row = (number, thing.label, rounded(thing.score, 4), area, perimeter, *centre, *box, names, "found")
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
        table = GeoDataFrame(columns, geometry=outlines, crs=self.ground.crs)
        kinds = dict.fromkeys(self.columns[2:11], "float64") | {"id": "int64"}
        table = table.astype(kinds | dict.fromkeys(("label", "window", "outcome"), "object"))
        about = {"outcome": self.outcome.value, "text": self.text, "notes": [*self.notes]}
        table.attrs.update(instruction=self.instruction, **about)
        return table

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the table's columns."""
        if self.ground.crs is not None:
            return COLUMNS
        return tuple({"area_m2": "area_px", "perimeter_m": "perimeter_px"}.get(name, name) for name in COLUMNS)

    def as_json(self) -> dict[str, Any]:
        """Return plain values for strict JSON; the outlines are in the files."""
        crs = self.ground.crs
        return {
            "raster": self.path.name,
            "instruction": self.instruction,
            "outcome": self.outcome.value,
            "text": self.text,
            "notes": [*self.notes],
            "things": len(self.things),
            "found": self.found,
            "windows": len(self.tiles),
            "grid": [self.grid.width, self.grid.height],
            "pixel": [rounded(side, 6) for side in self.ground.pixel],
            "unit": self.ground.unit,
            "crs": None if crs is None else crs.to_string(),
        }

    def save(self, folder: str | Path, options: RasterOptions | None = None) -> dict[str, Path]:
        """Write ``result.json``, ``labels.tif`` (ids of things) and files of outlines, each whole or not at all.

        Args:
            folder: made when it does not exist.
            options: which files of outlines, and how much they are simplified.

        Raises:
            InputError: a file that cannot be written.
        """
        from fiducial.rasters.labels import write_labels
        from fiducial.rasters.vectors import write_vectors

        options, folder = options or RasterOptions(), make_folder(folder)
        table = self.table if not options.simplify else self.outlined(options.simplify)
        written = write_vectors(table, folder, options.vectors)
        written["labels"] = write_labels(self, folder / "labels.tif")
        written["result"] = write_atomically(folder / "result.json", json_text(self.as_json()))
        return written


def outline_of(thing: Thing, ground: Ground, simplify: float = 0.0) -> MultiPolygon:
    """Return the outline of a thing in coordinates of the map: valid, outer rings counterclockwise."""
    import shapely

    corner = np.array([thing.patch.x, thing.patch.y])
    flat = shapely.multipolygons([_shape(rings, corner) for rings in thing.patch.mask.to_polygons()])
    if simplify:
        flat = shapely.simplify(flat, simplify, preserve_topology=True)
    # Pixels that touch at a corner make rings that touch themselves.
    flat = flat if flat.is_valid else shapely.make_valid(flat, method="structure")
    placed = shapely.transform(flat, ground.to_map)
    placed = placed if placed.is_valid else shapely.make_valid(placed, method="structure")
    areas = [part for part in shapely.get_parts(placed) if part.geom_type == "Polygon" and part.area]
    return shapely.orient_polygons(shapely.multipolygons(areas))


def _shape(rings: Polygon, corner: np.ndarray[Any, Any]) -> Any:
    import shapely

    outer, *holes = (ring + corner for ring in rings)
    return shapely.polygons(outer, holes or None)
