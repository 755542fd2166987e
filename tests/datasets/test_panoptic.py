import json

import numpy as np
import PIL.Image
import pytest

import fake_datasets
from fiducial.datasets import LayoutError, open_dataset
from fiducial.datasets.panoptic import is_panoptic
from fiducial.errors import ImageError, InputError
from fiducial.geometry import Mask

PERSON, OTHER = 1 + 256 * 2 + 65536 * 3, 65536


def panoptic(root):
    return fake_datasets.panoptic(root)


def change(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_one_sample_per_class_with_crowds_ignored(tmp_path):
    dataset = open_dataset(panoptic(tmp_path))
    people, wall = dataset
    assert dataset.ids == ("10-1", "10-199")
    assert people.instruction == "person"
    assert people.instances == (Mask.from_box((0, 0, 2, 3), 6, 8), Mask.from_box((3, 0, 5, 3), 6, 8))
    assert people.ignore == Mask.from_box((6, 0, 8, 2), 6, 8)
    assert people.prompts().boxes.tolist() == [[0, 0, 2, 3], [3, 0, 5, 3]]
    assert people.meta == {"image_id": 10, "segment_ids": [PERSON, OTHER], "things": [True, True]}
    assert wall.instances == (Mask.from_box((0, 4, 8, 6), 6, 8),)
    assert wall.ignore is None
    assert (wall.instruction, wall.labels, wall.meta["things"]) == ("wall", ("wall-other-merged",), [False])


def test_one_sample_per_image(tmp_path):
    (sample,) = open_dataset(f"panoptic:{panoptic(tmp_path)}?per=image")
    assert sample.id == "10"
    assert sample.labels == ("person", "person", "wall-other-merged")
    assert sample.ignore == Mask.from_box((6, 0, 8, 2), 6, 8)
    assert sample.instruction == "all objects"


def test_void_is_background_or_ignored(tmp_path):
    wall = open_dataset(f"panoptic:{panoptic(tmp_path)}?void=ignore")[1]
    assert wall.ignore.area == 48 - 6 - 6 - 4 - 16
    assert wall.ignore.intersection(wall.truth).area == 0


def test_the_png_of_a_picture_is_decoded_once(tmp_path, monkeypatch):
    root = panoptic(tmp_path)
    opened = []
    real = PIL.Image.open
    monkeypatch.setattr(PIL.Image, "open", lambda path, *rest: opened.append(path) or real(path, *rest))
    list(open_dataset(root))
    assert opened == [root / "panoptic" / "a.png"]


def test_splits_as_the_originals_lie(tmp_path):
    root = panoptic(tmp_path)
    (root / "annotations").mkdir()
    (root / "panoptic.json").rename(root / "annotations" / "panoptic_val2017.json")
    (root / "panoptic").rename(root / "annotations" / "panoptic_val2017")
    (root / "images").rename(root / "val2017")
    dataset = open_dataset(root, split="val2017")
    assert dataset.ids == ("val2017-10-1", "val2017-10-199")
    assert dataset[0].split == "val2017"
    assert [sample.truth.area for sample in dataset] == [12, 16]


def test_the_json_file_itself_and_a_folder_of_pictures(tmp_path):
    root = panoptic(tmp_path)
    (root / "images").rename(root / "photos")
    assert not is_panoptic(root / "panoptic.json")
    assert len(open_dataset(f"panoptic:{root / 'panoptic.json'}?images=photos")) == 2


@pytest.mark.parametrize("option", ["per", "void"])
def test_unknown_values(option, tmp_path):
    with pytest.raises(InputError, match=f"{option}: .*known"):
        open_dataset(f"panoptic:{panoptic(tmp_path)}?{option}=some")


@pytest.mark.parametrize(("folder", "what"), [("images", "pictures"), ("panoptic", "panoptic PNG files")])
def test_missing_files(folder, what, tmp_path):
    root = panoptic(tmp_path)
    for path in (root / folder).iterdir():
        path.unlink()
    with pytest.raises(LayoutError, match=rf"1 of 1 {what} of panoptic.json are not in .*{folder}: a\."):
        open_dataset(root)


SEGMENT = {"id": 5, "category_id": 1}
ENTRY = {"image_id": 10, "file_name": "a.png"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"categories": None}, "no list 'categories'"),
        ({"categories": [{"id": 1}]}, "kind category needs id, name"),
        ({"images": [3]}, "kind image needs id, file_name, got 3"),
        ({"images": []}, "image 10, which is not listed"),
        ({"images": [{"id": 10, "file_name": "a.jpg"}]}, "image 10 needs height and width"),
        ({"images": [{"id": 10, "file_name": "a.jpg", "height": 0, "width": 8}]}, "no extent"),
        ({"annotations": []}, "no image is annotated"),
        ({"annotations": [ENTRY]}, "needs image_id, file_name, segments_info"),
        ({"annotations": [ENTRY | {"segments_info": [7]}]}, "each of its segments id and category_id"),
        ({"annotations": [ENTRY | {"segments_info": [SEGMENT, SEGMENT]}]}, "two segments of one id"),
        ({"annotations": [ENTRY | {"segments_info": [SEGMENT | {"category_id": 4}]}]}, "category 4, which is not"),
        ({"annotations": [ENTRY | {"segments_info": []}]}, "has no sample"),
        ({"annotations": [ENTRY | {"file_name": "../a.png", "segments_info": []}]}, "does not lie inside"),
    ],
)
def test_broken_files(fields, message, tmp_path):
    root = panoptic(tmp_path)
    change(root / "panoptic.json", **fields)
    with pytest.raises(InputError, match=message):
        open_dataset(root)


class TestBrokenPictures:
    def test_a_segment_without_pixels(self, tmp_path):
        root = panoptic(tmp_path)
        change(root / "panoptic.json", annotations=[ENTRY | {"segments_info": [SEGMENT | {"id": 77}]}])
        with pytest.raises(InputError, match=r"a\.png: no pixel has the id 77"):
            open_dataset(root)[0]

    def test_another_size(self, tmp_path):
        root = panoptic(tmp_path)
        fake_datasets.label(root / "panoptic" / "a.png", np.zeros((3, 4, 3), np.uint8))
        with pytest.raises(InputError, match=r"3 x 4 .* its image is 6 x 8"):
            open_dataset(root)[0]

    def test_grey_ids(self, tmp_path):
        root = panoptic(tmp_path)
        fake_datasets.label(root / "panoptic" / "a.png", np.zeros((6, 8), np.uint8))
        with pytest.raises(ImageError, match=r"red, green and blue.* mode is L"):
            open_dataset(root)[0]

    def test_cut_off(self, tmp_path):
        path = panoptic(tmp_path) / "panoptic" / "a.png"
        path.write_bytes(path.read_bytes()[:60])
        with pytest.raises(ImageError, match=r"cannot be read"):
            open_dataset(tmp_path)[0]

    def test_too_large(self, tmp_path, monkeypatch):
        monkeypatch.setattr("fiducial.datasets.panoptic.DEFAULT_MAX_PIXELS", 47)
        with pytest.raises(ImageError, match=r"8 x 6 is more than the limit"):
            open_dataset(panoptic(tmp_path))[0]
