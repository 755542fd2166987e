"""CFPG, the clustering-based foreground point: one positive point for the segmenter, found in the box.

The method is that of PSLG-SAM's second stage: cut the box out, split its colours into two clusters by KMeans++,
separate touching regions by a distance transform and a watershed, and take the most convex region, because things
are more convex than what is around them. What the paper leaves open is settled here, at the constants and in
:class:`ForegroundPoint`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fiducial.contracts import Refinement
from fiducial.errors import UnknownNameError
from fiducial.geometry import Point, Prompt, Prompts
from fiducial.images import Image
from fiducial.refiners.clustering import two_means
from fiducial.refiners.colours import COLOUR_SPACES, colours_of
from fiducial.refiners.crops import Crop, Window, cut_crop, off_centre, pixels_in
from fiducial.refiners.options import require_number
from fiducial.refiners.regions import Region, measure_regions, split_regions

NAME = "cfpg"
SMALLEST = 6
"""Boxes with an edge of fewer pixels hold too little to cluster."""

Figures = dict[str, float | int | str]
Drawn = Mapping[str, NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True)
class ForegroundPoint:
    """Adds one positive point to every prompt with a box; the box and earlier points stay.

    - **Both clusters compete:** nothing says which one is the target.
    - **Ties** in convexity go to the larger region, then to the one nearer the crop's centre.
    - **A centroid beside its region** (a ring, a crescent) is replaced by the place deepest inside.
    - **No point is added** where there is no box, the box lies outside the image or has an edge below ``SMALLEST``
      pixels, the crop has one colour, no region is large enough, or the point lies beyond ``reach``. The report
      says which.
    - **A box partly outside** the image is clipped for the search; the prompt keeps it as it is.

    Work is done on the box's crop, shrunk to ``working_size``, so its cost follows the box and not the
    image. Boxes of the same pixels are worked once. A prompt does not depend on the others beside it.

    Args:
        colour_space: where colours are clustered: ``rgb``, ``lab``, ``luv``, ``hsv``, ``ycrcb``, ``grey``.
        least_area: least part of the crop that a region must cover, in 0..1.
        marker_threshold: how deep, as a part of a piece's greatest depth, the watershed's markers begin, in 0..1; 0.7
            is the usual value, and put more points on the target than 0.5.
        reach: greatest distance of the point from the crop's middle, where 1 is the ellipse that touches the crop's
            edges; what lies beyond is not added. The most convex region is often a corner of the background: in the
            true boxes of 1,200 aerial, everyday and brain MRI targets 66 % of the points lay on their target, and 94 %
            of the two in five that lay within 0.5; the convexity itself told nothing. (The middle of the box lies on
            93 %.) The paper has no such limit: 2 takes it away.
        working_size: longest edge in pixels at which a crop is worked; larger ones are shrunk.
        seed: of KMeans++.
        keep_box: False drops the box where a point was found, to see what the point alone is worth; the paper
            passes both.

    Raises:
        UnknownNameError: a colour space that does not exist.
        InputError: an option that is no number, or outside its range.

    Example:
        >>> import numpy as np
        >>> pixels = np.full((60, 80, 3), 40, np.uint8)
        >>> pixels[20:40, 10:30] = (200, 30, 30)
        >>> image = Image(pixels)
        >>> refined = ForegroundPoint()(image, Prompts.from_boxes(image.frame, [(6, 16, 34, 44)]))
        >>> refined[0].box, refined[0].points
        ((6.0, 16.0, 34.0, 44.0), ((20.0, 30.0),))
    """

    colour_space: str = "lab"
    least_area: float = 0.05
    marker_threshold: float = 0.7
    reach: float = 0.5
    working_size: int = 128
    seed: int = 0
    keep_box: bool = True

    def __post_init__(self) -> None:
        if self.colour_space not in COLOUR_SPACES:
            raise UnknownNameError("colour space", str(self.colour_space), COLOUR_SPACES)
        require_number("cfpg: least_area", self.least_area, 0, 1)
        require_number("cfpg: marker_threshold", self.marker_threshold, 0, 1)
        require_number("cfpg: reach", self.reach, 0)
        require_number("cfpg: working_size", self.working_size, 16, whole=True)
        require_number("cfpg: seed", self.seed, 0, whole=True)

    def __call__(self, image: Image, prompts: Prompts) -> Prompts:
        """Return the prompts, each with a foreground point where one was found.

        Args:
            image: the image.
            prompts: in pixels of the image.

        Raises:
            FrameError: the prompts are not in pixels of the image.
        """
        return self.report(image, prompts)[0]

    def report(
        self, image: Image, prompts: Prompts, *, pictures: bool = False
    ) -> tuple[Prompts, tuple[Refinement, ...]]:
        """Return the prompts as :meth:`__call__` does, and what was done to each.

        The figures are separation (how far apart the two clusters lie, see
        :class:`fiducial.refiners.clustering.TwoClusters`), regions (how many were large enough) and, of the best
        region, x, y (its point in pixels), convexity, area (part of the crop), off_centre (see ``reach``).
        Pictures, when asked for: crop, clusters, regions with their convexity, point.
        """
        image.frame.require(prompts.frame, "the prompts")
        found: dict[Window, _Found] = {}
        refined, told = [], []
        for prompt in prompts:
            window = None if prompt.box is None else pixels_in(prompt.box, image)
            if window is None:
                reason = "no box to look in" if prompt.box is None else "the box lies outside the image"
                refined.append(prompt)
                told.append(Refinement(NAME, False, f"no point: {reason}"))
                continue
            if window not in found:
                found[window] = self._look(image, window, pictures)
            refined.append(found[window].added_to(prompt, keep_box=self.keep_box))
            told.append(found[window].told)
        return Prompts(prompts.frame, tuple(refined)), tuple(told)

    def _look(self, image: Image, window: Window, pictures: bool) -> _Found:
        if min(window[2:]) < SMALLEST:
            return _nothing(f"the box is only {window[2]} x {window[3]} pixels")
        crop = cut_crop(image, window, self.working_size)
        clusters = two_means(colours_of(crop.pixels, self.colour_space), self.seed)
        if clusters is None:
            return _nothing("the crop has one colour")
        second = clusters.second.reshape(crop.shape)
        labels, depth, first_count = split_regions(second, self.marker_threshold)
        regions = measure_regions(labels, depth, first_count, self.least_area * labels.size)
        figures: Figures = {"separation": round(clusters.separation, 4), "regions": len(regions)}
        best = min(regions, key=lambda region: _rank(region, crop), default=None)
        drawn: Drawn = {}
        if pictures:
            from fiducial.refiners.pictures import point_pictures

            drawn = point_pictures(crop, second, labels, regions, best, self.reach)
        if best is None:
            return _nothing(f"no region covers {self.least_area:.0%} of the box", figures, drawn)
        return self._chosen(best, crop, figures, drawn)

    def _chosen(self, best: Region, crop: Crop, figures: Figures, drawn: Drawn) -> _Found:
        point, (height, width) = crop.to_image(best.point), crop.shape
        share = best.area / (height * width)
        off = off_centre(best.point, crop)
        figures = {
            "x": round(point[0], 3),
            "y": round(point[1], 3),
            "convexity": round(best.convexity, 4),
            "area": round(share, 4),
            "off_centre": round(off, 4),
            **figures,
        }
        region = f"region of convexity {best.convexity:.2f}, {share:.0%} of the box"
        if off > self.reach:
            reason = f"the best lies off the middle ({off:.2f}, {self.reach:g} is the reach; {region})"
            return _nothing(reason, figures, drawn)
        where = "deepest inside, since its centroid lies beside it" if best.moved else "at its centroid"
        return _Found(Refinement(NAME, True, f"point {where}: {region}", figures, drawn), (point,))


@dataclass(frozen=True, slots=True)
class _Found:
    told: Refinement
    points: tuple[Point, ...] = field(default=())

    def added_to(self, prompt: Prompt, *, keep_box: bool) -> Prompt:
        if not self.points:
            return prompt
        more = prompt.with_points(self.points)
        return more if keep_box else replace(more, box=None)


def _rank(region: Region, crop: Crop) -> tuple[float, int, float, int]:
    """Order regions: the most convex first, then the largest, then the nearest to the centre."""
    x, y = region.centroid
    off = math.hypot(x - crop.shape[1] / 2, y - crop.shape[0] / 2)
    return -round(region.convexity, 6), -region.area, round(off, 6), region.label


def _nothing(reason: str, figures: Figures | None = None, drawn: Drawn | None = None) -> _Found:
    return _Found(Refinement(NAME, False, f"no point: {reason}", figures or {}, drawn or {}))
