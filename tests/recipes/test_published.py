"""What the recipes of published systems say of themselves, held against what runs."""

import re
import shlex
from importlib.resources import files

import numpy as np
import PIL.Image
import pytest

from fakes import BoxPrompter, BoxSegmenter
from fiducial import Image, Mask, Pipeline, Prompt, Prompts
from fiducial.cli.common import read_settings
from fiducial.config import as_fields, build
from fiducial.prompters.showing import ServerSizing
from fiducial.recipes import read_recipe, resolve
from fiducial.refiners.configs import BoundaryOptimisation

PICTURE = Image(np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8))


def written(name):
    return files("fiducial.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "resample", "tokens"),
    [("sjtu", "area", 128), ("think2seg-rs", "lanczos", 2048), ("visionreasoner", "bilinear", 2048)],
)
def test_pictures_are_squashed_by_the_published_filter(name, resample, tokens):
    prompter = read_recipe(name).prompter
    assert (prompter.resample, prompter.max_new_tokens) == (resample, tokens)


def test_every_filter_is_the_one_of_its_name():
    import cv2

    size = (84, 56)
    for name in ("lanczos", "bicubic", "bilinear"):
        asked = PIL.Image.fromarray(PICTURE.pixels).resize(size, PIL.Image.Resampling[name.upper()])
        assert np.array_equal(PICTURE.stretched(size, name).pixels, np.asarray(asked))
    area = PICTURE.stretched(size, "area").pixels
    assert np.array_equal(area, cv2.resize(PICTURE.pixels, size, interpolation=cv2.INTER_AREA))
    halved = PICTURE.stretched((320, 240), "area").pixels.astype(float)
    mean = PICTURE.pixels.reshape(240, 2, 320, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(halved - mean).max() <= 0.5
    assert not np.array_equal(PICTURE.stretched(size).pixels, area)


def test_a_pipeline_and_a_servers_picture_take_the_prompters_filter():
    prompter = BoxPrompter((0, 0, 9, 9))
    prompter.canvas, prompter.resample = (84, 56), "bilinear"
    Pipeline(prompter=prompter, segmenter=BoxSegmenter(), overlays=(lambda image: image,))(PICTURE, "x")
    shown = PICTURE.stretched((84, 56), "bilinear").pixels
    assert np.array_equal(prompter.seen[0][0].pixels, shown)
    prompter = build(resolve("sjtu", prompter="endpoint:m?dialect=sjtu&canvas=84,56&resample=bilinear").prompter)
    assert isinstance(prompter._found.sizing, ServerSizing)
    assert np.array_equal(prompter._found.sizing.picture(PICTURE).pixels, shown)


def test_the_grid_of_sjtu_keeps_its_width_and_opacity():
    recipe = read_recipe("sjtu")
    prompter = BoxPrompter((0, 0, 9, 9))
    prompter.canvas, prompter.resample = recipe.prompter.canvas, recipe.prompter.resample
    grey = Image(np.full((480, 640, 3), 200, np.uint8))
    Pipeline(prompter=prompter, segmenter=BoxSegmenter(), overlays=recipe.overlays)(grey, "x")
    seen = prompter.seen[0][0].pixels
    assert seen.shape == (512, 512, 3)
    assert sorted(set(seen[5, :, 0].tolist())) == [140, 200]  # 30 % of black on 200
    assert (seen[5, :, 0] == 140).sum() == 8  # lines between 9 columns, one pixel each


def test_the_awq_command_of_sjtu_asks_as_the_recipe_does():
    [command] = re.findall(r"^#   (fiducial .*)$", written("sjtu"), re.MULTILINE)
    words = shlex.split(command)
    asked = resolve(words[words.index("--recipe") + 1], prompter=words[words.index("--prompter") + 1]).prompter
    own = as_fields(read_recipe("sjtu").prompter)
    assert asked.model == f"{own['model']}-AWQ"
    for name in ("dialect", "template", "canvas", "resample", "max_new_tokens", "suppress"):
        assert getattr(asked, name) == own[name]


def test_questions_are_stripped_as_published():
    from fiducial.prompters.templates import read_template

    for name in ("visionreasoner", "seg-zero"):
        assert '"where is it"' in read_template(name).fill('"Where is it?!"', (9, 9))[1]


@pytest.fixture
def free():
    """PSLG-SAM with every option that its recipe names."""
    [line] = re.findall(r"^#   (--set .*)$", written("pslg-sam"), re.MULTILINE)
    settings = [word for word in shlex.split(line) if word != "--set"]
    return read_recipe("pslg-sam").with_options(read_settings(settings))


def test_cfpg_abstains_no_more_than_its_recipe_says(free):
    pixels = np.full((60, 80, 3), 40, np.uint8)
    pixels[2:16, 2:16] = (200, 30, 30)  # in the corner of its box
    image = Image(pixels)
    given = Prompts.from_boxes(image.frame, [(0, 0, 60, 50)])
    assert not read_recipe("pslg-sam").prompt_refiners[0](image, given)[0].points
    assert free.prompt_refiners[0](image, given)[0].points
    for box, word in (
        ((0, 0, 5, 40), "only 5 x 40"),
        ((20, 20, 60, 50), "one colour"),
        ((90, 9, 99, 20), "outside the image"),
    ):
        found = free.prompt_refiners[0].report(image, Prompts.from_boxes(image.frame, [box]))[1][0]
        assert not found.changed
        assert word in found.reason
    assert (
        "no box"
        in free.prompt_refiners[0]
        .report(image, Prompts(image.frame, (Prompt(image.frame, points=((1, 1),)),)))[1][0]
        .reason
    )


def test_mbo_abstains_no_more_than_its_recipe_says(free):
    pixels = np.random.default_rng(0).integers(30, 50, (80, 120, 3)).astype(np.uint8)
    pixels[20:36, 30:50] += np.uint8(150)
    image, prompt = Image(pixels), None
    prompt = Prompt(image.frame, box=(25, 15, 60, 45))
    rough = Mask.from_box((31, 21, 52, 35), 80, 120)
    assert read_recipe("pslg-sam").mask_refiners[0](image, rough, prompt) is rough
    assert free.mask_refiners[0](image, rough, prompt).box == (30.0, 20.0, 50.0, 36.0)
    kept = {
        "empty": Mask.empty(80, 120),
        "fills its box": Mask.from_box((25, 15, 60, 45), 80, 120),
        "fills the image": Mask.from_box((0, 0, 120, 80), 80, 120),
    }
    for reason, mask in kept.items():
        found, said = free.mask_refiners[0].report(image, mask, prompt)
        assert found is mask
        assert reason in said.reason
    plain = Image(np.full((80, 120, 3), 9, np.uint8))
    assert "one colour" in free.mask_refiners[0].report(plain, rough, prompt)[1].reason
    assert isinstance(free.mask_refiners[0], BoundaryOptimisation)
