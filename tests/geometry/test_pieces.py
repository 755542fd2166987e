import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fiducial.geometry import Mask, centroid_of, large_pieces, placed


def box(x1, y1, x2, y2):
    return Mask.from_box((x1, y1, x2, y2), height=100, width=100)


def test_the_centroid_is_in_the_centred_frame_with_y_up():
    assert centroid_of([box(0, 0, 50, 50)]) == (-0.5, 0.5)
    assert centroid_of([box(0, 0, 10, 10), box(90, 90, 100, 100)]) == pytest.approx((0, 0))


def test_no_pixel_has_no_centroid():
    assert centroid_of([]) is None
    assert centroid_of([Mask.empty(5, 5)]) is None
    assert centroid_of([Mask.empty(100, 100), box(0, 0, 50, 50)]) == (-0.5, 0.5)


def test_specks_are_told_by_the_largest_piece():
    whole = box(0, 0, 20, 10).union(box(40, 0, 50, 1), box(60, 0, 69, 1))  # 200, 10 and 9 pixels
    assert [piece.area for piece in large_pieces(whole)] == [200, 10]
    assert large_pieces(Mask.empty(5, 5)) == []


def test_many_equal_pieces_are_all_large():
    boxes = [box(10 * column, 10 * row, 10 * column + 4, 10 * row + 4) for row in range(5) for column in range(6)]
    assert len(large_pieces(boxes[0].union(*boxes[1:]))) == 30


@given(
    dense=arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    x=st.integers(-12, 12),
    y=st.integers(-12, 12),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_pixels_are_placed_as_a_dense_array_is_pasted(dense, x, y, size):
    wide = np.zeros((60, 60), bool)
    wide[24 + y : 24 + y + dense.shape[0], 24 + x : 24 + x + dense.shape[1]] = dense
    expected = wide[24 : 24 + size[0], 24 : 24 + size[1]]
    found = placed(Mask.from_dense(dense, score=0.5), x, y, *size)
    assert np.array_equal(found.to_dense(), expected)
    assert found.score == 0.5
