from __future__ import annotations

from dataclasses import replace

import pytest

from fiducial.errors import UnknownNameError
from fiducial.metrics import POLICIES, policy, statistics


def test_policies_are_found_by_name_and_carry_their_source():
    for name, each in POLICIES.items():
        assert policy(name) is each
        assert each.name == name
        assert each.source
        assert each.summary.endswith(".")
        assert set(each.reports) <= set(statistics(each))


def test_an_unknown_policy_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="did you mean 'rmsin'"):
        policy("rmsim")


def test_at_and_above_a_threshold_differ_only_on_it():
    at, above = policy("fiducial"), replace(policy("fiducial"), comparison=">", box_comparison=">")
    assert at.passes(0.5, 0.5)
    assert at.box_passes(0.5, 0.5)
    assert not above.passes(0.5, 0.5)
    assert not above.box_passes(0.5, 0.5)
    assert above.passes(0.500001, 0.5)
