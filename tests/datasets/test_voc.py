import pytest

import fake_datasets
from fiducial.datasets import LayoutError, open_dataset, voc
from fiducial.errors import InputError
from fiducial.geometry import Mask

SIZE = fake_datasets.SIZE


def test_instances_of_a_class_and_void(tmp_path):
    person, screen = open_dataset(fake_datasets.voc(tmp_path))
    assert (person.id, person.instruction, person.split) == ("p1-person", "person", "train")
    assert person.instances == (Mask.from_box((0, 0, 2, 3), *SIZE), Mask.from_box((3, 0, 5, 3), *SIZE))
    assert person.ignore == Mask.from_box((0, 5, 1, 6), *SIZE)
    assert screen.labels == ("tv monitor",)
    assert screen.prompts().boxes.tolist() == [[6, 3, 8, 6]]


def test_boxes_of_the_xml_count_from_zero(tmp_path):
    person, screen = open_dataset(fake_datasets.voc(tmp_path, masks=False))
    assert person.instances is None
    assert person.prompts().boxes.tolist() == [[0, 0, 2, 3], [3, 0, 5, 3]]
    assert (screen.instruction, screen.meta) == ("tv monitor", {"difficult": [True]})


def test_boxes_on_request_and_trainval(tmp_path):
    dataset = open_dataset(f"voc:{fake_datasets.voc(tmp_path)}?truth=boxes&split=trainval")
    assert [(sample.id, sample.split) for sample in dataset] == [
        ("p1-person", "trainval"),
        ("p1-tvmonitor", "trainval"),
    ]


def test_no_lists_means_all(tmp_path):
    import shutil

    root = fake_datasets.voc(tmp_path)
    shutil.rmtree(root / "ImageSets")
    assert len(open_dataset(root)) == len(open_dataset(root, truth="boxes")) == 2


def test_listed_but_missing(tmp_path):
    root = fake_datasets.voc(tmp_path)
    fake_datasets.write(root / "ImageSets" / "Segmentation" / "train.txt", "p1\np2\n")
    with pytest.raises(
        LayoutError, match=r"3 files of train are missing: JPEGImages/p2.jpg, SegmentationObject/p2.png"
    ):
        open_dataset(root)


def test_an_unknown_class(tmp_path):
    root = fake_datasets.voc(tmp_path)
    fake_datasets.palette(root / "SegmentationClass" / "p1.png", fake_datasets.square(33))
    with pytest.raises(InputError, match=r"class 33 is not one of the 21 of VOC"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<annotation><object><name>dog</name></object></annotation>", "an object needs name and bndbox"),
        ("<a><object><name>dog</name><bndbox><xmin>1</xmin></bndbox></object></a>", "a box without a number for ymin"),
        (
            "<a><object><name>dog</name><bndbox><xmin>5</xmin><ymin>1</ymin><xmax>2</xmax><ymax>9</ymax></bndbox>"
            "</object></a>",
            "the box of 'dog' has no extent",
        ),
        ("<annotation>", "not valid XML"),
        ('<!DOCTYPE a [<!ENTITY b "boom">]><a>&b;</a>', "document type or entities is refused"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type or entities is refused"),
        ("<a>&undeclared;</a>", "not valid XML"),
        ("<a>" * 40 + "</a>" * 40, "nested more than 32 deep"),
    ],
)
def test_broken_and_hostile_xml(tmp_path, xml, message):
    root = fake_datasets.voc(tmp_path, masks=False)
    fake_datasets.write(root / "Annotations" / "p1.xml", xml)
    with pytest.raises(InputError, match=message):
        open_dataset(root)


def test_limits_of_xml(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"cannot be read"):
        voc.read_xml(tmp_path / "no.xml")
    fake_datasets.write(tmp_path / "a.xml", "<a>text</a>")
    assert voc.read_xml(tmp_path / "a.xml").text == "text"
    monkeypatch.setattr(voc, "MAX_XML_BYTES", 3)
    with pytest.raises(InputError, match=r"is refused"):
        voc.read_xml(tmp_path / "a.xml")
