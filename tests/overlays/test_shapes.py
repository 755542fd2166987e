from __future__ import annotations

import numpy as np
import pytest

from fiducial.contracts import Overlay
from fiducial.errors import FrameError, GeometryError, InputError
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.overlays import PALETTE, BoxOverlay, MaskOverlay
from fiducial.overlays.drawing import cut_out, point, tint


def grey(height: int, width: int) -> Image:
    return Image(np.full((height, width, 3), 100, np.uint8), name="grey.png")


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


def test_a_cut_out_is_the_dense_mask():
    dense = np.zeros((50, 40), bool)
    dense[0:50, 7] = True  # a run that reaches over whole columns
    dense[0:50, 8] = True
    dense[13, 20] = True
    inside, x, y = cut_out(Mask.from_dense(dense))
    assert (x, y) == (7, 0)
    assert np.array_equal(inside, dense[:, 7:21])
    assert cut_out(Mask.empty(4, 4))[0].size == 0


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


def test_refuses_what_does_not_fit():
    prompts = Prompts.from_boxes(Frame.unit(), [(0, 0, 1, 1)])
    with pytest.raises(FrameError):
        BoxOverlay(prompts)(grey(10, 10))
    with pytest.raises(InputError, match="at least 1 pixels, got 0"):
        BoxOverlay(prompts, line_width=0)
    with pytest.raises(InputError, match="at least 0 pixels, got -1"):
        MaskOverlay([], line_width=-1)
    with pytest.raises(InputError, match="unknown colour"):
        MaskOverlay([], colour="blurple")
    with pytest.raises(InputError, match="opacity"):
        MaskOverlay([], opacity=2)
    with pytest.raises(GeometryError, match="does not fit"):
        MaskOverlay([Mask.empty(9, 10)])(grey(10, 10))
