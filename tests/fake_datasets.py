"""Write tiny folders in the layout of each benchmark; every picture is 6 x 8 (height x width)."""

import csv
import json
import pickle
from pathlib import Path

import numpy as np
import PIL.Image

SIZE = (6, 8)
SQUARE = (slice(1, 4), slice(2, 5))
"""A 3 x 3 square with the box 2, 1, 5, 4."""
SQUARE_BOX = (2.0, 1.0, 5.0, 4.0)
SQUARE_POLYGON = [2, 1, 5, 1, 5, 4, 2, 4]


def square(value=255, size=SIZE):
    array = np.zeros(size, dtype=np.uint8)
    array[SQUARE] = value
    return array


def picture(path, size=SIZE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.arange(size[0] * size[1], dtype=np.uint8).reshape(size)
    PIL.Image.fromarray(np.stack([grey] * 3, axis=2)).save(path, **options)


def label(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(array).save(path)


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")


def rle(array):
    flat = array.astype(bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(int)))
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": list(array.shape), "counts": counts}


def image_entry(number, name, size=SIZE):
    return {"id": number, "file_name": name, "height": size[0], "width": size[1], "license": 1}


def annotation(number, image, category=1, **extra):
    entry = {"id": number, "image_id": image, "category_id": category, "area": 9, "iscrowd": 0}
    return entry | {"segmentation": [SQUARE_POLYGON], "bbox": [2, 1, 3, 3]} | extra


CATEGORIES = [{"id": 1, "name": "ship"}, {"id": 7, "name": "storage_tank"}]


def coco(root, name="instances.json", images="images"):
    """Two pictures: one with two ships (one as a code), a crowd and a tank; one with nothing."""
    found = {
        "images": [image_entry(10, "a.jpg"), image_entry(11, "b.jpg")],
        "annotations": [
            annotation(1, 10),
            annotation(2, 10, segmentation=rle(np.flip(square())), bbox=[3, 2, 3, 3]),
            annotation(3, 10, segmentation=rle(square()), iscrowd=1),
            annotation(4, 10, category=7),
        ],
        "categories": CATEGORIES,
    }
    write(root / name, found)
    for file in ("a.jpg", "b.jpg"):
        picture(root / images / file)
    return root


def reference(number, image, ann, split, *sentences, **extra):
    said = [{"sent_id": 100 * number + i, "sent": s, "raw": s, "tokens": s.split()} for i, s in enumerate(sentences)]
    return {"ref_id": number, "image_id": image, "ann_id": ann, "category_id": 1, "split": split} | {
        "sentences": said,
        "sent_ids": [one["sent_id"] for one in said],
        **extra,
    }


REFERENCES = [
    reference(0, 10, 1, "train", "the ship"),
    reference(1, 10, 2, "test", "the left ship", "a ship at the left"),
    reference(2, 11, 3, "test", "the tank"),
]


def refer(root, name="rrsisd", references=REFERENCES, by="unc", protocol=2):
    """RRSIS-D, or another in the REFER layout; gRefCOCO's references are JSON, the others' a pickle."""
    images = {"rrsisd": "images/rrsisd/JPEGImages"}.get(name, "images/mscoco/images/train2014")
    found = {
        "images": [image_entry(10, "a.jpg"), image_entry(11, "b.jpg")],
        "annotations": [
            annotation(1, 10),
            annotation(2, 10, segmentation=[rle(square()), rle(np.flip(square()))]),
            annotation(3, 11, category=7, segmentation=[rle(square())]),
        ],
        "categories": CATEGORIES,
    }
    write(root / name / "instances.json", found)
    if name == "grefcoco":
        write(root / name / f"grefs({by}).json", references)
    else:
        (root / name / f"refs({by}).p").write_bytes(pickle.dumps(references, protocol=protocol))
    for file in ("a.jpg", "b.jpg"):
        picture(root / images / file)
    return root


def earthreason(root):
    for split, name, answers in (
        ("train", "1", ["yes"]),
        ("test", "2", ["the pier", "a pier"]),
        ("test", "3", []),
    ):
        folder = root / split
        picture(folder / "images" / f"{name}.jpg")
        write(folder / "QAs" / f"{name}.json", {"questions": [f"where is {name}?", "and why?"], "answer": answers})
        if answers:
            label(folder / "labels" / f"{name}.png", square(1))
    return root


def refsegrs(root):
    for name in ("12", "13"):
        picture(root / "images" / f"{name}.tif")
        mask = np.zeros((*SIZE, 3), dtype=np.uint8)
        mask[..., 0] = square()
        mask[5, 7, 1] = 255
        label(root / "masks" / f"{name}.tif", mask)
    write(root / "output_phrase_train.txt", "12 road\n")
    write(root / "output_phrase_test.txt", "13 vehicle on the road\n\n13 vehicle\n")
    return root


def risbench(root):
    for name in ("x.png", "y.png"):
        picture(root / "img_rgb" / name)
        label(root / "mask" / name, square())
    write(root / "output_phrase_val.txt", "x.png the red car\ny.png the plane\n")
    return root


def reasonseg(root):
    corners = [[1, 1], [6, 1], [6, 4], [1, 4]]
    hole = [[2, 2], [3, 2], [3, 3], [2, 3]]
    found = {
        "text": ["what floats?", "the vessel"],
        "is_sentence": True,
        "shapes": [
            {"label": "ignore", "points": hole},
            {"label": "target", "points": corners},
            {"label": "flag", "points": [[0, 0], [7, 5], [7, 0]]},
        ],
    }
    write(root / "val" / "1.json", found)
    picture(root / "val" / "1.jpg")
    old = json.dumps(found | {"text": ["caf\u00e9"], "is_sentence": False}, ensure_ascii=False)
    (root / "train").mkdir()
    (root / "train" / "2.json").write_bytes(old.encode("cp1252"))
    picture(root / "train" / "2.jpg")
    return root


def voc(root, masks=True):
    """One picture with a person twice and a car, with void pixels; the car is difficult."""
    picture(root / "JPEGImages" / "p1.jpg")
    entries = (
        ("person", "1", "1", "2", "3", 0),
        ("person", "4", "1", "5", "3", 0),
        ("tvmonitor", "7", "4", "8", "6", 1),
    )
    objects = "".join(
        f"<object><name>{name}</name><difficult>{hard}</difficult><bndbox><xmin>{a}</xmin><ymin>{b}</ymin>"
        f"<xmax>{c}</xmax><ymax>{d}</ymax></bndbox><part><name>head</name></part></object>"
        for name, a, b, c, d, hard in entries
    )
    write(root / "Annotations" / "p1.xml", f"<annotation><filename>p1.jpg</filename>{objects}</annotation>")
    for kind in ("Segmentation", "Main"):
        write(root / "ImageSets" / kind / "train.txt", "p1\n")
        write(root / "ImageSets" / kind / "trainval.txt", "p1\n")
    write(root / "ImageSets" / "Main" / "person_train.txt", "p1 1\n")
    if masks:
        classes, objects_of = np.zeros(SIZE, dtype=np.uint8), np.zeros(SIZE, dtype=np.uint8)
        classes[0:3, 0:2], classes[0:3, 3:5], classes[3:6, 6:8], classes[5, 0] = 15, 15, 20, 255
        objects_of[0:3, 0:2], objects_of[0:3, 3:5], objects_of[3:6, 6:8], objects_of[5, 0] = 1, 2, 3, 255
        palette(root / "SegmentationClass" / "p1.png", classes)
        palette(root / "SegmentationObject" / "p1.png", objects_of)
    return root


def palette(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    made = PIL.Image.fromarray(array, mode="P")
    made.putpalette([(7 * i) % 256 for i in range(768)])
    made.save(path)


def table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def prsmed(root):
    picture(root / "lung_CT" / "test_images" / "l1.png")
    label(root / "lung_CT" / "test_masks" / "l1.png", square())
    picture(root / "skin_rgbimage" / "train_images" / "s1.jpg")
    label(root / "skin_rgbimage" / "train_masks" / "s1_Segmentation.png", square())
    common = {"position": "top left", "description": "", "question": "where, please, is it?", "answer": "top left"}
    rows = [
        {"image_path": "/home/them/data/lung_CT/test_masks/l1.png", "image_name": "l1.png", "split": "test"},
        {"image_path": "lung_CT/test_masks/l1.png", "image_name": "l1.png", "split": "test"},
        {"image_path": "skin_rgbimage/train_masks/s1_Segmentation.png", "image_name": "s1.png", "split": "train"},
    ]
    table(root / "annotation" / "all.csv", [row | common for row in rows])
    return root


def folder(root, rows=None, kind="jsonl"):
    for name in ("a", "b"):
        picture(root / "images" / f"{name}.jpg")
        label(root / "masks" / f"{name}.png", square())
    if rows is not None and kind == "jsonl":
        write(root / "instructions.jsonl", "\n".join(json.dumps(row) for row in rows) + "\n\n")
    elif rows is not None:
        table(root / "instructions.csv", rows)
    return root


def panoptic(root):
    """One picture with two people, a crowd of them, a wall, and pixels without a segment."""
    ids = np.zeros(SIZE, dtype=np.uint32)
    person, crowd, other, wall = 1 + 256 * 2 + 65536 * 3, 256, 65536, 5
    ids[0:3, 0:2], ids[0:3, 3:5], ids[0:2, 6:8], ids[4:6] = person, other, crowd, wall
    label(root / "panoptic" / "a.png", np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8))
    picture(root / "images" / "a.jpg")
    kinds = ((person, 1, 0), (crowd, 1, 1), (other, 1, 0), (wall, 199, 0))
    segments = [{"id": number, "category_id": kind, "iscrowd": crowded} for number, kind, crowded in kinds]
    found = {
        "images": [image_entry(10, "a.jpg")],
        "annotations": [{"image_id": 10, "file_name": "a.png", "segments_info": segments}],
        "categories": [
            {"id": 1, "name": "person", "isthing": 1},
            {"id": 199, "name": "wall-other-merged", "isthing": 0},
        ],
    }
    write(root / "panoptic.json", found)
    return root


def volume_files(root, image, labels, affine):
    import nibabel

    root.mkdir(parents=True, exist_ok=True)
    for name, values in (("image", image), ("labels", labels)):
        nibabel.save(nibabel.Nifti1Image(values, affine), root / f"{name}.nii.gz")


def volume(root):
    """A volume of two axial slices of 6 x 8, each with a block of 16 pixels."""
    labels = np.zeros((8, 6, 2), dtype=np.uint8)
    labels[2:6, 1:5] = 1
    volume_files(root, np.arange(96, dtype=np.int16).reshape(8, 6, 2), labels, np.diag([2.0, 2.0, 3.0, 1.0]))
    write(root / "labels.json", {"1": {"name": "liver", "voxels": 32}})
    return root


BUILDERS = {
    "coco": coco,
    "earthreason": earthreason,
    "folder": lambda root: folder(root, [{"image": "a.jpg", "instruction": "the square"}]),
    "grefcoco": lambda root: refer(root, "grefcoco"),
    "panoptic": panoptic,
    "prs-med": prsmed,
    "reasonseg": reasonseg,
    "refcoco": lambda root: refer(root, "refcoco"),
    "refcoco+": lambda root: refer(root, "refcoco+"),
    "refcocog": lambda root: refer(root, "refcocog", by="umd"),
    "refsegrs": refsegrs,
    "risbench": risbench,
    "rrsisd": refer,
    "voc": voc,
    "volume": volume,
}


def build(name: str, root: Path) -> Path:
    """Write the layout of this name."""
    return BUILDERS[name](root)
