from __future__ import annotations

import json

import numpy as np
import pytest

from fiducial.errors import FrameError, GeometryError, InputError
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.language import Answer, Outcome
from fiducial.language.statements import Convention
from fiducial.results import Segmentation

KEYS = [
    "image", "width", "height", "instruction", "recipe", "outcome", "thinking", "text", "prompts", "masks",
    "scores", "repairs", "refinements", "seconds",
]  # fmt: skip


def test_says_what_came_out(two):
    assert two.mask.area == (400 - 64) + 400
    assert two.scores == (0.912345, 0.25)
    assert two.outcome is Outcome.FOUND
    assert two.text == "Two of them."
    assert repr(two) == "Segmentation('pictures/harbour.jpg', 'the ships', found, 2 masks)"


def test_no_target_has_an_empty_mask(make):
    nothing = make()
    assert (nothing.mask.height, nothing.mask.width, nothing.mask.area) == (40, 60, 0)
    assert nothing.scores == ()


def test_is_frozen(two):
    with pytest.raises(AttributeError):
        two.recipe = "other"
    with pytest.raises(TypeError):
        two.seconds["total"] = 1


def test_json_has_exactly_its_keys_in_order(two, make):
    values = two.as_json()
    assert list(values) == KEYS
    assert list(values["prompts"][0]) == ["label", "score", "box", "points", "point_labels"]
    assert list(values["seconds"]) == ["prompt", "encode", "decode", "refine", "total"]
    assert list(make().as_json()) == KEYS


def test_json_values(two):
    values = two.as_json()
    masks = values.pop("masks")
    assert values == {
        "image": "pictures/harbour.jpg",
        "width": 60,
        "height": 40,
        "instruction": "the ships",
        "recipe": "nano",
        "outcome": "found",
        "thinking": "hm",
        "text": "Two of them.",
        "prompts": [
            {"label": "ship", "score": 0.5, "box": [4.0, 5.0, 25.0, 25.0], "points": [], "point_labels": []},
            {
                "label": None,
                "score": 0.25,
                "box": [30.0, 10.0, 50.0, 30.0],
                "points": [[40.0, 20.0], [1.235, 2.0]],
                "point_labels": [1, 0],
            },
        ],
        "scores": [0.9123, 0.25],
        "repairs": ["a comma"],
        "refinements": [[], []],
        "seconds": {"prompt": 0.1235, "encode": None, "decode": None, "refine": None, "total": 2.0},
    }
    assert [Mask.from_coco(mask) for mask in masks] == list(two.masks)
    assert masks[0]["size"] == [40, 60]


def test_json_survives_the_file(two, tmp_path):
    path = two.save(tmp_path, ["json"])["json"]
    read = json.loads(path.read_text("utf-8"))
    assert read == two.as_json()
    assert list(read) == KEYS
    assert [Mask.from_coco(mask) for mask in read["masks"]] == list(two.masks)


def test_json_is_strict(make, image, tmp_path):
    mask = Mask.from_box((0, 0, 5, 5), 40, 60).with_score(float("nan"))
    prompt = Prompt(image.frame, box=(-1e-9, 0, 5, 5))
    result = make([prompt], [mask], seconds={"total": float("inf")}, text="half a pair: \ud83d, whole: 🚢")
    path = result.save(tmp_path, ["json"])["json"]
    text = path.read_text("utf-8")
    read = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert read["scores"] == [None]
    assert read["seconds"]["total"] is None
    assert read["text"] == "half a pair: \ud83d, whole: 🚢"
    assert "-0.0" not in text
    assert "🚢" in text


def test_the_segmenters_prompts_are_written(image):
    asked = Prompts.from_boxes(image.frame, [(0, 0, 10, 10)])
    refined = Prompts(image.frame, (asked[0].with_points([(3, 4)]),))
    result = Segmentation(image, "it", Answer(Outcome.FOUND, asked), (Mask.empty(40, 60),), refined)
    assert result.as_json()["prompts"][0]["points"] == [[3.0, 4.0]]


def test_refuses_what_does_not_belong_together(image):
    inside, elsewhere = (
        Prompts.from_boxes(image.frame, [(0, 0, 9, 9)]),
        Prompts.from_boxes(Frame.unit(), [(0, 0, 1, 1)]),
    )
    mask, answer = Mask.empty(40, 60), Answer(Outcome.FOUND, inside)
    with pytest.raises(FrameError, match="the segmenter's prompts"):
        Segmentation(image, "it", answer, (mask,), elsewhere)
    with pytest.raises(FrameError, match="the answer's prompts"):
        Segmentation(image, "it", Answer(Outcome.FOUND, elsewhere), (mask,), inside)
    with pytest.raises(GeometryError, match="1 prompts but 0 masks"):
        Segmentation(image, "it", answer, (), inside)
    with pytest.raises(GeometryError, match=r"40 x 61 \(height x width\) does not fit pictures/harbour.jpg of 40 x 60"):
        Segmentation(image, "it", answer, (Mask.empty(40, 61),), inside)
    with pytest.raises(InputError, match="not for thinking"):
        Segmentation(image, "it", answer, (mask,), inside, seconds={"thinking": 1.0})


def test_one_pixel(make):
    dot = Image(np.zeros((1, 1, 3), np.uint8), name="dot.png")
    result = make([Prompt(dot.frame, box=(0, 0, 1, 1))], [Mask.from_box((0, 0, 1, 1), 1, 1)], on=dot)
    assert result.as_json()["masks"] == [{"size": [1, 1], "counts": "01"}]


@pytest.mark.parametrize(
    ("outcome", "text", "verdict"),
    [
        (Outcome.FOUND, "It lies on the right.", "agreed"),
        (Outcome.TRUNCATED, "It lies on the left.", "contradicted"),
        (Outcome.FOUND, "Chose it.", "nothing stated"),
        (Outcome.FAILED, "the server on the left said nothing", "nothing stated"),
        (Outcome.MALFORMED, "It lies on the left.", "nothing stated"),
        (Outcome.NO_TARGET, "There is no ship.", "agreed"),
        (Outcome.NO_TARGET, "The ship lies on the left.", "contradicted"),
    ],
)
def test_its_text_is_held_against_its_masks(outcome, text, verdict):
    image = Image(np.zeros((40, 60, 3), np.uint8))
    there = outcome in (Outcome.FOUND, Outcome.TRUNCATED)
    prompts = Prompts.from_boxes(image.frame, [(40, 10, 55, 20)] if there else [])
    masks = (Mask.from_box((40, 10, 55, 20), height=40, width=60),) if there else ()
    result = Segmentation(image, "the ship", Answer(outcome, prompts, text=text), masks, prompts)
    assert result.consistency.verdict.value == verdict


def test_the_patients_sides_are_checked_by_a_convention_only():
    image = Image(np.zeros((40, 60, 3), np.uint8))
    prompts = Prompts.from_boxes(image.frame, [(40, 10, 55, 20)])
    answer = Answer(Outcome.FOUND, prompts, text="The left lung is affected.")
    result = Segmentation(image, "", answer, (Mask.from_box((40, 10, 55, 20), height=40, width=60),), prompts)
    assert result.consistency.unread == ("left",)
    assert result.check(Convention.RADIOLOGICAL).verdict.value == "agreed"
    assert result.check(Convention.NEUROLOGICAL).verdict.value == "contradicted"
