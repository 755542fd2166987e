import json

import numpy as np
import pytest

from fiducial import Answer, Image, Mask, Outcome, Prompt, Prompts, Segmentation
from fiducial.contracts import Refinement
from fiducial.errors import GeometryError, InputError
from fiducial.results.reading import read_prompts, read_segmentation

IMAGE = Image(np.zeros((20, 30, 3), np.uint8), "a.png")
FRAME = IMAGE.frame


def result():
    prompts = Prompts(
        FRAME,
        (
            Prompt(FRAME, (2, 3, 12, 9), ((4.5, 5), (6, 7)), (1, 0), "ship", 0.25),
            Prompt(FRAME, points=((1, 1),)),
        ),
    )
    masks = (Mask.from_box((2, 3, 12, 9), 20, 30).with_score(0.75), Mask.empty(20, 30))
    answer = Answer(Outcome.TRUNCATED, prompts, thinking="hm", text="two", repairs=("a", "b"))
    steps = ((Refinement("mbo", True, "kept", {"iterations": 2, "why": "so"}),), ())
    return Segmentation(IMAGE, "ships", answer, masks, prompts, "nano", {"prompt": 0.5, "total": 1.5}, steps)


def test_what_was_written_is_read():
    written = json.loads(json.dumps(result().as_json()))
    read = read_segmentation(written, IMAGE)
    assert read.as_json() == written
    assert read.masks == result().masks
    assert read.answer.repairs == ("a", "b")


def test_little_is_needed_and_other_keys_are_left_alone():
    mask = Mask.from_box((0, 0, 2, 2), 20, 30)
    read = read_segmentation({"prompts": [{"box": [0, 0, 2, 2]}], "masks": [mask.to_coco()], "provenance": 1}, IMAGE)
    assert (read.outcome, read.masks, read.seconds) == (Outcome.FOUND, (mask,), {})
    assert read_segmentation({"prompts": [], "masks": []}, IMAGE).outcome is Outcome.NO_TARGET


def changed(**values):
    return {**result().as_json(), **values}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "prompts: a list is expected, got NoneType"),
        (changed(prompts={}), "prompts: a list is expected"),
        (changed(masks=[]), "2 prompts, 0 masks and 2 scores"),
        (changed(scores=[1]), "2 prompts, 2 masks and 1 scores"),
        (changed(scores=[True, 1]), "scores, 0: numbers are expected"),
        (changed(scores=[float("nan"), 1]), "scores, 0: a finite number"),
        (changed(outcome="lost"), "outcome: one of found"),
        (changed(text=5), "text: a text is expected, got int"),
        (changed(repairs=[5]), "repairs: a text"),
        (changed(seconds={"total": "long"}), "seconds: numbers"),
        (changed(refinements=[[{"refiner": "x"}], []]), "changed of a refinement: true or false"),
        (changed(refinements=[[]]), "1 tuples of refinements"),
        (changed(masks=[[1], [1]]), "masks, 0: an object is expected"),
    ],
)
def test_what_is_no_result_is_told_where(values, words):
    with pytest.raises(InputError, match=words):
        read_segmentation(values, IMAGE)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ({"box": [1, 2, 3]}, "p, 0: a box needs 4"),
        ({"box": [3, 3, 1, 1]}, "p, 0: a box needs x1 < x2"),
        ({"points": [[1]]}, "p, 0: a point needs 2"),
        ({"points": [[1, 2]], "point_labels": [2]}, "p, 0: point labels are 1"),
        ({"points": [[1, 2]], "point_labels": [1, 1]}, "p, 0: 1 points but 2"),
        ({}, "p, 0: a prompt needs a box"),
        ({"box": [1, 2, 10**400, 3]}, "p, 0, box: a number is too large"),
        ({"box": ["1", 2, 3, 4]}, "p, 0, box: numbers are expected"),
        ({"box": [1, 2, 3, 4], "label": 5}, "p, 0, label: a text"),
        ({"bbox": [1, 2, 3, 4]}, "p, 0: knows label, score, box, points, point_labels, got 'bbox'"),
        (5, "p, 0: an object is expected, got int"),
    ],
)
def test_prompts_that_are_none(prompt, words):
    with pytest.raises(InputError, match=words):
        read_prompts([prompt], FRAME, "p")


def test_a_mask_of_another_picture_is_refused():
    with pytest.raises(GeometryError, match="masks, 1: a run-length code of 5 x 5"):
        read_segmentation(changed(masks=[Mask.empty(20, 30).to_coco(), Mask.empty(5, 5).to_coco()]), IMAGE)
