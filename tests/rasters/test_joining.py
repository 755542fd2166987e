import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.geometry import Mask
from fiducial.rasters.grid import Grid
from fiducial.rasters.joining import join
from fiducial.rasters.pieces import Patch, Piece, Seen

WIDE = Grid.of((1500, 900), (1, 1), 600, 150).tiles()


def rectangle(box, label="ship", score=0.9, **measured):
    """Return a piece that is a rectangle of the grid."""
    x1, y1, x2, y2 = box
    return Piece(Patch(x1, y1, Mask.from_box((0, 0, x2 - x1, y2 - y1), y2 - y1, x2 - x1)), label, score, **measured)


def seen_by(tiles, *boxes, label="ship", score=0.9):
    """Return the pieces that windows show of rectangles, cut by their borders."""
    found = {}
    for number, tile in enumerate(tiles):
        for x1, y1, x2, y2 in boxes:
            a, b, c, d = max(x1, tile.x), max(y1, tile.y), min(x2, tile.box[2]), min(y2, tile.box[3])
            if c > a and d > b:
                patch = Patch.of(
                    Mask.from_box((a - tile.x, b - tile.y, c - tile.x, d - tile.y), tile.height, tile.width),
                    tile.x,
                    tile.y,
                )
                found.setdefault(number, []).append(Piece(patch, label, score))
    return found


def boxes(things):
    return [thing.patch.box for thing in things]


rectangles = st.tuples(st.integers(0, 1400), st.integers(0, 800), st.integers(8, 700), st.integers(8, 700)).map(
    lambda one: (one[0], one[1], min(1500, one[0] + one[2]), min(900, one[1] + one[3]))
)


@given(rectangles)
@settings(max_examples=30)
def test_a_thing_is_one_wherever_it_lies_and_however_large_it_is(box):
    assert boxes(join(WIDE, seen_by(WIDE, box))) == [box]


@given(st.lists(st.tuples(st.integers(0, 72), st.integers(0, 42)), unique=True, min_size=2, max_size=40), st.randoms())
@settings(max_examples=10)
def test_things_side_by_side_stay_apart_in_whatever_order_windows_come(cells, random):
    given_boxes = [(20 * x, 20 * y, 20 * x + 18, 20 * y + 18) for x, y in cells]
    pieces = seen_by(WIDE, *given_boxes)
    expected = sorted(given_boxes, key=lambda box: (box[1], box[0]))
    assert boxes(join(WIDE, pieces)) == expected
    order = list(pieces)
    random.shuffle(order)
    assert boxes(join(WIDE, {number: pieces[number] for number in order})) == expected


def test_a_piece_that_a_border_cut_badly_is_left_to_the_window_that_sees_it_all():
    left, right = 0, 1
    sliver = rectangle((580, 10, 600, 50), score=0.5)  # too high, and cut
    whole = rectangle((575, 0, 665, 30))
    found = join(WIDE, {left: [sliver], right: [whole]})
    assert boxes(found) == [(575, 0, 665, 30)]
    assert found[0].score == 0.9


def test_a_cut_piece_of_which_the_other_window_knows_nothing_is_kept():
    sliver = rectangle((580, 10, 600, 50), score=0.5)
    assert boxes(join(WIDE, {0: [sliver]})) == [(580, 10, 600, 50)]


def test_things_of_two_names_stay_two_unless_names_do_not_count():
    ship, pier = (
        Piece(Patch(500, 10, Mask.from_box((0, 0, 40, 40), 40, 40)), label, 0.5) for label in ("ship", "pier")
    )
    assert len(join(WIDE, {0: [ship], 1: [pier]})) == 2
    assert len(join(WIDE, {0: [ship], 1: [pier]}, by_label=False)) == 1


def test_the_piece_that_is_surest_of_those_that_see_it_all_is_taken():
    first = rectangle((500, 10, 540, 50), score=0.5, brightness=0.2, colours={"red": 1.0})
    second = rectangle((500, 10, 544, 54), score=0.8, brightness=0.4, colours={"blue": 1.0})
    (found,) = join(WIDE, {0: [first], 1: [second]})
    assert (found.patch.box, found.score, found.brightness) == ((500, 10, 544, 54), 0.8, 0.4)
    assert (dict(found.colours), found.tiles) == ({"blue": 1.0}, (0, 1))


def test_patches_of_a_grid_of_any_size_take_the_memory_of_their_pixels():
    patch = Patch.of(Mask.from_dense(np.ones((30, 40), bool)), 90_000, 95_000)
    assert patch.box == (90_000, 95_000, 90_040, 95_030)
    assert patch.mask.nbytes < 1000
    assert Patch.of(Mask.empty(10, 10)) is None


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 9), st.integers(1, 9)), min_size=1))
def test_patches_join_as_dense_pixels_do(corners):
    dense = np.zeros((40, 40), bool)
    patches = []
    for x, y, w, h in corners:
        dense[y : y + h, x : x + w] = True
        patches.append(Patch(x, y, Mask.from_box((0, 0, w, h), h, w)))
    whole = patches[0].joined(*patches[1:])
    assert np.array_equal(whole.within((0, 0, 40, 40)).to_dense(), dense)
    assert whole.box == Patch.of(Mask.from_dense(dense)).box


@pytest.mark.parametrize("colours", [None, {"red": 0.25, "grey": 0.75}])
def test_what_came_of_a_window_is_read_back_as_it_was_written(colours):
    from fiducial.language import Outcome

    piece = Piece(
        Patch(5, 6, Mask.from_box((0, 0, 3, 2), 4, 5)), "ship", 0.5, None if colours is None else 0.25, colours
    )
    told = Seen(Outcome.FOUND, "text", (piece,)).as_json(7)
    back = Seen.from_json(told)
    assert back.as_json(7) == told
    assert back.pieces[0].patch.mask == piece.patch.mask
