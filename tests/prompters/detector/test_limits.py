"""What a detector says of things that are too small for it."""

import numpy as np
import pytest

from detector_fakes import KnowingDetector
from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.prompters.detector import Detection, DetectorPrompter
from fiducial.prompters.detector.limits import Limit

PICTURE = Image(np.full((60, 80, 3), 90, np.uint8))
SHIP = Detection((10.0, 10.0, 30.0, 30.0), 0.9, "ship")


class Sighted(KnowingDetector):
    """Hardly finds ships and piers below 24 pixels or ships in rows, cars below 9, and knows nothing of tumours."""

    def hardly_found(self, image, name):
        assert image is PICTURE
        return {"ship": Limit(24, "those in rows"), "pier": Limit(24), "car": Limit(9)}.get(name)


def asked(instruction, detector=Sighted, found=(SHIP,)):
    made = detector({PICTURE.digest: list(found)}, ("ship", "pier", "car", "tumour"))
    return DetectorPrompter(made).ask([PICTURE], [instruction])[0]


@pytest.mark.parametrize(
    ("instruction", "told"),
    [
        ("all cars", "cars smaller than about 9 pixels are hardly found"),
        ("the car", "cars smaller than about 9 pixels"),
        ("the cars and the piers", "cars smaller than about 9 pixels"),
        ("the ship left of the pier", "piers smaller than about 24 pixels"),
    ],
)
def test_where_nothing_is_found_it_is_said_what_would_not_be(instruction, told):
    assert told in asked(instruction).text


def test_each_name_has_its_own_limit():
    told = asked("the pier and the ships", found=()).text
    assert "piers smaller than about 24 pixels, and ships smaller than about 24 pixels and those in rows are" in told


def test_a_thing_that_is_found_has_no_such_words():
    for instruction in ("the ship", "the largest ship", "the red ship"):
        assert "smaller than about" not in asked(instruction).text
    assert asked("the red ship").outcome is Outcome.NO_TARGET


def test_of_what_is_not_known_nothing_is_said():
    assert asked("the tumour").text == "Chose nothing; no tumour was found."
    assert asked("all cars", KnowingDetector).text == "Chose nothing; no cars were found."


def test_what_is_not_understood_is_only_that():
    assert "smaller" not in asked("the shiny car").text
