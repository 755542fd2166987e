import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_datasets import build
from fiducial.config import as_plain
from fiducial.datasets import Sample, describe_dataset, open_dataset
from fiducial.datasets.splits import (
    Selection,
    group_of,
    held_out_part,
    in_fraction,
    is_held_out,
    longest_edge,
    objects_in,
    objects_of,
)
from fiducial.errors import InputError
from fiducial.geometry import Frame, Mask, Prompts
from fiducial.images import Image

SCENES = "scenes:shapes?count=12&seed=3&size=96"


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


# -- held-out parts of a dataset ------------------------------------------------------------------


def test_the_two_parts_are_the_whole_in_its_order():
    whole = Selection("scenes", open_dataset(SCENES))
    held_out = held_out_part(whole, held_out=0.3)
    rest = held_out_part(whole, held_out=0.3, part="rest")
    assert sorted([*held_out.ids, *rest.ids]) == sorted(one.id for one in whole)
    assert held_out.ids == tuple(one.id for one in whole if is_held_out(group_of(one), 0.3))
    assert (len(held_out), held_out[0].id) == (len(held_out.ids), next(iter(held_out)).id)
    assert held_out.name != rest.name


@pytest.mark.parametrize("spec", [SCENES + "&held_out=0.4&part={}", "part:held_out=0.4&part={}?source=" + SCENES])
def test_a_spec_opens_a_part(spec):
    parts = [open_dataset(spec.format(part)) for part in ("held_out", "rest")]
    assert sorted(one.id for part in parts for one in part) == sorted(one.id for one in open_dataset(SCENES))
    assert parts[0].ids == held_out_part(open_dataset(SCENES), held_out=0.4).ids


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("part:held_out=0.2", "unknown dataset 'part'"),
        ("part:group=patient?source=scenes:shapes?count=2", "held_out"),
        ("part:held_out=0.2&sizes=3?source=scenes:shapes?count=2", "sizes"),
        ("part:held_out=2?source=scenes:shapes?count=2", "held_out: needs at most 1"),
        ("part:held_out=0?source=scenes:shapes?count=2", "no sample is in the part"),
        ("part:held_out=0.5&group=patient?source=scenes:shapes?count=2", "no 'patient' to group by"),
        ("scenes:shapes?group=patient", "give held_out"),
        ("scenes:shapes?min_size=4", "give objects=true"),
        ("objects:min_size=2", "unknown dataset 'objects'"),
        ("objects:min_size=x?source=scenes:shapes", "min_size"),
        ("objects:part=a?source=scenes:shapes", "part"),
        ("objects:a=1?source=scenes:shapes", "'a'"),
    ],
)
def test_what_makes_no_sense_is_refused(spec, message):
    with pytest.raises(InputError, match=message):
        open_dataset(spec)


# -- single objects -------------------------------------------------------------------------------


def things(name, *boxes, **meta):
    picture = Image(np.zeros((40, 60, 3), np.uint8), name=name)
    masks = tuple(Mask.from_box(box, 40, 60) for box in boxes)
    return Sample(name, None, picture, "things", masks, (40, 60), labels=("a_thing",) * len(masks), meta=meta)


def test_every_object_is_a_sample_with_its_own_truth():
    one, other = objects_of(things("p", (0, 0, 10, 10), (20, 20, 24, 30)))
    assert (one.id, other.id) == ("p#0", "p#1")
    assert one.instruction == "a thing"
    assert other.truth == Mask.from_box((20, 20, 24, 30), 40, 60)
    assert other.prompts()[0].box == (20, 20, 24, 30)


def test_small_and_empty_objects_are_left_out():
    assert [one.id for one in objects_of(things("p", (0, 0, 3, 5), (0, 0, 0, 0), (0, 0, 2, 2)), 5)] == ["p#0"]
    assert longest_edge(Mask.from_box((2, 3, 9, 5), 40, 60)) == 7
    assert longest_edge(Mask.empty(4, 4)) == 0


def test_the_objects_of_two_parts_are_those_of_the_whole_and_do_not_meet():
    boxes = (0, 0, 10, 10), (5, 5, 30, 30)
    whole = Selection("listed", (things(f"p{number}", *boxes, patient=number // 4) for number in range(40)))
    parts = [
        objects_in(held_out_part(whole, held_out=0.4, group="patient", part=part)).ids for part in ("held_out", "rest")
    ]
    assert sorted([*parts[0], *parts[1]]) == sorted(objects_in(whole).ids)
    patients = [{int(name[1:].partition("#")[0]) // 4 for name in part} for part in parts]
    assert not patients[0] & patients[1]
    assert patients[0]


def test_a_dataset_of_boxes_or_without_objects_is_refused():
    boxes = Prompts.from_boxes(Frame.pixels(60, 40), [(0, 0, 5, 5)])
    picture = Image(np.zeros((40, 60, 3), np.uint8), name="p")
    with pytest.raises(InputError, match="no masks"):
        objects_of(Sample("p", None, picture, "x", None, (40, 60), boxes=boxes))
    with pytest.raises(InputError, match="no object of at least 50 pixels"):
        objects_in(Selection("listed", [things("p", (0, 0, 10, 10))]), 50)


@pytest.mark.parametrize(
    "spec", ["coco:{}?per=image&objects=true&min_size=2", "objects:least=2?source=coco:{}?per=image"]
)
def test_a_spec_opens_objects(tmp_path, spec):
    root = build("coco", tmp_path)
    dataset = open_dataset(spec.format(root))
    assert len(dataset) == sum(len(one.instances) for one in open_dataset(f"coco:{root}?per=image"))
    assert dataset.name == "coco objects"
    assert dataset[0].id == next(iter(dataset)).id
    assert all(len(one.instances) == 1 for one in dataset)


def test_a_description_says_everything_and_comes_back(tmp_path):
    root = build("coco", tmp_path)
    described = describe_dataset(f"{root}?per=image&objects=yes", split=None, min_size=2)
    assert (described.path, described.per, described.objects, described.min_size) == (root, "image", True, 2.0)
    again = describe_dataset(
        "coco:" + str(root), **{k: v for k, v in as_plain(described).items() if k not in ("name", "path")}
    )
    assert again == described
    assert open_dataset(described, min_size=1).ids == open_dataset(described).ids
