"""Ordinals, rows and columns, every other, shares: how they count, and what they say when they cannot."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.geometry import Frame, Prompt
from fiducial.language import Candidate, Outcome
from fiducial.language.phrases import parse_instruction, resolve
from fiducial.language.phrases.lexicon import NUMBERS, ORDINALS, ordinal_of
from fiducial.language.phrases.scene import lines_among

FRAME = Frame.pixels(1000, 1000)


def thing(x: float, y: float, label: str = "car", size: float = 100, **told: object) -> Candidate:
    return Candidate(Prompt(FRAME, box=(x, y, x + size, y + size), label=label), **told)  # type: ignore[arg-type]


# three rows of four, a little out of line; number = 4 * row + column
CARS = [thing(100 + 200 * c, 100 + 300 * r + 10 * (c % 2)) for r in range(3) for c in range(4)]
ROWS = [{4 * r + c for c in range(4)} for r in range(3)]
COLUMNS = [{4 * r + c for r in range(3)} for c in range(4)]


@pytest.mark.parametrize(
    ("words", "rank"),
    [
        *(("first", 1), ("fifth", 5), ("twelfth", 12), ("thirteenth", 13), ("nineteenth", 19), ("twentieth", 20)),
        *(("twenty-first", 21), ("forty-second", 42), ("eightieth", 80), ("ninety-ninth", 99)),
        *(("21st", 21), ("42nd", 42), ("103rd", 103)),
    ],
)
def test_ordinals(words: str, rank: int) -> None:
    request = parse_instruction(f"the {words} ship from the left")
    assert (request.targets[0].rank, request.targets[0].ranked, request.unknown) == (rank, True, ())
    assert request.targets[0].noun == ("ship",)


def test_every_ordinal_and_numeral_to_ninety_nine_has_a_name() -> None:
    assert sorted(rank for rank in ORDINALS.values() if rank > 0) == list(range(1, 100))
    assert set(range(100)) <= set(NUMBERS.values())
    assert ordinal_of("sixth to last") == -6


def test_the_twenty_first_is_not_the_first() -> None:
    ships = [thing(30 * k, 100, "ship", 20) for k in range(30)]
    for words in ("twenty-first", "twenty first", "21st"):
        assert resolve(f"the {words} ship from the left", ships, FRAME).chosen == (20,)
    assert resolve("the twenty-one leftmost ships", ships, FRAME).chosen == tuple(range(21))
    missing = resolve("the thirty-first ship from the left", ships, FRAME)
    assert missing.chosen == ()
    assert missing.unmet == ("'the thirty first ship' needs at least 31, found 30",)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("the top row of cars", ROWS[0]),
        ("cars in the top row", ROWS[0]),
        ("the second row", ROWS[1]),
        ("row 2", ROWS[1]),
        ("the middle row", ROWS[1]),
        ("the second row from the bottom", ROWS[1]),
        ("the lowest row of cars", ROWS[2]),
        ("the last row", ROWS[2]),
        ("the row closest to the top", ROWS[0]),
        ("the first two rows of cars", ROWS[0] | ROWS[1]),
        ("the two bottom rows", ROWS[1] | ROWS[2]),
        ("every other row of cars", ROWS[0] | ROWS[2]),
        ("the second and third row of cars", ROWS[1] | ROWS[2]),
        ("all rows of cars", set(range(12))),
        ("cars except the top row", ROWS[1] | ROWS[2]),
        ("the left column of cars", COLUMNS[0]),
        ("the third column", COLUMNS[2]),
        ("the second to last column", COLUMNS[2]),
        ("the rightmost column", COLUMNS[3]),
        ("the car in the second row and third column", {6}),
        ("the leftmost car of the second row", {4}),
        ("the second car from the left in the bottom row", {9}),
        ("the three leftmost cars of the top row", {0, 1, 2}),
    ],
)
def test_rows_and_columns(text: str, chosen: set[int]) -> None:
    resolution = resolve(text, CARS, FRAME)
    assert set(resolution.chosen) == chosen
    assert (resolution.unknown, resolution.unmet) == ((), ())
    assert resolution.outcome is Outcome.FOUND
    assert set(resolve(text.replace("cars", "regions"), CARS, FRAME, recognises_nouns=False).chosen) == chosen


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("the row of cars", ("the row",)),
        ("the longest row", ("the longest row",)),
        ("the red row of cars", ("the red row",)),
        ("the left row", ("the left row",)),
        ("the second middle row", ("the second middle row",)),
        ("both rows", ("both",)),
        ("cars in the longest row", ("in the longest row",)),
        ("most of the cars", ("most of",)),
        ("several of the cars", ("several of",)),
    ],
)
def test_what_is_not_understood_is_named_and_is_no_false_no_target(text: str, unknown: tuple[str, ...]) -> None:
    resolution = resolve(text, CARS, FRAME)
    assert resolution.unknown == unknown
    assert resolution.outcome is Outcome.FOUND
    assert len(resolution.chosen) == 12


def test_rows_that_are_not_there_are_said() -> None:
    fifth = resolve("the fifth row", CARS, FRAME)
    assert (fifth.chosen, fifth.unmet) == ((), ("'the fifth row' needs at least 5 rows, found 3",))
    assert resolve("the top rows", CARS, FRAME).unmet == ("'the top rows' says no number: 2 of 3 rows were taken",)
    middle = resolve("the middle column", CARS, FRAME)
    assert set(middle.chosen) == COLUMNS[1]
    assert middle.unmet == ("there are 4 columns: of the two in the middle the first was taken",)


def test_a_thing_called_column_is_that_thing() -> None:
    columns = [thing(100 + 200 * c, 100, "column") for c in range(4)]
    assert resolve("the second column", columns, FRAME).chosen == (1,)
    assert resolve("the top row of columns", columns, FRAME).chosen == (0, 1, 2, 3)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900), st.integers(1, 99), st.integers(1, 99)), max_size=12)
)
def test_lines_hold_everything_once_and_columns_are_rows_turned(given_boxes: list[tuple[int, int, int, int]]) -> None:
    boxes = [(x, y, x + w, y + h) for x, y, w, h in given_boxes]
    rows = lines_among(boxes, "row")
    assert sorted(index for row in rows for index in row) == list(range(len(boxes)))
    assert lines_among([(y1, x1, y2, x2) for x1, y1, x2, y2 in boxes], "column") == rows


def test_lines_part_where_less_than_half_is_shared() -> None:
    assert lines_among([(0, 0, 10, 10), (20, 5, 30, 15)], "row") == [[0, 1]]
    assert lines_among([(0, 0, 10, 10), (20, 5.1, 30, 15.1)], "row") == [[0], [1]]
    assert lines_among([(0, 40, 10, 44), (20, 0, 30, 100)], "row") == [[0, 1]]
    assert lines_among([], "row") == []


LINE = [thing(100 * k, 0, "ship", 50) for k in range(7)]


@pytest.mark.parametrize(
    ("text", "chosen", "told"),
    [
        ("every other ship", (0, 2, 4, 6), False),
        ("every second ship from the left", (1, 3, 5), True),
        ("every third ship from the right", (4, 1), True),
        ("every other ship from the right", (6, 4, 2, 0), True),
        ("every 2nd ship", (1, 3, 5), False),
    ],
)
def test_every_other(text: str, chosen: tuple[int, ...], told: bool) -> None:
    resolution = resolve(text, LINE, FRAME)
    assert resolution.chosen == chosen
    assert resolution.unknown == ()
    assert bool(resolution.unmet) != told
    assert "one in " in resolution.text


def test_every_ninth_of_seven_is_none() -> None:
    resolution = resolve("every ninth ship from the left", LINE, FRAME)
    assert (resolution.chosen, resolution.outcome) == ((), Outcome.NO_TARGET)
    assert resolution.unmet == ("'every ninth ship' needs at least 9, found 7",)


def test_shares_are_rounded_up_and_say_by_what() -> None:
    ships = [thing(100 * k, 0, "ship", 20 + k) for k in range(7)]
    half = resolve("half of the ships", ships, FRAME)
    assert half.chosen == (6, 5, 4, 3)
    assert half.unmet == ("'half of the ships' says no order: the first 4 of 7, by score or else by size, were taken",)
    assert resolve("half the ships", ships, FRAME).chosen == (6, 5, 4, 3)
    assert resolve("a third of the ships", ships, FRAME).chosen == (6, 5, 4)
    assert resolve("two thirds of the ships", ships, FRAME).chosen == (6, 5, 4, 3, 2)
    assert resolve("half of the ship", ships, FRAME).unknown == ("half of",)
    assert resolve("the left half of the image", ships, FRAME).unmet == ()


def test_adjectives_in_the_name_of_a_reference_are_understood() -> None:
    things = [thing(0, 0, "ship"), thing(120, 0, "old pier"), thing(800, 800, "ship"), thing(650, 800, "pier")]
    near = resolve("the ship near the old pier", things, FRAME)
    assert (near.chosen, near.unknown) == ((0,), ())
    other = resolve("the ship near the rusty pier", things, FRAME)
    assert other.unknown == ("rusty",)


def test_a_red_cross_is_a_name_or_a_cross_that_is_red() -> None:
    plain = [thing(0, 0, "cross"), thing(200, 0, "cross")]
    coloured = [thing(0, 0, "cross", colours={"blue": 1.0}), thing(200, 0, "cross", colours={"red": 1.0})]
    assert resolve("the red cross", coloured, FRAME).chosen == (1,)
    assert resolve("the red cross", coloured, FRAME).unknown == ()
    assert resolve("the red cross", plain, FRAME).unknown == ("red",)
    named = [*coloured, thing(400, 0, "Red Cross")]
    assert resolve("the red cross", named, FRAME).chosen == (2,)
    regions = resolve("the red cross", coloured, FRAME, recognises_nouns=False)
    assert (regions.chosen, regions.unknown) == ((1,), ())
