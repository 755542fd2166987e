"""Kinds of replies, many of each: broken off, drafted, by other keys, outlined, placeholders, words for nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialect_targets import BOXLESS, POINTS, SEEDS, targets
from fiducial.geometry import Prompt, Prompts
from fiducial.language import Answer, Outcome
from fiducial.language.dialects import DIALECTS, dialect
from fiducial.language.dialects.drafts import thinks_on
from fiducial.language.dialects.keys import role_of
from fiducial.language.dialects.nothing import says_nothing

KINDS = [
    json.loads(line) for line in (Path(__file__).parent / "data" / "reply_kinds.jsonl").read_text("utf-8").splitlines()
]
DRAFT, REAL = '[{"bbox_2d": [7, 8, 99, 98]}]', '[{"bbox_2d": [300, 200, 400, 300]}]'


def decode(name: str, reply: str) -> Answer:
    one = dialect(name)
    return one.decode(reply, one.frame(1000, 1000, (1000, 1000) if one.extent is None else None))


@pytest.mark.parametrize("case", KINDS, ids=lambda case: f"{case['dialect']}: {case['reply'][:60]}")
def test_kinds(case: dict[str, Any]) -> None:
    answer = decode(case["dialect"], case["reply"])
    got = [
        [prompt.box and list(prompt.box), [list(point) for point in prompt.points], list(prompt.labels), prompt.label]
        for prompt in answer.prompts
    ]
    assert (answer.outcome.value, got) == (case["outcome"], case["want"])
    assert [prompt.score for prompt in answer.prompts] == case.get("scores", [None] * len(got))
    strict = dialect(case["dialect"]).decode(case["reply"], answer.prompts.frame, strict=True)
    assert strict == answer if strict.outcome in (Outcome.FOUND, Outcome.NO_TARGET) else answer.repairs or answer.text


MARKS = [
    *(("<think>", "</think>"), ("<Thinking>", "</Thinking>"), ("<thought>", "</thought>")),
    *(("<reasoning>", "</reasoning>"), ("<seed:think>", "</seed:think>"), ("[THINK]", "[/THINK]")),
    *(("◁think▷", "◁/think▷"), ("<|begin_of_thought|>", "<|end_of_thought|>"), ("<|channel>thought", "<channel|>")),
    *(("<|START_THINKING|>", "<|END_THINKING|>"), ("&lt;think&gt;", "&lt;/think&gt;"), ("<unused94>", "<unused95>")),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
]


@pytest.mark.parametrize(("opened", "closed"), MARKS)
def test_drafts_between_any_marks_are_no_answers(opened: str, closed: str) -> None:
    for reply in (
        f"{opened}{DRAFT}{closed}{REAL}",
        f"{DRAFT}{closed}{REAL}",
        f"{opened}a{closed}{DRAFT}{closed}{REAL}",
        f"{opened}a {opened}{DRAFT}{closed} {DRAFT}{closed}{REAL}",
        f"{opened}a {opened}{DRAFT}{closed}{REAL}",
        f"{opened}a{closed}{DRAFT}{opened}b{closed}{REAL}",
        f"{opened}a{closed}{REAL}{opened}it is so{closed}",
        f"{opened}a{closed}{REAL}{closed}",
    ):
        answer = decode("qwen3-vl", reply)
        assert [prompt.box for prompt in answer.prompts] == [(300, 200, 400, 300)], reply
        assert answer.outcome is Outcome.FOUND
        assert answer.repairs
    assert decode("qwen3-vl", f"{opened}a {DRAFT}").outcome is Outcome.TRUNCATED
    assert decode("qwen3-vl", f'[{{"bbox_2d": [1, 2, 30, 40], "label": {json.dumps(closed)}}}]').repairs == ()
    assert (thinks_on(f"{opened}a"), thinks_on(f"{opened}a{closed}b")) == (True, False)


@pytest.mark.parametrize(
    ("reply", "notes"),
    [
        ('[{"bbox_xywh": [10, 20, 30, 40]}]', {"key 'bbox_xywh' read as a box x, y, width, height"}),
        ('[{"bbox_2d": [1, 2, 30, 40], "format": "xyxy"}]', {"key 'format' left out"}),
        (
            '[{"points": [[1, 2], [3, 4]], "labels": [1, 0]}]',
            {"key 'points' read as points", "key 'labels' read as labels of points"},
        ),
        (
            '[{"points": [[1, 2], [3, 4]], "labels": [1]}, {"bbox_2d": [1, 2, 30, 40]}]',
            {
                "1 labels for 2 points: the points were left out",
                "an item without readable coordinates was dropped",
                "key 'points' left out",
                "key 'labels' left out",
            },
        ),
        (
            '[{"bbox_2d": [1, 2, 30, 40], "name": "a", "caption": "b"}]',
            {"key 'name' read as a label", "key 'caption' left out"},
        ),
        ('[{"bbox_2d": [1, 2, 30, 40], "score": 7}]', {"key 'score' left out"}),
        ('[{"bbox_2d": [1, 2, 30, 40], "score": 70}]', {"key 'score' read as a score", "scores in percent"}),
        (
            '{"image_size": [640, 480], "objects": [{"bbox_2d": [1, 2, 30, 40]}]}',
            {
                "key 'image_size' left out",
                "what stands under the key 'objects'",
                "objects without a list around them",
            },
        ),
        (
            '[{"polygon": [[1, 2], [30, 2], [30, 40]]}]',
            {"an outline became its bounding box", "key 'polygon' read as an outline"},
        ),
        (
            '[{"polygon": [[1, 2], [30, 2], [30, 40]], "bbox_2d": [1, 2, 30, 40]}]',
            {"key 'polygon' left out"},
        ),
    ],
)
def test_notes_say_what_was_used(reply: str, notes: set[str]) -> None:
    assert set(decode("qwen3-vl", reply).repairs) == notes


@pytest.mark.parametrize(
    ("key", "kind", "order"),
    [
        ("bbox_2d", "box", ""),
        ("normalized_bbox", "box", ""),
        ("box_1", "box", ""),
        ("xyxy", "box", "xyxy"),
        ("bbox_xyxy_norm", "box", "xyxy"),
        ("box_yxyx", "box", "yxyx"),
        ("coco_bbox", "box", "xywh"),
        ("center_point", "point", ""),
        ("input_points", "point", ""),
        ("points_2", "point", ""),
        ("neg_points", "negative", ""),
        ("point_labels", "point labels", ""),
        ("quad_2d", "outline", ""),
        ("image_size", "size", ""),
        ("image_bbox", "size", ""),
        ("dominant_color", "size", ""),
        ("bbox_area", "size", ""),
        ("bbox_format", "size", ""),
        ("box_3d", "", ""),
        ("xyxy_xywh", "", ""),
        ("boat", "", ""),
        ("shipping_box_lid", "", ""),
        ("", "", ""),
    ],
)
def test_keys(key: str, kind: str, order: str) -> None:
    assert (role_of(key).kind, role_of(key).order) == (kind, order)


NOTHING = """
There is no ship.|No target.|None|none.|No.|No objects found|no matching objects|Not found.|N/A|null|**No target.**
There are no ships in the image.|I see no ship.|Sorry, there is no ship.|There isn't a ship here.|There’s no dog.
I cannot see any ships in the image.|I can't find a ship.|I could not detect any cars in this image.|Answer: none
The image does not contain any ships.|The image contains no ships.|This image doesn't show a bridge.|No such object.
No object matching the description was found.|Nothing matches the description.|Nothing found.|The answer is none.
The requested object is not present in the image.|The target object does not appear to be in the image.|No bikes.
There is no ship in the image. The image shows a harbor with a pier.|It is not there.|An empty list.|图中没有船。|无
The image only shows a field. There is no ship in it.|Unfortunately, no ship is visible in this image.|So there is none.
There do not appear to be any ships.|No airplanes can be seen in the image.|no instances of "ship" were found
We did not find any tanks.|The ships are not in the image.|No, there is no ship.|There is no target object in the image.
"""
SOMETHING = """
There is no doubt: the left one.|There is no ship at the pier. The ship is at the quay.|I cannot see the image.|ship|
No image was provided.|There is no image attached.|I cannot determine the coordinates of the ship.|No idea.|Sorry.
There is no ship except the one at the quay.|There are no other ships.|No more than two ships.|No problem! Here it is.
No, the ship is on the left.|The ship is on the left.|The image shows a harbour.|I'm sorry, but I can't help with that.
Is there no ship?|The ship is not the left one but the right one.|There is no ship on the left, only on the right.
No 3 is the ship|no it is on the left|Not the left ship.|There is no way to tell.|I cannot find an image.|yes
There is not only one ship.|The car is not red.|The image is not clear.|There are no labels, the boxes are below:
I see nothing wrong; the ship is at the pier.|No ship is larger than the left one.|The object is not fully visible.
"""


@pytest.mark.parametrize("text", [part for line in NOTHING.strip().splitlines() for part in line.split("|")])
def test_words_for_nothing(text: str) -> None:
    assert says_nothing(text)
    for name in ("qwen3-vl", "sjtu", "internvl", "paligemma", "molmo", "glm-4.5v"):
        answer = decode(name, text)
        assert (answer.outcome, len(answer.prompts)) == (Outcome.NO_TARGET, 0), name


@pytest.mark.parametrize("text", [part for line in SOMETHING.strip("\n").splitlines() for part in line.split("|")])
def test_other_words_are_not_words_for_nothing(text: str) -> None:
    assert not says_nothing(text)
    assert decode("qwen3-vl", text).outcome is Outcome.MALFORMED


@pytest.mark.parametrize("name", sorted(DIALECTS))
@settings(max_examples=15)
@given(SEEDS, st.data())
def test_a_canonical_reply_cut_anywhere_is_never_found_with_other_targets(
    name: str, seed: int, data: st.DataObject
) -> None:
    one = DIALECTS[name]
    frame = one.frame(640, 480)
    text = one.encode(targets(name, 640, 480, seed), frame, thinking="a thought")
    whole = one.decode(text, frame).prompts
    cut = one.decode(text[: data.draw(st.integers(0, len(text) - 1))], frame)
    known = [(prompt.box, {*prompt.points}) for prompt in whole]
    for prompt in cut.prompts:
        assert any(prompt.box == box and {*prompt.points} <= points for box, points in known)
    assert cut.outcome in (Outcome.TRUNCATED, Outcome.MALFORMED) or len(cut.prompts) <= len(whole)


@pytest.mark.parametrize("name", sorted(DIALECTS))
@settings(max_examples=12)
@given(
    st.text(st.characters(), max_size=20), st.sampled_from(["<think>", "[THINK]", "◁/think▷", "(1,2),(3,4)", "[0, 1]"])
)
def test_a_label_never_becomes_a_target(name: str, label: str, mark: str) -> None:
    one = DIALECTS[name]
    frame = one.frame(640, 480)
    w, h = frame.width, frame.height
    points = ((0.2 * w, 0.3 * h), (0.25 * w, 0.35 * h))[: POINTS.get(name, 0)]
    box = None if name in BOXLESS else (0.1 * w, 0.2 * h, 0.5 * w, 0.6 * h)
    text = one.encode(Prompts(frame, (Prompt(frame, box, points, label=label + mark),)), frame)
    strict, mended = one.decode(text, frame, strict=True), one.decode(text, frame)
    assert len(mended.prompts) <= 1
    assert strict.outcome is not Outcome.FOUND or mended == strict


def test_a_row_of_boxes_that_ends_inside_a_token_is_no_outline() -> None:
    one = DIALECTS["florence2"]
    text = "<loc_132><loc_0><loc_133><loc_1><loc_0><loc_672><"
    for end in ("", "l", "loc_", "loc_1"):
        cut = one.decode(text + end, one.frame(640, 480))
        assert cut.outcome is Outcome.TRUNCATED
        assert not cut.prompts
