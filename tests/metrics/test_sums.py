from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.metrics.sums import ExactSum

numbers = st.lists(
    st.one_of(st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False)), max_size=8
)


@settings(max_examples=100, deadline=None)
@given(numbers, st.randoms(use_true_random=False), st.integers(1, 1000))
def test_any_order_and_grouping_give_the_exact_sum(values, random, count):
    exact = sum(map(Fraction, values), Fraction())
    shuffled = random.sample(values, len(values))
    cut = random.randint(0, len(values))
    parts = ExactSum(), ExactSum()
    for part, some in zip(parts, (shuffled[:cut], shuffled[cut:]), strict=True):
        for value in some:
            part.add(value)
    parts[0].merge(parts[1])
    assert Fraction(parts[0].scaled, 2**1074) == exact
    if abs(exact) < 1e300:
        assert parts[0].over(count) == float(exact / count)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(InputError, match="finite numbers"):
        ExactSum().add(value)


def test_equal_sums_are_equal():
    one, two = ExactSum(), ExactSum()
    for value in (0.1, 0.2, 0.3):
        one.add(value)
    for value in (0.3, 0.1, 0.2):
        two.add(value)
    assert one == two
    assert hash(one) == hash(two)
    assert one != 0.6
    assert repr(one) == "ExactSum(0.6)"
