import numpy as np
import pytest

import fake_datasets
from fiducial.datasets import LayoutError, open_dataset
from fiducial.errors import InputError

SQUARE = fake_datasets.square() > 0


class TestEarthReason:
    def test_questions_are_samples(self, tmp_path):
        dataset = open_dataset(fake_datasets.earthreason(tmp_path))
        assert list(dataset.ids) == ["train-1-0", "train-1-1", "test-2-0", "test-2-1", "test-3-0", "test-3-1"]
        pier = dataset[2]
        assert (pier.instruction, pier.split) == ("where is 2?", "test")
        assert pier.meta == {"answers": ["the pier", "a pier"]}
        assert np.array_equal(pier.truth.to_dense(), SQUARE)

    def test_no_answer_is_no_target_even_without_a_mask(self, tmp_path):
        _, nothing = open_dataset(fake_datasets.earthreason(tmp_path), split="test", texts="first")
        assert nothing.instances == ()

    def test_an_empty_mask_is_no_target(self, tmp_path):
        root = fake_datasets.earthreason(tmp_path)
        fake_datasets.label(root / "train" / "labels" / "1.png", np.zeros(fake_datasets.SIZE, np.uint8))
        assert open_dataset(root, split="train")[0].instances == ()

    def test_a_mask_of_another_size(self, tmp_path):
        root = fake_datasets.earthreason(tmp_path)
        fake_datasets.label(root / "train" / "labels" / "1.png", np.zeros((4, 4), np.uint8))
        with pytest.raises(InputError, match=r"1.png: the label picture is 4 x 4 .* its image is 6 x 8"):
            open_dataset(root, split="train")[0]

    @pytest.mark.parametrize(
        "found", [{"questions": []}, {"questions": ["a"], "answer": "b"}, {"questions": [1], "answer": []}]
    )
    def test_broken_questions(self, tmp_path, found):
        root = fake_datasets.earthreason(tmp_path)
        fake_datasets.write(root / "test" / "QAs" / "3.json", found)
        with pytest.raises(InputError, match=r"3.json: .*is expected, with a question"):
            open_dataset(root)

    def test_an_empty_split(self, tmp_path):
        root = fake_datasets.earthreason(tmp_path)
        (root / "train" / "QAs" / "1.json").unlink()
        with pytest.raises(LayoutError, match=r"train/QAs/ holds no JSON file"):
            open_dataset(root)


class TestReasonSeg:
    def test_texts_are_samples_and_ignored_pixels_are_no_target(self, tmp_path):
        dataset = open_dataset(fake_datasets.reasonseg(tmp_path), split="val")
        assert [(one.id, one.instruction) for one in dataset] == [
            ("val-1-0", "what floats?"),
            ("val-1-1", "the vessel"),
        ]
        target, hole = np.zeros(fake_datasets.SIZE, bool), np.zeros(fake_datasets.SIZE, bool)
        target[1:5, 1:7] = True
        hole[2:4, 2:4] = True
        assert np.array_equal(dataset[0].truth.to_dense(), target & ~hole)
        assert np.array_equal(dataset[0].ignore.to_dense(), hole)
        assert dataset[0].meta == {"is_sentence": True}

    def test_old_encoding_and_first_text(self, tmp_path):
        first, second = open_dataset(fake_datasets.reasonseg(tmp_path), texts="first")
        assert (first.instruction, second.instruction) == ("café", "what floats?")

    @pytest.mark.parametrize(
        ("shape", "message"),
        [
            ({"label": "target"}, "shape 0 needs a label and points"),
            ({"label": "target", "points": [[1, 2, 3]]}, "points of shape 0 are no list"),
            ({"label": "target", "points": [[1, 1e300]]}, "points of shape 0 are no list"),
        ],
    )
    def test_broken_shapes(self, tmp_path, shape, message):
        root = fake_datasets.reasonseg(tmp_path)
        fake_datasets.write(root / "val" / "1.json", {"text": "one", "shapes": [shape]})
        with pytest.raises(InputError, match=message):
            open_dataset(root, split="val")[0]

    def test_no_shape_is_no_target(self, tmp_path):
        root = fake_datasets.reasonseg(tmp_path)
        fake_datasets.write(root / "val" / "1.json", {"text": ["one"], "shapes": []})
        (only,) = open_dataset(root, split="val")
        assert (only.instances, only.ignore) == ((), None)

    def test_broken_texts(self, tmp_path):
        root = fake_datasets.reasonseg(tmp_path)
        fake_datasets.write(root / "val" / "1.json", {"text": [], "shapes": []})
        with pytest.raises(InputError, match='"text" needs to be a list of texts'):
            open_dataset(f"reasonseg:{root}")

    def test_broken_json_is_not_recognised(self, tmp_path):
        fake_datasets.reasonseg(tmp_path)
        fake_datasets.write(tmp_path / "train" / "2.json", "{")
        with pytest.raises(InputError, match=r"say FORMAT:PATH"):
            open_dataset(tmp_path)


class TestPrsMed:
    def test_rows_are_samples(self, tmp_path):
        dataset = open_dataset(fake_datasets.prsmed(tmp_path))
        assert list(dataset.ids) == ["lung_CT-test-l1-0", "lung_CT-test-l1-1", "skin_rgbimage-train-s1-0"]
        lung, _, skin = dataset
        assert (lung.instruction, lung.split) == ("where, please, is it?", "test")
        assert lung.meta == {"answer": "top left", "position": "top left", "group": "lung_CT", "image_name": "l1.png"}
        assert lung.image_path == tmp_path / "lung_CT/test_images/l1.png"
        assert skin.image_path == tmp_path / "skin_rgbimage/train_images/s1.jpg"
        assert np.array_equal(skin.truth.to_dense(), SQUARE)

    def test_one_csv_file(self, tmp_path):
        root = fake_datasets.prsmed(tmp_path)
        (root / "annotation" / "all.csv").rename(root / "all.csv")
        assert len(open_dataset(root / "all.csv", split="train")) == 1

    def test_columns_and_questions(self, tmp_path):
        root = fake_datasets.prsmed(tmp_path)
        row = {"image_path": "lung_CT/test_masks/l1.png", "image_name": "l1", "split": "test"}
        fake_datasets.table(root / "annotation" / "all.csv", [row])
        with pytest.raises(InputError, match=r"no column question; its columns: image_path, image_name, split"):
            open_dataset(f"prs-med:{root}")
        fake_datasets.table(root / "annotation" / "all.csv", [row | {"question": ""}])
        with pytest.raises(InputError, match=r"the row of 'lung_CT/test_masks/l1.png' has no question"):
            open_dataset(root)

    def test_paths_that_lead_nowhere(self, tmp_path):
        root = fake_datasets.prsmed(tmp_path)
        rows = [
            {"image_path": path, "image_name": "x", "split": "test", "question": "q"}
            for path in ("../../etc/x.png", "lung_CT/test_images/l1.png", "lung_CT/test_masks/l2.png", "l1.png")
        ]
        fake_datasets.table(root / "annotation" / "all.csv", rows)
        with pytest.raises(LayoutError, match=r"4 files are missing"):
            open_dataset(root)
