"""The ground under a grid: coordinates on the map, and the plane in metres, north up, in which phrases are resolved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.geometry import Box, Frame
from fiducial.rasters.grid import Grid
from fiducial.rasters.raster import Raster

if TYPE_CHECKING:
    from affine import Affine
    from pyproj import CRS, Geod
    from shapely.geometry.base import BaseGeometry

VARIES = 0.01
"""It is said where the length of a unit of the CRS differs by more than this share over a map."""


@dataclass(frozen=True, eq=False)
class Ground:
    """Where a grid's pixels lie.

    The **scene** is a plane whose x runs east and y south along the axes of the CRS, in metres as they are at the
    middle of the raster, from the corner of the box around it: north is the map's north. Without a CRS it is the
    raster's pixels.

    Args:
        affine: from pixels of the grid to coordinates of the CRS; without one, to pixels of the raster.
        crs: two-dimensional, or None.
        size: width, height of the grid.
    """

    affine: Affine
    crs: CRS | None
    size: tuple[int, int]

    @classmethod
    def under(cls, raster: Raster, grid: Grid) -> Ground:
        """Return the ground under the grid of a raster."""
        from affine import Affine

        a, b, c, d, e, f = (raster.affine or Affine.identity())[:6]
        affine = Affine(a * grid.across, b * grid.down, c, d * grid.across, e * grid.down, f)
        return cls(affine, raster.crs, (grid.width, grid.height))

    @property
    def unit(self) -> str:
        """What lengths in the scene are in: ``m`` or ``px``."""
        return "px" if self.crs is None else "m"

    @cached_property
    def metres(self) -> tuple[float, float]:
        """Metres for one unit of the CRS along x and y, at the raster's middle; below 0 where x runs west, y south."""
        return self._metres_at((self.size[0] / 2, self.size[1] / 2))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of lengths."""
        if self.crs is None:
            return ()
        corners = [self._metres_at((x, y)) for x in (0, self.size[0]) for y in (0, self.size[1])]
        off = max(abs(one / middle - 1) for corner in corners for one, middle in zip(corner, self.metres, strict=True))
        if off <= VARIES:
            return ()
        return (
            f"distances are measured at the scale of the map's middle, which is off by up to {off:.0%} at its corners",
        )

    @property
    def pixel(self) -> tuple[float, float]:
        """How long a pixel of the grid is in the scene, along its rows and along its columns."""
        kx, ky = self.metres
        a, b, _, d, e, _ = self.affine[:6]
        return math.hypot(a * kx, d * ky), math.hypot(b * kx, e * ky)

    @property
    def pixel_area(self) -> float:
        """How large a pixel of the grid is in the scene."""
        kx, ky = self.metres
        return float(abs(self.affine.determinant * kx * ky))

    @cached_property
    def frame(self) -> Frame:
        """The scene's frame: from (0, 0) to its extent."""
        width, height = self._extent[2:]
        return Frame.pixels(width, height)

    def to_map(self, points: ArrayLike) -> NDArray[np.float64]:
        """Turn (N, 2) x, y in pixels of the grid into coordinates of the CRS."""
        x, y = np.asarray(points, np.float64).reshape(-1, 2).T
        a, b, c, d, e, f = self.affine[:6]
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)

    def to_scene(self, points: ArrayLike) -> NDArray[np.float64]:
        """Turn (N, 2) x, y in pixels of the grid into the scene's."""
        left, top = self._extent[:2]
        return np.asarray(self._unplaced(points) - np.array([left, top]))

    def box_in_scene(self, hull: ArrayLike) -> Box:
        """Return the box x1, y1, x2, y2 in the scene around (N, 2) points in pixels of the grid."""
        points = self.to_scene(hull)
        limit = np.array([self.frame.width, self.frame.height])
        low, high = np.clip(points.min(axis=0), 0, limit), np.clip(points.max(axis=0), 0, limit)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def measure(self, outline: BaseGeometry) -> tuple[float, float]:
        """Return area and perimeter of an outline in coordinates of the CRS, on the ellipsoid, in m2 and m.

        The perimeter is that of outer rings. Without a CRS, or with one that is nowhere on Earth, they are those of the
        plane, in units of its own.
        """
        import shapely

        outline = shapely.orient_polygons(outline)
        if self._to_degrees is None or self._geod is None:
            rings = [shapely.get_exterior_ring(part) for part in shapely.get_parts(outline)]
            kx, ky = self.metres
            return float(outline.area * abs(kx * ky)), float(
                sum(ring.length for ring in rings) * math.sqrt(abs(kx * ky))
            )
        degrees = shapely.transform(outline, lambda xy: np.stack(self._to_degrees.transform(*xy.T), axis=1))
        area, perimeter = self._geod.geometry_area_perimeter(shapely.orient_polygons(degrees))
        return abs(float(area)), float(perimeter)

    @cached_property
    def _extent(self) -> tuple[float, float, float, float]:
        """Left, top, width, height of the scene before it was moved to its corner."""
        width, height = self.size
        corners = self._unplaced([(0, 0), (width, 0), (0, height), (width, height)])
        (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return left, top, right - left, bottom - top

    def _unplaced(self, points: ArrayLike) -> NDArray[np.float64]:
        kx, ky = self.metres
        return np.asarray(self.to_map(points) * np.array([kx, -ky] if self.crs is not None else [1.0, 1.0]))

    @cached_property
    def _to_degrees(self) -> Any:
        from pyproj import Transformer
        from pyproj.exceptions import ProjError

        if self.crs is None:
            return None
        try:
            return Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True)
        except ProjError:
            return None  # a grid of an engineer's own

    @cached_property
    def _geod(self) -> Geod | None:
        return None if self.crs is None else self.crs.get_geod()

    def _metres_at(self, pixel: tuple[float, float]) -> tuple[float, float]:
        if self.crs is None:
            return 1.0, 1.0
        if self._to_degrees is None or self._geod is None:
            factors = [float(axis.unit_conversion_factor) for axis in self.crs.axis_info[:2]]
            return (factors[0], factors[1]) if len(factors) == 2 else (1.0, 1.0)
        (x, y) = self.to_map([pixel])[0].tolist()
        reach = max(abs(number) for number in (*self.affine[:2], *self.affine[3:5]))  # a pixel
        xs, ys = [x - reach, x + reach, x, x], [y, y, y - reach, y + reach]
        lon, lat = self._to_degrees.transform(xs, ys)
        azimuth, _, lengths = self._geod.inv([lon[0], lon[2]], [lat[0], lat[2]], [lon[1], lon[3]], [lat[1], lat[3]])
        east = 1 if math.sin(math.radians(azimuth[0])) >= 0 else -1
        north = 1 if math.cos(math.radians(azimuth[1])) >= 0 else -1
        return east * lengths[0] / (2 * reach), north * lengths[1] / (2 * reach)
