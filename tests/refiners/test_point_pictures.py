"""The pictures of the way to a foreground point, by what stands where."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fiducial.overlays.colours import palette_colour, readable_on
from fiducial.refiners.cfpg import Region, point_pictures
from fiducial.refiners.crops import AFTER, SHOWN, Crop, draw_edge

HEIGHT, WIDTH = 40, 60
TIMES = SHOWN // WIDTH  # how much larger it is shown
WHITE = (255, 255, 255)


def drawn(point, reach=0.5, labels=None, regions=1):
    """Draw a point of a black crop whose region number 1 is where the labels are, by default everywhere."""
    crop = Crop((0, 0, WIDTH, HEIGHT), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    labels = np.ones((HEIGHT, WIDTH), np.int32) if labels is None else labels
    best = Region(1, int((labels == 1).sum()), 1.0, point, point)
    return point_pictures(crop, labels == 1, labels, [best] * regions, best, reach)


def extent(found):
    """Left, top, right and bottom of what is True."""
    rows, columns = np.nonzero(found)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def letters(point):
    """The pixels of the text on the region, which covers all, in the colour of letters."""
    return (drawn(point)["regions"] == readable_on(palette_colour(0))).all(axis=2)


@pytest.mark.parametrize("point", [(30, 20), (14, 31), (44, 9)])
def test_the_convexity_stands_in_the_middle_of_its_region_s_point(point):
    left, top, right, bottom = extent(letters(point))
    assert (left + right) / 2 == pytest.approx(point[0] * TIMES, abs=3)
    assert (top + bottom) / 2 == pytest.approx(point[1] * TIMES, abs=5)


@pytest.mark.parametrize("point", [(0.5, 0.5), (59.5, 0.5), (0.5, 39.5), (59.5, 39.5)])
def test_the_convexity_is_readable_in_the_corners(point):
    assert np.count_nonzero(letters(point)) == pytest.approx(np.count_nonzero(letters((30, 20))), rel=0.1)


@pytest.mark.parametrize("reach", [0.25, 0.5, 0.75])
def test_the_reach_is_an_ellipse_around_the_middle(reach):
    """The point lies off the middle, within the reach; the region's edge is the picture's."""
    shown = drawn((30, 20), reach)["point"]
    wide, high = reach * WIDTH * TIMES / 2, reach * HEIGHT * TIMES / 2
    around = (shown > 200).all(axis=2)
    rows, columns = np.nonzero(around)
    off = np.hypot((columns - WIDTH * TIMES / 2) / wide, (rows - HEIGHT * TIMES / 2) / high)
    on = np.abs(off - 1) < 0.05
    assert on.sum() > 0.5 * math.pi * (wide + high)
    assert off.max() < 1.05
    middle, half = (WIDTH * TIMES // 2, HEIGHT * TIMES // 2), (round(wide), round(high))
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        assert around[middle[1] + y * half[1], middle[0] + x * half[0]]


def test_a_reach_that_holds_the_corners_is_not_drawn():
    whole, all_of_it = (drawn((30, 20), reach)["point"] for reach in (2.0, math.sqrt(2)))
    assert np.array_equal(whole, all_of_it)
    assert not np.array_equal(whole, drawn((30, 20), 1.3)["point"])


def test_edges_are_as_wide_as_the_picture_asks_for():
    for side, width in ((90, 2), (480, 4), (900, 6)):
        pixels, inside = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), bool)
        inside[side // 4 : side // 2, side // 4 : side // 2] = True
        draw_edge(pixels, inside, AFTER)
        across = (pixels[side // 3] == AFTER).all(axis=1)
        assert width - 1 <= across.sum() / 2 <= width + 1, side
