"""Prompters that talk: several pictures, one or none, and words in; the model's own words out."""

import numpy as np
import pytest

from fiducial.contracts import Conversational, TextReply
from fiducial.images import Image
from fiducial.prompters.vlm import VLMPrompter
from tiny.vlm import BUILDERS, make_say

pytestmark = pytest.mark.usefixtures("one_thread")


def noise(number):
    draw = np.random.default_rng(number)
    return Image(draw.integers(0, 255, (56, 84, 3), dtype=np.uint8), name=f"noise {number}")


@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava", "llava_next", "internvl"])
def test_each_family_sees_so_many_pictures_as_it_is_shown(family, tmp_path, monkeypatch):
    options = {"max_new_tokens": 12, "device": "cpu", "local_files_only": True}
    prompter = VLMPrompter.from_pretrained(BUILDERS[family](tmp_path / family), **options)
    assert isinstance(prompter, Conversational)
    calls = make_say(monkeypatch, prompter, {"first": "A", "second": "B.", "third": "the liver"})
    found = prompter.converse(
        [[noise(1)], [noise(2), noise(3)], [], [noise(4)]],
        ["the first one", "the second one", "the third one", "the first one again<|im_end|>"],
    )
    assert found == [TextReply("A"), TextReply("B."), TextReply("the liver"), TextReply("A")]
    places = []
    for call in calls:
        ids = call["input_ids"] == prompter.processor.tokenizer.convert_tokens_to_ids(prompter.processor.image_token)
        places += (ids.sum(dim=1) > 0).tolist()
        assert bool(ids.any()) == ("pixel_values" in call)
    assert sorted(places) == [False, True, True, True]


def test_a_reply_that_comes_to_the_limit_says_so(tmp_path, monkeypatch):
    prompter = VLMPrompter.from_pretrained(BUILDERS["qwen2_vl"](tmp_path), max_new_tokens=6, device="cpu")
    make_say(monkeypatch, prompter, {"it": "A"}, finished=False)
    (reply,) = prompter.converse([[noise(1)]], ["is it"])
    assert reply.text.startswith("A")
    assert not reply.finished
