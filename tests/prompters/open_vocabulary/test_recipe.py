"""The recipe ``grounded-sam`` from picture and words to masks, with tiny random models of the real architectures."""

import numpy as np
import pytest

import fiducial
from fiducial import Image, Outcome
from fiducial.prompters.detector.reading import ANY_NOUN
from fiducial.recipes import checkpoints, read_recipe
from fiducial.recipes.recipe import model_of
from tiny.sam import tiny_sam2

PICTURE = Image(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8), name="noise.png")
TINY = {"prompter.box_threshold": 0.0, "prompter.text_threshold": 0.0, "prompter.device": "cpu"}


@pytest.fixture(scope="module")
def sam_folder(tmp_path_factory):
    return tiny_sam2(tmp_path_factory.mktemp("sam2"))


def test_what_the_recipe_is_made_of():
    recipe = read_recipe("grounded-sam")
    assert (type(recipe.prompter).name, recipe.prompter.model) == (
        "grounding-dino",
        "IDEA-Research/grounding-dino-tiny",
    )
    assert (type(recipe.segmenter).name, recipe.segmenter.model) == ("sam2", "facebook/sam2.1-hiera-small")
    licences = {checkpoint.name: checkpoint.licence for checkpoint in checkpoints()}
    assert licences["IDEA-Research/grounding-dino-tiny"] == "Apache-2.0"
    assert licences["google/owlv2-base-patch16-ensemble"] == "Apache-2.0"


def test_a_refusal_names_this_recipe_with_its_licence_and_download():
    used = {model_of(part) for part in read_recipe("grounded-sam").parts}
    found = [checkpoint for checkpoint in checkpoints() if checkpoint.name in used]
    assert [checkpoint.licence for checkpoint in found] == ["Apache-2.0"] * 2
    whole = sum(float(checkpoint.download.removesuffix(" GB")) for checkpoint in found)
    for part in ("--recipe grounded-sam", "fiducial[models]", f"{whole:.1f} GB", "both Apache-2.0"):
        assert part in ANY_NOUN


def test_nouns_become_boxes_become_masks(dino_folder, sam_folder):
    pipe = fiducial.load(
        "grounded-sam", prompter=f"grounding-dino:{dino_folder}", segmenter=f"sam2:{sam_folder}", options=TINY
    )
    result = pipe(PICTURE, "all water tanks")
    assert result.outcome is Outcome.FOUND
    own = f"grounding-dino:{dino_folder.name}, sam2:{sam_folder.name}"
    assert result.recipe == f"grounded-sam with {own}"
    assert len(result.masks) == len(result.prompts) >= 1
    for prompt in result.prompts:
        x1, y1, x2, y2 = prompt.box
        assert 0 <= x1 < x2 <= 90
        assert 0 <= y1 < y2 <= 60
    assert (result.masks[0].height, result.masks[0].width) == (60, 90)


def test_nothing_above_the_threshold_is_no_target(dino_folder, sam_folder):
    pipe = fiducial.load(
        "grounded-sam",
        prompter=f"grounding-dino:{dino_folder}",
        segmenter=f"sam2:{sam_folder}",
        options={**TINY, "prompter.box_threshold": 1.0},
    )
    result = pipe(PICTURE, "the ship")
    assert result.outcome is Outcome.NO_TARGET
    assert result.mask.area == 0


def test_owlv2_takes_the_place_of_grounding_dino(owl_folder, sam_folder):
    pipe = fiducial.load(
        "grounded-sam",
        prompter=f"owlv2:{owl_folder}",
        segmenter=f"sam2:{sam_folder}",
        options={"prompter.threshold": 0.0, "prompter.device": "cpu"},
    )
    result = pipe(PICTURE, "the ship")
    assert result.outcome is Outcome.FOUND
    assert len(result.masks) == 1
