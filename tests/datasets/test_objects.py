import numpy as np
import pytest

from fake_datasets import build
from fiducial.datasets import Sample, open_dataset
from fiducial.datasets.objects import ObjectDataset, longest_edge, objects_of
from fiducial.datasets.splits import group_of, in_fraction, is_held_out
from fiducial.errors import InputError
from fiducial.evaluation.opening import open_spec
from fiducial.geometry import Frame, Mask, Prompts
from fiducial.images import Image


def sample(name, *boxes, **meta):
    picture = Image(np.zeros((40, 60, 3), np.uint8), name=name)
    masks = tuple(Mask.from_box(box, 40, 60) for box in boxes)
    return Sample(name, None, picture, "things", masks, (40, 60), labels=("a_thing",) * len(masks), meta=meta)


class Listed(list):
    name = "listed"


def test_every_object_is_a_sample_with_its_own_truth():
    one, other = objects_of(sample("p", (0, 0, 10, 10), (20, 20, 24, 30)))
    assert (one.id, other.id) == ("p#0", "p#1")
    assert one.instruction == "a thing"
    assert other.truth == Mask.from_box((20, 20, 24, 30), 40, 60)
    assert other.prompts()[0].box == (20, 20, 24, 30)


def test_small_and_empty_objects_are_left_out():
    assert [one.id for one in objects_of(sample("p", (0, 0, 3, 5), (0, 0, 0, 0), (0, 0, 2, 2)), least=5)] == ["p#0"]
    assert longest_edge(Mask.from_box((2, 3, 9, 5), 40, 60)) == 7
    assert longest_edge(Mask.empty(4, 4)) == 0


def test_the_two_parts_are_the_whole_and_do_not_meet():
    whole = Listed(sample(f"p{number}", (0, 0, 10, 10), (5, 5, 30, 30), patient=number // 4) for number in range(40))
    parts = [ObjectDataset(whole, held_out=0.4, group="patient", part=part).ids for part in ("held_out", "rest")]
    assert sorted([*parts[0], *parts[1]]) == sorted(ObjectDataset(whole).ids)
    patients = [{int(name[1:].partition("#")[0]) // 4 for name in part} for part in parts]
    assert not patients[0] & patients[1]
    assert patients[0]


def test_a_dataset_of_boxes_or_without_objects_is_refused():
    boxes = Prompts.from_boxes(Frame.pixels(60, 40), [(0, 0, 5, 5)])
    picture = Image(np.zeros((40, 60, 3), np.uint8), name="p")
    with pytest.raises(InputError, match="no masks"):
        objects_of(Sample("p", None, picture, "x", None, (40, 60), boxes=boxes))
    with pytest.raises(InputError, match="no object of at least 50 pixels"):
        ObjectDataset(Listed([sample("p", (0, 0, 10, 10))]), least=50)


def test_a_spec_opens_objects(tmp_path):
    root = build("coco", tmp_path)
    dataset = open_spec(f"objects:least=2?source=coco:{root}?per=image")
    assert len(dataset) == sum(len(one.instances) for one in open_dataset(f"coco:{root}?per=image"))
    assert dataset[0].id == next(iter(dataset)).id
    assert all(len(one.instances) == 1 for one in dataset)


@pytest.mark.parametrize(
    "text", ["objects:least=2", "objects:least=x?source=y", "objects:part=a?source=y", "objects:a=1?source=y"]
)
def test_a_wrong_spec_is_told_how_it_is_written(text):
    with pytest.raises(InputError, match="objects are written as"):
        open_spec(text)


def test_the_cut_depends_on_the_name_alone_and_has_the_size_asked_for():
    names = [f"picture-{number}.jpg" for number in range(4000)]
    held = [name for name in names if is_held_out(name, 0.2)]
    assert 700 < len(held) < 900
    assert [name for name in reversed(names) if is_held_out(name, 0.2)] == held[::-1]
    assert not any(is_held_out(name, 0.0) for name in names)
    assert all(is_held_out(name, 1.0) for name in names)
    assert held != [name for name in names if is_held_out(name, 0.2, salt="other")]


def test_smaller_fractions_are_parts_of_larger_ones():
    names = [f"{number}" for number in range(500)]
    small, large = ({name for name in names if in_fraction(name, part)} for part in (0.1, 0.5))
    assert small < large


def test_groups_are_pictures_or_a_key_of_the_meta(tmp_path):
    assert group_of(sample("p", (0, 0, 9, 9), patient="x"), "patient") == "x"
    assert group_of(sample("p", (0, 0, 9, 9))) == "p"
    with pytest.raises(InputError, match="patient"):
        group_of(sample("p", (0, 0, 9, 9)), "patient")
    with pytest.raises(InputError, match="0\\.\\.1"):
        is_held_out("a", 1.5)
