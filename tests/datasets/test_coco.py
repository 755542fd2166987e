import json

import numpy as np
import pycocotools.mask
import pytest

import fake_datasets
from fiducial.datasets import LayoutError, open_dataset
from fiducial.datasets.coco import AnnotationFile, warn
from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Mask


@pytest.fixture(autouse=True)
def nothing_said_yet():
    warn.cache_clear()


def test_one_sample_per_picture_and_class(tmp_path):
    ships, tanks = open_dataset(fake_datasets.coco(tmp_path))
    assert (ships.id, tanks.id) == ("10-1", "10-7")
    assert (ships.instruction, tanks.instruction) == ("ship", "storage tank")
    assert (ships.labels, tanks.labels) == (("ship", "ship"), ("storage_tank",))
    assert np.array_equal(ships.instances[0].to_dense(), fake_datasets.square() > 0)
    assert np.array_equal(ships.instances[1].to_dense(), np.flip(fake_datasets.square()) > 0)
    assert ships.prompts().boxes.tolist() == [[2, 1, 5, 4], [3, 2, 6, 5]]
    assert ships.ignore == Mask.from_dense(fake_datasets.square())
    assert tanks.ignore is None
    assert ships.meta == {"image_id": 10, "annotation_ids": [1, 2]}


def test_one_sample_per_picture(tmp_path):
    (only,) = open_dataset(fake_datasets.coco(tmp_path), per="image")
    assert (only.id, only.instruction) == ("10", "all objects")
    assert only.labels == ("ship", "ship", "storage_tank")


def test_json_file_with_a_folder_of_pictures(tmp_path):
    fake_datasets.coco(tmp_path, "my.json", "photos")
    dataset = open_dataset(tmp_path / "my.json", images="photos")
    assert dataset[0].image_path == tmp_path / "photos" / "a.jpg"
    with pytest.raises(LayoutError, match=r"2 of 2 pictures of my.json are not in .*elsewhere: a.jpg, b.jpg"):
        open_dataset(tmp_path / "my.json", images="elsewhere")


def test_one_file_per_split(tmp_path):
    for split in ("train2017", "val2017"):
        fake_datasets.coco(tmp_path, f"annotations/instances_{split}.json", split)
    assert [sample.id for sample in open_dataset(tmp_path)] == [
        "train2017-10-1",
        "train2017-10-7",
        "val2017-10-1",
        "val2017-10-7",
    ]
    one = open_dataset(tmp_path, split="val2017")
    assert [(sample.id, sample.split) for sample in one] == [("val2017-10-1", "val2017"), ("val2017-10-7", "val2017")]
    with pytest.raises(UnknownNameError, match=r"did you mean 'val2017'"):
        open_dataset(tmp_path, split="val")


def rewritten(tmp_path, change):
    path = fake_datasets.coco(tmp_path) / "instances.json"
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))
    return tmp_path


def test_boxes_alone_are_a_truth(tmp_path):
    def strip(found):
        for entry in found["annotations"]:
            del entry["segmentation"]

    ships, _ = open_dataset(rewritten(tmp_path, strip))
    assert ships.instances is None
    assert ships.prompts().boxes.tolist() == [[2, 1, 5, 4], [3, 2, 6, 5]]


def test_a_missing_box_means_tight_boxes(tmp_path):
    ships, _ = open_dataset(rewritten(tmp_path, lambda found: found["annotations"][0].update(bbox=[1, 1, 0, 3])))
    assert ships.boxes is None
    assert ships.prompts().boxes.tolist() == [[2, 1, 5, 4], [3, 2, 6, 5]]


def test_no_categories_and_no_annotation_ids_under_image(tmp_path):
    def strip(found):
        del found["annotations"][0]["id"]
        found["annotations"] = found["annotations"][:1]

    (ships,) = open_dataset(rewritten(tmp_path, strip))
    assert ships.meta["annotation_ids"] == [0]


@pytest.mark.parametrize("compressed", [True, False])
def test_masks_are_those_of_pycocotools(tmp_path, compressed):
    generator = np.random.default_rng(5)
    noise = np.asfortranarray((generator.random(fake_datasets.SIZE) > 0.6).astype(np.uint8))
    code = pycocotools.mask.encode(noise)
    code = {"size": code["size"], "counts": code["counts"].decode()} if compressed else fake_datasets.rle(noise)
    polygon = [0.3, 0.2, 6.9, 1.1, 5.2, 5.7]
    wanted = pycocotools.mask.decode(pycocotools.mask.frPyObjects([polygon], *fake_datasets.SIZE))[..., 0]
    parts = {0: code, 1: [polygon]}

    def change(found):
        for number, part in parts.items():
            found["annotations"][number]["segmentation"] = part

    ships, _ = open_dataset(rewritten(tmp_path, change))
    assert np.array_equal(ships.instances[0].to_dense(), noise)
    assert np.array_equal(ships.instances[1].to_dense(), wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.pop("images"), "no list 'images'"),
        (lambda found: found.update(annotations={}), "no list 'annotations'"),
        (lambda found: found.update(images=[]), "annotation 1 belongs to image 10, which is not listed"),
        (lambda found: found.update(images=[], annotations=[]), "no image is listed"),
        (lambda found: found["images"][0].pop("height"), r"images\[0\]: needs id, file_name, height and width"),
        (lambda found: found["images"][0].update(width=0), "image 10 has no name, or no extent"),
        (lambda found: found["images"][0].update(width=float("inf")), r"images\[0\]: needs id, file_name, height"),
        (lambda found: found["images"].append(found["images"][0]), "two images share the id 10"),
        (lambda found: found["annotations"].append(found["annotations"][0]), "two annotations share the id 1"),
        (lambda found: found["annotations"].append({"id": 9}), r"annotations\[\d\]: needs an image_id"),
        (lambda found: found["categories"].pop(), "category 7 is not listed"),
        (lambda found: found.update(categories=[{"id": 1}]), "a category needs id and name"),
        (lambda found: found["images"][0].update(file_name="../../secret.jpg"), "does not lie inside this folder"),
        (lambda found: found["images"][1].update(file_name="/etc/passwd"), "does not lie inside this folder"),
    ],
)
def test_broken_files_are_refused_on_opening(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        open_dataset(rewritten(tmp_path, change))


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 2, 3]], "annotation 1: "),
        ([["a", "b", "c", "d", "e", "f"]], "annotation 1: "),
        ({"size": [6, 8], "counts": [1, 2]}, "annotation 1: a run-length code covers 3 pixels"),
        ({"size": [6, 9], "counts": [54]}, "annotation 1: .*does not fit an image of 6 x 8"),
        ("text", "annotation 1: a segmentation is a list of polygons or a run-length code"),
        ([None], "annotation 1: "),
    ],
)
def test_broken_segmentations_are_refused_when_asked_for(tmp_path, segmentation, message):
    dataset = open_dataset(rewritten(tmp_path, lambda found: found["annotations"][0].update(segmentation=segmentation)))
    with pytest.raises(InputError, match=message):
        dataset[0]


@pytest.mark.parametrize("lacking", [0, 1])
def test_an_instance_without_a_segmentation_beside_others_is_its_box(tmp_path, caplog, lacking):
    ships, tanks = open_dataset(rewritten(tmp_path, lambda found: found["annotations"][lacking].pop("segmentation")))
    boxes = [(2, 1, 5, 4), (3, 2, 6, 5)]
    assert [mask.box for mask in ships.instances] == boxes
    assert ships.instances[lacking] == Mask.from_box(boxes[lacking], *fake_datasets.SIZE)
    assert ships.labels == ("ship", "ship")
    assert tanks.instances is not None
    assert f"annotation {lacking + 1} has no segmentation" in caplog.text


@pytest.mark.parametrize("box", [None, [1, 1, 0, 3], [float("nan"), 1, 2, 3], [1, 1, float("inf"), 3], [1, 2], "text"])
def test_an_instance_with_neither_is_left_out_and_named(tmp_path, caplog, box):
    def strip(found):
        found["annotations"][0].update(segmentation=[], bbox=box)

    ships, _ = open_dataset(rewritten(tmp_path, strip))
    assert [mask.box for mask in ships.instances] == [(3, 2, 6, 5)]
    assert (ships.labels, ships.meta["annotation_ids"]) == (("ship",), [2])
    assert "annotation 1 has neither a segmentation nor a box with an extent: it is left out" in caplog.text

    def strip_both(found):
        for entry in found["annotations"][:2]:
            entry.update(segmentation=[], bbox=box)

    dataset = open_dataset(rewritten(tmp_path / "other", strip_both))
    with pytest.raises(InputError, match=r"annotation 1 has neither a segmentation nor a box"):
        dataset[0]


@pytest.mark.parametrize("box", [[float("nan"), 1, 2, 3], [1, float("inf"), 2, 3], [1, 1, float("nan"), 3]])
def test_a_box_that_is_no_box_beside_a_segmentation_is_not_used(tmp_path, box):
    ships, _ = open_dataset(rewritten(tmp_path, lambda found: found["annotations"][0].update(bbox=box)))
    assert ships.boxes is None
    assert ships.prompts().boxes.tolist() == [[2, 1, 5, 4], [3, 2, 6, 5]]


@pytest.mark.parametrize(
    ("written", "crowd"),
    [
        *((no, False) for no in ("0", 0, 0.0, False, None, "false", "")),
        *((yes, True) for yes in ("1", 1, 1.0, True, "true")),
    ],
)
def test_crowds_are_marked_in_many_ways(tmp_path, written, crowd):
    ships, _ = open_dataset(rewritten(tmp_path, lambda found: found["annotations"][1].update(iscrowd=written)))
    assert len(ships.instances) == (1 if crowd else 2)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("ring", [[1, 2, 3, 4], [], [1, 2, 3, 4, 5], [float("nan")] * 6, [1e9] * 6, None, ["a"] * 6, 7])
def test_a_ring_that_is_none_is_left_out_and_named(tmp_path, caplog, place, ring):
    def change(found):
        found["annotations"][0]["segmentation"] = [fake_datasets.SQUARE_POLYGON] * 2
        found["annotations"][0]["segmentation"].insert(place, ring)

    ships, _ = open_dataset(rewritten(tmp_path, change))
    assert np.array_equal(ships.instances[0].to_dense(), fake_datasets.square() > 0)
    assert f"annotation 1: ring {place + 1} of 3 is left out" in caplog.text


def test_ids_may_be_written_as_text(tmp_path):
    def change(found):
        for entry in found["annotations"]:
            entry.update(image_id=str(entry["image_id"]), category_id=str(entry["category_id"]))

    ships, tanks = open_dataset(rewritten(tmp_path, change))
    assert (len(ships.instances), tanks.instruction) == (2, "storage tank")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"iscrowd": "perhaps"}, r"annotations\[0\]: iscrowd is 0 or 1, got 'perhaps'"),
        ({"image_id": [10]}, r"annotations\[0\]: image_id is a number or a text"),
        ({"category_id": {"id": 1}}, r"annotations\[0\]: category_id is a number or a text"),
        ({"id": [1]}, r"annotations\[0\]: id is a number or a text"),
    ],
)
def test_marks_and_ids_that_mean_nothing_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        open_dataset(rewritten(tmp_path, lambda found: found["annotations"][0].update(change)))


def test_a_broken_json_names_its_line(tmp_path):
    fake_datasets.write(tmp_path / "instances.json", '{"images": [\n}')
    with pytest.raises(InputError, match=r"instances.json: not valid JSON: .*line 2"):
        open_dataset(tmp_path)
    fake_datasets.write(tmp_path / "instances.json", "[" * 200_000)
    with pytest.raises(InputError, match=r"nested too deeply"):
        open_dataset(tmp_path)
    fake_datasets.write(tmp_path / "instances.json", "[]")
    with pytest.raises(InputError, match=r"an object is expected at the top, got list"):
        open_dataset(tmp_path)


def test_numbers_are_packed(tmp_path):
    file = AnnotationFile(fake_datasets.coco(tmp_path) / "instances.json")
    assert file.annotations[1].segmentation[0].typecode == "d"
    assert file.annotations[2].segmentation["counts"].typecode == "q"
    assert [one.id for one in file.by_image()[11]] == []
