"""Replies that end where their form is complete, each row for itself, and read as if the model had gone on."""

import numpy as np
import pytest
import torch

from fiducial.images import Image
from fiducial.language.answers import Outcome
from fiducial.language.dialects import dialect
from fiducial.prompters.vlm import VLMPrompter
from fiducial.prompters.vlm.stopping import CompleteReplies
from tiny.vlm import BUILDERS, make_say

pytestmark = pytest.mark.usefixtures("one_thread")

LIST = '[{"bbox_2d": [250, 250, 750, 500], "label": "dog"}]'
LONGER = '[{"bbox_2d": [0, 0, 500, 500], "label": "]"}, {"bbox_2d": [250, 250, 750, 500], "label": "dog"}]'
THOUGHT = (
    '<think>not [{"bbox_2d": [1, 2, 3, 4]}] but</think>\n<answer>\n'
    '[{"bbox_2d": [16, 16, 48, 32], "point_2d": [32, 24]}]\n</answer>'
)
IMAGE = Image(np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {family: BUILDERS[family](tmp_path_factory.mktemp(family)) for family in ("qwen3_vl", "llava")}


@pytest.fixture
def load(folders):
    return lambda family="qwen3_vl", **options: VLMPrompter.from_pretrained(
        folders[family], **{"max_new_tokens": 110, "device": "cpu", "local_files_only": True, "stop": "form", **options}
    )


def steps(monkeypatch, prompter):
    """Count the tokens that each call of ``generate`` makes for its longest row."""
    generate, counts = prompter.model.generate, []

    def counted(**given):
        out = generate(**given)
        counts.append(out.shape[1] - given["input_ids"].shape[1])
        return out

    monkeypatch.setattr(prompter.model, "generate", counted)
    return counts


def length(prompter, text):
    return len(prompter.processor.tokenizer.encode(text, add_special_tokens=False))


def test_a_reply_without_an_end_of_its_own_ends_at_its_bracket(load, monkeypatch):
    prompter = load()
    counts = steps(monkeypatch, prompter)
    make_say(monkeypatch, prompter, {"dog": LIST}, finished=False)
    (answer,) = prompter.ask([IMAGE], ["dog"])
    assert (answer.outcome, answer.raw, answer.repairs) == (Outcome.FOUND, LIST, ())
    assert counts == [length(prompter, LIST)]


def test_rows_end_for_themselves_and_the_batch_with_the_last(load, monkeypatch):
    prompter = load(batch_size=4)
    counts = steps(monkeypatch, prompter)
    says = {": one\n": LIST, ": two\n": LONGER, ": three\n": "[]", ": four\n": "none of them"}
    make_say(monkeypatch, prompter, says, finished=False)
    names = ["one", "two", "three"]
    together = prompter.ask([IMAGE] * 3, names)
    assert [answer.raw for answer in together] == [LIST, LONGER, "[]"]
    assert [answer.outcome for answer in together] == [Outcome.FOUND, Outcome.FOUND, Outcome.NO_TARGET]
    assert counts == [length(prompter, LONGER)]
    assert [prompter.ask([IMAGE], [name])[0] for name in names] == together
    answers = prompter.ask([IMAGE] * 4, [*names, "four"])
    assert answers[:3] == together
    assert answers[3].outcome is Outcome.TRUNCATED  # nothing that it said is an answer
    assert counts[-1] == 110


def test_a_row_that_the_model_ended_is_read_beside_one_that_was_stopped(load, monkeypatch):
    prompter = load(batch_size=2)
    make_say(monkeypatch, prompter, {": one\n": LIST[:-1], ": two\n": LONGER})
    ended, stopped = prompter.ask([IMAGE] * 2, ["one", "two"])
    assert (stopped.outcome, stopped.raw) == (Outcome.FOUND, LONGER)
    assert (ended.outcome, ended.raw) == (Outcome.TRUNCATED, LIST[:-1])  # the model stopped before the bracket


def test_drafts_in_the_thinking_end_nothing(load, monkeypatch):
    for stop in ("tags", "form"):
        prompter = load(dialect="visionreasoner", canvas=(56, 56), stop=stop)
        make_say(monkeypatch, prompter, {"dog": THOUGHT}, finished=False)
        (answer,) = prompter.ask([IMAGE], ["dog"])
        assert (answer.outcome, answer.raw, answer.repairs) == (Outcome.FOUND, THOUGHT, ())
        assert answer.thinking.startswith("not [")


@pytest.mark.parametrize(
    ("stop", "name", "reply", "outcome"),
    [
        ("tags", "qwen3-vl", LIST, Outcome.TRUNCATED),  # a second list may follow, which would be read too
        ("never", "qwen3-vl", LIST, Outcome.TRUNCATED),
        ("never", "visionreasoner", THOUGHT, Outcome.TRUNCATED),
        ("form", "internvl", "<ref>dog</ref><box>[[250, 250, 750, 500]]</box>", Outcome.TRUNCATED),
        ("form", "internvl", "[]", Outcome.NO_TARGET),
    ],
)
def test_what_ends_where(load, monkeypatch, stop, name, reply, outcome):
    prompter = load(dialect=name, canvas=(56, 56), stop=stop)
    make_say(monkeypatch, prompter, {"dog": reply}, finished=False)
    assert prompter.ask([IMAGE], ["dog"])[0].outcome is outcome


def test_a_reply_that_is_complete_with_its_last_token_is_whole(load, monkeypatch):
    tokens = length(load(), LIST)
    for room, outcome in ((tokens, Outcome.FOUND), (tokens - 1, Outcome.TRUNCATED)):
        prompter = load(max_new_tokens=room)
        make_say(monkeypatch, prompter, {"dog": LIST}, finished=False)
        (answer,) = prompter.ask([IMAGE], ["dog"])
        assert answer.outcome is outcome


class Pieces:
    """A tokenizer whose tokens are these texts."""

    def __init__(self, *texts):
        self.texts = texts
        self.decoded = 0

    def decode(self, tokens, **_):
        self.decoded += len(tokens) > 1
        return "".join(self.texts[token] for token in tokens)


def test_what_a_token_holds_behind_the_end_is_cut_off():
    pieces = Pieces("[[0.1, 0.2, ", "0.3, 0.4", "]", "]\n\nThe", "pad")
    criterion = CompleteReplies(dialect("sjtu"), pieces, start=2)
    rows = torch.tensor([[4, 4, 0, 1, 2, 3], [4, 4, 0, 1, 2, 2]])
    stopped = [criterion(rows[:, :reached], None).tolist() for reached in range(3, 7)]
    assert stopped == [[False, False]] * 3 + [[True, True]]
    assert criterion.texts == {0: "[[0.1, 0.2, 0.3, 0.4]]", 1: "[[0.1, 0.2, 0.3, 0.4]]"}
    longer = torch.cat([rows, torch.full((2, 1), 4)], dim=1)
    assert criterion(longer, None).tolist() == [True, True]  # once ended, always ended
    assert criterion.texts[0] == "[[0.1, 0.2, 0.3, 0.4]]"


def test_replies_are_read_only_where_something_closes():
    pieces = Pieces("word ", "12", "[]")
    criterion = CompleteReplies(dialect("sjtu"), pieces, start=0)
    for count in range(1, 50):
        assert criterion(torch.tensor([[0, 1] * count]), None).tolist() == [False]
    assert pieces.decoded == 0


@pytest.mark.parametrize("family", ["qwen3_vl", "llava"])
def test_stopping_changes_nothing_about_what_random_models_say(load, family):
    """What they say is no answer, so every row goes on to the limit, with and without the rule."""
    images = [IMAGE, Image(IMAGE.pixels[:40, :50]), Image(IMAGE.pixels[:, :60])]
    words = ["dog", "the two largest ships near the pier", "x"]
    raws = [
        [answer.raw for answer in load(family, stop=stop, max_new_tokens=12).ask(images, words)]
        for stop in ("form", "never")
    ]
    assert raws[0] == raws[1]
