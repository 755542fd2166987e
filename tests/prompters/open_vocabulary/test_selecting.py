"""From hand-made scores and boxes to detections."""

import numpy as np
import pytest

from fiducial.errors import InputError, ModelError
from fiducial.geometry import Frame
from fiducial.images import Image
from fiducial.prompters.detector.reading import Detection
from fiducial.prompters.open_vocabulary.base import best_first, checked_fraction, pixel_boxes, select, unit_of

WIDE = Image(np.zeros((100, 200, 3), np.uint8), name="wide")


def test_unit_boxes_become_pixels_of_the_image():
    boxes = pixel_boxes([[0.5, 0.5, 0.5, 0.2], [0.0, 1.0, 0.2, 0.2]], Frame.unit(), WIDE)
    assert boxes == pytest.approx(np.array([[50, 40, 150, 60], [0, 90, 20, 100]]))


def test_boxes_of_a_padded_square():
    """The image fills the upper half of the square: y runs twice as fast as in the image's own unit."""
    frame = unit_of(WIDE, 200, 200)
    assert (frame.right, frame.bottom) == (1.0, 0.5)
    boxes = pixel_boxes([[0.25, 0.25, 0.2, 0.2], [0.5, 0.5, 0.1, 0.2], [0.5, 0.8, 0.2, 0.2]], frame, WIDE)
    assert boxes == pytest.approx(np.array([[30, 30, 70, 70], [90, 80, 110, 100], [80, 100, 120, 100]]))


BOXES = np.array(
    [[10, 10, 50, 50], [12, 10, 50, 50], [100, 20, 140, 60], [100, 20, 140, 60], [80, 100, 120, 100]], float
)
SCORES = np.array([[0.4, 0.9], [0.6, 0.1], [0.25, 0.2], [0.1, 0.24], [0.9, 0.9]])


def chosen(**options):
    options = {"threshold": 0.25, "suppress": None, "what": "model, wide", **options}
    return [(d.name, d.score, d.box) for d in select(SCORES, BOXES, ["cat", "dog"], **options)]


def test_all_at_or_above_the_threshold_best_first_name_by_name():
    assert chosen() == [
        ("cat", 0.6, (12, 10, 50, 50)),
        ("cat", 0.4, (10, 10, 50, 50)),
        ("cat", 0.25, (100, 20, 140, 60)),
        ("dog", 0.9, (10, 10, 50, 50)),  # the cat's worse box is the dog's best: a thing may fit two names
    ]


def test_suppression_is_a_names_own():
    assert [name for name, _, _ in chosen(suppress=0.9)] == ["cat", "cat", "dog"]
    assert [name for name, _, _ in chosen(suppress=0.96)] == ["cat", "cat", "cat", "dog"]
    # Without suppression even two boxes in one place stay.
    assert len(chosen(threshold=0.0)) == 8
    assert len(chosen(threshold=0.0, suppress=0.7)) == 4


def test_nothing_is_found_without_boxes_or_above_the_best():
    assert chosen(threshold=0.95) == []
    assert select(np.zeros((0, 1)), np.zeros((0, 4)), ["cat"], threshold=0, suppress=0.5, what="") == []


@pytest.mark.parametrize(("scores", "corner"), [([[np.nan]], 5), ([[0.5]], np.nan), ([[0.5]], np.inf)])
def test_numbers_that_are_not_finite_are_the_models_failure(scores, corner):
    with pytest.raises(ModelError, match=r"tiny, wide: the detector returned numbers that are not finite"):
        select(np.array(scores), np.array([[0, 0, corner, 5]]), ["cat"], threshold=0, suppress=None, what="tiny, wide")


def test_best_first_keeps_the_order_of_equals():
    found = [Detection((0, 0, 1, 1), score, name) for score, name in [(0.2, "a"), (0.9, "b"), (0.2, "c"), (0.9, "d")]]
    assert [detection.name for detection in best_first(found)] == ["b", "d", "a", "c"]


def test_fractions():
    assert checked_fraction(1, "threshold") == 1.0
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match=r"threshold lies in 0\.\.1, got"):
            checked_fraction(wrong, "threshold")
