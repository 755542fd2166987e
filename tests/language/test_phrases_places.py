"""Ranks, nearness, counts in a part, sizes in numbers, lists, clothes and slips: right, or refused by name."""

from __future__ import annotations

import pytest

from fiducial.geometry import Frame, Prompt
from fiducial.language import Candidate, Outcome
from fiducial.language.phrases import resolve
from fiducial.language.phrases.bounds import read_bound
from fiducial.language.phrases.spelling import meant
from language.street import chosen

READ = [
    # ranks and ranges
    ("the second from the left car", "car2"),
    ("third from right car", "car2"),
    ("car, second from left", "car2"),
    ("the car, largest", "car4"),
    ("leftmost but one car", "car2"),
    ("the largest car but one", "car2"),
    ("the last but two car from the left", "car2"),
    ("the last car but one from the left", "car3"),
    ("the first car but one from the left", "car2"),
    ("the rightmost but two car", "car2"),
    ("the next to last car from the left", "car3"),
    ("the 2nd to 4th car from the left", "car2 car3 car4"),
    ("the second to the third cars from the left", "car2 car3"),
    ("second through third car from the left", "car2 car3"),
    ("the first to third largest cars", "car2 car3 car4"),
    ("the first, second and fourth cars from the left", "car1 car2 car4"),
    ("from left to right, the second car", "car2"),
    ("from left to right cars, the second", "car2"),
    ("the second car from right to left", "car3"),
    ("counting from the left, the third car", "car3"),
    ("car number two from the left", "car2"),
    ("the second car in from the right", "car3"),
    # nearness
    ("the person right next to the dog", "person2"),
    ("the person right on the left", "person1"),
    ("the car just left of the white car", "car3"),
    ("the car directly to the left of the white car", "car3"),
    ("the closest car left of the white car", "car3"),
    ("the furthest car to the left of the white car", "car1"),
    ("next car to the right of the blue car", "car3"),
    ("the second car to the left of the white car", "car2"),
    ("the two cars to the left of the white car", "car2 car3"),
    ("the furthest car from the dog", "car1"),
    ("the two cars nearest the dog", "car2 car3"),
    ("the second closest car to the dog", "car2"),
    ("the thing right above the dog", "person2"),
    ("the car straight below the dog", "car3"),
    # counts in a part
    ("the two on the right", "car3 car4"),
    ("the two people on the left", "person1 person2"),
    ("two planes at the top", "plane1 plane2"),
    ("except the two on the left, all cars", "car3 car4"),
    # sizes and distances in numbers
    ("cars longer than 70px", "car2 car3 car4"),
    ("cars that are no longer than 60 pixels", "car1"),
    ("cars wider than fifty pixels and longer than 70 pixels", "car2 car3 car4"),
    ("cars larger than 3000 pixels", "car2 car3 car4"),
    ("cars smaller than 0.5% of the picture", "car1"),
    ("people more than 100 pixels from the dog", "person1"),
    ("people at most 12.5 pixels away from the dog", "person2"),
    ("cars between 50 and 70 pixels long", "car1"),
    ("cars with a length of more than 70 pixels", "car2 car3 car4"),
    ("cars covering more than 0.5% of the image", "car2 car3 car4"),
    # alternatives
    ("cars on the left or on the right", "car1 car4"),
    ("the cars but not on the left or on the right", "car2 car3"),
    ("things at the top or on the right", "car4 plane1 plane2"),
    # lists
    ("the dog but also the white car", "car4 dog"),
    ("dog+white car", "car4 dog"),
    ("the dog as well as both planes", "dog plane1 plane2"),
    ("all of these: the dog, the white car", "car4 dog"),
    ("the dog; the white car", "car4 dog"),
    ("1. the dog\n2. the white car", "car4 dog"),
    ("find the dog and show me the white car", "car4 dog"),
    # said around it
    ("the car on the right, right?", "car4"),
    ("right, show me the dog", "dog"),
    ("the car all the way on the right", "car4"),
]


@pytest.mark.parametrize(("text", "expected"), READ, ids=[row[0] for row in READ])
def test_what_is_meant_is_chosen_and_every_word_is_used(text: str, expected: str) -> None:
    names, resolution = chosen(text)
    assert (names, resolution.unknown) == (expected, ())


def test_where_a_rank_without_a_noun_is_counted_from_is_not_lost_before_another_target() -> None:
    resolution = chosen("the second from the left and the dog")[1]
    assert resolution.unmet == ("'the second' needs at least 2, found 1",)


def test_a_choice_in_steps_says_where_it_begins() -> None:
    assert "one in 2 from the first on" in chosen("every other car from the left")[1].text
    assert "one in 3 from the 3. on" in chosen("every third car from the left")[1].text


@pytest.mark.parametrize(("side", "index"), [("left", 0), ("right", 1), ("top", 2), ("bottom", 3)])
def test_what_is_at_an_edge_touches_it_nearly(side: str, index: int) -> None:
    frame = Frame.pixels(100, 50)
    boxes = [(4, 20, 10, 30), (90, 20, 96, 30), (50, 2, 60, 10), (50, 40, 60, 48), (45, 20, 55, 30)]
    ships = [Candidate(Prompt(frame, box=box, label="ship")) for box in boxes]
    assert resolve(f"the ships at the {side} edge", ships, frame).chosen == (index,)


REFUSED = [
    ("the cars from left to right", "from left to right"),
    ("cars from the second to the fourth", "from the second"),
    ("the two leftmost but one", "but"),
    ("the second car but one from the left", "but"),
    ("all but one", "may be any"),
    ("the next car", "next"),
    ("the car directly in front of the dog", "in front of the dog"),
    ("the car in front of the shop", "in front of the shop"),
    ("the car to the far left of the white car", "to the far left of the white car"),
    ("the cars to the left of both the dog and the white car", "both"),
    ("the dog and the person next to it", "it"),
    ("cars in the left half or on the right", "or on the right"),
    ("people near the dog or near the plane", "or near the plane"),
    ("more than two cars", "than two cars"),
    ("cars > 50 pixels", "'>'"),
    ("cars 80 pixels long", "cars"),
    ("cars within 200 pixels of the left edge", "within 200 pixels of the left edge"),
    ("cars larger than 70 pixels", "'larger than 70 pixels' may be a length or an area"),
    ("cars excpet the red ones", "did you mean 'except'"),
    ("the car on the rigth", "did you mean 'right'"),
    ("the lefmost car", "did you mean 'leftmost'"),
    ("the person in a red shirt next to the dog", "'in a red shirt'"),
    ("the person in red", "'in red'"),
    ("grab the dog", "grab"),
    ("which is bigger, the dog or the plane?", "which"),
    ("what colour is the dog?", "what"),
    ("why is the car red?", "why"),
    ("is the dog red?", "is"),
    ("neither the dog nor the car", "neither"),
    ("none of the cars", "none of"),
    ("not only the red cars", "not only"),
    ("cars which do not carry a boat", "which do not carry a boat"),
    ("non-shiny cars", "non shiny"),
    ("the planes and the cars, but only the largest", "only the largest"),
    ("all cars except the vans", "vans are not told apart among cars"),
]


@pytest.mark.parametrize(("text", "named"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_not_understood_is_named_and_nothing_is_chosen(text: str, named: str) -> None:
    names, resolution = chosen(text)
    assert (names, resolution.outcome) == ("", Outcome.FAILED)
    assert named in resolution.text


def test_clothes_keep_the_relation_after_them() -> None:
    names, resolution = chosen("the person in a red shirt next to the dog", rest=True)
    assert (names, resolution.unknown) == ("person2", ("in a red shirt",))


def test_a_place_told_by_what_is_not_there() -> None:
    names, resolution = chosen("the dog near the road")
    assert (names, resolution.outcome) == ("", Outcome.NO_TARGET)
    assert "no candidate is called 'road'" in resolution.unmet
    names, resolution = chosen("the dog near the road", rest=True)
    assert (names, resolution.unmet) == ("dog", ("'near the road' was not used: nothing here is called 'road'",))


def test_fewer_in_a_part_than_were_counted_is_said() -> None:
    [told] = chosen("the two cars on the right")[1].unmet
    assert told == "only 1 that fit lie in the third on the right: the half was taken instead"
    assert chosen("the two cars at the top")[1].outcome is Outcome.NO_TARGET


def test_bounds_are_read_from_words() -> None:
    bound = read_bound("not more than twenty five percent wide")
    assert bound is not None
    assert (bound.measure, bound.sign, bound.value, bound.percent) == ("width", "<=", 25, True)
    assert bound.holds(50, "width", 200, 100)
    assert not bound.holds(50.1, "width", 200, 100)
    assert read_bound("longer than many pixels") is None
    assert read_bound("about 50 pixels") is None


def test_words_of_their_own_are_no_slips() -> None:
    assert [meant(word) for word in ("tower", "light", "supper", "barge", "mother", "closet", "flower")] == [None] * 7
    assert [meant(word) for word in ("rigth", "betwen", "topmst", "smalest", "secnd")] == [
        *("right", "between", "topmost", "smallest", "second"),
    ]
