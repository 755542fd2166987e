from __future__ import annotations

import subprocess
import sys

import pytest

from fiducial.config import build, read_part
from fiducial.errors import InputError, UnknownNameError
from fiducial.refiners import BoundaryOptimisation, ForegroundPoint


def test_describing_refiners_loads_nothing_heavy():
    code = "import sys, fiducial.refiners; print(sorted({'torch', 'scipy', 'skimage', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_refiner_is_its_own_description():
    assert build(read_part("prompt_refiner", "cfpg?reach=2")) == ForegroundPoint(reach=2)
    assert build(read_part("mask_refiner", "mbo?limits=3,3")) == BoundaryOptimisation(limits=(3, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_area": 1.5}, "min_area.*at most 1, got 1.5"),
        ({"marker_threshold": -0.1}, "marker_threshold.*at least 0"),
        ({"reach": "far"}, "reach.*number.*'far'"),
        ({"reach": True}, "reach"),
        ({"working_size": 8}, "working_size.*at least 16"),
        ({"working_size": 64.5}, "working_size.*whole number"),
        ({"seed": -1}, "seed"),
    ],
)
def test_options_of_cfpg_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        ForegroundPoint(**options)


def test_unknown_colour_spaces_come_with_a_suggestion():
    with pytest.raises(UnknownNameError, match="did you mean 'lab'"):
        ForegroundPoint(colour_space="labb")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limits": 4}, "limits.*list"),
        ({"limits": [4, 2]}, "limits: the second.*at least 4"),
        ({"limits": [0, 2]}, "limits.*at least 1"),
        ({"limits": [1, 2, 3]}, "limits.*2 values"),
        ({"band": -1}, "band.*at least 0"),
        ({"iterations": 0}, "iterations.*at least 1, got 0"),
        ({"tolerance": 2}, "tolerance.*at most 1"),
        ({"min_iou": 1.1}, "min_iou.*at most 1"),
        ({"min_area": -1}, "min_area.*at least 0"),
        ({"max_score": 1.5}, "max_score.*at most 1"),
        ({"min_gain": 2}, "min_gain.*at most 1"),
        ({"working_size": 16}, "working_size.*at least 32"),
        ({"seed": 0.5}, "seed.*whole number"),
    ],
)
def test_options_of_mbo_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        BoundaryOptimisation(**options)
