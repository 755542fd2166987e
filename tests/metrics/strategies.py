"""Masks and scores for the tests of metrics."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fiducial.geometry import Mask
from fiducial.language import Outcome
from fiducial.metrics import score_sample

side = st.integers(1, 12)


@st.composite
def dense_masks(draw, shape=None):
    height, width = shape or (draw(side), draw(side))
    block = draw(st.sampled_from([1, 2, 3]))
    coarse = draw(hnp.arrays(bool, (-(-height // block), -(-width // block))))
    return np.kron(coarse, np.ones((block, block), dtype=bool))[:height, :width]


@st.composite
def dense_pairs(draw):
    shape = (draw(side), draw(side))
    return draw(dense_masks(shape)), draw(dense_masks(shape))


@st.composite
def scores(draw, policy):
    """The score of a small random sample under a policy."""
    truth, prediction = (Mask.from_dense(each) for each in draw(dense_pairs()))
    outcome = draw(st.sampled_from(list(Outcome)))
    if outcome not in (Outcome.FOUND, Outcome.TRUNCATED):
        prediction = None
    return score_sample(policy, truth, prediction, outcome)
