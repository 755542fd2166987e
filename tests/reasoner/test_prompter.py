"""The joint model as a prompter that draws: words, coordinates and mask of one question, or that nothing is there."""

import numpy as np
import pytest
import torch

import fiducial
from fakes import BoxPrompter, BoxSegmenter
from fiducial import Frame, Outcome, Pipeline, Prompt, Prompts
from fiducial.config import build, read_part
from fiducial.errors import InputError, ModelError
from fiducial.language import Answer
from fiducial.reasoner.prompter import CGReasonerPrompter
from tiny.reasoner import tiny_reasoner
from tiny.vlm import make_say

PICTURE = np.random.default_rng(0).integers(0, 255, (30, 50, 3), np.uint8)
SAID = "The polyp is in the upper left."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_reasoner(tmp_path_factory.mktemp("joint") / "model")


def prompter(folder, **options):
    return build(read_part("prompter", {"name": "cg-reasoner", "model": str(folder), "device": "cpu", **options}))


def draw(monkeypatch, asked, logits, presence=5.0, point=(-0.5, 0.5)):
    """Let the model draw given logits (G, G)."""
    from dataclasses import replace

    whole = asked.network.forward

    def forward(*given):
        found = whole(*given)
        count = len(found.presence)
        return replace(
            found,
            logits=torch.from_numpy(logits).float().expand(count, -1, -1),
            presence=torch.full((count,), presence),
            points=torch.tensor([point] * count),
        )

    monkeypatch.setattr(asked.network, "forward", forward)


def corner():
    """Return logits that are sure of the upper left quarter."""
    logits = np.full((64, 64), -9.0)
    logits[:32, :32] = 9.0
    return logits


def test_text_mask_box_and_point_come_at_once(folder, monkeypatch):
    asked = prompter(folder)
    calls = make_say(monkeypatch, asked.asker, {"Where is the polyp": SAID})
    draw(monkeypatch, asked, corner())
    result = Pipeline(prompter=asked, name="joint")(PICTURE, "Where is the polyp?")
    assert result.outcome is Outcome.FOUND
    assert result.text == SAID
    assert result.mask.area == 25 * 15
    assert result.prompts[0].box == (0, 0, 25, 15)
    assert result.prompts[0].points == ((12.5, 7.5),)
    assert result.scores == (pytest.approx(torch.sigmoid(torch.tensor(5.0)).item()),)
    assert len(calls) == 1
    assert result.as_json()["prompts"][0]["points"] == [[12.5, 7.5]]


@pytest.mark.parametrize(
    ("presence", "logits", "reason"), [(-3.0, corner(), "less than 50%"), (3.0, -corner() * 0 - 9, "no pixel")]
)
def test_where_nothing_is_meant_it_says_so_and_marks_nothing(folder, monkeypatch, presence, logits, reason):
    asked = prompter(folder)
    make_say(monkeypatch, asked.asker, {"Where": SAID})
    draw(monkeypatch, asked, logits, presence)
    result = Pipeline(prompter=asked)(PICTURE, "Where is the polyp?")
    assert result.outcome is Outcome.NO_TARGET
    assert (result.masks, len(result.prompts)) == ((), 0)
    assert result.text.startswith(f"{SAID} (Nothing is marked: ")
    assert reason in result.text
    assert result.answer.raw == SAID


def test_its_words_are_chosen_by_the_rule_that_is_asked_for(folder, tmp_path):
    asked = prompter(folder, max_new_tokens=3, decode={"name": "semantic", "cache": str(tmp_path)})
    asked.ask([fiducial.Image(PICTURE)], ["Where?"])
    assert 0 < asked.asker.decoding_counts["steps"] <= 3
    with pytest.raises(InputError, match="a temperature changes nothing"):
        read_part("prompter", f"cg-reasoner:{folder}?decode=semantic?temperature=0.1")


def test_a_reply_without_an_end_is_truncated_and_keeps_its_mask(folder, monkeypatch):
    asked = prompter(folder, max_new_tokens=30)
    make_say(monkeypatch, asked.asker, {"Where": SAID}, finished=False)
    draw(monkeypatch, asked, corner())
    result = Pipeline(prompter=asked)(PICTURE, "Where is the polyp?")
    assert result.outcome is Outcome.TRUNCATED
    assert result.mask.area == 25 * 15
    assert "max_new_tokens=30" in result.answer.repairs[-1]


@pytest.mark.parametrize("states", ["question", "answer"])
def test_several_questions_are_answered_as_one_by_one(tmp_path, states):
    asked = prompter(tiny_reasoner(tmp_path / "model", states=states), presence=0, max_new_tokens=5, threshold=0.01)
    images = [fiducial.Image(PICTURE[:size, : 2 * size]) for size in (9, 20, 25)]
    questions = ["Where is the polyp?", "Where?", "Where is the lesion in this picture of the skin?"]
    together = asked.ask(images, questions)
    alone = [asked.ask([image], [words])[0] for image, words in zip(images, questions, strict=True)]
    assert [one.raw for one in together] == [one.raw for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.masks[0].iou(other.masks[0]) > 0.98
        np.testing.assert_allclose(one.prompts[0].points, other.prompts[0].points, atol=1e-3)


def test_control_tokens_and_empty_questions_are_not_put(folder):
    asked = prompter(folder, max_new_tokens=2)
    image = fiducial.Image(PICTURE)
    assert "took '<image>' out" in asked.ask([image], ["Where is <image> it?"])[0].repairs[0]
    with pytest.raises(InputError, match="the instruction is empty"):
        asked.ask([image], ["  "])


def test_another_segmenter_cuts_by_its_box_and_point(folder, monkeypatch):
    asked = prompter(folder, point="mask")
    make_say(monkeypatch, asked.asker, {"Where": SAID})
    draw(monkeypatch, asked, corner())
    result = Pipeline(prompter=asked, segmenter=BoxSegmenter())(PICTURE, "Where is it?")
    assert result.mask.area == 25 * 15
    assert result.masks[0].contains(result.prompts[0].points[0])


def test_models_that_place_nothing_give_the_point_of_their_mask(folder, monkeypatch):
    asked = prompter(folder)
    placeless = CGReasonerPrompter(asked.network, asked.asker, asked.config, places=False)
    make_say(monkeypatch, asked.asker, {"Where": SAID})
    draw(monkeypatch, placeless, corner(), point=(0.9, -0.9))
    (answer,) = placeless.ask([fiducial.Image(PICTURE)], ["Where is it?"])
    assert answer.masks[0].contains(answer.prompts[0].points[0])
    words = read_part("prompter", "cg-reasoner:x?point=words")
    with pytest.raises(InputError, match="trained without the spatial term"):
        CGReasonerPrompter(asked.network, asked.asker, words, places=False)


# -- recipes and pipelines without a segmenter ------------------------------------------------------


def test_the_recipe_needs_a_folder_and_says_so(folder, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"name the folder of a trained joint model, --prompter cg-reasoner:FOLDER"):
        fiducial.load("cg-reasoner")
    with pytest.raises(InputError, match=r"lacks reasoner\.json"):
        fiducial.load("cg-reasoner", prompter=f"cg-reasoner:{tmp_path}")
    pipe = fiducial.load("cg-reasoner", prompter=f"cg-reasoner:{folder}", options={"prompter.device": "cpu"})
    assert pipe.segmenter is None
    with pytest.raises(InputError, match=r"cg-reasoner.* has no segmenter, as its prompter draws the masks itself"):
        pipe.cut(PICTURE, Prompts(Frame.pixels(50, 30), (Prompt(Frame.pixels(50, 30), box=(1, 1, 5, 5)),)))


def test_only_prompters_that_draw_do_without_a_segmenter(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("prompter: classic")
    with pytest.raises(InputError, match=r"needs segmenter.*'classic' gives coordinates alone"):
        fiducial.load(recipe)
    recipe.write_text("prompter: {name: cg-reasoner}\nprompt_refiners: [cfpg]")
    with pytest.raises(InputError, match="prompt refiners change nothing"):
        fiducial.load(recipe)
    with pytest.raises(InputError, match="prompt refiners change nothing"):
        Pipeline(prompter=BoxPrompter(), prompt_refiners=(lambda image, prompts: prompts,))
    changed = fiducial.recipes.recipe.resolve("cg-reasoner", prompter="classic", segmenter="grabcut")
    assert [part.name for part in changed.parts] == ["classic", "grabcut"]


def test_mask_refiners_work_on_what_was_drawn(folder, monkeypatch):
    asked = prompter(folder)
    make_say(monkeypatch, asked.asker, {"Where": SAID})
    draw(monkeypatch, asked, corner())
    pipe = Pipeline(prompter=asked, mask_refiners=(lambda image, mask, prompt: mask.inverse(),))
    assert pipe(PICTURE, "Where is it?").mask.area == 30 * 50 - 25 * 15


def test_a_prompter_that_draws_too_few_masks_is_a_failure():
    class Lazy:
        def ask(self, images, instructions):
            frame = images[0].frame
            return [Answer(Outcome.FOUND, Prompts(frame, (Prompt(frame, box=(0, 0, 2, 2)),)))]

    result = Pipeline(prompter=Lazy())(PICTURE, "it")
    assert result.outcome is Outcome.FAILED
    assert "the prompter drew 0 masks for 1 prompts" in result.text


def test_a_model_that_fails_is_named(folder, monkeypatch):
    asked = prompter(folder, max_new_tokens=2)

    def broken(*_):
        raise RuntimeError("no more memory")

    monkeypatch.setattr(asked.network, "forward", broken)
    with pytest.raises(ModelError, match="cg-reasoner, asked about image: no more memory: try a smaller batch_size"):
        asked.ask([fiducial.Image(PICTURE)], ["Where?"])
