import json

import numpy as np
import PIL.Image
import pytest

from fiducial import Mask
from fiducial.errors import InputError, UnknownNameError
from fiducial.evaluation.scoring import score_predictions

IMAGES = [{"id": 1, "height": 8, "width": 8}, {"id": 2, "height": 8, "width": 8}, {"id": 3, "height": 8, "width": 8}]


def box(x1, y1, x2, y2):
    return Mask.from_box((x1, y1, x2, y2), 8, 8)


def code(mask, **more):
    return {"segmentation": mask.to_coco(), **more}


@pytest.fixture
def write(tmp_path):
    def write(name, document):
        (tmp_path / name).write_text(json.dumps(document))
        return tmp_path / name

    return write


@pytest.fixture
def truth(write):
    """Image 1 has a target of two parts, image 2 one, image 3 none."""
    annotations = [
        code(box(0, 0, 4, 2), image_id=1),
        code(box(0, 2, 4, 4), image_id=1),
        {"segmentation": [[2, 2, 6, 2, 6, 6, 2, 6]], "image_id": 2},
    ]
    return write("truth.json", {"images": IMAGES, "annotations": annotations})


def test_golden_numbers(write, truth):
    results = [
        code(box(0, 0, 4, 1), image_id=1),
        code(box(0, 1, 4, 2), image_id=1),
        {"segmentation": [[2, 2, 6, 2, 6, 6, 2, 6]], "image_id": 2},
    ]
    report = score_predictions(write("p.json", results), truth).as_json()
    assert list(report)[:2] == ["policy", "n"]
    assert (report["policy"], report["n"]) == ("fiducial", 3)
    # 8 of 16 pixels; all; and image 3 is missing, which the policy counts as wrong
    assert report["mean_iou"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert report["cum_iou"] == pytest.approx((8 + 16) / (16 + 16))
    assert report["p@0.5"] == pytest.approx(2 / 3)
    assert report["p@0.9"] == pytest.approx(1 / 3)
    assert report["dice"] == pytest.approx((2 * 8 / 24 + 1) / 3)
    assert report["box_iou"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert report["outcomes"] == {"found": 2, "no_target": 0, "malformed": 0, "truncated": 0, "failed": 1}
    assert {"box_giou", "box_ciou"} <= set(report)


@pytest.mark.parametrize(
    ("rules", "both", "one"), [("fiducial", 0.5, 0.25), ("lisa", 1.0, 0.75), ("rmsin", 0.5, 0.25), ("sjtu", 1.0, 1.0)]
)
def test_missing_predictions_follow_the_policy(write, rules, both, one):
    """Of four samples two have a target; nobody says anything about the others."""
    images = [*IMAGES, {"id": 4, "height": 8, "width": 8}]
    found = [code(box(0, 0, 4, 4), image_id=1), code(box(0, 0, 4, 4), image_id=2)]
    truth = write("t.json", {"images": images, "annotations": found})
    for name, predictions, mean in [("p.json", found, both), ("q.json", found[:1], one)]:
        assert score_predictions(write(name, predictions), truth, rules).as_json()["mean_iou"] == mean


def test_listed_without_an_annotation_says_no_target(write, truth):
    predictions = write("p.json", {"images": IMAGES, "annotations": []})
    report = score_predictions(predictions, truth).as_json()
    assert report["outcomes"]["no_target"] == 3
    assert report["mean_iou"] == pytest.approx(1 / 3)
    assert report["n_acc"] == 1.0


def test_outcomes_may_be_told(write, truth):
    told = [{"image_id": 1, "outcome": "malformed"}, {"image_id": 3, "outcome": "no_target"}]
    report = score_predictions(write("p.json", told), truth).as_json()
    assert report["outcomes"] == {"found": 0, "no_target": 1, "malformed": 1, "truncated": 0, "failed": 1}
    wrong = [code(box(0, 0, 1, 1), image_id=1, outcome="no_target")]
    with pytest.raises(InputError, match="sample 1: its outcome is no_target, but something is predicted"):
        score_predictions(write("q.json", wrong), truth)
    with pytest.raises(InputError, match=r"annotations\[0\]: its outcome is one of found"):
        score_predictions(write("r.json", [{"image_id": 1, "outcome": "fine"}]), truth)


def test_several_instructions_about_one_image(write):
    annotations = [
        code(box(0, 0, 4, 4), image_id=1, instruction_id="left"),
        code(box(4, 0, 8, 4), image_id=1, instruction_id="right"),
        code(box(4, 4, 8, 8), image_id=1, instruction_id="right"),
    ]
    listed = [{"id": name, "image_id": 1} for name in ("left", "right", "none")]
    truth = write("t.json", {"images": IMAGES, "instructions": listed, "annotations": annotations})
    predictions = write("p.json", annotations)
    report = score_predictions(predictions, truth).as_json()
    assert (report["n"], report["cum_iou"], report["outcomes"]["failed"]) == (3, 1.0, 1)
    bare = write("u.json", {"images": IMAGES, "annotations": annotations})
    assert score_predictions(predictions, bare).as_json()["mean_iou"] == 1.0


def test_instructions_with_the_numbers_of_images_are_samples_too(write):
    """The second has no target: only the list tells that there is such a sample."""
    annotations = [code(box(0, 0, 4, 4), image_id=1, instruction_id=1)]
    listed = [{"id": number, "image_id": 1} for number in (1, 2)]
    truth = write("t.json", {"images": IMAGES, "instructions": listed, "annotations": annotations})
    report = score_predictions(write("p.json", annotations), truth).as_json()
    assert (report["n"], report["n_no_target"], report["outcomes"]["failed"]) == (2, 1, 1)


def test_extra_predictions_are_named(write, truth):
    extra = [code(box(0, 0, 1, 1), image_id=name) for name in (1, 7, 8, "x")]
    with pytest.raises(InputError, match=r"3 of 4 samples are not in .*truth\.json: 7, 8, x"):
        score_predictions(write("p.json", extra), truth)
    many = [code(box(0, 0, 1, 1), image_id=name) for name in range(10, 20)]
    with pytest.raises(InputError, match="10, 11, 12, 13, 14 and 5 more"):
        score_predictions(write("q.json", many), truth)
    other = [code(box(0, 0, 1, 1), image_id=1, instruction_id="a")]
    with pytest.raises(InputError, match=r"\(instruction_id there, image_id here\)"):
        score_predictions(write("r.json", other), truth)


def test_crowds_of_the_truth_are_ignored(write):
    annotations = [
        code(box(0, 0, 4, 4), image_id=1),
        code(box(4, 0, 8, 4), image_id=1, iscrowd=1),
        code(box(4, 4, 8, 8), image_id=1, iscrowd=1),
    ]
    truth = write("t.json", {"images": IMAGES[:1], "annotations": annotations})
    spilt = [code(box(0, 0, 8, 4), image_id=1)]
    assert score_predictions(write("p.json", spilt), truth).as_json()["mean_iou"] == 1.0


def test_boxes_without_masks(write):
    truth = write("t.json", {"images": IMAGES[:1], "annotations": [{"image_id": 1, "bbox": [0, 0, 4, 4]}]})
    report = score_predictions(write("p.json", [{"image_id": 1, "bbox": [0, 0, 4, 2]}]), truth).as_json()
    assert (report["mean_iou"], report["box_iou"]) == (None, 0.5)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"a": 1}, "no list 'annotations'"),
        ({"annotations": [], "images": 3}, "no list 'images'"),
        ({"annotations": [], "images": [{"id": 1}]}, r"images\[0\]: needs id, height and width"),
        ({"annotations": [], "images": [], "instructions": [{"id": 1, "image_id": 5}]}, r"instructions\[0\]"),
        ([3], r"annotations\[0\]: needs an image_id"),
        ([{"image_id": 1, "instruction_id": 2}, {"image_id": 1}], r"annotations\[1\]: has no instruction_id"),
        ([{"image_id": 1, "segmentation": {"size": [8, 8], "counts": [9]}}], r"annotations\[0\]: .*covers 9 pixels"),
        ([{"image_id": 1, "segmentation": [[1, 2]]}], r"annotations\[0\]"),
        ([{"image_id": 1, "bbox": [1, 2]}], r"annotations\[0\]"),
        ([{"image_id": 1, "bbox": [1, 2, float("nan"), 4]}], r"annotations\[0\]: its box holds a number that is not"),
        ([{"image_id": 1, "segmentation": {"size": [9, 8], "counts": [72]}}], r"annotations\[0\]"),
    ],
)
def test_broken_files_are_named_with_the_place(write, truth, document, message):
    with pytest.raises(InputError, match=message):
        score_predictions(write("p.json", document), truth)


def test_files_that_are_none(tmp_path, truth):
    with pytest.raises(InputError, match="no such file"):
        score_predictions(tmp_path / "none.json", truth)
    (tmp_path / "p.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        score_predictions(tmp_path / "p.json", truth)
    (tmp_path / "p.json").write_bytes(b"\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        score_predictions(tmp_path / "p.json", truth)
    with pytest.raises(UnknownNameError, match="unknown policy 'mine'"):
        score_predictions(truth, truth, "mine")


def test_truth_without_anything_to_go_by(write):
    empty = write("e.json", [])
    with pytest.raises(InputError, match="holds no sample"):
        score_predictions(empty, empty)
    bare = write("b.json", [{"image_id": 1}])
    with pytest.raises(InputError, match="neither a target nor the size"):
        score_predictions(bare, bare)


# -- pictures meet by the names of their files ---------------------------------------------------------


def listed(*names, first=1):
    return [
        {"id": number, "height": 8, "width": 8, "file_name": name} for number, name in enumerate(names, start=first)
    ]


@pytest.fixture
def two(write):
    """a.jpg has no target and the id 1, b.jpg one and the id 7."""
    images = [*listed("a.jpg"), *listed("b.jpg", first=7)]
    return write("truth.json", {"images": images, "annotations": [code(box(0, 0, 4, 4), image_id=7)]})


@pytest.mark.parametrize("name", ["b.jpg", "pictures/b.jpg", "./b.jpg", "x\\\\b.jpg", "b.png"])
def test_a_prediction_counts_for_the_picture_of_its_name(write, two, name):
    """Another tool numbers from 1: by id it would count for a.jpg."""
    found = {"images": listed(name), "annotations": [code(box(0, 0, 4, 4), image_id=1)]}
    scores = score_predictions(write("p.json", found), two)
    assert {key: score.iou for key, score in scores.samples.items()} == {"1": 0.0, "7": 1.0}


def test_folders_in_names_count_where_two_files_are_called_alike(write):
    annotations = [code(box(0, 0, 4, 4), image_id=1), code(box(4, 4, 8, 8), image_id=2)]
    truth = write("t.json", {"images": listed("x/a.jpg", "y/a.jpg"), "annotations": annotations})
    turned = [code(box(4, 4, 8, 8), image_id=1), code(box(0, 0, 4, 4), image_id=2)]
    predictions = write("p.json", {"images": listed("y/a.jpg", "x/a.jpg"), "annotations": turned})
    assert score_predictions(predictions, truth).as_json()["mean_iou"] == 1.0
    bare = write("q.json", {"images": listed("a.jpg", "a.jpg"), "annotations": annotations})
    assert score_predictions(bare, truth).as_json()["mean_iou"] == 1.0  # the ids agree, and the names as far as they go


def test_ids_and_names_that_contradict_each_other_are_refused(write, two):
    found = {"images": listed("z.jpg"), "annotations": [code(box(0, 0, 4, 4), image_id=1)]}
    with pytest.raises(InputError, match=r"image 1 is 'z\.jpg' there and 'a\.jpg' here"):
        score_predictions(write("p.json", found), two)
    found = {"images": listed("b.jpg", "z.jpg"), "annotations": [code(box(0, 0, 4, 4), image_id=2)]}
    with pytest.raises(InputError, match=r"1 of 2 pictures of the predictions are not in the truth: z\.jpg"):
        score_predictions(write("q.json", found), two)
    found = {"images": listed("b.jpg"), "annotations": [code(box(0, 0, 4, 4), image_id=7)]}
    with pytest.raises(InputError, match="image 7, which is not listed with the others"):
        score_predictions(write("r.json", found), two)


def test_without_names_on_one_side_the_ids_count(write, two):
    results = [code(box(0, 0, 4, 4), image_id=7)]
    assert score_predictions(write("p.json", results), two).samples["7"].iou == 1.0
    images = [{"id": 7, "height": 8, "width": 8}]
    assert score_predictions(write("q.json", {"images": images, "annotations": results}), two).samples["7"].iou == 1.0


def test_instructions_are_about_the_picture_of_the_same_name(write):
    about = [code(box(0, 0, 4, 4), image_id=1, instruction_id=5)]
    truth = write("t.json", {"images": listed("a.jpg", "b.jpg"), "annotations": about})
    turned = [code(box(0, 0, 4, 4), image_id=2, instruction_id=5)]
    same = write("p.json", {"images": listed("b.jpg", "a.jpg"), "annotations": turned})
    assert score_predictions(same, truth).as_json()["mean_iou"] == 1.0
    other = write("q.json", {"images": listed("b.jpg", "a.jpg"), "annotations": about})
    with pytest.raises(InputError, match=r"instruction 5 is about 'b\.jpg' there, about 'a\.jpg' here"):
        score_predictions(other, truth)


def test_masks_in_a_folder_meet_pictures_by_name(write, two, tmp_path):
    save(tmp_path / "p", "b.png", box(0, 0, 4, 4).to_dense())
    assert score_predictions(tmp_path / "p", two).samples["7"].iou == 1.0
    found = {"images": listed("b.jpg", first=4), "annotations": [code(box(0, 0, 4, 4), image_id=4)]}
    assert score_predictions(write("q.json", found), tmp_path / "p").samples["b"].iou == 1.0


@pytest.mark.parametrize("turn", [1, -1])
def test_boxes_beside_masks_are_kept_in_either_order(write, turn):
    mixed = [code(box(0, 0, 4, 4), image_id=1), {"image_id": 1, "bbox": [4, 4, 2, 2]}]
    truth = write("t.json", {"images": IMAGES[:1], "annotations": mixed[::turn]})
    whole = [code(box(0, 0, 4, 4).union(box(4, 4, 6, 6)), image_id=1)]
    assert score_predictions(write("p.json", whole), truth).as_json()["mean_iou"] == 1.0


def test_a_ring_that_is_none_is_left_out_of_predictions_too(write, truth, caplog):
    rings = [[1, 2, 3, 4], [2, 2, 6, 2, 6, 6, 2, 6]]
    predictions = write("p.json", [{"segmentation": rings, "image_id": 2}])
    assert score_predictions(predictions, truth).samples["2"].iou == 1.0
    assert "annotations[0]: ring 1 of 2 is left out" in caplog.text


# -- folders ----------------------------------------------------------------------------------------


def save(folder, name, dense):
    folder.mkdir(exist_ok=True)
    PIL.Image.fromarray(np.asarray(dense)).save(folder / name)


def test_folders_of_masks_with_the_same_names(tmp_path):
    target = box(2, 2, 6, 6).to_dense()
    save(tmp_path / "t", "a.png", target.astype(np.uint8))  # 0 and 1
    save(tmp_path / "t", "b.png", target)
    save(tmp_path / "t", "c.png", np.zeros((8, 8), np.uint8))
    save(tmp_path / "p", "a.png", target.astype(np.uint8) * 255)
    save(tmp_path / "p", "b.png", np.stack([box(2, 2, 6, 4).to_dense().astype(np.uint8) * 9] * 3, axis=2))
    save(tmp_path / "p", "c.png", np.zeros((8, 8), np.uint8))
    (tmp_path / "p" / "notes.txt").write_text("not a mask")
    scores = score_predictions(tmp_path / "p", tmp_path / "t")
    assert {name: score.iou for name, score in scores.samples.items()} == {"a": 1.0, "b": 0.5, "c": 1.0}
    assert scores.as_json()["outcomes"]["no_target"] == 1
    lines = [json.loads(line) for line in scores.write(tmp_path / "s.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["a", "b", "c"]
    assert lines[1]["iou"] == 0.5


def test_folders_that_do_not_fit(tmp_path):
    target = box(2, 2, 6, 6).to_dense()
    save(tmp_path / "t", "a.png", target)
    save(tmp_path / "p", "z.png", target)
    with pytest.raises(InputError, match=r"1 of 1 samples are not in .*: z"):
        score_predictions(tmp_path / "p", tmp_path / "t")
    save(tmp_path / "q", "a.png", np.zeros((9, 8), np.uint8))
    with pytest.raises(InputError, match=r"sample a: .*do not share a canvas"):
        score_predictions(tmp_path / "q", tmp_path / "t")
    (tmp_path / "e").mkdir()
    with pytest.raises(InputError, match="holds no mask pictures"):
        score_predictions(tmp_path / "e", tmp_path / "t")
    save(tmp_path / "t", "a.tif", target)
    with pytest.raises(InputError, match="two masks are called a"):
        score_predictions(tmp_path / "p", tmp_path / "t")


def test_a_prediction_of_another_size_is_brought_there_by_policies_that_resize(tmp_path):
    save(tmp_path / "t", "a.png", box(2, 2, 6, 6).to_dense())
    save(tmp_path / "p", "a.png", np.kron(box(2, 2, 6, 6).to_dense(), np.ones((2, 2), bool)))
    assert score_predictions(tmp_path / "p", tmp_path / "t", "sjtu").as_json()["mean_iou"] == 1.0


def test_boundaries_on_request(write, truth):
    predictions = write("p.json", [code(box(2, 2, 6, 5), image_id=2)])
    assert score_predictions(predictions, truth).as_json()["boundary_f"] is None
    assert score_predictions(predictions, truth, boundaries=True).as_json()["boundary_f"] is not None


def test_distances_have_the_unit_of_the_spacing(write, truth):
    predictions = write("p.json", [code(box(2, 2, 6, 5), image_id=2)])
    plain = score_predictions(predictions, truth, boundaries=True).as_json()["hausdorff95"]
    spaced = score_predictions(predictions, truth, boundaries=True, spacing=(0.5, 0.5)).as_json()["hausdorff95"]
    assert plain > 0
    assert spaced == pytest.approx(plain / 2)
