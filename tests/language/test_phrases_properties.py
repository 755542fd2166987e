"""What must hold for any candidates: positions, order, counts, rows and columns, symmetry."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompt
from fiducial.language import Candidate, Outcome
from fiducial.language.candidates import COLOURS
from fiducial.language.phrases import parse_instruction, resolve
from fiducial.language.phrases.lexicon import NUMBERS, ORDINALS, ordinal_of
from fiducial.language.phrases.scene import lines_among

SIZE = 240
FRAME = Frame.pixels(SIZE, SIZE)
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    x, y = draw(st.integers(0, SIZE - 2)), draw(st.integers(0, SIZE - 2))
    return (x, y, draw(st.integers(x + 1, SIZE)), draw(st.integers(y + 1, SIZE)))


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    unit = st.none() | st.floats(0, 1)
    colours = draw(st.dictionaries(st.sampled_from(COLOURS), st.floats(0, 1), max_size=3))
    prompt = Prompt(FRAME, box=draw(boxes()), label=draw(st.sampled_from(["ship", "cargo ship", "pier", None])))
    return Candidate(prompt, roundness=draw(unit), brightness=draw(unit), length=draw(unit), colours=colours)


scenes = st.lists(candidates(), min_size=1, max_size=7, unique_by=lambda one: one.prompt.box)


def centre(candidate: Candidate) -> tuple[float, float]:
    x1, y1, x2, y2 = candidate.prompt.box
    return (x1 + x2) / 2, (y1 + y2) / 2


def size(candidate: Candidate) -> float:
    x1, y1, x2, y2 = candidate.prompt.box
    return (x2 - x1) * (y2 - y1)


KEYS = {
    "leftmost": lambda one: centre(one)[0],
    "rightmost": lambda one: -centre(one)[0],
    "topmost": lambda one: centre(one)[1],
    "bottommost": lambda one: -centre(one)[1],
    "northernmost": lambda one: centre(one)[1],
    "largest": lambda one: -size(one),
    "smallest": size,
    "widest": lambda one: one.prompt.box[0] - one.prompt.box[2],
    "tallest": lambda one: one.prompt.box[1] - one.prompt.box[3],
    "most central": lambda one: math.dist(centre(one), (SIZE / 2, SIZE / 2)),
}
RANKS = ["", "second ", "third ", "4th "]


@FEW
@given(scenes, st.sampled_from(sorted(KEYS)), st.integers(1, 4))
def test_superlatives_are_order_statistics(scene: list[Candidate], word: str, rank: int) -> None:
    chosen = resolve(f"the {RANKS[rank - 1]}{word} thing", scene, FRAME).chosen
    values = sorted(map(KEYS[word], scene))
    if rank > len(scene):
        assert chosen == ()
    else:
        assert KEYS[word](scene[chosen[0]]) == values[rank - 1]


@FEW
@given(scenes, st.sampled_from(sorted(KEYS)), st.integers(1, 9))
def test_a_number_takes_the_first_of_the_order(scene: list[Candidate], word: str, count: int) -> None:
    resolution = resolve(f"the {count} {word} things", scene, FRAME)
    values = [KEYS[word](scene[index]) for index in resolution.chosen]
    assert values == sorted(map(KEYS[word], scene))[:count]
    assert bool(resolution.unmet) == (count > len(scene))


@FEW
@given(scenes, st.sampled_from(["leftmost", "two largest", "red ones", "ships", "ones in the top half", "pier"]))
def test_an_exclusion_is_the_complement(scene: list[Candidate], words: str) -> None:
    inside = set(resolve(f"the {words}", scene, FRAME).chosen)
    outside = set(resolve(f"everything except the {words}", scene, FRAME).chosen)
    # what nobody measured is neither red nor not
    blank = {k for k, one in enumerate(scene) if "red" in words and not one.colours}
    assert inside | outside == set(range(len(scene))) - blank
    assert not inside & outside


INSTRUCTIONS = [
    "the ship",
    "all ships left of the pier",
    "the two largest ships near the pier, except the leftmost",
    "the roundest thing in the top half",
    "red or blue things",
    "ships between the two largest things",
    "the ship closest to the pier",
    "dark things on the left",
    "large ships in a corner",
    "the second ship from the left and the pier",
    "the things on the pier",
    "the ship next to a pier",
]


@FEW
@given(scenes, st.sampled_from(INSTRUCTIONS), st.randoms(use_true_random=False))
def test_the_order_of_candidates_does_not_matter(scene: list[Candidate], text: str, random) -> None:
    order = list(range(len(scene)))
    random.shuffle(order)
    resolution = resolve(text, scene, FRAME)
    shuffled = resolve(text, [scene[index] for index in order], FRAME)
    places = [centre(one) for one in scene]
    assume(len({(size(one), place) for one, place in zip(scene, places, strict=True)}) == len(scene))
    assert [order[index] for index in shuffled.chosen] == list(resolution.chosen)
    assert (shuffled.text, shuffled.unmet) == (resolution.text, resolution.unmet)


def mirrored(candidate: Candidate, axis: str) -> Candidate:
    x1, y1, x2, y2 = candidate.prompt.box
    box = (SIZE - x2, y1, SIZE - x1, y2) if axis == "x" else (x1, SIZE - y2, x2, SIZE - y1)
    if axis == "xy":
        box = (y1, x1, y2, x2)
    return Candidate(
        Prompt(FRAME, box=box, label=candidate.prompt.label, score=candidate.prompt.score),
        **{name: getattr(candidate, name) for name in ("area", "length", "roundness", "brightness", "colours")},
    )


FLIPS = {
    "x": {"left": "right", "right": "left", "leftmost": "rightmost", "east": "west"},
    "y": {"top": "bottom", "bottom": "top", "topmost": "bottommost", "above": "below", "north": "south"},
    "xy": {"left": "top", "top": "left", "leftmost": "topmost", "right": "bottom", "rightmost": "bottommost"},
}
FLIPPED = [
    ("x", "the leftmost thing"),
    ("x", "things on the left"),
    ("x", "things in the left half"),
    ("x", "things in the top left corner"),
    ("x", "the second thing from the right"),
    ("x", "all things to the left of the largest thing"),
    ("x", "the thing closest to the top right corner"),
    ("x", "things in the north east"),
    ("x", "the left ship"),
    ("y", "the topmost thing"),
    ("y", "things at the bottom"),
    ("y", "all things above the largest thing"),
    ("y", "things in the top half"),
    ("y", "things in the north east"),
    ("y", "things at the top edge"),
    ("xy", "the leftmost thing"),
    ("xy", "things in the right half"),
    ("xy", "things in the top left corner"),
    ("xy", "things in the centre"),
]


@pytest.mark.parametrize(("axis", "text"), FLIPPED)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scene=scenes)
def test_a_mirrored_picture_swaps_the_sides(axis: str, text: str, scene: list[Candidate]) -> None:
    # ties are broken towards the left and the top, which a mirror does not keep
    assume(len({centre(one)[0] for one in scene}) == len({centre(one)[1] for one in scene}) == len(scene))
    assume(len({size(one) for one in scene}) == len(scene))
    other = " ".join(FLIPS[axis].get(word, word) for word in text.split())
    straight = resolve(text, scene, FRAME)
    swapped = resolve(other, [mirrored(one, axis) for one in scene], FRAME)
    if "closest" in text:  # two candidates may be equally far
        reach = [math.dist(centre(one), (SIZE, 0)) for one in scene]
        assume(len(set(reach)) == len(scene))
    assert set(swapped.chosen) == set(straight.chosen)


@FEW
@given(scenes)
def test_position_words_agree_with_what_was_chosen(scene: list[Candidate]) -> None:
    third, half = SIZE / 3, SIZE / 2
    tests = {
        "things in the left half": lambda x, y: x < half,
        "things in the bottom half": lambda x, y: y > half,
        "things in the top right": lambda x, y: x > SIZE - third and y < third,
        "things on the left": lambda x, y: x < third,
        "things in the middle": lambda x, y: abs(x - half) <= third / 2 and abs(y - half) <= third / 2,
    }
    for text, test in tests.items():
        resolution = resolve(text, scene, FRAME)
        lie_there = {index for index, one in enumerate(scene) if test(*centre(one))}
        assert set(resolution.chosen) == lie_there or (not lie_there and (resolution.unmet or not resolution.chosen))


@FEW
@given(scenes, st.sampled_from(["left of", "right of", "above", "below", "near", "next to", "inside", "on"]))
def test_nothing_is_told_by_itself(scene: list[Candidate], word: str) -> None:
    pier = Candidate(Prompt(FRAME, box=(100, 100, 140, 140), label="lonely pier"))
    others = [one for one in scene if one.prompt.label != "pier"]
    assert len(others) not in resolve(f"everything {word} the pier", [*others, pier], FRAME).chosen


@given(st.text(max_size=50) | st.lists(st.sampled_from(INSTRUCTIONS), min_size=2, max_size=4).map(" but ".join))
def test_any_text_is_resolved_or_refused(text: str) -> None:
    scene = [Candidate(Prompt(FRAME, box=(x, x, x + 30, x + 20), label="ship")) for x in (10, 60, 150)]
    try:
        resolution = resolve(text, scene, FRAME)
    except InputError:
        return
    assert set(resolution.chosen) <= {0, 1, 2}
    assert len(set(resolution.chosen)) == len(resolution.chosen)
    assert (resolution.outcome == "found") == bool(resolution.chosen)
    assert resolution.text.startswith("Chose")


WIDE = Frame.pixels(1000, 1000)


def thing(x: float, y: float, label: str = "car", size: float = 100, **told: object) -> Candidate:
    return Candidate(Prompt(WIDE, box=(x, y, x + size, y + size), label=label), **told)  # type: ignore[arg-type]


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
        assert resolve(f"the {words} ship from the left", ships, WIDE).chosen == (20,)
    assert resolve("the twenty-one leftmost ships", ships, WIDE).chosen == tuple(range(21))
    missing = resolve("the thirty-first ship from the left", ships, WIDE)
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
    resolution = resolve(text, CARS, WIDE)
    assert set(resolution.chosen) == chosen
    assert (resolution.unknown, resolution.unmet) == ((), ())
    assert resolution.outcome is Outcome.FOUND
    assert set(resolve(text.replace("cars", "regions"), CARS, WIDE, recognises_nouns=False).chosen) == chosen


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
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
    assert resolve(text, CARS, WIDE).outcome is Outcome.FAILED
    resolution = resolve(text, CARS, WIDE, rest=True)
    assert resolution.unknown == unknown
    assert resolution.outcome is Outcome.FOUND
    assert len(resolution.chosen) == 12


def test_rows_that_are_not_there_are_said() -> None:
    fifth = resolve("the fifth row", CARS, WIDE)
    assert (fifth.chosen, fifth.unmet) == ((), ("'the fifth row' needs at least 5 rows, found 3",))
    assert resolve("the top rows", CARS, WIDE).unmet == ("'the top rows' says no number: 2 of 3 rows were taken",)
    middle = resolve("the middle column", CARS, WIDE)
    assert set(middle.chosen) == COLUMNS[1]
    assert middle.unmet == ("there are 4 columns: of the two in the middle the first was taken",)


def test_a_thing_called_column_is_that_thing() -> None:
    columns = [thing(100 + 200 * c, 100, "column") for c in range(4)]
    assert resolve("the second column", columns, WIDE).chosen == (1,)
    assert resolve("the top row of columns", columns, WIDE).chosen == (0, 1, 2, 3)


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
    resolution = resolve(text, LINE, WIDE)
    assert resolution.chosen == chosen
    assert resolution.unknown == ()
    assert bool(resolution.unmet) != told
    assert "one in " in resolution.text


def test_every_ninth_of_seven_is_none() -> None:
    resolution = resolve("every ninth ship from the left", LINE, WIDE)
    assert (resolution.chosen, resolution.outcome) == ((), Outcome.NO_TARGET)
    assert resolution.unmet == ("'every ninth ship' needs at least 9, found 7",)


def test_shares_are_rounded_up_and_say_by_what() -> None:
    ships = [thing(100 * k, 0, "ship", 20 + k) for k in range(7)]
    half = resolve("half of the ships", ships, WIDE)
    assert half.chosen == (6, 5, 4, 3)
    assert half.unmet == ("'half of the ships' says no order: the first 4 of 7, by score or else by size, were taken",)
    assert resolve("half the ships", ships, WIDE).chosen == (6, 5, 4, 3)
    assert resolve("a third of the ships", ships, WIDE).chosen == (6, 5, 4)
    assert resolve("two thirds of the ships", ships, WIDE).chosen == (6, 5, 4, 3, 2)
    assert resolve("half of the ship", ships, WIDE).unknown == ("half of",)
    assert resolve("the left half of the image", ships, WIDE).unmet == ()


def test_adjectives_in_the_name_of_a_reference_are_understood() -> None:
    things = [thing(0, 0, "ship"), thing(120, 0, "old pier"), thing(800, 800, "ship"), thing(650, 800, "pier")]
    near = resolve("the ship near the old pier", things, WIDE)
    assert (near.chosen, near.unknown) == ((0,), ())
    other = resolve("the ship near the rusty pier", things, WIDE)
    assert other.unknown == ("rusty",)


def test_a_red_cross_is_a_name_or_a_cross_that_is_red() -> None:
    plain = [thing(0, 0, "cross"), thing(200, 0, "cross")]
    coloured = [thing(0, 0, "cross", colours={"blue": 1.0}), thing(200, 0, "cross", colours={"red": 1.0})]
    assert resolve("the red cross", coloured, WIDE).chosen == (1,)
    assert resolve("the red cross", coloured, WIDE).unknown == ()
    assert resolve("the red cross", plain, WIDE).unknown == ("red",)
    named = [*coloured, thing(400, 0, "Red Cross")]
    assert resolve("the red cross", named, WIDE).chosen == (2,)
    regions = resolve("the red cross", coloured, WIDE, recognises_nouns=False)
    assert (regions.chosen, regions.unknown) == ((1,), ())
