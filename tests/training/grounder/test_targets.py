import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.training.grounder.targets import NO_LOSS, Seen, targets_of

ALL = np.ones(2, bool)


def test_a_thing_peaks_at_the_place_of_its_centre():
    found = targets_of([Seen(1, (8.0, 16, 56, 40))], ALL, 64)
    assert np.argwhere(found.heat == 1).tolist() == [[1, 7, 8]]
    assert not found.heat[0].any()
    # Half width 6 cells * 0.54 = 3 cells, spread 7 / 6: one cell beside the centre.
    assert found.heat[1, 7, 9] == pytest.approx(np.exp(-((6 / 7) ** 2) / 2))
    assert found.heat[1, 7, 12] == 0
    assert found.boxes[:, 7, 8].tolist() == [8, 16, 56, 40]
    assert found.weight.sum() == pytest.approx(1)
    assert ((found.weight > 0) == (found.heat[1] > 0)).all()


def test_a_small_thing_lies_over_a_large_one():
    large, small = Seen(0, (0.0, 0, 64, 64)), Seen(1, (28.0, 28, 36, 36))
    for things in ([large, small], [small, large]):
        found = targets_of(things, ALL, 64)
        assert found.boxes[:, 8, 8].tolist() == [28, 28, 36, 36]
        assert found.heat[0, 8, 8] == found.heat[1, 8, 8] == 1


def test_what_is_not_learned_is_no_background_either():
    found = targets_of([Seen(0, (8.0, 8, 20, 16), learned=False)], ALL, 32)
    assert (found.heat[0, 2:4, 2:5] == NO_LOSS).all()
    assert (found.heat[0] == NO_LOSS).sum() == 6
    assert not found.heat[1].any()
    assert not found.weight.any()
    every = targets_of([Seen(None, (8.0, 8, 20, 16), learned=False)], ALL, 32)
    assert (every.heat[:, 2:4, 2:5] == NO_LOSS).all()


def test_a_thing_over_an_ignored_one_is_learned():
    things = [Seen(None, (0.0, 0, 64, 64), learned=False), Seen(0, (28.0, 28, 36, 36))]
    found = targets_of(things, ALL, 64)
    assert found.heat[0, 8, 8] == 1
    assert found.heat[0, 0, 0] == found.heat[1, 8, 8] == NO_LOSS


def test_names_that_do_not_count_have_no_loss():
    found = targets_of([Seen(0, (0.0, 0, 16, 16))], np.array([True, False]), 32)
    assert found.heat[0].max() == 1
    assert (found.heat[1] == NO_LOSS).all()


EDGE = st.floats(0, 96)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(EDGE, EDGE, EDGE, EDGE), max_size=5))
def test_targets_stay_in_their_bounds(corners):
    boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
    found = targets_of([Seen(0, box) for box in boxes], ALL, 96)
    assert 0 <= found.heat.min() <= found.heat.max() <= 1
    assert (found.heat[0] == 1).sum() <= len(boxes)
    assert bool(boxes) == bool((found.heat[0] == 1).any())
    assert found.weight.sum() <= len(boxes) + 1e-4
