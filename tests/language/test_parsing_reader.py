from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.language.dialects.replies import MAX_DEPTH, Notes
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
        ('[{"a": 1}, {"b": 2, "c', [{"a": 1}, {"b": 2}]),
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
    assert [(value.start, value.end) for value in document.values] == [(5, 8), (20, 23)]
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


def test_long_numbers_are_no_numbers() -> None:
    value = read("[" + "9" * 1000 + "]")[0].values[0].data[0]
    assert math.isnan(value)


def test_length_is_bounded() -> None:
    document = read_values("[1] " * 10, limit=9, ended=True)
    assert len(document.values) == 3
    assert document.cut_off
    assert len(read_values("[1] " * 10, limit=None).values) == 10


QUOTES = "\"\\'‘’‚‛`´＇“”„‟＂"  # which mark closes a string is guessed, so they have tests of their own
JSON = st.recursive(
    st.one_of(
        st.booleans(),
        st.none(),
        st.integers(-(10**9), 10**9),
        st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 4)),
        st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters=QUOTES), max_size=12),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcd_", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(JSON, min_size=1, max_size=4), st.booleans())
def test_valid_json_is_read_as_json_reads_it(value: list[Any], ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    notes = Notes()
    document = read_values(text, notes)
    assert [part.data for part in document.values] == [value]
    assert notes.lines() == ()
