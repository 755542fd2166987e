from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from fiducial.refiners.energy import Neighbours, edge_contrast, energy, unlikelihood


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
