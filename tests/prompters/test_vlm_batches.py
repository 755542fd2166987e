"""Every step of every reply: in a batch, padded at the left, with a cache, as alone and without one."""

import numpy as np
import pytest
import torch

from fiducial.images import Image
from fiducial.prompters.showing import Question
from fiducial.prompters.vlm import VLMPrompter
from tiny.vlm import BUILDERS, make_say

pytestmark = pytest.mark.usefixtures("one_thread")

SAYS = {
    "brief": "[]",
    "a longer instruction, about the two largest ships near the pier": "[[0, 0, 1, 0.5]]",
    "some words": "[[0, 0, 1, 1]]",
}
"""What each row is made to say: no two prompts and no two replies are of one length."""
SIZES = [(100, 60), (60, 200), (150, 150)]


def picture(width, height):
    values = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image(values, name=f"{width}x{height}")


def said(monkeypatch, prompter, pictures, words, *, cache=True):
    """Return each row's text, and the logits (steps, vocabulary) by which its own tokens would be chosen."""
    with monkeypatch.context() as patch:
        make_say(patch, prompter, SAYS)
        say, logits = prompter.model.generate, []

        def watched(**given):
            out = say(**given)
            logits.append(torch.stack(out.logits, dim=1))
            return out.sequences

        for name, value in (("output_logits", True), ("return_dict_in_generate", True), ("use_cache", cache)):
            patch.setattr(prompter.model.generation_config, name, value)
        patch.setattr(prompter.model, "generate", watched)
        answers = prompter.ask(pictures, words)
    (steps,) = logits
    lengths = [len(prompter.processor.tokenizer.encode(answer.raw, add_special_tokens=False)) for answer in answers]
    ranks = sorted(range(len(words)), key=lambda place: prompter._cost(Question(pictures[place], words[place])))
    rows = dict(zip(reversed(ranks), steps, strict=True))  # the largest is asked first
    return [answer.raw for answer in answers], [rows[place][: lengths[place]] for place in range(len(words))]


@pytest.mark.parametrize("family", list(BUILDERS))
def test_rows_of_different_lengths_are_what_they_are_alone(tmp_path, monkeypatch, family):
    """Told by logits, not by tokens: which of two is likelier may hang on the last bit."""
    stop = "never" if family.startswith("qwen") else "form"  # rows end by the end token, or by their form
    options = {"max_new_tokens": 40, "device": "cpu", "stop": stop}
    prompter = VLMPrompter.from_pretrained(BUILDERS[family](tmp_path), batch_size=3, dialect="sjtu", **options)
    pictures, words = [picture(*size) for size in SIZES], list(SAYS)
    texts, together = said(monkeypatch, prompter, pictures, words)
    assert texts == list(SAYS.values())
    assert len({len(steps) for steps in together}) == 3
    for place, cache in ((0, True), (1, True), (2, False)):
        (text,), (alone,) = said(monkeypatch, prompter, [pictures[place]], [words[place]], cache=cache)
        assert text == texts[place]
        torch.testing.assert_close(together[place], alone, rtol=1e-3, atol=1e-4)
