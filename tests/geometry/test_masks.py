import cv2
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from fiducial.errors import GeometryError
from fiducial.geometry import Frame, Mask, masks
from fiducial.geometry.masks import mask_iou

side = st.integers(1, 12)


@st.composite
def dense_masks(draw, shape=None):
    height, width = shape or (draw(side), draw(side))
    block = draw(st.sampled_from([1, 1, 2, 3]))
    rows, columns = -(-height // block), -(-width // block)
    # One draw for all pixels; "and" and "or" of two halves give sparse and dense masks.
    bits = np.unpackbits(np.frombuffer(draw(st.binary(min_size=36, max_size=36)), dtype=np.uint8)).astype(bool)
    one, other = (half[: rows * columns].reshape(rows, columns) for half in (bits[:144], bits[144:]))
    coarse = {"half": one, "few": one & other, "many": one | other}[draw(st.sampled_from(["half", "few", "many"]))]
    return np.kron(coarse, np.ones((block, block), dtype=bool))[:height, :width]


@st.composite
def pairs(draw):
    shape = (draw(side), draw(side))
    return draw(dense_masks(shape)), draw(dense_masks(shape))


@given(dense_masks())
def test_dense_runs_and_coco_agree_byte_for_byte(dense):
    mask = Mask.from_dense(dense)
    theirs = coco.encode(np.asfortranarray(dense.astype(np.uint8)))
    assert np.array_equal(mask.to_dense(), dense)
    assert mask.to_coco()["counts"] == theirs["counts"].decode()
    assert Mask.from_coco(theirs) == mask
    assert Mask.from_coco(mask.to_coco(compressed=False)) == mask
    assert mask.area == int(coco.area(theirs)) == dense.sum()


@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=12), st.booleans())
def test_long_runs_are_written_as_pycocotools_writes_them(counts, zero_first):
    counts = ([0] if zero_first else []) + [count + 1 for count in counts]
    total = sum(counts)
    theirs = coco.frPyObjects({"size": [total, 1], "counts": counts}, total, 1)
    mask = Mask.from_coco(theirs)
    assert mask.to_coco()["counts"] == theirs["counts"].decode()
    assert mask.to_coco(compressed=False)["counts"] == counts
    assert mask.area == sum(counts[1::2])


@given(pairs())
def test_set_operations_match_dense_ones(pair):
    a, b = pair
    one, two = Mask.from_dense(a), Mask.from_dense(b)
    assert np.array_equal(one.union(two).to_dense(), a | b)
    assert np.array_equal(one.intersection(two).to_dense(), a & b)
    assert np.array_equal(one.difference(two).to_dense(), a & ~b)
    assert np.array_equal(one.inverse().to_dense(), ~a)
    joined = (a | b).sum()
    assert one.iou(two) == pytest.approx((a & b).sum() / joined if joined else 0)
    theirs = [coco.encode(np.asfortranarray(x.astype(np.uint8))) for x in (a, b)]
    if joined:
        assert one.iou(two) == pytest.approx(float(coco.iou(theirs[:1], theirs[1:], [0])[0, 0]))


@given(dense_masks())
def test_measures_match_dense_ones(dense):
    mask = Mask.from_dense(dense)
    rows, columns = np.nonzero(dense)
    if not len(rows):
        assert mask.box is None
        assert mask.centroid is None
        assert not mask
        return
    assert mask.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert mask.centroid == pytest.approx((columns.mean() + 0.5, rows.mean() + 0.5))
    height, width = dense.shape
    grid = np.stack(np.meshgrid(np.arange(-1, width + 1) + 0.5, np.arange(-1, height + 1) + 0.5), axis=-1)
    assert np.array_equal(mask.contains(grid), np.pad(dense, 1))


@given(dense_masks(), st.sampled_from([4, 8]))
def test_components_match_scipy(dense, connectivity):
    structure = np.ones((3, 3)) if connectivity == 8 else None
    labels, count = scipy.ndimage.label(dense, structure=structure)
    parts = Mask.from_dense(dense).components(connectivity)
    expected = {Mask.from_dense(labels == number) for number in range(1, count + 1)}
    assert set(parts) == expected
    assert len(parts) == count
    assert [part.area for part in parts] == sorted((part.area for part in parts), reverse=True)


def test_components_of_a_long_spiral_come_back_as_one():
    dense = np.zeros((101, 101), dtype=bool)
    for ring in range(0, 50, 2):
        dense[ring, ring : 101 - ring] = dense[ring : 101 - ring, 100 - ring] = True
        dense[100 - ring, ring : 101 - ring] = dense[ring + 2 : 101 - ring, ring] = True
        dense[ring + 2, ring : ring + 2] = True
    assert len(Mask.from_dense(dense).components()) == scipy.ndimage.label(dense, np.ones((3, 3)))[1] == 1


@given(dense_masks())
def test_outlines_give_the_mask_back(dense):
    mask = Mask.from_dense(dense)
    polygons = mask.to_polygons()
    assert Mask.from_polygons(polygons, mask.height, mask.width) == mask
    assert len(polygons) == scipy.ndimage.label(dense)[1]
    for outline, *holes in polygons:
        assert _area(outline) > 0
        assert all(_area(hole) < 0 for hole in holes)


def test_an_outline_with_a_hole_has_four_corners_each():
    dense = np.ones((6, 8), dtype=bool)
    dense[2:4, 3:5] = False
    [[outline, hole]] = Mask.from_dense(dense).to_polygons()
    assert sorted(map(tuple, outline)) == [(0, 0), (0, 6), (8, 0), (8, 6)]
    assert sorted(map(tuple, hole)) == [(3, 2), (3, 4), (5, 2), (5, 4)]


@given(
    st.integers(3, 7).flatmap(lambda count: st.binary(min_size=4 * count, max_size=4 * count)),
    side,
    side,
    st.sampled_from([0, 1, 3]),
)
def test_coco_polygons_fill_as_pycocotools_fills_them(numbers, height, width, digits):
    flat = np.round(np.frombuffer(numbers, dtype=np.uint16) / 65535 * 20 - 4, digits).tolist()
    theirs = coco.decode(coco.merge(coco.frPyObjects([flat], height, width)))
    assert np.array_equal(Mask.from_coco([flat], height, width).to_dense(), theirs)


@given(st.binary(min_size=20, max_size=20), side, side, st.sampled_from([0.5, 1e-4]))
def test_the_centre_rule_takes_pixels_whose_centre_lies_inside(numbers, height, width, step):
    ring = np.round((np.frombuffer(numbers, dtype=np.uint16) / 65535 * 15 - 3) / step).reshape(5, 2) * step
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    distance, inside = _place(ring, x, y)
    clear = distance > 1e-6
    assert np.array_equal(Mask.from_polygons([ring], height, width).to_dense()[clear], inside[clear])


def test_polygons_join_and_holes_open():
    square, hole = [[0, 0], [4, 0], [4, 4], [0, 4]], [[1, 1], [3, 1], [3, 3], [1, 3]]
    with_hole = Mask.from_polygons([[square, hole]], 6, 10)
    assert with_hole.area == 12
    assert Mask.from_polygons([square, hole], 6, 10).area == 16
    assert Mask.from_polygons([[0, 0, 4, 0, 4, 4, 0, 4]], 6, 10).area == 16
    assert Mask.from_polygons([[[0, 0, 4, 0, 4, 4, 0, 4], [1, 1, 3, 1, 3, 3, 1, 3]]], 6, 10) == with_hole
    assert Mask.from_polygons([[np.array(square), np.array(hole)]], 6, 10) == with_hole
    assert Mask.from_polygons([np.array(square)], 6, 10).area == 16
    assert Mask.from_polygons([], 6, 10).area == 0


@given(dense_masks(), st.integers(0, 5), st.integers(0, 5), st.integers(0, 3), st.integers(0, 3))
def test_a_piece_lands_where_it_belongs(dense, x, y, right, below):
    height, width = dense.shape
    size = (y + height + below, x + width + right)
    canvas = np.zeros(size, dtype=bool)
    canvas[y : y + height, x : x + width] = dense
    assert Mask.from_dense(dense, offset=(x, y), size=size, score=0.5) == Mask.from_dense(canvas)


@given(st.lists(st.floats(-3, 15), min_size=4, max_size=4), side, side)
def test_a_box_mask_holds_the_pixels_with_their_centre_inside(box, height, width):
    dense = Mask.from_box(box, height, width).to_dense()
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    expected = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
    assert np.array_equal(dense, expected)


def test_memory_follows_the_target_and_not_the_canvas():
    small = Mask.from_dense(np.ones((20, 20)), offset=(4000, 3000), size=(10_000, 10_000))
    assert small.nbytes == 20 * 2 * 4
    assert small.area == 400
    huge = Mask.from_dense(np.ones((3, 3)), offset=(99_990, 99_990), size=(100_000, 100_000))
    assert huge.box == (99_990, 99_990, 99_993, 99_993)
    assert huge.runs.dtype == np.int64
    assert huge.frame == Frame.pixels(100_000, 100_000)


def test_runs_cannot_be_changed_and_scores_do_not_make_masks_differ():
    mask = Mask.from_dense(np.ones((2, 2)), score=0.7)
    with pytest.raises(ValueError, match="read-only"):
        mask.runs[0, 0] = 1
    assert mask == mask.with_score(0.1)
    assert hash(mask) == hash(mask.with_score(None))
    assert mask != "mask"
    assert mask != Mask.empty(2, 2)


def test_the_iou_matrix_has_a_row_per_mask():
    three = [Mask.from_box((x, 0, x + 4, 4), 4, 12) for x in (0, 2, 8)]
    matrix = mask_iou(three, three[:2])
    assert matrix == pytest.approx(np.array([[1, 1 / 3], [1 / 3, 1], [0, 0]]))
    assert mask_iou([], three).shape == (0, 3)
    assert mask_iou([Mask.empty(4, 12)], [Mask.empty(4, 12)])[0, 0] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Mask(0, 3), "positive size"),
        (lambda: Mask(2, 2, np.array([[0, 9]])), "lie inside"),
        (lambda: Mask(2, 2, np.array([[0, 2], [2, 3]])), "do not touch"),
        (lambda: Mask(10, 10, np.array([[2**32 + 1, 2**32 + 5]])), "lie inside"),
        (lambda: Mask(10, 10, np.array([[1.9, 3.2]])), "whole numbers"),
        (lambda: Mask.from_coco({"size": [10, 10], "counts": [3.7, 4.9, 93]}), "whole numbers"),
        (lambda: Mask.from_coco({"size": [10.9, 10.2], "counts": [100]}), "needs"),
        (lambda: Mask.from_coco([[0, 0, 3e8, 0, 3e8, 1]], 100, 100), "another frame"),
        (lambda: Mask.from_dense(np.ones(3)), r"shape \(height, width\)"),
        (lambda: Mask.from_dense(np.ones((2, 2)), offset=(1, 0), size=(2, 2)), "does not lie on"),
        (lambda: Mask.from_box((0, 0, float("nan"), 1), 2, 2), "finite"),
        (lambda: Mask.empty(2, 2).union(Mask.empty(2, 3)), "do not share a canvas"),
        (lambda: mask_iou([Mask.empty(2, 2)], [Mask.empty(2, 3)]), "do not share a canvas"),
        (lambda: Mask.empty(2, 2).components(5), "4 or 8"),
        (lambda: Mask.from_coco({"counts": [4]}), "needs"),
        (lambda: Mask.from_coco({"size": [0, 2], "counts": [0]}), "positive size"),
        (lambda: Mask.from_coco({"size": [2, 2], "counts": [1, 2]}), "covers 3 pixels, its size says 4"),
        (lambda: Mask.from_coco({"size": [2, 2], "counts": [5, -1]}), "negative length"),
        (lambda: Mask.from_coco({"size": [2, 2], "counts": ["a"]}), "whole numbers"),
        (lambda: Mask.from_coco({"size": [2, 2], "counts": "\x7f"}), "outside its 64 letters"),
        (lambda: Mask.from_coco({"size": [2, 2], "counts": "ü"}), "not ASCII"),
        (lambda: Mask.from_coco({"size": [2, 2], "counts": "P"}), "breaks off"),
        (lambda: Mask.from_coco({"size": [2, 2], "counts": "P" * 20 + "0"}), "too long"),
        (lambda: Mask.from_coco({"size": [2, 2], "counts": ""}), "covers 0 pixels"),
        (lambda: Mask.from_coco({"size": [2, 2], "counts": "4"}, 3, 2), "does not fit"),
        (lambda: Mask.from_coco([[0, 0, 1, 0, 1, 1]]), "need the height and width"),
        (lambda: Mask.from_polygons([[0, 0, 1, 1]], 2, 2), "three"),
        (lambda: Mask.from_polygons([[]], 2, 2), "got none"),
        (lambda: Mask.from_polygons([["a", "b"]], 2, 2), "needs numbers|three"),
        (lambda: Mask.from_polygons([[0, 0, 1, 0, float("inf"), 1]], 2, 2), "finite"),
        (lambda: Mask.from_polygons([[[0, 0, 9, 0, 9, 9], [1, 1, 2, 1, 2, 2]]], 9, 9, rule="coco"), "no holes"),
    ],
)
def test_what_is_no_mask_is_refused_with_a_reason(call, message):
    with pytest.raises(GeometryError, match=message):
        call()


def _area(ring):
    x, y = ring.T
    return (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2


def _place(ring, x, y):
    """Distances of points to the outline, and whether they lie inside (even-odd)."""
    inside, nearest = np.zeros(x.shape, dtype=bool), np.full(x.shape, np.inf)
    for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        length = (x2 - x1) ** 2 + (y2 - y1) ** 2
        along = 0.0 if length == 0 else np.clip(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length, 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1)))
        if y1 != y2:
            inside ^= ((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) / (y2 - y1) * (x2 - x1))
    return nearest, inside


def test_one_point_gives_a_bool_and_several_an_array():
    mask = Mask.from_box((1, 1, 4, 3), height=5, width=6)
    for point in ((2, 2), [2, 2], np.array([2, 2])):
        assert mask.contains(point) is True
    assert mask.contains((5, 2)) is False
    assert mask.contains([(2, 2)]).shape == (1,)
    assert mask.contains(np.zeros((4, 3, 2))).shape == (4, 3)
    assert mask.contains([]).tolist() == []
    with pytest.raises(GeometryError, match=r"shape \(2,\) or \(..., 2\), got \(3,\)"):
        mask.contains((1, 2, 3))
    with pytest.raises(GeometryError, match="points need numbers"):
        mask.contains("here")


def test_measuring_keeps_no_second_copy_of_the_runs():
    mask = Mask.from_dense(np.random.default_rng(0).random((60, 60)) < 0.5)
    mask.contains((3, 3)), mask.area, mask.box, mask.centroid, mask.iou(mask.inverse()), mask.to_coco()
    kept = [value for value in vars(mask).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in kept) == mask.nbytes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mask("5", 5), "size in whole pixels, got '5' x 5"),
        (lambda: Mask(5.5, 5), "size in whole pixels, got 5.5 x 5"),
        (lambda: Mask(5, 5, np.array([1, 2, 3])), r"runs of shape \(N, 2\), got \(3,\)"),
        (lambda: Mask.from_box((1, 2, 3), 5, 5), "a box needs 4 finite numbers"),
        (lambda: Mask.from_box(None, 5, 5), "a box needs 4 numbers, got None"),
    ],
)
def test_misuse_is_named(make, message):
    with pytest.raises(GeometryError, match=message):
        make()


def test_a_patch_is_the_dense_mask_in_its_tight_box():
    dense = np.zeros((50, 40), bool)
    dense[0:50, 7] = True  # a run that reaches over whole columns
    dense[0:50, 8] = True
    dense[13, 20] = True
    inside, x, y = Mask.from_dense(dense).to_patch()
    assert (x, y) == (7, 0)
    assert np.array_equal(inside, dense[:, 7:21])
    assert Mask.empty(4, 4).to_patch()[0].size == 0


def test_deepest_point_of_a_large_mask_is_on_it():
    yy, xx = np.mgrid[:1500, :1500]
    crescent = Mask.from_dense((np.hypot(xx - 700, yy - 700) < 600) & (np.hypot(xx - 500, yy - 700) > 520))
    assert crescent.contains([crescent.inner_point()]).all()


def test_a_mask_that_subsampling_misses_still_has_a_place():
    dense = np.zeros((1100, 1100), bool)
    dense[0, 1] = dense[1, 0] = dense[1099, 1000] = dense[1000, 1099] = True
    mask = Mask.from_dense(dense)
    assert mask.contains([mask.inner_point()]).all()


@pytest.mark.parametrize("seed", range(12))
def test_hull_and_depth_are_those_of_opencv(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 60, 2).tolist()
    dense = rng.random((height, width)) < rng.choice([0.05, 0.5, 0.95])
    dense[height // 2, width // 2] = True
    mask = Mask.from_dense(dense)
    rows, columns = np.nonzero(dense)
    corners = np.concatenate([np.stack([columns + x, rows + y], axis=1) for x in (0, 1) for y in (0, 1)])
    hull = mask.convex_hull()
    assert set(map(tuple, hull)) == set(map(tuple, cv2.convexHull(corners.astype(np.int32))[:, 0]))
    assert _area(hull) > 0
    depth = cv2.distanceTransform(np.pad(dense, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    np.testing.assert_allclose(masks._depth(dense), depth, atol=1e-3)
    x, y = mask.inner_point()
    assert depth[int(y), int(x)] >= depth.max() - 0.51


def test_an_empty_mask_has_no_hull_and_no_inner_point():
    assert Mask.empty(4, 5).convex_hull().shape == (0, 2)
    assert Mask.empty(4, 5).inner_point() is None
