from __future__ import annotations

import math

import numpy as np
import pytest

from fiducial.contracts import Overlay
from fiducial.errors import FrameError, GeometryError, InputError
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.overlays import PALETTE, MarkOverlay
from fiducial.overlays.drawing import inner_point
from fiducial.overlays.marks import free_place, mark_radius, prompt_centre


def grey(height: int, width: int) -> Image:
    return Image(np.full((height, width, 3), 100, np.uint8), name="grey.png")


def changed(before: Image, after: Image) -> np.ndarray:
    return (before.pixels != after.pixels).any(axis=2)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 200), (30, 40), (300, 400), (5000, 30)])
def test_draws_at_any_size(height, width):
    image = grey(height, width)
    overlay = MarkOverlay(Prompts.from_boxes(image.frame, [(0, 0, width, height)]))
    drawn = overlay(image)
    assert isinstance(overlay, Overlay)
    assert drawn.pixels.shape == image.pixels.shape
    assert drawn.name == "grey.png"
    assert changed(image, drawn).any()
    assert (image.pixels == 100).all()


def test_sits_in_the_middle_of_the_box():
    image = grey(200, 300)
    drawn = MarkOverlay(Prompts.from_boxes(image.frame, [(100, 60, 200, 140)]), radius=20)(image)
    rows, columns = np.nonzero(changed(image, drawn))
    assert (rows.min() + rows.max() + 1) / 2 == pytest.approx(100, abs=1)
    assert (columns.min() + columns.max() + 1) / 2 == pytest.approx(150, abs=1)
    assert columns.max() - columns.min() + 1 == pytest.approx(40, abs=2)


def test_numbers_differ_and_start_where_asked():
    image = grey(100, 100)
    prompts = Prompts.from_boxes(image.frame, [(20, 20, 80, 80)])
    one, same, other = (MarkOverlay(prompts, start=n)(image).pixels for n in (1, 1, 8))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_sits_on_a_ring_and_not_in_its_hole():
    yy, xx = np.mgrid[:200, :200]
    distance = np.hypot(xx - 100, yy - 100)
    ring = Mask.from_dense((distance < 90) & (distance > 50))
    assert ring.contains([inner_point(ring)]).all()
    image = grey(200, 200)
    drawn = MarkOverlay(masks=[ring], radius=10)(image)
    assert not changed(image, drawn)[70:130, 70:130].any()


def test_deepest_point_of_a_large_mask_is_on_it():
    yy, xx = np.mgrid[:1500, :1500]
    crescent = Mask.from_dense((np.hypot(xx - 700, yy - 700) < 600) & (np.hypot(xx - 500, yy - 700) > 520))
    assert crescent.contains([inner_point(crescent)]).all()


def test_a_mask_that_subsampling_misses_still_has_a_place():
    dense = np.zeros((1100, 1100), bool)
    dense[0, 1] = dense[1, 0] = dense[1099, 1000] = dense[1000, 1099] = True
    mask = Mask.from_dense(dense)
    assert mask.contains([inner_point(mask)]).all()


def test_marks_keep_apart_and_lead_back():
    image = grey(200, 200)
    boxes = [(90, 90, 110, 110)] * 5
    taken: list[tuple[float, float]] = []
    for _ in boxes:
        taken.append(free_place((100, 100), 12, taken, 200, 200))
    for i, place in enumerate(taken):
        assert all(math.dist(place, other) >= 24 for other in taken[:i])
    drawn = MarkOverlay(Prompts.from_boxes(image.frame, boxes), radius=12)(image).pixels.reshape(-1, 3)
    colours = set(map(tuple, drawn.tolist()))
    assert set(PALETTE[:5]) <= colours


def test_a_full_image_still_gets_its_mark():
    taken = [(float(x), float(y)) for x in range(0, 40, 4) for y in range(0, 40, 4)]
    assert free_place((20, 20), 8, taken, 40, 40) == (20, 20)


def test_stays_inside_the_image():
    assert free_place((0, 0), 10, [], 100, 80) == (10, 10)
    assert free_place((500, 500), 10, [], 100, 80) == (90, 70)


def test_where_a_prompt_is():
    frame = Frame.pixels(100, 100)
    assert prompt_centre(Prompt(frame, box=(10, 20, 30, 60), points=((1, 1),))) == (20, 40)
    assert prompt_centre(Prompt(frame, points=((1, 1), (5, 6)), point_labels=(0, 1))) == (5, 6)
    assert prompt_centre(Prompt(frame, points=((1, 1),), point_labels=(0,))) == (1, 1)


def test_an_empty_mask_falls_back_on_its_prompt_or_has_no_mark():
    image = grey(100, 100)
    empty = Mask.empty(100, 100)
    prompts = Prompts.from_boxes(image.frame, [(40, 40, 60, 60)])
    assert changed(image, MarkOverlay(prompts, [empty])(image))[50, 44]
    assert not changed(image, MarkOverlay(masks=[empty])(image)).any()


def test_one_colour_for_all():
    image = grey(100, 200)
    drawn = MarkOverlay(Prompts.from_boxes(image.frame, [(10, 10, 90, 90), (110, 10, 190, 90)]), colour="red")(image)
    reds = (drawn.pixels == (230, 25, 25)).all(axis=2)
    assert reds[:, :100].any()
    assert reds[:, 100:].any()


def test_radius_follows_the_size():
    assert mark_radius(64, 64) == 7
    assert 15 < mark_radius(1024, 1024) < 30
    assert mark_radius(300, 5000) <= 75


def test_refuses_what_does_not_fit():
    image = grey(50, 50)
    box = Prompts.from_boxes(Frame.unit(), [(0, 0, 1, 1)])
    with pytest.raises(InputError, match="prompts or masks"):
        MarkOverlay()
    with pytest.raises(InputError, match="radius"):
        MarkOverlay(box, radius=0)
    with pytest.raises(GeometryError, match="1 prompts but 2 masks"):
        MarkOverlay(box, [Mask.empty(5, 5)] * 2)
    with pytest.raises(FrameError, match="prompts to draw"):
        MarkOverlay(box)(image)
    with pytest.raises(GeometryError, match=r"does not fit grey\.png of 50 x 50"):
        MarkOverlay(masks=[Mask.from_box((0, 0, 1, 1), 49, 50)])(image)
