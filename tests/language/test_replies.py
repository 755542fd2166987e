"""What models really write: the corpus of messy replies, and every repair by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fiducial.geometry import Frame, Prompts
from fiducial.language import Answer, Outcome
from fiducial.language.dialects import DIALECTS, dialect
from fiducial.language.dialects.replies import (
    MAX_CHARACTERS,
    MAX_ITEMS,
    MAX_LABEL,
    MAX_NOTES,
    MAX_POINTS,
    MAX_WORDS,
    Notes,
    clean,
    clean_label,
    split_reply,
)

CORPUS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "messy_replies.jsonl").read_text("utf-8").splitlines()
]


def decode(name: str, reply: str, frame: Frame | None = None) -> Answer:
    one = dialect(name)
    return one.decode(reply, frame or one.frame(640, 480))


def test_the_corpus_covers_every_dialect_and_outcome() -> None:
    assert len(CORPUS) >= 150
    assert len({case["id"] for case in CORPUS}) == len(CORPUS)
    assert {case["dialect"] for case in CORPUS} == set(DIALECTS)
    assert {case["outcome"] for case in CORPUS} == set(Outcome) - {Outcome.FAILED}


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case["id"])
def test_messy_replies(case: dict[str, Any]) -> None:
    canvas = tuple(case["canvas"]) if case["canvas"] else None
    frame = dialect(case["dialect"]).frame(case["width"], case["height"], canvas)
    answer = decode(case["dialect"], case["reply"], frame)
    got = [
        {
            "box": prompt.box and list(prompt.box),
            "points": [list(point) for point in prompt.points],
            "point_labels": list(prompt.labels),
            "label": prompt.label,
        }
        for prompt in answer.prompts
    ]
    assert answer.outcome == case["outcome"], answer
    assert got == case["prompts"]
    for expected in case["repairs_contain"]:
        assert any(expected in line for line in answer.repairs), answer.repairs
    assert answer.raw == case["reply"]
    assert answer.prompts.frame == frame
    if not got:
        assert answer.text


def test_thinking_is_kept_as_it_was_written() -> None:
    answer = decode("think2seg", "<think>\n First,\n  the quay. \n</think><answer>```json\n[]\n```</answer>")
    assert answer.thinking == "First,\n  the quay."
    assert answer.repairs == ()


def test_words_beside_the_coordinates() -> None:
    answer = decode("sjtu", "The ship near the pier is here: [[0.1, 0.2, 0.3, 0.4]]")
    assert answer.text == "The ship near the pier is here:"
    assert decode("sjtu", "[[0.1, 0.2, 0.3, 0.4]].").text == ""
    long = decode("sjtu", "word " * 1000 + "[[0.1, 0.2, 0.3, 0.4]]").text
    assert len(long) == MAX_WORDS
    assert long.endswith("...")


def test_reasons_are_said() -> None:
    assert decode("sjtu", "").text == "the reply is empty"
    assert decode("sjtu", "I cannot.").text == "the reply holds no coordinates: 'I cannot.'"
    assert decode("sjtu", "[]").text == "the reply names no target"
    assert decode("sjtu", "[[0.1, 0.2, 0.3").text == "the reply broke off after 0 whole items"
    assert decode("sjtu", "[[0.1, 0.2, 0.3, 0.4], [").text == "the reply broke off after 1 whole item"
    assert decode("sjtu", "[[2, 2, 2, 2]]").text == "the reply holds coordinates, but none that can be used"
    assert decode("think2seg", "<think>hm</think>").text == "the reply holds no coordinates"


def test_scores_are_read() -> None:
    found = decode(
        "qwen3-vl", '[{"bbox_2d": [1, 2, 3, 4], "confidence": "0.75"}, {"bbox_2d": [1, 2, 3, 4], "score": 7}]'
    )
    assert [prompt.score for prompt in found.prompts] == [0.75, None]


def test_several_boxes_in_one_item_keep_their_place() -> None:
    first = '{"boxes": [[1, 2, 3, 4], [5, 6, 7, 8], [9, 1, 10, 2]], "label": "a"}'
    text = f'[{first}, {{"bbox": [20, 20, 30, 30], "label": "b"}}]'
    answer = decode("qwen3-vl", text)
    assert [(prompt.box[0], prompt.label) for prompt in answer.prompts if prompt.box] == [
        (1, "a"),
        (5, "a"),
        (9, "a"),
        (20, "b"),
    ]
    assert "several boxes in one item" in answer.repairs


@pytest.mark.parametrize(
    ("text", "points", "kinds"),
    [
        ('{"points": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}', ((1, 2), (3, 4)), (1, 1)),
        ('{"x": 1, "y": 2, "label": "mast"}', ((1, 2),), (1,)),
        ('{"positive_points": [[1, 2]], "negative_points": [[3, 4]]}', ((1, 2), (3, 4)), (1, 0)),
        ('{"point": "1, 2"}', ((1, 2),), (1,)),
        ('{"point": {"x": "1", "y": 2}}', ((1, 2),), (1,)),
    ],
)
def test_points(text: str, points: tuple[tuple[float, float], ...], kinds: tuple[int, ...]) -> None:
    prompt = decode("qwen2.5-vl", text).prompts[0]
    assert (prompt.points, prompt.labels) == (points, kinds)


@pytest.mark.parametrize(
    "text",
    [
        '{"negative_points": [[3, 4]]}',
        '{"point": []}',
        '{"point": 3}',
        '{"box": 3}',
        '{"box": {"x1": 3}}',
        '{"x": "left", "y": 3}',
        '{"box": [1, 2, 3, [4, 5]]}',
        "[1, 2, [3, 4, 5]]",
        '[{"point": [NaN, 1]}]',
        "[left, 3]",
        '{"box": {"a": 1}, "label": "ship"}',
    ],
)
def test_items_without_use_are_malformed(text: str) -> None:
    answer = decode("qwen2.5-vl", text)
    assert answer.outcome is Outcome.MALFORMED
    assert len(answer.prompts) == 0


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("qwen2.5-vl", '[{"bbox_2d": [1, 2, 3]}, []]'),
        ("qwen2.5-vl", '{"ships": [], "cars": [{"bbox_2d": [1, 2, "x", 4]}]}'),
        ("internvl", "<ref>ship</ref><box>[]</box><ref>car</ref><box>[[1, 2, 3]]</box>"),
        ("internvl", "<ref>car</ref><box>[[1, 2, 3]]</box><ref>ship</ref><box>[]</box>"),
    ],
)
def test_an_empty_list_beside_a_target_that_cannot_be_read_does_not_deny_it(name: str, reply: str) -> None:
    assert decode(name, reply).outcome is Outcome.MALFORMED


def test_nothing_is_said_of_the_form_where_no_target_could_be_read() -> None:
    told = ("3 numbers where a box needs 4: dropped", "an item without readable coordinates was dropped")
    assert decode("visionreasoner", '[{"bbox_2d": [1, 2, 3]}, []]').repairs == told


@pytest.mark.parametrize(("edge", "outcome"), [(150, Outcome.FOUND), (150.5, Outcome.MALFORMED)])
@pytest.mark.parametrize("box", ["[10, 10, {edge}, 90]", "[10, 10, 90, {edge}]", "[{less}, 10, 90, 90]"])
def test_a_box_may_slip_past_the_picture_by_half_its_extent(box: str, edge: float, outcome: Outcome) -> None:
    reply = box.format(edge=edge, less=100 - edge)
    answer = decode("qwen2.5-vl", f'[{{"bbox_2d": {reply}}}]', Frame.pixels(100, 100))
    assert answer.outcome is outcome
    assert all(max(prompt.box or ()) <= 100 and min(prompt.box or ()) >= 0 for prompt in answer.prompts)


@pytest.mark.parametrize("broken", ["", "<", "<lo", "<loc_", "<loc_7"])
def test_boxes_that_broke_off_are_no_outline(broken: str) -> None:
    """Six numbers, of which the last two are half a box, whether or not the next one has begun."""
    answer = decode("florence2", f"ship<loc_113><loc_98><loc_603><loc_999><loc_18><loc_302>{broken}")
    assert (answer.outcome, len(answer.prompts)) == (Outcome.TRUNCATED, 0)
    assert answer.repairs == ("an item that broke off was dropped",)


def test_what_is_meant_by_numbers_far_outside() -> None:
    pixels = Frame.canvas(640, 480)
    for text, hint in [
        ("[[1700, 900, 1900, 1000]]", "reach 1900 and look like pixels of a larger image, this one is 0..640 x 0..480"),
        ("[[970, 500, 990, 700]]", "thousandths (0..1000) or pixels"),
        ("[[-900, -900, -800, -800]]", "reach -900"),
    ]:
        answer = decode("qwen2.5-vl", text, pixels)
        assert answer.outcome is Outcome.MALFORMED
        assert any(hint in line for line in answer.repairs), answer.repairs


def test_a_mirrored_frame_is_clipped_too() -> None:
    answer = decode("sjtu", "[[-1.2, -0.5, 0.5, 0.5]]", Frame.centred())
    assert answer.prompts[0].box == (-1.0, -0.5, 0.5, 0.5)


def test_counts_are_bounded() -> None:
    many = decode("sjtu", "[" + "[0.1,0.2,0.3,0.4]," * (MAX_ITEMS + 5) + "]")
    assert len(many.prompts) == MAX_ITEMS
    assert f"only the first {MAX_ITEMS} items were kept" in many.repairs
    points = "[1,2]," * (MAX_POINTS + 5)
    assert len(decode("think2seg", f'{{"positive_points": [{points}]}}').prompts[0].points) == MAX_POINTS
    label = decode("qwen3-vl", f'{{"bbox": [1,2,3,4], "label": "{"x" * 1000}"}}').prompts[0].label
    assert label is not None
    assert len(label) == MAX_LABEL
    cut = decode("sjtu", "[[0.1,0.2,0.3,0.4]]" + " " * MAX_CHARACTERS + "[[0.5,0.6,0.7,0.8]]")
    assert (cut.outcome, len(cut.prompts)) == (Outcome.TRUNCATED, 1)
    assert f"only the first {MAX_CHARACTERS} characters were read" in cut.repairs


def test_notes_are_bounded_and_not_repeated() -> None:
    notes = Notes()
    for i in range(MAX_NOTES + 3):
        notes.add(f"repair {i}")
        notes.add(f"repair {i}")
    assert len(notes.lines()) == MAX_NOTES + 1
    assert notes.lines()[-1] == "6 further repairs"


def test_clean_text() -> None:
    assert clean("a\x00b\n\n c\ud800") == "a b c"
    assert clean_label(3) == "3"
    assert clean_label([1, "ship"]) == "ship"
    assert clean_label(True) is None
    assert clean_label(" \n") is None
    assert clean_label({}) is None


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("<think>a</think>b", "a", "b"),
        ("a</think>b", "a", "b"),
        ("<think>a<answer>b</answer>", "a", "b"),
        ("<think>a ```json\n[1]```", "a ```json\n[1]```", ""),
        ("<think>a [1] then [[2], {3}]", "a [1] then [[2], {3}]", ""),
        ("<think>a</think>b<think>c</think>d", "a\nc", "d"),
        ("a</think>b<think>c", "a\nc", "b"),
        ("<think>a ]", "a ]", ""),
        ("x</answer>y", "", "x"),
        ("< Think >a</ think ><ANSWER>b", "a", "b"),
        ("b<eos><pad></s>", "", "b"),
    ],
)
def test_replies_are_taken_apart(text: str, thinking: str, answer: str) -> None:
    reply = split_reply(text, Notes())
    assert (reply.thinking, reply.answer.strip()) == (thinking, answer)


def test_escaped_json_is_unwrapped() -> None:
    notes = Notes()
    assert split_reply('"[{\\"a\\": 1}]"', notes).answer == '"[{"a": 1}]"'
    assert notes.lines() == ("escaped quotation marks",)


def test_tags_and_tokens_that_are_out_of_place() -> None:
    deep = dialect("deepseek-vl2")
    frame = deep.frame(640, 480)
    for text, outcome, count in [
        ("[[1,2,3,4]]<|/det|>", Outcome.MALFORMED, 0),
        ("<|ref|>a<|ref|>b<|/ref|><|det|>[[1,2,3,4]]<|/det|>", Outcome.FOUND, 1),
        ("<|ref|>a<|/ref|> is not there", Outcome.MALFORMED, 0),
        ("<|ref|>a<|/ref|><|det|>[[1,2,3,4]]<|det|>[[5,6,7,8]]<|/det|>", Outcome.FOUND, 2),
    ]:
        answer = deep.decode(text, frame)
        assert (answer.outcome, len(answer.prompts)) == (outcome, count), text
    molmo = dialect("molmo")
    for text, outcome, count in [
        ("<points x1=10 y1=20 alt=ship>", Outcome.TRUNCATED, 1),
        ('<points x1="10" y1="20" alt="ship"> <point x="1" y="2" alt="a">a</point>', Outcome.FOUND, 2),
        ('<point x="1" y="2" alt="a">a</point><poi', Outcome.TRUNCATED, 1),
        ('<point x="1" y="2" alt="a">a</po', Outcome.TRUNCATED, 1),
        ("<point alt='ship'>ship</point>", Outcome.MALFORMED, 0),
        ('<point x="10" y="20', Outcome.TRUNCATED, 0),
        ("see <poin", Outcome.TRUNCATED, 0),
        ('<point x="ten" y="20">ship</point>', Outcome.MALFORMED, 0),
        ("there are none", Outcome.NO_TARGET, 0),
    ]:
        answer = molmo.decode(text, molmo.frame(640, 480))
        assert (answer.outcome, len(answer.prompts)) == (outcome, count), text


@pytest.mark.parametrize(
    ("name", "reply", "repairs"),
    [
        ("sjtu", "Here: [[0.1, 0.2, 0.3, 0.4]]", ("words around the coordinates",)),
        ("sjtu", "[[0.1, 0.2, 0.3, 0.4]].", ("not quite the form: the answer is not valid JSON",)),
        ("sjtu", "[0.1, 0.2, 0.3, 0.4]", ("a flat list of numbers",)),
        ("sjtu", "[[.1, 0.2, 0.3, 0.4]]", ("numbers as JSON does not write them",)),
        ("sjtu", "[[０.１, 0.2, 0.3, 0.4]]", ("digits or signs of another script",)),
        ("sjtu", "[[0.1， 0.2, 0.3, 0.4]]", ("other brackets, commas or colons than those of JSON",)),
        ("sjtu", "[(0.1, 0.2, 0.3, 0.4)]", ("other brackets, commas or colons than those of JSON",)),
        (
            "sjtu",
            '[{"bbox": [0.1, 0.2, 0.3, 0.4]}]',
            ("objects with keys",),
        ),
        ("qwen3-vl", '[{"bbox": [1, 2, 3, 4]}]', ("key 'bbox' read as a box",)),
        (
            "qwen3-vl",
            '[{"BBOX_2D": [1, 2, 3, 4], "name": "a", "score": 0.5, "mood": 1}]',
            (
                "key 'BBOX_2D' read as a box",
                "key 'name' read as a label",
                "key 'score' read as a score",
                "key 'mood' left out",
            ),
        ),
        ("qwen3-vl", '{"bbox_2d": [1, 2, 3, 4]}', ("objects without a list around them",)),
        ("qwen3-vl", "[[1, 2, 3, 4]]", ("bare numbers read as a box",)),
        ("qwen3-vl", "[{bbox_2d: [1, 2, 3, 4]}]", ("words without quotation marks",)),
        ("qwen3-vl", '{"objects": [{"bbox_2d": [1, 2, 3, 4]}]}', None),
        ("qwen3-vl", '[{"point_2d": ["1", "2"]}]', ("numbers written as strings",)),
        ("internvl", "Look: <ref>a</ref><box>[[1, 2, 3, 4]]</box>", ("words around the coordinates",)),
        ("qwen2-vl-native", "<|box_start|>(1, 2), (3, 4)<|box_end|>", ("corners not written as (x1,y1),(x2,y2)",)),
        ("molmo", 'See <point x="1" y="2" alt="a">a</point>', ("words around the coordinates",)),
        ("molmo", "<point x='1' y='2' alt='a'>a</point>", None),
        ("florence2", "ship <loc_1> <loc_2> <loc_3> <loc_4>", None),
    ],
)
def test_every_repair_is_named(name: str, reply: str, repairs: tuple[str, ...] | None) -> None:
    answer = decode(name, reply)
    assert answer.outcome is Outcome.FOUND
    assert answer.repairs == repairs if repairs else answer.repairs


@pytest.mark.parametrize(
    ("name", "reply", "count"),
    [
        ("sjtu", "<think>a draft: [[0.1, 0.2, 0.3, 0.4]]", 0),
        ("sjtu", "<think>a draft: ```json\n[[0.1, 0.2, 0.3, 0.4]]\n```", 0),
        ("sjtu", "<think>a</think><think>a draft: [[0.1, 0.2, 0.3, 0.4]]", 0),
        ("think2seg", '<think>a draft: [{"bbox_2d": [1, 2, 3, 4], "positive_points": [[1, 2], [3, 4]]}]', 0),
        ("sjtu", "<think>hm <answer>[[0.1, 0.2, 0.3, 0.4]]", 1),
        ("internvl", "<ref>a</ref><box>[[1, 2, 3, 4]]", 1),
        ("internvl", "<ref>a</ref><box>[[1, 2, 3, 4]]</bo", 1),
        ("internvl", "<ref>a</ref><box>[[1, 2, 3, 4]]</box><re", 1),
        ("internvl", "<ref>a</ref><box>[[1, 2, 3, 4]]</box><ref>b", 1),
        ("internvl", "<ref>a</ref><box>[[1, 2, 3, 4]]</box><ref>b</ref><box>", 1),
        ("kosmos2", "<phrase>a</phrase><object><patch_index_0001><patch_index_0034>", 1),
    ],
)
def test_what_broke_off_is_not_found(name: str, reply: str, count: int) -> None:
    answer = decode(name, reply)
    assert (answer.outcome, len(answer.prompts)) == (Outcome.TRUNCATED, count)


def test_an_answer_in_unclosed_thinking_counts_when_it_is_closed() -> None:
    answer = decode("sjtu", "<think>hm [[0, 0, 1, 1]] <answer>[[0.1, 0.2, 0.3, 0.4]]</answer>")
    assert (answer.outcome, len(answer.prompts)) == (Outcome.FOUND, 1)
    assert answer.repairs == ("thinking not closed",)


def test_more_items_than_are_kept_break_the_strict_form() -> None:
    one = dialect("sjtu")
    row = "[0.1, 0.2, 0.3, 0.4]"
    frame = one.frame(640, 480)
    fits = one.decode("[" + ", ".join([row] * MAX_ITEMS) + "]", frame, strict=True)
    assert (fits.outcome, len(fits.prompts)) == (Outcome.FOUND, MAX_ITEMS)
    more = one.decode("[" + ", ".join([row] * (MAX_ITEMS + 1)) + "]", frame, strict=True)
    assert (more.outcome, more.prompts) == (Outcome.MALFORMED, Prompts(frame))
    assert more.text == "the reply names 1001 items, more than 1000"


@pytest.mark.parametrize(
    ("label", "exact"),
    [
        ("ship", True),
        ("green car parked in front of no. 7", True),
        ("Sure, the ship", False),
        ("I see a ship", False),
        ("the ship:", False),
        ("There it is.", False),
        ("A ship. Another", False),
        ("the ship\n", False),
    ],
)
def test_prose_is_no_label(label: str, exact: bool) -> None:
    one = dialect("florence2")
    reply = f"{label}<loc_1><loc_2><loc_3><loc_4>"
    strict = one.decode(reply, one.frame(640, 480), strict=True)
    assert (strict.outcome is Outcome.FOUND) == exact
    if not exact:
        assert strict.text.startswith("the reply needs to be location tokens and labels only")
    assert decode("florence2", reply).outcome is Outcome.FOUND
    assert bool(decode("florence2", reply).repairs) != exact
