"""What instructions are parsed into: a table, the tokens with two readings, and what is refused."""

from __future__ import annotations

import logging
import unicodedata
from importlib.resources import files

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.language.phrases import Quantifier, parse_instruction
from fiducial.language.phrases.tokens import PostLexer
from phrase_outlines import outline, outline_all

TABLE = [
    (
        "segment the two largest red round ships near the pier, except the leftmost",
        "count 2: ships, by largest, red, round, near(the: pier) - the: *, by leftmost",
        (),
    ),
    ("find all ships", "all: ships", ()),
    ("the cat and the dog", "the: cat + the: dog", ()),
    ("second from the left", "the: *, rank 2, by leftmost", ()),
    ("the third largest ship", "the: ship, rank 3, by largest", ()),
    ("the 2nd biggest", "the: *, rank 2, by largest", ()),
    ("the last on the right", "the: *, rank 1, by rightmost", ()),
    ("ships in the north west", "all: ships, in top-left", ()),
    ("the boat in the upper left corner of the image", "the: boat, in top-left", ()),
    ("the ship to the left of the crane", "the: ship, left_of(the: crane)", ()),
    ("the ship left of the pier", "the: ship, left_of(the: pier)", ()),
    ("the dog between the cat and the tree", "the: dog, between(the: cat; the: tree)", ()),
    ("the dog between the two trees and the horse", "the: dog, between(count 2: trees) + the: horse", ()),
    ("the shiny ship pointing north", "the: ship", ("shiny", "pointing north")),
    ("the left hand", "the: hand, by leftmost", ()),
    ("the top hat", "the: top hat", ()),
    ("the orange", "the: orange", ()),
    ("the orange fruit", "the: fruit, orange", ()),
    ("the red and the blue ship", "the: ship, red + the: ship, blue", ()),
    ("the red ship and the blue one", "the: ship, red + the: ship, blue", ()),
    ("red and blue ships", "all: ships, red|blue", ()),
    ("the red and white boat", "the: boat, red&white", ()),
    (
        "the largest and smallest ships near the pier",
        "the: ships, by largest, near(the: pier) + the: ships, by smallest, near(the: pier)",
        (),
    ),
    ("the leftmost of the two largest ships", "the: *, by leftmost, of(count 2: ships, by largest)", ()),
    ("two of the ships", "count 2: *, of(all: ships)", ()),
    ("the top of the bottle", "the: bottle", ("the top of",)),
    ("a bottle of water", "any: bottle of water", ()),
    ("all but one", "all: * - the: *", ()),
    ("everything except the ships", "all: * - all: ships", ()),
    ("the ship closest to the centre", "the: ship, by closest to the centre", ()),
    ("the closest ship to the pier", "the: ship, closest(the: pier)", ()),
    ("the ship furthest from the pier", "the: ship, furthest(the: pier)", ()),
    ("in the top right", "all: *, in top-right", ()),
    ("the upper left corner", "all: *, in top-left", ()),
    ("the man wearing a red hat standing near the car", "the: man, near(the: car)", ("standing", "wearing a red hat")),
    ("please show me both dogs on the left and right", "both 2: dogs, in left|right", ()),
    ("ships that are not red", "all: ships - all: *, red", ()),
    ("the ships, in the top half, and near the pier", "all: ships, in top half, near(the: pier)", ()),
    ("mask", "the: mask", ()),
    ("where is the traffic light?", "the: traffic light", ()),
    ("the bright red ship", "the: ship, red", ("bright",)),
    ("the first two ships from the left", "count 2: ships, rank 1, by leftmost", ()),
    ("cars on the left and on the right", "all: cars, in left|right", ()),
    ("the light blue car", "the: car, blue", ("light",)),
    ("the middle one", "the: *, by closest to the centre", ()),
    ("the ship second from the right in the top half", "the: ship, rank 2, by rightmost, in top half", ()),
    ("the larger of the two ships", "the: *, by largest, of(count 2: ships)", ()),
    ("ships larger than the boat", "all: ships, larger(the: boat)", ()),
    ("player 10", "the: player 10", ()),
    ("the second and third largest ships", "the: ships, rank 2, by largest + the: ships, rank 3, by largest", ()),
    ("the top left ship", "the: ship, by closest to the top left corner", ()),
    ("the dog, the cat and the horse", "the: dog + the: cat + the: horse", ()),
    ("find ship", "the: ship", ()),
    ("ships, cranes and piers", "all: ships + all: cranes + all: piers", ()),
    (
        "the red ship at the top and the white ship at the bottom",
        "the: ship, red, in top + the: ship, white, in bottom",
        (),
    ),
    ("the man in the red shirt", "the: man", ("in the red shirt",)),
    ("the woman with the umbrella to the left of the man", "the: woman, with(the: umbrella, left_of(the: man))", ()),
    ("the car parked next to the truck", "the: car, beside(the: truck)", ()),
    ("the person standing on the left", "the: person, in left", ("standing",)),
    ("the person on the far right", "the: person, by rightmost", ()),
    ("the building at the very top", "the: building, by topmost", ()),
    ("the closest car", "the: car", ("closest",)),
    ("the car nearest the house", "the: car, closest(the: house)", ()),
    ("the nearest car to the house on the right", "the: car, closest(the: house, in right)", ()),
    ("cell in the middle of the image", "the: cell, in centre", ()),
    ("all cells touching the edge", "all: cells, in edge", ()),
    ("cells at the border", "all: cells, in edge", ()),
    ("nuclei near the top edge", "all: nuclei, in top-edge", ()),
    ("the largest nucleus in the upper left quadrant", "the: nucleus, by largest, in top-left half", ()),
    ("every other ship", "all: ship", ()),
    ("each of the three boats", "all: *, of(count 3: boats)", ()),
    ("one of the two dogs", "count 1: *, of(count 2: dogs)", ()),
    ("the biggest one", "the: *, by largest", ()),
    ("the smaller dog", "the: dog, by smallest", ()),
    ("the big dog and the small dog", "the: dog, by largest + the: dog, by smallest", ()),
    ("left-most and right-most cars", "the: cars, by leftmost + the: cars, by rightmost", ()),
    ("the two leftmost and the two rightmost cars", "count 2: cars, by leftmost + count 2: cars, by rightmost", ()),
    ("the boats that are close to the pier but not the white one", "all: boats, near(the: pier) - the: *, white", ()),
    ("any boat not in the harbour", "any: boat - all: *, inside(the: harbour)", ()),
    ("give me the mask of the cat", "the: cat", ()),
    ("please could you cut out the leftmost person?", "the: person, by leftmost", ()),
    ("I want the third person from the right", "the: person, rank 3, by rightmost", ()),
    ("who is the tallest person", "the: person, by tallest", ()),
    ("the bottom-right-most tree", "the: tree, by closest to the bottom right corner", ()),
    ("the tree in the bottom-right", "the: tree, in bottom-right", ()),
    ("the lowest hanging fruit", "the: hanging fruit, by bottommost", ()),
    ("an apple on top of the table", "any: apple, on(the: table)", ()),
    ("the plane over the runway", "the: plane, above(the: runway)", ()),
    ("planes on the runway, excluding the largest", "all: planes, on(the: runway) - the: *, by largest", ()),
    ("the left half of the image", "all: *, in left half", ()),
    ("what is in the middle", "all: *, in centre", ()),
    ("the top two ships", "count 2: ships, by topmost", ()),
    ("the bottom three", "count 3: *, by bottommost", ()),
    ("top 3 largest ships", "count 3: ships, by largest", ()),
    ("the 3 largest ships", "count 3: ships, by largest", ()),
    ("the tumour in the upper part of the image", "the: tumour, in top", ()),
    ("the eastern-most building", "the: building, by rightmost", ()),
    ("the house east of the river and south of the road", "the: house, right_of(the: river), below(the: road)", ()),
    ("the tree between the house and the river", "the: tree, between(the: house; the: river)", ()),
    ("the road between the two houses", "the: road, between(count 2: houses)", ()),
    ("the orange on the left", "the: orange, in left", ()),
    ("an orange and two lemons", "any: orange + count 2: lemons", ()),
    ("the orange orange", "the: orange, orange", ()),
    ("the oranges next to the orange car", "all: oranges, beside(the: car, orange)", ()),
    ("the black and white cat", "the: cat, black&white", ()),
    ("black cats or white cats", "all: cats, black + all: cats, white", ()),
    ("the dog that is not on the left", "the: dog - all: *, in left", ()),
    ("the first from the top", "the: *, rank 1, by topmost", ()),
    ("the cup, the second one from the left", "the: *, rank 2, by leftmost, of(all: cup)", ()),
    ("the ship closest to the right edge", "the: ship, by rightmost", ()),
    ("the ship farthest from the centre", "the: ship, by furthest from the centre", ()),
    ("the light on the left", "the: light, in left", ()),
    ("the right light", "the: light, by rightmost", ()),
    ("the dark grey ship", "the: ship, grey", ("dark",)),
    ("the least round cell", "the: cell, by least round", ()),
    ("the most circular cell", "the: cell, by roundest", ()),
    ("the darkest of the three", "the: *, by darkest, of(count 3: *)", ()),
    ("the longer one", "the: *, by longest", ()),
    ("both of them", "both 2: *, of(all: *)", ()),
    ("all of them", "all: *, of(all: *)", ()),
    ("ship #3", "the: ship 3", ()),
    ("no ships", "count 0: ships", ()),
    ("the ship closest to the left corner", "the: ship, by closest to the left corner", ()),
    ("the ship closest to a corner", "the: ship, by closest to the corner", ()),
    ("the top 3 largest ships", "count 3: ships, by largest", ()),
    ("the no parking sign", "the: no parking sign", ()),
    ("left of the pier", "all: *, left_of(the: pier)", ()),
    ("the ship, left of the pier", "the: ship, left_of(the: pier)", ()),
    ("round ships", "all: ships, round", ()),
    ("the second ship from the right", "the: ship, rank 2, by rightmost", ()),
    ("the last ship on the right", "the: ship, rank 1, by rightmost", ()),
    ("ships north east of the crane", "all: ships, above(the: crane), right_of(the: crane)", ()),
    ("the largest ships", "all: ships, by largest", ()),
    ("both ships", "both 2: ships", ()),
    ("ships not near the pier", "all: ships - all: *, near(the: pier)", ()),
    ("the tenth ship from the left", "the: ship, rank 10, by leftmost", ()),
    ("left ships", "all: ships, in left", ()),
    ("things in the centre", "all: *, in centre", ()),
    ("the third ship", "the: ship, rank 3", ()),
    ("ships without red", "all: ships - all: *, red", ()),
    ("the second to last ship from the left", "the: ship, rank 2, by rightmost", ()),
    ("cargo ships", "all: cargo ships", ()),
    ("two ships on the left and the crane", "count 2: ships, in left + the: crane", ()),
    ("what is the darkest ship in the picture?", "the: ship, by darkest", ()),
    ("the ships other than the red ones", "all: ships - all: *, red", ()),
    ("the ship and the red one", "the: ship + the: ship, red", ()),
    ("the rightmost two ships", "count 2: ships, by rightmost", ()),
    ("the highest and lowest ships", "the: ships, by topmost + the: ships, by bottommost", ()),
    ("the northernmost ship", "the: ship, by topmost", ()),
    ("the roof of the house to the north of the river", "the: roof", ("of the house to the north of the river",)),
    ("the ship from the house near the pier", "the: ship", ("from the house near the pier",)),
    ("two 3 ships", "count 2: ships", ("3",)),
    ("Every RED_SHIP!", "all: ship, red", ()),
    ("the dog 🐶", "the: dog", ("🐶",)),
    ("the cat's bowl", "the: cat bowl", ()),
    ("ships that aren't red", "all: ships - all: *, red", ()),
    ("船", "the: 船", ()),
    ("the ship closest to the top of the house", "the: ship", ("closest to the top of the house",)),
    ("the book in the top left of the shelf", "the: book, inside(the: shelf)", ("the top left of",)),
    ("the stain in the middle of the table", "the: stain, inside(the: table)", ()),
    ("the cup at the edge of the table", "the: cup, near(the: table)", ()),
    ("the outermost cell", "the: cell, by closest to the edge", ()),
    ("a couple of ships", "count 2: ships", ()),
    ("a dozen eggs", "count 12: eggs", ()),
    ("all three ships", "all 3: ships", ()),
    ("the topmost leftmost ship", "the: ship, by closest to the top left corner", ()),
    ("the closest ship to the centre", "the: ship, by closest to the centre", ()),
    ("the nearest ship to a corner", "the: ship, by closest to the corner", ()),
    ("cats on the left, and dogs on the right", "all: cats, in left + all: dogs, in right", ()),
    ("ships on the left, and on the right", "all: ships, in left|right", ()),
    ("large, round, red cells", "all: cells, red, large, round", ()),
    ("the ship, top right", "the: ship, in top-right", ()),
    ("the cat, the dog", "the: cat + the: dog", ()),
    ("the cat the dog", "the: cat + the: dog", ()),
    ("left guy", "the: guy, by leftmost", ()),
    ("left side cow", "the: cow, by leftmost", ()),
    ("cow on the left side facing right", "the: cow, in left", ("facing right",)),
    ("person closest to us", "the: person", ("closest to us",)),
    ("the kid not wearing a hat", "the: kid", ("not wearing a hat",)),
    ("the airplane furthest to the south", "the: airplane, by bottommost", ()),
    ("the ship furthest north", "the: ship, by topmost", ()),
    ("the ship furthest from the left", "the: ship, by rightmost", ()),
    ("the cars in the left third", "all: cars, in left", ()),
    ("everything left of the river", "all: *, left_of(the: river)", ()),
    ("both the cat and the dog", "the: cat + the: dog", ()),
    ("either car", "any: car", ()),
    ("find me the car", "the: car", ()),
    ("the ship near", "the: ship", ("near",)),
    ("the penultimate car from the left", "the: car, rank 2, by rightmost", ()),
    ("the 21st tree from the top", "the: tree, rank 21, by topmost", ()),
    ("the last largest ship", "the: ship, rank -1, by largest", ()),
    ("two large ships", "count 2: ships, by largest", ()),
    ("large ships", "all: ships, large", ()),
    ("something red", "any: *, red", ()),
]


@pytest.mark.parametrize(("text", "expected", "unknown"), TABLE, ids=[row[0] for row in TABLE])
def test_table(text: str, expected: str, unknown: tuple[str, ...]) -> None:
    request = parse_instruction(text)
    assert outline_all(request) == expected
    assert request.unknown == unknown


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("biggest", "largest"), ("greatest", "largest"), ("bigger", "largest"), ("littlest", "smallest"),
        ("tiniest", "smallest"), ("smaller", "smallest"), ("longer", "longest"), ("shorter", "shortest"),
        ("rounder", "roundest"), ("most round", "roundest"), ("lightest", "brightest"), ("brighter", "brightest"),
        ("darker", "darkest"), ("taller", "tallest"), ("wider", "widest"), ("broadest", "widest"),
        ("narrower", "narrowest"), ("most elongated", "longest"), ("least elongated", "least elongated"),
        ("most central", "closest to the centre"), ("innermost", "closest to the centre"), ("lowest", "bottommost"),
        ("uppermost", "topmost"), ("left-most", "leftmost"), ("furthest left", "leftmost"),
        ("farthest to the right", "rightmost"), ("far right", "rightmost"), ("southernmost", "bottommost"),
        ("western-most", "leftmost"), ("northwesternmost", "closest to the top left corner"),
        ("south-eastern-most", "closest to the bottom right corner"),
        ("lower right-most", "closest to the bottom right corner"),
    ],
)  # fmt: skip
def test_superlatives(word: str, meaning: str) -> None:
    target = parse_instruction(f"the {word} cell").targets[0]
    assert (outline(target), target.noun) == (f"the: cell, by {meaning}", ("cell",))


def test_words_are_kept_for_the_explanation() -> None:
    target = parse_instruction("Find the two red ships near the old pier in the top half").targets[0]
    assert target.words == "the two red ships"
    assert [relation.words for relation in target.relations] == ["near the old pier"]
    assert target.relations[0].targets[0].regions[0].words == "in the top half"


def test_adjectives_may_be_part_of_the_noun() -> None:
    target = parse_instruction("the big left hand of").targets[0]
    assert [other.noun for other in target.compounds] == [("big", "left", "hand"), ("left", "hand")]
    assert [len(other.orders) for other in target.compounds] == [0, 1]


@pytest.mark.parametrize("text", ["", "   ", "!?", "\n\t", "🚢", "...", "—", "&", "\u200d"])
def test_no_words(text: str) -> None:
    with pytest.raises(InputError, match="no words"):
        parse_instruction(text)


def test_too_long() -> None:
    assert parse_instruction("a" * 2000).targets
    with pytest.raises(InputError, match="2,001"):
        parse_instruction("a" * 2001)


def test_a_long_chain_is_cut_and_said() -> None:
    request = parse_instruction("a cat" + " near a dog" * 100)
    depth = list(request.targets[0].walk())
    assert len(depth) == 9
    assert request.unknown == (" ".join(["near a dog"] * 92),)


def test_a_long_noun_is_cut_and_said() -> None:
    request = parse_instruction(" ".join(f"w{number}" for number in range(20)))
    assert len(request.targets[0].noun) == 8
    assert request.unknown == tuple(f"w{number}" for number in range(12))


class TestGrammar:
    """The grammar has one reading for every sequence of tokens."""

    def test_no_conflict(self, caplog: pytest.LogCaptureFixture) -> None:
        lark = pytest.importorskip("lark")
        caplog.set_level(logging.DEBUG, logger="lark")
        lark.logger.propagate = True
        text = files("fiducial.language.phrases").joinpath("grammar.lark").read_text(encoding="utf-8")
        lark.Lark(text, start="request", parser="lalr", lexer="basic", postlex=PostLexer(), debug=True)
        assert "onflict" not in caplog.text

    def test_the_check_for_conflicts_can_fail(self, caplog: pytest.LogCaptureFixture) -> None:
        lark = pytest.importorskip("lark")
        caplog.set_level(logging.DEBUG, logger="lark")
        lark.logger.propagate = True
        lark.Lark('start: "x" start | start "x" | "y"', parser="lalr", debug=True)
        assert "onflict" in caplog.text

    def test_ships_with_the_package(self) -> None:
        assert files("fiducial.language.phrases").joinpath("grammar.lark").is_file()


WORDS = """
the a all both each two one ones first last third largest smallest left right top bottom north east leftmost
closest furthest to from of in on at near between and or except but not without with wearing pointing ship
ships pier dog red orange light dark round big corner half side edge centre , . image picture next above below
larger than 2 3rd that is which mask segment find everything thing other standing traffic couple shiny behind
small no towards up slightly parked light pale hue isolated together lined group pair row including relative similar
"""
VOCABULARY = WORDS.split()


@given(st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=25))
def test_any_order_of_known_words_is_read(words: list[str]) -> None:
    text = " ".join(words)
    try:
        request = parse_instruction(text)
    except InputError:
        assert not any(character.isalnum() for character in text)
        return
    assert request.targets
    assert request == parse_instruction(text)
    assert all(words.strip() for words in request.unknown)


@given(st.text(max_size=60))
@example("\u3200")  # a letter in brackets, once it is taken apart
def test_any_text_is_read_or_has_no_words(text: str) -> None:
    if not any(character.isalnum() for character in unicodedata.normalize("NFKC", text)):
        with pytest.raises(InputError, match="no words"):
            parse_instruction(text)
        return
    request = parse_instruction(text)
    assert request.targets
    assert repr(request)


@settings(max_examples=25)
@given(st.sampled_from(VOCABULARY), st.sampled_from(VOCABULARY), st.integers(1, 400))
def test_long_repetitions_stay_small(first: str, second: str, times: int) -> None:
    text = (f"{first} {second} " * times)[:2000]
    try:
        request = parse_instruction(text)
    except InputError:
        return
    assert len(repr(request)) < 400_000


@pytest.mark.parametrize(
    ("text", "noun", "unknown"),
    [
        ("the largest square", ("square",), ()),
        ("the red oval on the left", ("oval",), ()),
        ("the square tile", ("tile",), ("square",)),
        ("the square one", (), ("square",)),
    ],
)
def test_shapes_are_nouns_where_nothing_else_is(text, noun, unknown):
    request = parse_instruction(text)
    assert request.targets[0].noun == noun
    assert request.unknown == unknown


@pytest.mark.parametrize(
    "words", ["every one of the ships", "each and every one of the ships", "each one of the ships"]
)
def test_the_numeral_of_every_one_is_no_number(words):
    [target] = parse_instruction(words).targets
    assert (target.quantifier, target.count, target.of.noun) == (Quantifier.ALL, None, ("ships",))


def test_right_before_a_middle_is_no_side():
    [target] = parse_instruction("the ship right in the middle").targets
    assert [region.places for region in target.regions] == [(("centre",),)]
    [target] = parse_instruction("the ship on the right in the middle").targets
    assert [region.places for region in target.regions] == [(("right",),), (("centre",),)]


def test_along_is_a_place():
    [target] = parse_instruction("ships along the pier").targets
    assert [(relation.kind, relation.words) for relation in target.relations] == [("beside", "along the pier")]
    [target] = parse_instruction("ships along the bottom edge").targets
    assert [region.places for region in target.regions] == [(("bottom", "edge"),)]
    assert len(parse_instruction("the ship along with the pier").targets) == 2
