import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.datasets.sample import Sample
from fiducial.datasets.splits import group_of, in_fraction, is_held_out
from fiducial.errors import InputError
from fiducial.images import Image


def sample(path=None, **meta):
    picture = None if path else Image.from_array(np.zeros((4, 4, 3), np.uint8))
    return Sample("s1", path, picture, "", (), (4, 4), meta=meta)


def test_a_sample_belongs_to_its_picture_or_to_what_the_key_says(tmp_path):
    assert group_of(sample(tmp_path / "a" / "x.png")) == "x.png"
    assert group_of(sample()) == "s1"
    assert group_of(sample(patient=7), "patient") == "7"
    with pytest.raises(InputError, match=r"no 'patient' to group by, only \['slice'\]"):
        group_of(sample(slice=3), "patient")


def test_the_cut_is_the_one_that_was_agreed_on():
    first = int.from_bytes(hashlib.sha256(b"salt/name").digest()[:8], "big") / 2**64
    assert is_held_out("name", min(1, first + 1e-9), "salt")
    assert not is_held_out("name", max(0, first - 1e-9), "salt")


@given(st.text(max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_smaller_parts_are_subsets(group, one, other):
    small, large = sorted((one, other))
    assert is_held_out(group, large) or not is_held_out(group, small)
    assert in_fraction(group, large) or not in_fraction(group, small)
    assert not is_held_out(group, 0)
    assert is_held_out(group, 1)


def test_parts_have_about_their_size_and_do_not_follow_each_other():
    names = [f"{number}.jpg" for number in range(4000)]
    held = [is_held_out(name, 0.2) for name in names]
    used = [in_fraction(name, 0.2) for name in names]
    assert np.mean(held) == pytest.approx(0.2, abs=0.02)
    assert np.mean(used) == pytest.approx(0.2, abs=0.02)
    assert np.mean(np.array(held) & np.array(used)) == pytest.approx(0.04, abs=0.015)


@pytest.mark.parametrize("part", [-0.1, 1.1])
def test_a_part_is_a_part(part):
    with pytest.raises(InputError, match=r"0\.\.1"):
        is_held_out("a", part)
