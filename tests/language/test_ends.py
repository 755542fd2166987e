"""Where a reply is complete: told early, told only for what is exact, and nothing that is read is ever lost by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialect_targets import SEEDS, SIZES, targets
from fiducial.geometry import Prompts
from fiducial.language import Outcome
from fiducial.language.dialects import DIALECTS, dialect

CORPUS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "messy_replies.jsonl").read_text("utf-8").splitlines()
]
ENDLESS = {"qwen2-vl-native", "internvl", "deepseek-vl2", "paligemma", "florence2", "kosmos2", "molmo", "molmo2"}
"""Dialects in which another target may always follow."""
TAGGED = {"think2seg", "visionreasoner", "seg-zero"}
DRAFTS = "First I thought of [[0.1, 0.2, 0.3, 0.4]], of ```json\n[]\n``` and of {}; \"[]\" and '}' too. ]"


@pytest.mark.parametrize("name", sorted(DIALECTS))
@settings(max_examples=40)
@given(
    seed=SEEDS,
    width=SIZES,
    height=SIZES,
    thinking=st.sampled_from(["", "left", DRAFTS]),
    after=st.sampled_from(["", "\n", " [[1, 2, 3, 4]]", "\n\nThe ships.", "```", "<|im_end|>", "]", "</answer>"]),
)
def test_cutting_at_the_end_never_changes_what_is_read(
    name: str, seed: int, width: int, height: int, thinking: str, after: str
) -> None:
    one = DIALECTS[name]
    frame = one.frame(width, height)
    text = one.encode(targets(name, width, height, seed), frame, thinking=thinking)
    end = one.end(text + after)
    if name in ENDLESS:
        assert end is None
        return
    assert end == len(text)  # whatever follows
    for strict in (False, True):
        cut = one.decode((text + after)[:end], frame, strict=strict)
        assert cut == one.decode(text, frame, strict=strict)
        assert (cut.outcome, cut.repairs) == (Outcome.FOUND, ())
    assert one.closing in ("", text[-len(one.closing) :])


@pytest.mark.parametrize("name", sorted(set(DIALECTS) - ENDLESS))
@settings(max_examples=4)
@given(seed=SEEDS)
def test_nothing_shorter_is_complete(name: str, seed: int) -> None:
    """Token by token, as a model writes: no draft in the thinking and no inner bracket ends the reply."""
    one = DIALECTS[name]
    text = one.encode(targets(name, 640, 480, seed), one.frame(640, 480), thinking=DRAFTS)
    assert [length for length in range(len(text) + 1) if one.end(text[:length]) is not None] == [len(text)]


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_what_says_that_there_is_nothing_is_complete(name: str) -> None:
    """Unless the words may begin a label, as they may in Florence-2's and Kosmos-2's forms."""
    one = DIALECTS[name]
    text = one.encode(Prompts(one.frame(64, 64)), one.frame(64, 64), thinking=DRAFTS)
    assert one.end(f" {text} and so on") == (None if name in ("florence2", "kosmos2") else len(text) + 1)
    assert not text[-1].isalnum()  # what the in-process prompter relies on: it looks where something closes


@pytest.mark.parametrize("name", ["florence2", "kosmos2"])
def test_nothing_may_begin_a_label(name: str) -> None:
    one = DIALECTS[name]
    token = (
        "<loc_1><loc_2><loc_3><loc_4>"
        if name == "florence2"
        else "<object><patch_index_0000><patch_index_0033></object>"
    )
    assert one.decode(f"[]{token}", one.frame(64, 64), strict=True).outcome is Outcome.FOUND


@pytest.mark.parametrize("name", sorted(ENDLESS - {"molmo", "molmo2"}))
def test_more_may_follow_where_nothing_closes(name: str) -> None:
    one = DIALECTS[name]
    frame = one.frame(640, 480)
    text = one.encode(targets(name, 640, 480, 3)[:1], frame)
    more = one.decode(text + (" ; " if name == "paligemma" else "") + text, frame, strict=True)
    assert len(more.prompts) == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sjtu", "[0.1, 0.2, 0.3, 0.4]"),  # the list around the boxes was forgotten, and more may come
        ("sjtu", "The ship: [[0.1, 0.2, 0.3, 0.4]]"),
        ("sjtu", "[[0.1, 0.2, 0.3, 0.4"),
        ("qwen3-vl", '```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "a"}]'),  # the fence is a part of it
        ("qwen3-vl", '[{"bbox_2d": [1, 2, 3, 4], "label": "]"'),
        ("qwen3-vl", '{"bbox_2d": [1, 2, 3, 4], "label": "a"}'),
        ("qwen3-vl", "[" * 100_000),
        ("think2seg", "<think>I shall write <answer>[]</answer>"),
        ("think2seg", "<answer>```json\n[]\n```</answer>"),  # it may still turn out to be thinking
        ("think2seg", "<think>a</think><answer>[]</answer>"),  # no fence
        ("visionreasoner", "<think>a</think><answer>[]"),
        ("molmo", "There are none"),
    ],
)
def test_what_is_not_quite_the_form_is_not_complete(name: str, text: str) -> None:
    assert dialect(name).end(text) is None


def test_closing_texts_are_those_of_the_forms_with_tags() -> None:
    assert {name: one.closing for name, one in DIALECTS.items()} == {
        name: "</answer>" if name in TAGGED else "" for name in DIALECTS
    }


def test_what_messy_replies_lose_behind_their_end() -> None:
    """Two of them open a second list, which the tolerant reader reads too: why the default ends no bare list."""
    lost = []
    for case in CORPUS:
        one, reply = dialect(case["dialect"]), case["reply"]
        end = one.end(reply)
        frame = one.frame(case["width"], case["height"], tuple(case["canvas"]) if case["canvas"] else None)
        if end is not None and one.decode(reply[:end], frame).prompts != one.decode(reply, frame).prompts:
            lost.append(case["id"])
    assert lost == ["qwen2-vl-08", "qwen2-vl-09"]
