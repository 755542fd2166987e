"""The wording of real referring sets: compound places, looks, hedges, groups, what stands alone."""

from __future__ import annotations

import pytest

from fiducial.geometry import Frame, Prompt
from fiducial.language.candidates import Candidate
from fiducial.language.phrases import parse_instruction, resolve
from fiducial.language.phrases.groups import groups_among
from phrase_outlines import outline_all

FRAME = Frame.pixels(1000, 600)


def thing(name: str, x: float, y: float, width: float = 40, height: float = 20, brightness: float | None = None):
    prompt = Prompt(FRAME, box=(x, y, x + width, y + height), label=name)
    return Candidate(prompt, brightness=brightness, colours={} if brightness is None else {"grey": 1.0})


READ = [
    ("the ship in the upper middle", "the: ship, in top-centre"),
    ("the court in the center right part of the picture", "the: court, in centre-right"),
    ("the car on the lower right side", "the: car, in bottom-right"),
    ("the plane towards the lower center", "the: plane, in bottom-centre"),
    ("the truck up in the top right corner", "the: truck, in top-right"),
    ("the tank in the center of the bottom part of the image", "the: tank, in centre-bottom"),
    ("the harbor on the right side, slightly towards the middle", "the: harbor, in right, in right-centre"),
    ("the soccer field located centrally", "the: soccer field, in centre"),
    ("the swimming pool below", "the: swimming pool, in bottom"),
    ("the court slightly above the middle", "the: court, in top half"),
    ("the roundabout in the far upper left", "the: roundabout, by closest to the top left corner"),
    ("the slightly darker field", "the: field, by darkest"),
    ("the ship that stands apart", "the: ship, by most isolated"),
    ("the tank somewhat right of the centre", "the: tank, in right half"),
    ("the plane farthest down", "the: plane, by bottommost"),
    ("the bus that's highest up", "the: bus, by topmost"),
    ("the bridge that's most to the right side", "the: bridge, by rightmost"),
    ("the car on the far right of the center right area", "the: car, by rightmost, in centre-right"),
    ("the car just west of the truck", "the: car, left_of(the: truck)"),
    ("the car in the center just west of the truck", "the: car, in centre, left_of(the: truck)"),
    ("the car below and slightly to the right of the truck", "the: car, below(the: truck), right_of(the: truck)"),
    ("the car to the left and below a truck", "the: car, left_of(any: truck), below(any: truck)"),
    ("the car to the right of and slightly below the truck", "the: car, right_of(the: truck), below(the: truck)"),
    ("the car down and to the left of the truck", "the: car, below(the: truck), left_of(the: truck)"),
    ("the boat to the harbor's left", "the: boat, left_of(the: harbor)"),
    ("the boat on the left side relative to the harbor", "the: boat, left_of(the: harbor)"),
    ("the car near the left side of the barn", "the: car, near(the: barn), left_of(the: barn)"),
    ("the boat which sits left of a harbor", "the: boat, left_of(any: harbor)"),
    ("the bus parked above a ship", "the: bus, above(any: ship)"),
    ("the boat moored to the pier", "the: boat, beside(the: pier)"),
    ("the plane to the right of a different plane", "the: plane, right_of(any: plane)"),
    ("the dock to the left of another similar dock", "the: dock, left_of(any: dock)"),
    ("the dock left of another similar sized dock", "the: dock, left_of(any: similar sized dock)"),
    ("the car at the top slightly right of the dog", "the: car, in top, right_of(the: dog)"),
    ("the light-colored tank", "the: tank, by brightest"),
    ("the court with a darker appearance", "the: court, by darkest"),
    ("the plane painted in a light color", "the: plane, by brightest"),
    ("the car of a dark color", "the: car, by darkest"),
    ("the cyan ship", "the: ship, blue"),
    ("the bluish-green ship", "the: ship, blue|green"),
    ("the sizable vehicle", "the: vehicle, by largest"),
    ("the traffic light", "the: traffic light"),
    ("the light pole", "the: light pole"),
    ("the lighter boat", "the: boat, by brightest"),
    ("the lighter on the table", "the: lighter, on(the: table)"),
    ("the single dark ship", "count 1: ship, by darkest"),
    ("every single car", "all: car"),
    ("the isolated car", "the: car, by most isolated"),
    ("isolated cars", "all: cars, isolated"),
    ("the ship all by itself", "the: ship, by most isolated"),
    ("the harbor with the white boat", "the: harbor, with(the: boat, white)"),
    ("all ships including the one on the left", "all: ships + the: ships, in left"),
    ("the car in a row of trucks", "the: car, among(all: trucks)"),
    ("a pair of glasses", "any: pair of glasses"),
    ("the couple of boats at the top", "count 2: boats, in top"),
]


@pytest.mark.parametrize(("text", "expected"), READ, ids=[row[0] for row in READ])
def test_is_read_whole(text, expected):
    request = parse_instruction(text)
    assert (outline_all(request), request.unknown) == (expected, ())


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("the parked cars", ("parked",)),
        ("the man sitting next to the tree", ("sitting",)),
        ("the ship sailing in the top right corner", ("sailing",)),
        ("the ship sailing towards the pier", ("sailing towards the pier",)),
        ("a bottle of red wine", ("of red wine",)),
        ("the house with no roof", ("with no roof",)),
        ("the lesion with a dark center", ("with a dark center",)),
        ("the car with a single door", ("with a single door",)),
        ("the leftmost small group of cars", ("small",)),
        ("the car relative to the house", ("relative to the house",)),
        ("below", ("below",)),
    ],
)
def test_what_nothing_can_check_is_named(text, unknown):
    assert parse_instruction(text).unknown == unknown


CARS = [
    *(thing("car", 100 + 60 * k, 500) for k in range(4)),  # 0 to 3: a row at the lower left
    thing("car", 700, 100), thing("car", 720, 130), thing("car", 750, 100),  # 4 to 6: a cluster at the upper right
    thing("car", 450, 300),  # 7: alone
    thing("house", 455, 330, 60, 60),  # 8
    thing("boat", 470, 350, 10, 10),  # 9: at the house
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("the group of four cars", {0, 1, 2, 3}),
        ("the cluster of three cars", {4, 5, 6}),
        ("the group of cars at the top", {4, 5, 6}),
        ("the rightmost group of cars", {4, 5, 6}),
        ("the small group of cars", {4, 5, 6}),
        ("the second group of cars from the left", {4, 5, 6}),
        ("the groups of cars", {0, 1, 2, 3, 4, 5, 6}),
        ("the row of cars", {0, 1, 2, 3}),
        ("the three cars parked together", {4, 5, 6}),
        ("the four cars in a row", {0, 1, 2, 3}),
        ("the leftmost car of the row of cars", {0}),
        ("the isolated car below the group of three cars", {7}),
        ("the isolated car", {7}),
        ("isolated cars", {7}),
        ("the house with the boat", {8}),
        ("the car with the boat", set()),
        ("the lone car to the right of and above the row of four cars", {7}),
        ("the group of houses", set()),
    ],
)
def test_choices(text, chosen):
    assert {*resolve(text, CARS, FRAME).chosen} == chosen


def test_a_group_of_another_number_is_said():
    resolution = resolve("the group of five cars", CARS, FRAME)
    assert ({*resolution.chosen}, resolution.unmet) == ({0, 1, 2, 3}, ("no group has 5 cars: one of 4 was taken",))
    assert "2 groups of cars fit: the one with the most was taken" in resolve("the group of cars", CARS, FRAME).unmet
    alone = resolve("the group of cars", [CARS[0], CARS[7]], FRAME)
    assert (alone.chosen, alone.unmet) == ((), ("no cars that fit stand together",))


def test_without_groups_the_word_is_a_name():
    rows = [thing("group of cars", 0, 0), thing("car", 500, 0)]
    assert resolve("the group of cars", rows, FRAME).chosen == (0,)


class TestGroups:
    """Things that stand together."""

    def test_a_gap_of_their_size_still_joins(self):
        for gap, groups in ((20, [[0, 1]]), (21, [])):
            assert groups_among([(0, 0, 20, 20), (20 + gap, 0, 40 + gap, 20)], "cluster") == groups

    def test_lines_at_any_angle(self):
        slanted = [(30.0 * k, 17.0 * k, 30.0 * k + 20, 17.0 * k + 20) for k in range(5)]
        assert groups_among([*slanted, (60, 120, 80, 140)], "line") == [[0, 1, 2, 3, 4]]

    def test_a_wide_gap_ends_a_line(self):
        boxes = [(x, 0.0, x + 10, 10.0) for x in (0.0, 20.0, 40.0, 90.0, 110.0, 130.0)]
        assert groups_among(boxes, "line") == [[0, 1, 2], [3, 4, 5]]

    def test_pairs_are_lines_where_there_are_no_longer_ones(self):
        boxes = [(0.0, 0.0, 10.0, 10.0), (15.0, 0.0, 25.0, 10.0), (500.0, 0.0, 510.0, 10.0)]
        assert groups_among(boxes, "line") == [[0, 1]]
        assert groups_among([*boxes, (30.0, 0.0, 40.0, 10.0)], "line") == [[0, 1, 3]]

    def test_of_nothing_there_are_none(self):
        assert groups_among([], "cluster") == groups_among([], "line") == []
