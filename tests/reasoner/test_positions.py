import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.geometry import Frame, Mask
from fiducial.reasoner.positions import Position, piece_positions, position_of


def box(x1, y1, x2, y2, width=100, height=100):
    return Mask.from_box((x1, y1, x2, y2), height=height, width=width)


@pytest.mark.parametrize(
    ("mask", "place", "near"),
    [
        (box(0, 0, 10, 10), "top left", False),
        (box(90, 0, 100, 10), "top right", False),
        (box(0, 90, 10, 100), "bottom left", False),
        (box(90, 90, 100, 100), "bottom right", False),
        (box(49, 49, 51, 51), "center", True),
        (box(0, 0, 100, 51), "center", True),
        (box(0, 0, 50, 100), "bottom left", False),  # it touches the centre and does not contain it
        (box(56, 56, 60, 60), "bottom right", True),
        (box(40, 40, 48, 48), "top left", True),
        (box(48, 0, 52, 10), "top right", False),  # on the line between left and right
        (box(66, 50, 74, 58), "bottom right", False),  # 20.4 from the centre: not below 0.2 of 100
        (box(65, 50, 73, 56), "bottom right", True),  # 19.2
    ],
)
def test_the_rule_for_one_target(mask, place, near):
    assert position_of(mask) == Position(place, near)


def test_near_is_measured_in_widths():
    assert position_of(box(140, 20, 150, 30, width=200)).near is False
    assert position_of(box(120, 10, 128, 20, width=200, height=60)).near is True  # 28 from the centre, 0.2 of 200 is 40


def test_nothing_lies_nowhere():
    assert position_of(Mask.empty(5, 5)) is None
    assert piece_positions(Mask.empty(5, 5)) == ()


def test_a_picture_of_one_pixel_is_all_centre():
    assert position_of(Mask.from_dense(np.ones((1, 1)))) == Position("center", True)


def test_pieces_have_places_of_their_own_from_left_to_right():
    lungs = box(60, 10, 90, 60).union(box(10, 20, 40, 70), box(0, 0, 1, 1))
    assert piece_positions(lungs) == (Position("top left"), Position("top right"))
    assert len(piece_positions(lungs, most=3)) == 2  # a speck has no place
    assert len(piece_positions(lungs, most=1)) == 1


def test_a_piece_that_crosses_the_centre_is_near_and_keeps_its_quadrant():
    piece = box(40, 10, 60, 51).union(box(10, 10, 40, 30))
    assert piece_positions(piece) == (Position("top left", near=True),)


@settings(max_examples=40)
@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_the_point_of_a_place_lies_in_its_quadrant_and_mirrors(width, height, data):
    x1, y1 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x2, y2 = data.draw(st.integers(x1 + 1, width)), data.draw(st.integers(y1 + 1, height))
    found = position_of(box(x1, y1, x2, y2, width, height))
    centre = Frame.pixels(width, height).points_to(((x1 + x2) / 2, (y1 + y2) / 2), Frame.centred())
    if found.place != "center":
        for place, true in zip(found.point, centre, strict=True):
            assert place * true >= 0
        assert 0 < abs(found.point[0]) < abs(0.51)
    assert found.mirrored().mirrored() == found
    assert found.mirrored().point == (-found.point[0], found.point[1])
    if x1 + x2 != width:  # on the line a mask and its mirror image both count as right
        mirror = position_of(box(width - x2, y1, width - x1, y2, width, height))
        assert mirror == found.mirrored()
