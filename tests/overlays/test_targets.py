from __future__ import annotations

import math

import numpy as np
import pytest

from fiducial.contracts import Overlay
from fiducial.errors import FrameError, GeometryError, InputError
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.overlays import PALETTE, BoxOverlay, MarkOverlay, MaskOverlay
from fiducial.overlays.drawing import panel, point, tint
from fiducial.overlays.targets import free_place, mark_radius, prompt_centre


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
    assert ring.contains([ring.inner_point()]).all()
    image = grey(200, 200)
    drawn = MarkOverlay(masks=[ring], radius=10)(image)
    assert not changed(image, drawn)[70:130, 70:130].any()


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


# -- boxes and masks ----------------------------------------------------------------------------


def test_a_box_is_a_crisp_frame():
    image = grey(20, 30)
    overlay = BoxOverlay(Prompts.from_boxes(image.frame, [(5, 4, 15, 12)]), colour=(1, 2, 3), line_width=2)
    drawn = overlay(image)
    expected = np.full((20, 30, 3), 100, np.uint8)
    expected[3:13, 4:16] = (1, 2, 3)
    expected[5:11, 6:14] = 100
    assert np.array_equal(drawn.pixels, expected)
    assert isinstance(overlay, Overlay)
    assert drawn.name == "grey.png"
    assert (image.pixels == 100).all()


def test_a_box_at_the_border_keeps_its_stroke():
    image = grey(20, 30)
    drawn = BoxOverlay(Prompts.from_boxes(image.frame, [(-50, -50, 80, 80)]), colour="black", line_width=3)(image)
    assert (drawn.pixels[:3] == 0).all()
    assert (drawn.pixels[:, -3:] == 0).all()
    assert (drawn.pixels[3:-3, 3:-3] == 100).all()


def test_a_tiny_box_is_filled_and_one_outside_draws_nothing():
    image = grey(20, 30)
    tiny = BoxOverlay(Prompts.from_boxes(image.frame, [(5, 5, 5.5, 5.5)]), colour="black", line_width=2)(image)
    assert 1 <= (tiny.pixels[..., 0] == 0).sum() <= 9
    away = BoxOverlay(Prompts.from_boxes(image.frame, [(100, 100, 120, 120)]), line_width=2)(image)
    assert (away.pixels == 100).all()


def test_boxes_take_the_palette_and_points_are_left_out():
    image = grey(40, 60)
    prompts = Prompts(image.frame, (Prompt(image.frame, points=((3, 3),)), Prompt(image.frame, box=(9, 9, 20, 20))))
    drawn = BoxOverlay(prompts)(image).pixels
    assert set(map(tuple, drawn.reshape(-1, 3).tolist())) == {(100, 100, 100), PALETTE[1]}


def test_a_mask_is_tinted_exactly():
    image = grey(20, 30)
    mask = Mask.from_box((5, 4, 15, 12), 20, 30)
    overlay = MaskOverlay([mask], colour=(200, 0, 100), opacity=0.25, line_width=0)
    drawn = overlay(image).pixels
    assert (drawn[mask.to_dense()] == (125, 75, 100)).all()
    assert (drawn[~mask.to_dense()] == 100).all()
    assert isinstance(overlay, Overlay)


def test_a_mask_has_a_line_around_it_and_its_hole():
    dense = np.zeros((60, 60), bool)
    dense[10:50, 10:50] = True
    dense[25:35, 25:35] = False
    drawn = MaskOverlay([Mask.from_dense(dense)], colour="black", opacity=0, line_width=1)(grey(60, 60)).pixels[..., 0]
    assert (drawn[10, 12:48] < 16).all()
    assert (drawn[35, 27:33] < 16).all()
    assert (drawn[12:22, 12:22] == 100).all()


def test_noise_is_outlined_quickly_by_its_pixels():
    dense = np.random.default_rng(1).random((700, 700)) > 0.8
    drawn = MaskOverlay([Mask.from_dense(dense)], colour="black", opacity=0)(grey(700, 700)).pixels[..., 0]
    assert (drawn[~dense] == 100).all()
    assert (drawn[dense] == 0).mean() > 0.99


def test_later_masks_lie_on_top_and_empty_ones_draw_nothing():
    image = grey(20, 20)
    masks = [Mask.from_box((0, 0, 20, 20), 20, 20), Mask.empty(20, 20), Mask.from_box((5, 5, 9, 9), 20, 20)]
    drawn = MaskOverlay(masks, opacity=1, line_width=0)(image).pixels
    assert tuple(drawn[6, 6]) == PALETTE[2]
    assert tuple(drawn[0, 0]) == PALETTE[0]


def test_draws_on_one_pixel_and_chooses_its_stroke():
    image = grey(1, 1)
    assert MaskOverlay([Mask.from_box((0, 0, 1, 1), 1, 1)])(image).pixels.shape == (1, 1, 3)


def test_soft_edges_are_blended():
    pixels = np.zeros((1, 3, 3), np.uint8)
    tint(pixels, np.array([[0, 128, 255]], np.uint8), 0, 0, (200, 200, 200), 0.5)
    assert pixels[0, :, 0].tolist() == [0, 50, 100]


def test_the_two_kinds_of_points_look_different():
    drawn = []
    for positive in (True, False):
        pixels = np.full((41, 41, 3), 100, np.uint8)
        point(pixels, (20.5, 20.5), 12, (0, 114, 178), positive=positive)
        drawn.append(pixels)
    on, beside = drawn
    assert tuple(on[15, 14]) == (0, 114, 178)
    assert (beside[20, 12:15] > 240).all()
    assert tuple(beside[20, 20]) == (200, 0, 0)
    assert tuple(on[20, 20]) == (255, 255, 255), "the plus reads on blue"
    assert (on[20, 14:27] == beside[20, 14:27]).all(axis=1).sum() < 6


def test_a_point_far_outside_draws_nothing():
    pixels = np.full((10, 10, 3), 100, np.uint8)
    point(pixels, (1e30, -1e30), 4, (0, 0, 0), positive=True)
    assert (pixels == 100).all()


def test_boxes_and_masks_refuse_what_does_not_fit():
    prompts = Prompts.from_boxes(Frame.unit(), [(0, 0, 1, 1)])
    with pytest.raises(FrameError):
        BoxOverlay(prompts)(grey(10, 10))
    with pytest.raises(InputError, match="at least 1 pixels, got 0"):
        BoxOverlay(prompts, line_width=0)
    with pytest.raises(InputError, match="at least 0 pixels, got -1"):
        MaskOverlay([], line_width=-1)
    with pytest.raises(InputError, match="unknown colour"):
        MaskOverlay([], colour="blurple")
    for opacity in (-0.1, 2, float("nan")):
        with pytest.raises(InputError, match="opacity"):
            MaskOverlay([], opacity=opacity)
    with pytest.raises(GeometryError, match="does not fit"):
        MaskOverlay([Mask.empty(9, 10)])(grey(10, 10))


def test_round_panels_are_solid_and_clipped():
    pixels = np.full((20, 30, 3), 100, np.uint8)
    panel(pixels, (-5, 5, 20, 10), 4, (1, 2, 3), rim=(9, 9, 9))
    assert tuple(pixels[10, 5]) == (1, 2, 3)
    assert tuple(pixels[10, 15]) == (9, 9, 9)
    assert tuple(pixels[4, 15]) == (100, 100, 100)
