"""The package's own judge in the default recipe: its own pictures are looked at, others are told."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data

import fiducial
from fiducial import Image, Outcome
from fiducial.models import weights_of
from fiducial.prompters.kinds.judge import EMBEDDED, KindJudge
from fiducial.prompters.kinds.words import KINDS
from fiducial.synthetic.scenes import SceneDataset
from fiducial.synthetic.strangers import STRANGERS, draw_stranger

ROOT = Path(__file__).parents[3]
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "camera")


@pytest.fixture(scope="module")
def judge():
    return KindJudge.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def pipe():
    return fiducial.load("nano", options={"prompter.device": "cpu", "segmenter.device": "cpu"})


def drawn(style, count):
    scenes = SceneDataset(style, count, seed=41)
    return [scenes.scene(number).image for number in range(count)]


def test_it_is_small_and_knows_the_kinds_of_the_vocabulary(judge):
    assert weights_of(EMBEDDED).stat().st_size < 1_600_000
    assert {one.name for one in judge.kinds} == set(KINDS)


@pytest.mark.parametrize(("style", "kind", "count"), [("shapes", "shapes", 20), ("aerial", "aerial", 6)])
def test_drawn_scenes_are_of_their_kind(judge, style, kind, count):
    kept = [one.may_be(kind) for one in judge.judge(drawn(style, count))]
    assert sum(kept) >= 0.95 * count


def test_strangers_are_of_no_kind_that_anything_is_looked_for_in(judge):
    pictures = [Image(draw_stranger(style, 7000 + seed)) for style in STRANGERS for seed in range(8)]
    asked = [kind for kind in KINDS if kind not in ("photo", "mri", "ct", "fundus")]
    let_through = [kind for one in judge.judge(pictures) for kind in asked if one.may_be(kind)]
    assert len(let_through) <= 0.02 * len(pictures) * len(asked)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_has_no_car_seen_from_the_air(pipe, name):
    image = Image.from_array(np.asarray(getattr(skimage.data, name)()), name=name)
    result = pipe(image, "the only car")
    assert (result.outcome, result.masks) == (Outcome.FAILED, ())
    assert "I look for 'car' in aerial pictures alone" in result.text
    assert "grounded-sam" in result.text
    assert "prompter.any_picture=true" in result.text


def test_a_region_is_found_in_any_picture(pipe):
    assert pipe(skimage.data.coffee(), "the largest round region").outcome is Outcome.FOUND


def test_the_judge_can_be_done_without():
    options = {"prompter.device": "cpu", "segmenter.device": "cpu", "prompter.any_picture": True}
    result = fiducial.load("nano", options=options)(skimage.data.chelsea(), "all cars")
    assert result.outcome in (Outcome.FOUND, Outcome.NO_TARGET)


def test_pictures_of_a_call_are_judged_each_by_itself(pipe):
    ships = fiducial.read_image(ROOT / "docs" / "images" / "ships.png")
    cat = Image.from_array(skimage.data.chelsea(), name="cat")
    results = pipe.segment([ships, cat, ships], ["the two largest ships", "all ships", "all airplanes"])
    assert [one.outcome for one in results] == [Outcome.FOUND, Outcome.FAILED, Outcome.NO_TARGET]
    assert "everyday photograph" in results[1].text
