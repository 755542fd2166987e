import pytest

from fiducial.datasets.parts import PartDataset
from fiducial.datasets.splits import group_of, is_held_out
from fiducial.errors import InputError
from fiducial.evaluation.opening import open_spec

SCENES = "scenes:shapes?count=30&seed=3&size=128"


def scenes():
    return open_spec(SCENES)


def test_the_two_parts_are_the_whole_in_its_order():
    whole = scenes()
    held_out = PartDataset(whole, held_out=0.3)
    rest = PartDataset(whole, held_out=0.3, part="rest")
    assert sorted([*held_out.ids, *rest.ids]) == sorted(one.id for one in whole)
    assert held_out.ids == tuple(one.id for one in whole if is_held_out(group_of(one), 0.3))
    assert (len(held_out), held_out[0].id) == (len(held_out.ids), next(iter(held_out)).id)
    assert held_out.name != rest.name


def test_a_spec_opens_a_part():
    parts = [open_spec(f"part:held_out=0.4&part={part}?source={SCENES}") for part in ("held_out", "rest")]
    assert sorted(one.id for part in parts for one in part) == sorted(one.id for one in scenes())
    assert parts[0].ids == PartDataset(scenes(), held_out=0.4).ids


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("part:held_out=0.2", "a part is written as"),
        ("part:group=patient?source=scenes:shapes?count=2", "held_out has to be there"),
        ("part:held_out=0.2&size=3?source=scenes:shapes?count=2", "a part is written as"),
        ("part:held_out=2?source=scenes:shapes?count=2", "lies in 0..1"),
        ("part:held_out=0?source=scenes:shapes?count=2", "no sample is in the part"),
        ("part:held_out=0.5&group=patient?source=scenes:shapes?count=2", "no 'patient' to group by"),
    ],
)
def test_what_makes_no_sense_is_said(spec, message):
    with pytest.raises(InputError, match=message):
        open_spec(spec)
