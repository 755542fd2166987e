"""Any text is read to an end: JSON as it is, anything else without raising, waiting or finding what is not there."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.language import Outcome
from fiducial.language.dialects import DIALECTS
from fiducial.language.dialects.items import Collector
from fiducial.language.dialects.replies import MAX_CHARACTERS, MAX_DEPTH, MAX_ITEMS, MAX_NOTES, Notes
from fiducial.language.dialects.values import Document, read_values


def read(text: str, *, ended: bool = False) -> tuple[Document, tuple[str, ...]]:
    notes = Notes()
    return read_values(text, notes, ended=ended), notes.lines()


READINGS: list[tuple[str, list[Any], str | None]] = [
    ("[[0.1,0.2,0.3,0.4]]", [[[0.1, 0.2, 0.3, 0.4]]], None),
    ('{"a":1},{"b":2}]', [{"a": 1}, {"b": 2}], None),
    ("{'a': 'b'}", [{"a": "b"}], "other quotation marks than double ones"),
    ("{a: big ship, b: 1}", [{"a": "big ship", "b": 1}], None),
    ('"a": [1, 2], "b": "x"', [{"a": [1, 2], "b": "x"}], "missing opening brace"),
    ('```json\n"a": [1, 2]\n```', [{"a": [1, 2]}], "missing opening brace"),
    ('["a": 1, "b": 2]', [{"a": 1, "b": 2}], "brackets used as braces"),
    ("{1, 2, 3}", [[1, 2, 3]], "braces used as brackets"),
    ('{"a": 1, "a": 2}', [[{"a": 1}, {"a": 2}]], "repeated keys read as several items"),
    ("[1 2 3]", [[1, 2, 3]], "missing comma"),
    ("[1,,2,]", [[1, 2]], "trailing comma"),
    ("[True, None, NaN_]", [[True, None, "NaN_"]], "words that JSON does not know"),
    ("[true, null, false]", [[True, None, False]], None),
    ("[1, /* two */ 2, # three\n 3 // four\n]", [[1, 2, 3]], "comments"),
    ("[1, 2 /* never closed", [[1, 2]], "comments"),
    ("[1, 2)", [[1, 2]], None),
    ('[{"a": 1]', [[{"a": 1}]], "missing closing bracket"),
    ("[1, 2}", [[1, 2]], "mismatched brackets"),
    ("[[1, 2}, 3]", [[[1, 2, 3]]], "mismatched brackets"),
    ('{"a" [1]}', [{"a": [1]}], None),
    ('{"a": }', [{"a": None}], None),
    ('{"a", "b": 1}', [[{"b": 1}, "a"]], "braces used as brackets"),
    ('{1: "x"}', [{"1": "x"}], None),
    ('{"a": "say "hi" now"}', [{"a": 'say "hi" now'}], "quotation marks inside a string"),
    ("{'a': 'the dog's'}", [{"a": "the dog's"}], "quotation marks inside a string"),
    ('{"a": "x, "b": 2}', [{"a": "x", "b": 2}], "a string without its closing quotation mark"),
    ('{"a": "x\ny"}', [{"a": "x\ny"}], None),
    (r'{"a": "x\ny\u0041\"\\\q"}', [{"a": 'x\nyA"\\q'}], None),
    ("（1，2）", [[1, 2]], None),
    ("【{“a”：“船”}】", [[{"a": "船"}]], "other quotation marks than double ones"),
    ("[１２, −3, +4, .5, 6., 1e3]", [[12, -3, 4, 0.5, 6.0, 1000.0]], None),
    ("[12px, 50%, 1.2.3]", [["12px", "50%", "1.2.3"]], None),
    ("say (big) and (1, 2)", [[1, 2]], None),
    ("```json\n[1, 2\n```", [[1, 2]], "missing closing bracket"),
    ("```json\n[1, 2]", [[1, 2]], "code fence not closed"),
    ("", [], None),
    ("no values", [], None),
]


@pytest.mark.parametrize(("text", "values", "note"), READINGS)
def test_readings(text: str, values: list[Any], note: str | None) -> None:
    document, notes = read(text)
    assert [value.data for value in document.values] == values
    if note is not None:
        assert any(line.startswith(note) for line in notes), notes


@pytest.mark.parametrize("text", [text for text, _, note in READINGS[:2] if note is None])
def test_good_json_needs_no_repair(text: str) -> None:
    assert read(text)[1] == ()


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("[[1, 2], [3", [[1, 2], [3]]),
        ('[{"a": 1}, {"b": 2, "c"', [{"a": 1}, {"b": 2}]),
        ('{"a": [1, 2], "b"', {"a": [1, 2]}),
        ('[{"a": 1, "a": 2', [[{"a": 1}, {"a": 2}]]),
        ("[", []),
        ("{", {}),
    ],
)
def test_a_text_that_breaks_off(text: str, data: Any) -> None:
    document, _ = read(text)
    assert document.cut_off
    assert [value.data for value in document.values] == [data]
    whole, notes = read(text, ended=True)
    assert not whole.cut_off
    assert "missing closing bracket" in notes


def test_words_and_fences() -> None:
    document, _ = read("Here [1] is ```json\n[2]\n``` and more")
    assert [value.fenced for value in document.values] == [False, True]
    assert [value.data for value in document.values] == [[1], [2]]
    assert document.words.split() == ["Here", "is", "and", "more"]


def test_depth_is_bounded() -> None:
    document, notes = read("[" * 1000 + "7" + "]" * 1000 + "[8]")
    assert any("nested deeper" in line for line in notes)
    assert [document.values[-1].data, document.cut_off] == [[8], False]
    depth, data = 0, document.values[0].data
    while data:
        depth, data = depth + 1, data[0]
    assert depth < MAX_DEPTH
    assert read("[" * 30 + '"]"' + "]" * 30)[0].cut_off is False


def test_a_string_in_brackets_that_are_too_deep_is_dropped_with_them() -> None:
    document, notes = read("[" * MAX_DEPTH + '1, ["deeper", 2], 3' + "]" * MAX_DEPTH)
    value = document.values[0].data
    for _ in range(MAX_DEPTH - 1):
        (value,) = value
    assert value == [1, 3]
    assert notes == (f"brackets nested deeper than {MAX_DEPTH}",)


def test_long_numbers_are_no_numbers() -> None:
    value = read("[" + "9" * 1000 + "]")[0].values[0].data[0]
    assert math.isnan(value)


ODD_CHARACTERS = st.sampled_from("\"\\'‘’‚‛`´＇“”„‟＂,:;[]{}<>/#\n")
JSON = st.recursive(
    st.one_of(
        st.booleans(),
        st.none(),
        st.integers(-(10**9), 10**9),
        st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 4)),
        st.text(st.characters() | ODD_CHARACTERS, max_size=12),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_ \"“':,", min_size=1), inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(JSON, min_size=1, max_size=4), st.booleans())
def test_valid_json_is_read_as_json_reads_it(value: list[Any], ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    notes = Notes()
    document = read_values(text, notes)
    assert [part.data for part in document.values] == [json.loads(text)]
    assert notes.lines() == ()


REPLIES = [
    json.loads(line)["reply"]
    for line in (Path(__file__).parent / "data" / "messy_replies.jsonl").read_text("utf-8").splitlines()
]
WORDS = """
<think> </think> <answer> </answer> ```json ``` [ ] { } ( ) " ' , : ; = bbox_2d "bbox_2d": point x1 y1 label
<loc0001> <loc_9> <patch_index_0003> <box> </box> <ref> </ref> <|ref|> <|/ref|> <|det|> <|/det|> <|box_start|>
<|box_end|> <point <points x1="1" y1="2" > </point> 1 0.5 -3 1e999 99999999 NaN None true \\ \\" // /* */ #
<phrase> </phrase> <object> </object> [1,2,3,4] {"x1":1,"y1":2,"x2":3,"y2":4} "positive_points":[[1,2]]
width height boxes objects score ： ， ［ ］ 【 ” ‘ é ٣ ² 1_0 "nan" ship \\ud83d
"""
PIECES = [*WORDS.split(), "\n", " ", "\ud800", "\x00", "\u202e", "\udfff"]
TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(st.characters(), max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
    st.tuples(st.sampled_from(REPLIES), st.integers(0, 200)).map(lambda pair: pair[0][: pair[1]]),
    st.tuples(st.sampled_from(REPLIES), st.integers(0, 200), st.sampled_from(PIECES)).map(
        lambda triple: triple[0][: triple[1]] + triple[2] + triple[0][triple[1] + 1 :]
    ),
)


@given(TEXTS, st.sampled_from(sorted(DIALECTS)))
def test_any_text_has_an_answer(text: str, name: str) -> None:
    one = DIALECTS[name]
    frame = one.frame(640, 480)
    mended, strict = one.decode(text, frame), one.decode(text, frame, strict=True)
    for answer in (mended, strict):
        assert answer.raw == text
        assert answer.prompts.frame == frame
        assert len(answer.prompts) <= MAX_ITEMS
        assert len(answer.repairs) <= MAX_NOTES + 1
        assert (answer.outcome is Outcome.FOUND) <= bool(answer.prompts)
        assert bool(answer.prompts) <= (answer.outcome in (Outcome.FOUND, Outcome.TRUNCATED))
        for prompt in answer.prompts:
            for value in (*(prompt.box or ()), *(number for point in prompt.points for number in point)):
                assert 0 <= value <= max(frame.right, frame.bottom)
    if strict.outcome is not Outcome.MALFORMED:
        assert mended == strict, "what is exact needs no mending"
    elif mended.outcome in (Outcome.FOUND, Outcome.NO_TARGET):
        assert mended.repairs, "mended without a word"


@given(st.integers(0, 300), st.sampled_from(["sjtu", "qwen3-vl", "think2seg", "internvl", "paligemma", "molmo"]))
def test_a_reply_cut_anywhere_keeps_only_whole_items(cut: int, name: str) -> None:
    wholes = {
        "sjtu": "[[0.1, 0.2, 0.35, 0.45], [0.55, 0.65, 0.75, 0.85], [0.5, 0.6, 0.7, 0.8]]",
        "qwen3-vl": '```json\n[{"bbox_2d": [101, 202, 303, 404], "label": "a"}, {"point_2d": [511, 622]}]\n```',
        "think2seg": '<answer>```json\n[{"bbox_2d": [10, 20, 33, 44], "positive_points": [[12, 23], [14, 25]]}]\n```',
        "internvl": "<ref>a</ref><box>[[101, 202, 303, 404]]</box><ref>b</ref><box>[[501, 602, 703, 804]]</box>",
        "paligemma": "<loc0101><loc0202><loc0303><loc0404> a ; <loc0501><loc0602><loc0703><loc0804> b",
        "molmo": '<points x1="10.5" y1="20.5" x2="30.5" y2="40.5" alt="a">a</points>',
    }
    one = DIALECTS[name]
    frame = one.frame(640, 480)
    whole = {(prompt.box, prompt.points) for prompt in one.decode(wholes[name], frame).prompts}
    answer = one.decode(wholes[name][:cut], frame)
    assert {(prompt.box, prompt.points) for prompt in answer.prompts} <= whole
    assert answer.outcome is not Outcome.NO_TARGET


SIZE = 15_000
HOSTILE = {
    "brackets": "[" * SIZE,
    "keys": '{"a":' * (SIZE // 5),
    "quotes": "[" + '"' * SIZE,
    "backslashes": '["' + "\\" * SIZE,
    "open fence": "```json\n[" + "1," * (SIZE // 2),
    "fences": "```" * (SIZE // 3),
    "digits": "[[" + "9" * SIZE,
    "strings that never close": "{a:" + '"x,a:' * (SIZE // 5),
    "apostrophes": "{a:'" + "'x " * (SIZE // 3),
    "spaces": "(1" + " " * SIZE,
    "spaces in a box": "<|box_start|>(1,1)" + " " * SIZE,
    "comment": "[/*" + "*" * SIZE,
    "pairs": "[]" * (SIZE // 2),
    "thoughts": "<think>" * (SIZE // 7),
    "answers": "<think></think><answer>" * (SIZE // 23),
    "less than": "<" * SIZE,
    "attributes": "<points " + 'x1="' * (SIZE // 4),
    "boxes": "<box>" * (SIZE // 5),
    "phrases": "<phrase>" * (SIZE // 8),
    "tokens": "<loc_1>a" * (SIZE // 8),
    "end tokens": "<|im_end|>" * (SIZE // 10),
    "closers while thinking": "<think>" + "]" * SIZE,
    "loose ends before escapes": '["a”,' + '\\"a”,' * (SIZE // 6),
    "strings in structure": ',"' * (SIZE // 2),
    "escaped strings in structure": ',"\\",\\"' * (SIZE // 7),
    "strings in strings": '{"a":"{\'a\':' * (SIZE // 11),
    "escapes": '{\\"' * (SIZE // 3),
}


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_hostile_texts_are_read_to_an_end(kind: str) -> None:
    # Anything quadratic would hang at this size; benchmarks/parser.py holds the times.
    assert len(HOSTILE[kind]) < MAX_CHARACTERS
    for name in ("qwen2-vl", "think2seg", "internvl", "kosmos2", "molmo"):
        one = DIALECTS[name]
        for strict in (False, True):
            answer = one.decode(HOSTILE[kind], one.frame(640, 480), strict=strict)
            assert len(answer.prompts) or answer.outcome is not Outcome.FOUND, (kind, name, strict)


def test_half_a_megabyte_is_read_without_a_limit() -> None:
    assert read_values('[{"a":' * 80_000).cut_off


class Counted(str):
    """A word that counts how often it is compared or hashed."""

    steps = 0

    def __eq__(self, other: object) -> bool:
        Counted.steps += 1
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        Counted.steps += 1
        return str.__hash__(self)


def test_words_among_numbers_take_a_number_of_steps_in_proportion() -> None:
    def steps(count: int) -> int:
        Counted.steps = 0
        Collector(Notes(), points=False).walk([1] * count + [Counted("a") for _ in range(count)])
        return Counted.steps

    assert steps(400) <= 4 * steps(100) + 10


def test_a_quadratic_walk_would_be_seen() -> None:
    Counted.steps = 0
    words = [Counted("a"), *map(Counted, "bcdefgh")]
    assert [word for word in words if words.count(word) == 1] == words
    assert Counted.steps >= len(words) * (len(words) - 1)
