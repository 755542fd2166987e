import pytest

from fiducial.geometry import Mask, centroid_of, large_pieces


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
