from __future__ import annotations

import base64
import contextlib
import io
import json
import sys

import numpy as np
import PIL.Image
import pytest

from fiducial.errors import InputError, MissingExtraError
from fiducial.geometry import Mask, Prompt
from fiducial.images import Image
from fiducial.results import write_joint_coco
from fiducial.results.annotations import TOLERANCE, simplify


def read(path):
    return json.loads(path.read_text("utf-8"))


# -- COCO ---------------------------------------------------------------------------------------


def test_coco_loads_with_pycocotools(two, tmp_path):
    from pycocotools.coco import COCO

    path = two.save(tmp_path, ["coco"])["coco"]
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = COCO(str(path))
    assert dataset.loadImgs(1) == [{"id": 1, "file_name": "harbour.jpg", "width": 60, "height": 40}]
    assert [c["name"] for c in dataset.loadCats(dataset.getCatIds())] == ["ship", "target"]
    annotations = dataset.loadAnns(dataset.getAnnIds(imgIds=[1], iscrowd=False))
    assert [(a["area"], a["bbox"], a["score"], a["category_id"]) for a in annotations] == [
        (336, [5.0, 5.0, 20.0, 20.0], 0.9123, 1),
        (400, [30.0, 10.0, 20.0, 20.0], 0.25, 2),
    ]
    for annotation, mask in zip(annotations, two.masks, strict=True):
        assert np.array_equal(dataset.annToMask(annotation), mask.to_dense())


def test_coco_of_nothing_and_of_an_empty_mask(make, image, tmp_path):
    nothing = read(make().save(tmp_path, ["coco"])["coco"])
    assert (nothing["annotations"], nothing["categories"], len(nothing["images"])) == ([], [], 1)
    prompt = Prompt(image.frame, points=((1, 1),), label="ship")
    values = read(make([prompt] * 2, [Mask.empty(40, 60)] * 2).save(tmp_path, ["coco"])["coco"])
    assert [c["name"] for c in values["categories"]] == ["ship"]
    assert values["annotations"][0]["bbox"] == [0.0, 0.0, 0.0, 0.0]
    assert values["annotations"][1]["score"] is None


def test_the_files_of_single_pictures_become_one(two, make, image, tmp_path):
    from pycocotools.coco import COCO

    prompts = [Prompt(image.frame, box=(1, 1, 9, 9), label=name) for name in ("boat", "ship")]
    others = make(prompts, [Mask.from_box((1, 1, 9, 9), 40, 60)] * 2)
    two.save(tmp_path, ["coco"], stem="one")
    others.save(tmp_path, ["coco"], stem="two")
    make().save(tmp_path, ["coco"], stem="three")
    path = write_joint_coco(tmp_path, {"one": "a.jpg", "gone": "b.jpg", "two": "x/a.jpg", "three": "c.jpg"})
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = COCO(str(path))
    assert [(one["id"], one["file_name"]) for one in dataset.loadImgs(dataset.getImgIds())] == [
        (1, "a.jpg"),
        (2, "x/a.jpg"),
        (3, "c.jpg"),
    ]
    names = {one["id"]: one["name"] for one in dataset.loadCats(dataset.getCatIds())}
    found = dataset.loadAnns(dataset.getAnnIds())
    assert [(one["id"], one["image_id"], names[one["category_id"]]) for one in found] == [
        (1, 1, "ship"),
        (2, 1, "target"),
        (3, 2, "boat"),
        (4, 2, "ship"),
    ]
    masks = [*two.masks, *others.masks]
    assert all(np.array_equal(dataset.annToMask(one), mask.to_dense()) for one, mask in zip(found, masks, strict=True))


def test_no_single_file_makes_no_joint_one_and_a_strange_one_is_named(tmp_path):
    assert write_joint_coco(tmp_path, {"one": "a.jpg"}) is None
    (tmp_path / "one.coco.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(InputError, match=r"one\.coco\.json: is not as it was written"):
        write_joint_coco(tmp_path, {"one": "a.jpg"})


# -- LabelMe ------------------------------------------------------------------------------------


def test_labelme_outlines_and_holes(two, tmp_path):
    values = read(two.save(tmp_path, ["labelme"])["labelme"])
    assert list(values) == ["version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"]
    assert (values["imageHeight"], values["imageWidth"], values["imageData"]) == (40, 60, None)
    assert values["imagePath"] == "harbour.jpg"
    ring, box = values["shapes"]
    assert (ring["label"], ring["group_id"], ring["shape_type"]) == ("ship", 1, "mask")
    assert ring["points"] == [[5, 5], [24, 24]]
    patch = np.array(PIL.Image.open(io.BytesIO(base64.b64decode(ring["mask"]))))
    assert np.array_equal(patch.astype(bool), two.masks[0].to_dense()[5:25, 5:25])
    assert (box["label"], box["group_id"], box["shape_type"], box["mask"]) == ("target", 2, "polygon", None)
    assert sorted(box["points"]) == [[30.0, 10.0], [30.0, 30.0], [50.0, 10.0], [50.0, 30.0]]
    assert box["description"] == "score 0.250"


def test_labelme_parts_share_a_group(make, image, tmp_path):
    mask = Mask.from_box((0, 0, 9, 9), 40, 60).union(
        Mask.from_box((20, 20, 39, 39), 40, 60), Mask.from_box((50, 1, 51, 2), 40, 60)
    )
    shapes = read(make([Prompt(image.frame, box=(0, 0, 9, 9))], [mask]).save(tmp_path, ["labelme"])["labelme"])[
        "shapes"
    ]
    assert [(shape["shape_type"], shape["group_id"], shape["description"]) for shape in shapes] == [
        ("polygon", 1, "")
    ] * 3
    assert min(len(shape["points"]) for shape in shapes) >= 3, "a single pixel keeps its outline"


def test_labelme_outlines_stay_within_the_tolerance(make, tmp_path):
    yy, xx = np.mgrid[:300, :400]
    dense = ((xx - 200) / 150) ** 2 + ((yy - 150) / 90) ** 2 < 1
    dense[150, 200] = False  # thinner than the tolerance: filled
    mask, picture = Mask.from_dense(dense), Image(np.zeros((300, 400, 3), np.uint8), name="p.png")
    (shape,) = read(
        make([Prompt(picture.frame, box=(1, 1, 9, 9))], [mask], on=picture).save(tmp_path, ["labelme"])["labelme"]
    )["shapes"]
    assert shape["shape_type"] == "polygon"
    assert len(shape["points"]) < 80 < len(mask.to_polygons()[0][0])
    redrawn = Mask.from_polygons([np.array(shape["points"])], 300, 400)
    assert redrawn.iou(mask) > 0.98
    for x, y in mask.to_polygons()[0][0]:
        assert distance_to_ring(np.array([x, y]), np.array(shape["points"])) <= TOLERANCE + 1e-6


def distance_to_ring(place, ring):
    start, along = ring, np.roll(ring, -1, axis=0) - ring
    share = np.clip(((place - start) * along).sum(1) / np.maximum((along**2).sum(1), 1e-12), 0, 1)
    return np.hypot(*(start + share[:, None] * along - place).T).min()


def test_simplify_keeps_a_square_and_collapses_a_pixel():
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
    assert sorted(simplify(square).tolist()) == sorted(square.tolist())
    assert len(simplify(square / 10)) < 3


@pytest.mark.parametrize(("bump", "kept"), [(0.9, False), (1.1, True)])
def test_a_bump_stays_where_it_is_higher_than_the_tolerance(bump, kept):
    ring = np.array([[0, 0], [20, -bump], [40, 0], [40, 30], [0, 30]], float)
    assert (len(simplify(ring)) == 5) == kept


def test_labelme_without_a_mask_keeps_the_prompt(make, image, tmp_path):
    prompt = Prompt(
        image.frame, box=(1, 2, 3.0004, 4), points=((5, 6), (7, 8)), point_labels=(1, 0), label="ship", score=0.5
    )
    shapes = read(make([prompt], [Mask.empty(40, 60)]).save(tmp_path, ["labelme"])["labelme"])["shapes"]
    assert [(s["shape_type"], s["points"], s["flags"]) for s in shapes] == [
        ("rectangle", [[1.0, 2.0], [3.0, 4.0]], {}),
        ("point", [[5.0, 6.0]], {"positive": True}),
        ("point", [[7.0, 8.0]], {"positive": False}),
    ]


def test_labelme_finds_its_image(make, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.png"
    PIL.Image.new("RGB", (60, 40)).save(path)
    picture = Image(np.zeros((40, 60, 3), np.uint8), name=str(path))
    values = read(make(on=picture).save(tmp_path / "out", ["labelme"])["labelme"])
    assert values["imagePath"] == "../in/a.png"

    def other_drive(*_):
        raise ValueError("path is on mount 'C:', start on mount 'D:'")

    monkeypatch.setattr("fiducial.results.annotations.os.path.relpath", other_drive)
    values = read(make(on=picture).save(tmp_path / "out", ["labelme"])["labelme"])
    assert values["imagePath"] == path.resolve().as_posix()


# -- supervision --------------------------------------------------------------------------------


def test_supervision(two, make, image):
    pytest.importorskip("supervision")
    detections = two.to_supervision()
    assert detections.xyxy.tolist() == [[5, 5, 25, 25], [30, 10, 50, 30]]
    assert np.array_equal(detections.mask, np.stack([mask.to_dense() for mask in two.masks]))
    assert detections.confidence.tolist() == [0.912345, 0.25]
    assert detections.class_id.tolist() == [0, 1]
    assert detections.data["class_name"].tolist() == ["ship", "target"]
    nothing = make().to_supervision()
    assert (len(nothing), nothing.confidence) == (0, None)
    prompts = [Prompt(image.frame, box=(1, 2, 3, 4)), Prompt(image.frame, points=((1, 2), (5, 3)), score=0.5)]
    bare = make(prompts, [Mask.empty(40, 60)] * 2).to_supervision()
    assert bare.xyxy.tolist() == [[1, 2, 3, 4], [1, 2, 5, 3]]
    assert np.isnan(bare.confidence[0])
    assert bare.confidence[1] == 0.5


def test_supervision_is_an_extra(two, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match=r"fiducial\[supervision\]"):
        two.to_supervision()
