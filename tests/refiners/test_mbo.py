from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from fiducial.contracts import MaskRefiner, ReportingMaskRefiner
from fiducial.errors import FrameError, GeometryError
from fiducial.geometry import Frame, Mask, Prompt
from fiducial.images import Image
from fiducial.refiners import BoundaryOptimisation
from fiducial.refiners import mbo as mbo_module
from fiducial.refiners.mbo import Neighbours, edge_contrast, energy, unlikelihood

GREEN, RED = (40, 120, 50), (210, 60, 50)


def disc(x, y, radius, shape=(160, 200)):
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.hypot(columns - x, rows - y) < radius


def picture(inside, noise=20, seed=0):
    rng = np.random.default_rng(seed)
    pixels = np.where(inside[..., None], RED, GREEN) + rng.integers(-noise, noise + 1, (*inside.shape, 3))
    return Image(np.clip(pixels, 0, 255).astype(np.uint8))


IMAGE, TRUTH = picture(disc(90, 70, 40)), Mask.from_dense(disc(90, 70, 40))
PROMPT = Prompt(IMAGE.frame, box=(45, 25, 135, 115))
EAGER = BoundaryOptimisation(min_gain=-1, min_area=0)
FINE = BoundaryOptimisation(working_size=200)


def test_it_keeps_its_promises():
    assert isinstance(BoundaryOptimisation(), MaskRefiner)
    assert isinstance(BoundaryOptimisation(), ReportingMaskRefiner)


@pytest.mark.parametrize("rough", [disc(90, 70, 43), disc(90, 70, 37), disc(92, 71, 40)])
def test_a_rough_edge_moves_to_the_object(rough):
    mask = Mask.from_dense(rough, score=0.65)
    better, told = FINE.report(IMAGE, mask, PROMPT)
    assert mask.iou(TRUTH) < 0.95 < 0.99 < better.iou(TRUTH)
    assert better.score == 0.65
    assert told.changed
    assert told.reason.startswith("edge moved: ")
    figures = told.figures
    assert figures["changed"] == np.count_nonzero(better.to_dense() ^ rough)
    assert figures["iou"] == pytest.approx(better.iou(mask), abs=1e-4)
    assert 1 <= figures["iterations"] <= 4
    assert figures["energy_after"] < figures["energy_before"]
    assert figures["contrast_after"] > figures["contrast_before"] + 0.1


def test_a_mask_that_its_segmenter_trusts_is_left_alone():
    rough = Mask.from_dense(disc(90, 70, 43), score=0.85)
    same, told = FINE.report(IMAGE, rough, PROMPT)
    assert same is rough
    assert told.reason == "kept as it was: its segmenter expects an IoU of 0.85 already, more than 0.7"
    assert BoundaryOptimisation(working_size=200, max_score=1).report(IMAGE, rough, PROMPT)[1].changed


@pytest.mark.parametrize(("working_size", "rounding"), [(400, 0), (64, 2.5)])
def test_only_the_band_may_change(working_size, rounding):
    rough = disc(90, 70, 48) | disc(30, 120, 12)  # an island without an object under it
    refiner = BoundaryOptimisation(limits=(3, 3), min_gain=-1, working_size=working_size)
    better, told = refiner.report(IMAGE, Mask.from_dense(rough), PROMPT)
    assert told.changed
    depth = cv2.distanceTransform(rough.astype(np.uint8), cv2.DIST_L2, 5)
    distance = cv2.distanceTransform((~rough).astype(np.uint8), cv2.DIST_L2, 5)
    changed = better.to_dense() ^ rough
    assert changed.any()
    assert (np.maximum(depth, distance)[changed] <= 3 + rounding).all()


@pytest.mark.parametrize("noise", [20, 120])
@pytest.mark.parametrize("iterations", [1, 4])
def test_the_energy_never_rises(noise, iterations):
    image = picture(disc(90, 70, 40), noise=noise)
    refiner = BoundaryOptimisation(min_gain=-1, min_iou=0, iterations=iterations)
    for rough in (disc(95, 66, 40), disc(90, 70, 30), disc(90, 70, 40)):
        figures = refiner.report(image, Mask.from_dense(rough), PROMPT)[1].figures
        assert figures["energy_after"] <= figures["energy_before"] + 1e-3
        assert figures["iterations"] <= iterations


def test_an_edge_that_lies_well_is_given_back():
    better, told = FINE.report(IMAGE, TRUTH, PROMPT)
    assert better is TRUTH
    assert not told.changed
    assert told.reason == "kept as it was: the cut found the same edge"
    nearly = Mask.from_dense(disc(90, 70, 40) ^ (disc(90, 70, 40) & disc(130, 70, 2)))
    better, told = FINE.report(IMAGE, nearly, PROMPT)
    assert better is nearly
    assert told.reason.startswith("given back: the new edge lies on hardly more contrast (")
    assert told.figures["changed"] > 0


def test_a_result_that_strays_is_given_back_and_says_so():
    mask = Mask.from_dense(disc(90, 70, 43))
    better, told = BoundaryOptimisation(min_iou=0.95).report(IMAGE, mask, PROMPT)
    assert better is mask
    assert not told.changed
    assert told.reason.startswith("given back: the result strayed (IoU 0.8")
    assert told.figures["iou"] < 0.95


@pytest.mark.parametrize(
    ("mask", "prompt", "reason"),
    [
        (Mask.empty(160, 200), PROMPT, "the mask is empty"),
        (Mask.from_box((10, 10, 20, 30), 160, 200), PROMPT, "the mask has only 200 pixels, 1024 are needed"),
        (Mask.from_box((45, 25, 135, 115), 160, 200), PROMPT, "the mask fills its box"),
        (Mask.from_box((45, 25, 135, 115), 160, 200), Prompt(IMAGE.frame, points=((9, 9),)), "the mask fills its box"),
        (Mask.from_box((0, 0, 200, 160), 160, 200), Prompt(IMAGE.frame, points=((9, 9),)), "the mask fills the image"),
    ],
)
def test_masks_with_nothing_to_learn_from_come_back(mask, prompt, reason):
    better, told = BoundaryOptimisation().report(IMAGE, mask, prompt)
    assert better is mask
    assert (told.changed, told.reason, dict(told.figures)) == (False, f"kept as it was: {reason}", {})


def test_a_box_partly_outside_counts_where_the_image_is():
    mask = Mask.from_box((0, 20, 60, 80), 160, 200)
    _, told = BoundaryOptimisation().report(IMAGE, mask, Prompt(IMAGE.frame, box=(-90, 20, 60, 80)))
    assert told.reason == "kept as it was: the mask fills its box"
    _, told = BoundaryOptimisation().report(IMAGE, mask, Prompt(IMAGE.frame, box=(0, 20, 90, 80)))
    assert "fills" not in told.reason


def test_a_crop_of_one_colour_comes_back():
    image = Image(np.full((160, 200, 3), 90, np.uint8))
    better, told = BoundaryOptimisation().report(image, TRUTH, PROMPT)
    assert better is TRUTH
    assert told.reason == "kept as it was: the crop has one colour"


def test_a_mask_without_background_around_it_comes_back():
    dense = np.ones((40, 40), bool)
    dense[20, 20] = dense[:, 38:] = False
    image = picture(disc(20, 20, 15, (40, 40)))
    refiner = BoundaryOptimisation(limits=(3, 3), min_area=0)
    _, told = refiner.report(image, Mask.from_dense(dense), Prompt(image.frame, box=(0, 0, 80, 40)))
    assert told.reason == "kept as it was: the mask leaves no background around it"


def test_thin_masks_keep_a_core():
    dense = np.zeros((160, 200), bool)
    dense[78:83, 20:180] = True
    image = picture(dense)
    refiner = BoundaryOptimisation(min_area=0, min_iou=0.5, limits=(6, 6), working_size=400)
    better, told = refiner.report(
        image, Mask.from_dense(np.roll(dense, 1, axis=0)), Prompt(image.frame, box=(10, 60, 190, 100))
    )
    assert told.changed
    assert better == Mask.from_dense(dense)


def test_a_mask_of_single_lines_has_no_core():
    dense = np.zeros((160, 200), bool)
    dense[80, 20:180] = True
    better, told = EAGER.report(picture(dense), Mask.from_dense(dense), PROMPT)
    assert told.reason  # whatever is decided, it is said
    assert better.height == 160


def test_a_mask_at_the_images_border_may_stay_there():
    inside = disc(0, 80, 50)
    image = picture(inside)
    rough = Mask.from_dense(disc(0, 80, 53))
    better, _ = BoundaryOptimisation().report(image, rough, Prompt(image.frame, box=(0, 25, 56, 135)))
    assert better.iou(Mask.from_dense(inside)) > 0.97


def test_large_masks_are_worked_small_and_keep_their_own_edge_where_the_cut_agrees():
    shape = (900, 1000)
    truth = disc(500, 450, 300, shape)
    image = picture(truth)
    rough = truth.copy()
    rough[:, :225] = False  # a slice is missing on the left; the rest is right to the pixel
    better, told = BoundaryOptimisation(min_gain=-1, limits=(30, 30)).report(
        image, Mask.from_dense(rough), Prompt(image.frame, box=(190, 140, 810, 760))
    )
    assert told.changed
    dense = better.to_dense()
    assert (dense ^ truth).sum() < 0.4 * (rough ^ truth).sum()
    assert np.array_equal(dense[:, 600:], truth[:, 600:])


def test_the_same_place_in_a_larger_image_gives_the_same_mask(monkeypatch):
    shapes = []
    cut = mbo_module.cut_crop

    def watch(*given):
        crop = cut(*given)
        shapes.append(crop.shape)
        return crop

    monkeypatch.setattr(mbo_module, "cut_crop", watch)
    pixels = np.full((1200, 1500, 3), 70, np.uint8)
    pixels[700:860, 600:800] = IMAGE.pixels
    large = Image(pixels)
    rough = disc(90, 70, 43)
    here = BoundaryOptimisation()(IMAGE, Mask.from_dense(rough), PROMPT)
    moved = Mask.from_dense(rough, offset=(600, 700), size=(1200, 1500))
    there = BoundaryOptimisation()(large, moved, Prompt(large.frame, box=(645, 725, 735, 815)))
    assert shapes[0] == shapes[1]
    assert np.array_equal(there.to_dense()[700:860, 600:800], here.to_dense())
    assert there.area == here.area


def test_no_cut_is_no_change(monkeypatch):
    def fail(*given):
        raise cv2.error("no")

    monkeypatch.setattr(cv2, "grabCut", fail)
    mask = Mask.from_dense(disc(90, 70, 43))
    better, told = BoundaryOptimisation().report(IMAGE, mask, PROMPT)
    assert better is mask
    assert told.reason == "kept as it was: OpenCV found no cut"


def test_pictures_are_drawn_when_asked_for():
    mask = Mask.from_dense(disc(90, 70, 43))
    _, told = BoundaryOptimisation().report(IMAGE, mask, PROMPT, pictures=True)
    assert list(told.pictures) == ["band", "before", "after"]
    assert len({picture.shape for picture in told.pictures.values()}) == 1
    assert not np.array_equal(told.pictures["before"], told.pictures["after"])
    assert not BoundaryOptimisation().report(IMAGE, mask, PROMPT)[1].pictures
    assert BoundaryOptimisation()(IMAGE, mask, PROMPT) == BoundaryOptimisation().report(IMAGE, mask, PROMPT)[0]
    wide = picture(disc(500, 300, 250, (600, 1000)))
    _, told = BoundaryOptimisation().report(
        wide, Mask.from_dense(disc(500, 300, 262, (600, 1000))), Prompt(wide.frame, box=(200, 0, 800, 600)),
        pictures=True,
    )  # fmt: skip
    assert max(told.pictures["band"].shape) == 480


def test_masks_and_prompts_of_other_images_are_refused():
    with pytest.raises(GeometryError, match="a mask of 5 x 6"):
        BoundaryOptimisation()(IMAGE, Mask.empty(5, 6), PROMPT)
    with pytest.raises(FrameError):
        BoundaryOptimisation()(IMAGE, TRUTH, Prompt(Frame.unit(), box=(0, 0, 1, 1)))


def model(weights, means, variances):
    numbers = np.zeros((1, 65))
    for k, (weight, mean, variance) in enumerate(zip(weights, means, variances, strict=True)):
        numbers[0, k] = weight
        numbers[0, 5 + 3 * k : 8 + 3 * k] = mean
        numbers[0, 20 + 9 * k : 29 + 9 * k] = (np.eye(3) * variance).ravel()
    return numbers


def test_one_gaussian_by_hand():
    given = model([1], [(10, 20, 30)], [4.0])
    colours = np.array([[10, 20, 30], [12, 20, 30], [10, 26, 30]], float)
    assert unlikelihood(given, colours) == pytest.approx(1.5 * math.log(4) + np.array([0, 0.5, 4.5]))


def test_a_mixture_sums_its_parts_and_does_not_overflow():
    given = model([0.25, 0.75], [(0, 0, 0), (100, 0, 0)], [1.0, 1.0])
    middle = unlikelihood(given, np.array([[50.0, 0, 0]]))[0]
    assert middle == pytest.approx(1250.0)
    near = unlikelihood(given, np.array([[0.0, 0, 0]]))[0]
    assert near == pytest.approx(-math.log(0.25))


def brute(colours, target, band, background, foreground):
    height, width = target.shape
    cost, beta = 0.0, Neighbours.of(colours).beta
    for y in range(height):
        for x in range(width):
            side = foreground if target[y, x] else background
            if band[y, x]:
                cost += float(unlikelihood(side, colours[y, x][None])[0])
            for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                i, j = y + down, x + right
                if 0 <= i < height and 0 <= j < width and target[y, x] != target[i, j] and (band[y, x] or band[i, j]):
                    difference = ((colours[y, x] - colours[i, j]) ** 2).sum()
                    cost += 50 / math.hypot(down, right) * math.exp(-beta * difference)
    return cost


def test_the_energy_is_the_sum_over_pixels_and_pairs():
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (7, 9, 3)).astype(float)
    target, band = rng.random((7, 9)) < 0.5, rng.random((7, 9)) < 0.6
    sides = model([0.5, 0.5], [(50, 50, 50), (90, 20, 10)], [900, 400]), model([1], [(200, 180, 150)], [700])
    assert energy(colours, Neighbours.of(colours), target, band, *sides) == pytest.approx(
        brute(colours, target, band, *sides)
    )


def test_beta_is_that_of_opencv():
    colours = np.zeros((2, 2, 3))
    colours[0, 0] = (3, 4, 0)
    # Of six pairs of neighbours three hold the odd pixel, each 25 apart.
    assert Neighbours.of(colours).beta == pytest.approx(1 / (2 * 25 * 3 / 6))
    assert Neighbours.of(np.ones((3, 3, 3))).beta == 0


def test_the_contrast_of_an_edge():
    colours = np.zeros((20, 20, 3))
    colours[:, 10:] = 200
    on, off = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    on[:, 10:] = True
    off[:, 5:] = True
    neighbours = Neighbours.of(colours)
    assert edge_contrast(neighbours, off) == 0
    assert edge_contrast(neighbours, on) > 0.99
    assert edge_contrast(neighbours, np.zeros((20, 20), bool)) == 0
    assert edge_contrast(Neighbours.of(np.ones((20, 20, 3))), on) == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_of_opencv_never_costs_more_than_any_other_labelling(seed):
    """The formula is OpenCV's when its minimal cut is the cheapest by our count too."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 120, (24, 24, 3)).astype(np.uint8)
    pixels[8:16, 6:17] += np.uint8(90)
    labels = np.full((24, 24), cv2.GC_BGD, np.uint8)
    labels[4:20, 3:20] = cv2.GC_PR_BGD
    labels[7:17, 6:16] = cv2.GC_PR_FGD
    labels[10:14, 9:13] = cv2.GC_FGD
    band = (labels == cv2.GC_PR_BGD) | (labels == cv2.GC_PR_FGD)
    start = labels.copy()
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(pixels, labels, (0, 0, 1, 1), background, foreground, 2, cv2.GC_INIT_WITH_MASK)
    cut, colours = (labels & 1).astype(bool), pixels.astype(float)
    neighbours = Neighbours.of(colours)
    best = energy(colours, neighbours, cut, band, background, foreground)
    assert best <= energy(colours, neighbours, (start & 1).astype(bool), band, background, foreground) + 1e-6
    for _ in range(50):
        other = cut ^ (band & (rng.random(cut.shape) < rng.choice([0.005, 0.1, 0.5])))
        assert best <= energy(colours, neighbours, other, band, background, foreground) + 1e-6


def test_rounds_end_where_little_changes():
    rough = Mask.from_dense(disc(94, 66, 36))
    rounds = {
        tolerance: replace(EAGER, tolerance=tolerance).report(IMAGE, rough, PROMPT)[1].figures["iterations"]
        for tolerance in (1.0, 0.0)
    }
    assert rounds[1.0] == 1  # no round can change more than the band
    assert 1 < rounds[0.0] <= EAGER.iterations
    assert replace(EAGER, tolerance=0.0, iterations=1).report(IMAGE, rough, PROMPT)[1].figures["iterations"] == 1
