"""Every shipped recipe from picture and words to masks, with tiny random models of the real architectures."""

import json

import numpy as np
import pytest

import fiducial
from fiducial import Image, Outcome
from fiducial.cli import main
from fiducial.datasets import open_dataset
from fiducial.metrics.consistency import Verdict
from fiducial.recipes import recipe_names

torch = pytest.importorskip("torch")
from tiny.sam import tiny_sam, tiny_sam2  # noqa: E402
from tiny.vlm import make_say, tiny_qwen2_5_vl, tiny_qwen2_vl, tiny_qwen3_vl  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

PICTURE = Image(np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8), name="noise.png")

# One target at (20, 30)-(100, 90) of the 200 x 120 picture, as each recipe's model would write it.
REPLIES = {
    "pslg-sam": '```json\n[{"bbox_2d": [100, 250, 500, 750], "label": "ship"}]\n```',
    "sjtu": "[[0.1, 0.25, 0.5, 0.75]]",
    "think2seg-rs": "<think>It is on the left.</think>\n<answer>```json\n"
    '[{"bbox_2d": [84, 210, 420, 630], "positive_points": [[200, 400], [300, 420]]}]\n```</answer>',
    "visionreasoner": "<think>It is on the left.</think>\n<answer>"
    '[{"bbox_2d": [84, 210, 420, 630], "point_2d": [200, 400]}]</answer>',
}
PROMPTERS = {
    "pslg-sam": tiny_qwen3_vl,
    "sjtu": tiny_qwen2_vl,
    "think2seg-rs": tiny_qwen2_5_vl,
    "visionreasoner": tiny_qwen2_5_vl,
}
REFINERS = {"pslg-sam": ["cfpg", "mbo"]}
OWN = {"think2seg-nano": 2, "sjtu-nano": 0}  # the two that need no download, and how many points each target gets


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    made = {}
    for make in (tiny_qwen2_vl, tiny_qwen2_5_vl, tiny_qwen3_vl, tiny_sam2, tiny_sam):
        made[make] = make(place / make.__name__)
    return made


def test_no_recipe_goes_untested():
    assert set(recipe_names()) == {"classic", "nano", "grounded-sam", "cg-reasoner", "cg-reasoner-nano", *OWN, *REPLIES}


@pytest.mark.parametrize("name", REPLIES)
def test_words_become_coordinates_become_masks(name, folders, monkeypatch):
    pipe = fiducial.load(
        name,
        prompter=f"vlm:{folders[PROMPTERS[name]]}",
        segmenter=f"sam2:{folders[tiny_sam2]}",
        options={
            "prompter.max_pixels": 840 * 840
        },  # the tiny checkpoint's own limit is smaller than the recipe's canvas
    )
    make_say(monkeypatch, pipe.prompter, {"the ship": REPLIES[name]})
    result = pipe(PICTURE, "the ship")
    assert result.outcome is Outcome.FOUND
    assert result.recipe == f"{name} with vlm:{folders[PROMPTERS[name]].name}, sam2:tiny_sam2"
    assert result.prompts[0].box == pytest.approx((20, 30, 100, 90), abs=0.5)
    assert len(result.masks) == 1
    assert (result.masks[0].height, result.masks[0].width) == (120, 200)
    assert result.scores[0] is not None
    assert result.answer.thinking == ("It is on the left." if "think" in REPLIES[name] else "")
    assert [step.refiner for step in result.refinements[0]] == REFINERS.get(name, [])
    assert result.seconds["encode"] > 0


def test_sjtu_squashes_first_and_draws_its_grid_on_that(folders, monkeypatch):
    pipe = fiducial.load(
        "sjtu",
        prompter=f"vlm:{folders[tiny_qwen2_vl]}",
        segmenter="grabcut",
        options={"prompter.max_pixels": 840 * 840},
    )
    shown = []
    real = pipe.prompter.ask
    monkeypatch.setattr(pipe.prompter, "ask", lambda images, words: shown.extend(images) or real(images, words))
    make_say(monkeypatch, pipe.prompter, {"the ship": REPLIES["sjtu"]})
    grey = Image(np.full((480, 640, 3), 200, np.uint8))
    result = pipe(grey, "the ship")
    (seen,) = shown
    assert (seen.width, seen.height) == (512, 512)
    # 200 under black at 76 of 255, one pixel wide, at every ninth of the canvas.
    assert np.flatnonzero(seen.pixels[3, :, 0] == 140).tolist() == [line * 512 // 9 for line in range(1, 9)]
    assert set(np.unique(seen.pixels)) == {140, 200}
    assert result.prompts[0].box == pytest.approx((64, 120, 320, 360))


def test_think2seg_drops_boxes_that_repeat_a_larger_one(folders, monkeypatch):
    prompter = f"vlm:{folders[tiny_qwen2_5_vl]}"
    options = {"prompter.max_pixels": 840 * 840}
    pipe = fiducial.load("think2seg-rs", prompter=prompter, segmenter="grabcut", options=options)
    items = ", ".join(
        f'{{"bbox_2d": {box}, "positive_points": [[300, 400], [320, 420]]}}'
        for box in ([84, 210, 420, 600], [84, 210, 420, 630])
    )
    reply = f"<think>Once.</think>\n<answer>```json\n[{items}]\n```</answer>"
    make_say(monkeypatch, pipe.prompter, {"the ship": reply})
    result = pipe(PICTURE, "the ship")
    assert [prompt.box for prompt in result.prompts] == [pytest.approx((20, 30, 100, 90), abs=0.5)]
    assert "dropped 1 of 2 boxes that overlap a larger one by more than 0.5 IoU" in result.answer.repairs


@pytest.mark.parametrize("name", REPLIES)
def test_a_model_that_babbles_is_a_value(name, folders):
    pipe = fiducial.load(
        name,
        prompter=f"vlm:{folders[PROMPTERS[name]]}",
        segmenter=f"sam:{folders[tiny_sam]}",
        options={"prompter.max_new_tokens": 8},
    )
    results = pipe.segment([PICTURE, PICTURE], ["the ship", "the pier"])
    assert all(result.outcome in (Outcome.MALFORMED, Outcome.TRUNCATED) for result in results)
    assert all(result.mask.area == 0 and result.text for result in results)


def test_the_command_line_runs_a_hub_recipe_on_local_folders(folders, tmp_path, capsys):
    import PIL.Image

    PIL.Image.fromarray(PICTURE.pixels).save(tmp_path / "noise.png")
    words = ["segment", str(tmp_path / "noise.png"), "the ship", "--recipe", "think2seg-rs", "--json"]
    words += ["--prompter", f"qwen2.5-vl:{folders[tiny_qwen2_5_vl]}", "--segmenter", f"sam2:{folders[tiny_sam2]}"]
    assert main([*words, "--set", "prompter.max_new_tokens=8", "--device", "cpu", "--dtype", "float32"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recipe"].startswith("think2seg-rs with ")
    assert found["outcome"] in ("malformed", "truncated")


@pytest.mark.parametrize("name", REPLIES)
def test_without_the_hub_the_error_says_what_to_do(name, tmp_path, capsys, monkeypatch):
    import PIL.Image

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    PIL.Image.fromarray(PICTURE.pixels).save(tmp_path / "noise.png")
    assert main(["segment", str(tmp_path / "noise.png"), "the ship", "--recipe", name, "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert fiducial.recipes.read_recipe(name).prompter.model in captured.err
    assert "classic" in captured.err


@pytest.mark.parametrize("name", OWN)
def test_the_small_models_find_what_drawn_scenes_ask_for(name):
    samples = list(open_dataset("scenes:shapes?count=12&seed=907&families=position,class"))
    results = fiducial.load(name).segment([one.image() for one in samples], [one.instruction for one in samples])
    assert all(result.outcome in (Outcome.FOUND, Outcome.NO_TARGET) for result in results)
    found = [result for result in results if result.outcome is Outcome.FOUND]
    assert all(len(prompt.points) == OWN[name] for result in found for prompt in result.prompts)
    assert all(bool(result.answer.thinking) == (name == "think2seg-nano") for result in found)
    ious = [result.mask.iou(one.truth) for result, one in zip(results, samples, strict=True)]
    assert sum(iou >= 0.5 for iou in ious) >= 8


def test_the_small_joint_model_marks_a_dark_spot_on_skin_and_says_where_it_lies():
    pipe = fiducial.load("cg-reasoner-nano")
    rows, columns = np.mgrid[:192, :256]
    corners = {("upper", "left"): (60, 70), ("lower", "right"): (140, 190)}
    for sides, (y, x) in corners.items():
        spot = ((rows - y) / 26) ** 2 + ((columns - x) / 34) ** 2 < 1
        pixels = np.where(spot[..., None], (92, 58, 44), (208, 168, 142)).astype(np.uint8)
        for question in ("Where is the skin lesion in this dermoscopy picture?", "the skin lesion"):
            result = pipe(Image(pixels), question)
            assert result.outcome is Outcome.FOUND
            assert result.mask.iou(fiducial.Mask.from_dense(spot)) > 0.8
            assert all(side in result.text for side in sides)
            assert result.consistency.verdict is Verdict.AGREED


def test_classic_finds_a_plain_thing():
    pixels = np.full((120, 200, 3), (40, 90, 40), np.uint8)
    pixels[30:90, 20:100] = (200, 30, 30)
    result = fiducial.load("classic")(pixels, "the red rectangle")
    assert result.outcome is Outcome.FOUND
    assert result.masks[0].iou(fiducial.Mask.from_box((20, 30, 100, 90), 120, 200)) > 0.95
