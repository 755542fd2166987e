import numpy as np
import pytest

import fake_datasets
from fiducial.datasets import open_dataset
from fiducial.errors import InputError, UnknownNameError


def test_sentences_are_samples(tmp_path):
    dataset = open_dataset(fake_datasets.refer(tmp_path))
    assert [sample.id for sample in dataset] == ["0-0", "1-0", "1-1", "2-0"]
    assert dataset.name == "rrsisd"
    ship = dataset[2]
    assert (ship.instruction, ship.split, ship.labels) == ("a ship at the left", "test", ("ship",))
    assert ship.meta == {"ref_id": 1, "image_id": 10, "sent_id": 101, "annotation_ids": [2]}
    both = (fake_datasets.square() > 0) | (np.flip(fake_datasets.square()) > 0)
    assert np.array_equal(ship.truth.to_dense(), both)
    assert ship.image_path == tmp_path / "images/rrsisd/JPEGImages/a.jpg"
    assert ship.prompts().boxes.tolist() == [list(fake_datasets.SQUARE_BOX)]


def test_the_first_sentence_only_and_ids_stay(tmp_path):
    root = fake_datasets.refer(tmp_path)
    assert [sample.id for sample in open_dataset(root, texts="first", split="test")] == ["1-0", "2-0"]


def test_the_inner_folder_may_be_named(tmp_path):
    root = fake_datasets.refer(tmp_path, "refcoco")
    assert len(open_dataset(root / "refcoco")) == 4
    assert len(open_dataset(f"refcoco:{root / 'refcoco'}")) == 4


def test_no_target_and_several_targets(tmp_path):
    references = [
        fake_datasets.reference(5, 10, [1, 2], "val", "the two ships", no_target=False),
        fake_datasets.reference(6, 10, [-1], "val", "the zebra", no_target=True),
        fake_datasets.reference(7, 11, [-1], "testA", "the lion"),
    ]
    two, zebra, lion = open_dataset(fake_datasets.refer(tmp_path, "grefcoco", references))
    assert len(two.instances) == 2
    assert zebra.instances == lion.instances == ()
    assert not zebra.truth
    assert len(zebra.prompts()) == 0
    assert (zebra.split, lion.split) == ("val", "testA")


def test_several_files_of_references(tmp_path):
    root = fake_datasets.refer(tmp_path, "refcocog", by="umd")
    fake_datasets.refer(tmp_path, "refcocog", fake_datasets.REFERENCES[:1], by="google")
    with pytest.raises(InputError, match=r"choose one with split_by=google\|umd"):
        open_dataset(root)
    assert len(open_dataset(root, split_by="google")) == 1
    assert len(open_dataset(f"{root}?split_by=umd")) == 4
    with pytest.raises(UnknownNameError, match=r"'unc'.*known: google, umd"):
        open_dataset(root, split_by="unc")


def test_pictures_elsewhere(tmp_path):
    root = fake_datasets.refer(tmp_path)
    (root / "images").rename(root / "pictures")
    dataset = open_dataset(root, images="pictures/rrsisd/JPEGImages")
    assert dataset[0].image_path.is_file()


@pytest.mark.parametrize(
    ("references", "message"),
    [
        ({"a": 1}, "a list of references is expected, got dict"),
        ([3], "reference 0: an object is expected, got int"),
        ([{"ref_id": 1}], "reference 0: image_id is missing or of the wrong type"),
        ([fake_datasets.reference(0, 10, 1.5, "val", "x")], "ann_id is missing or of the wrong type"),
        ([fake_datasets.reference(0, 10, 1, "val") | {"sentences": [{"sent_id": 1}]}], "a sentence without text"),
        ([fake_datasets.reference(4, 99, 1, "val", "x")], "reference 4 names image 99, which instances.json does not"),
        ([fake_datasets.reference(4, 10, 77, "val", "x")], "reference 4 names annotation 77, which instances.json"),
        ([fake_datasets.reference(4, 10, [], "val", "x")], "reference 4 names annotation none"),
        ([fake_datasets.reference(4, 10, 1, "val", "x")] * 2, "share the id '4-0'"),
        ([], "has no sample"),
    ],
)
def test_broken_references(tmp_path, references, message):
    with pytest.raises(InputError, match=message):
        open_dataset(fake_datasets.refer(tmp_path, references=references))


def test_references_without_instances(tmp_path):
    root = fake_datasets.refer(tmp_path)
    (root / "rrsisd" / "refs(unc).p").unlink()
    with pytest.raises(InputError, match=r"rrsisd/refs\(...\).p is missing"):
        open_dataset(f"rrsisd:{root}")
