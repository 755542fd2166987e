import numpy as np
import pytest

import fake_datasets
from fiducial.datasets import open_dataset
from fiducial.errors import InputError

SQUARE = fake_datasets.square() > 0


class TestFolder:
    def test_jsonl_with_every_field(self, tmp_path):
        rows = [
            {"id": "one", "image": "a.jpg", "instruction": "the square", "label": "sq", "split": "val", "weight": 2},
            {"id": "two", "image": "images/b.jpg", "instruction": "the lion", "mask": "", "split": "test"},
            {"id": "three", "image": "b", "instruction": "the rest", "mask": "a.png", "ignore": "i.png"},
        ]
        root = fake_datasets.folder(tmp_path, rows)
        fake_datasets.label(root / "ignore" / "i.png", fake_datasets.square())
        one, two, three = open_dataset(root)
        assert [sample.id for sample in (one, two, three)] == ["one", "two", "three"]
        assert (one.labels, one.split, one.meta) == (("sq",), "val", {"weight": 2})
        assert two.instances == ()
        assert np.array_equal(three.ignore.to_dense(), SQUARE)
        assert [sample.id for sample in open_dataset(root, split="test")] == ["two"]

    def test_csv_with_several_rows_for_a_picture(self, tmp_path):
        rows = [{"image": "a.jpg", "instruction": text} for text in ("x, y", "z")] + [
            {"image": "b", "instruction": "w"}
        ]
        dataset = open_dataset(fake_datasets.folder(tmp_path, rows, "csv"))
        assert [(sample.id, sample.instruction) for sample in dataset] == [("a-0", "x, y"), ("a-1", "z"), ("b", "w")]

    def test_no_table_needs_an_instruction(self, tmp_path):
        root = fake_datasets.folder(tmp_path)
        with pytest.raises(InputError, match=r"no instruction: give the table a field"):
            open_dataset(root)
        dataset = open_dataset(f"folder:{root}?instruction=the blue square")
        assert [(sample.id, sample.instruction) for sample in dataset] == [
            ("a", "the blue square"),
            ("b", "the blue square"),
        ]

    def test_manifest(self, tmp_path):
        root = fake_datasets.folder(tmp_path)
        fake_datasets.write(root / "manifest.json", [{"image": "b.jpg", "patient": "P", "area": 9}])
        (only,) = open_dataset(root, instruction="the tumour")
        assert (only.id, only.meta) == ("b", {"patient": "P", "area": 9})
        fake_datasets.write(root / "manifest.json", ["b.jpg"])
        with pytest.raises(InputError, match=r"a list of objects is expected"):
            open_dataset(root)
        fake_datasets.write(root / "instructions.jsonl", "")
        with pytest.raises(InputError, match=r"more than one table: instructions.jsonl, manifest.json"):
            open_dataset(root)

    def test_an_instruction_takes_the_fields_of_a_row(self, tmp_path):
        root = fake_datasets.folder(tmp_path)
        rows = [{"image": "a.jpg", "target": "heart"}, {"image": "b.jpg", "target": "left lung", "instruction": "it"}]
        fake_datasets.write(root / "manifest.json", rows)
        dataset = open_dataset(f"folder:{root}?instruction=the {{target}}, please")
        assert [sample.instruction for sample in dataset] == ["the heart, please", "it"]
        with pytest.raises(InputError, match=r"manifest.json, row 1: nothing stands in field 'organ', which the instr"):
            open_dataset(f"folder:{root}?instruction=the {{organ}}")

    def test_a_table_that_lies_elsewhere(self, tmp_path):
        root = fake_datasets.folder(tmp_path / "data", [{"image": "a.jpg", "instruction": "not this"}])
        table = tmp_path / "mine.csv"
        fake_datasets.table(table, [{"image": "images/b.jpg", "instruction": "this", "mask": "masks/a.png"}])
        (only,) = open_dataset(f"folder:{root}?table={table}")
        assert (only.id, only.instruction, only.mask_path) == ("b", "this", root / "masks" / "a.png")
        with pytest.raises(InputError, match=r"none.jsonl"):
            open_dataset(f"folder:{root}?table={tmp_path / 'none.jsonl'}")

    def test_folders_and_masks_of_other_names(self, tmp_path):
        fake_datasets.picture(tmp_path / "test_images" / "s.1.jpg")
        fake_datasets.label(tmp_path / "test_masks" / "s.1_Segmentation.png", fake_datasets.square())
        spec = f"folder:{tmp_path}?instruction=it&image_folder=test_images&mask_folder=test_masks"
        (only,) = open_dataset(f"{spec}&mask_ending=_Segmentation")
        assert (only.id, only.mask_path.name) == ("s.1", "s.1_Segmentation.png")
        assert np.array_equal(only.truth.to_dense(), SQUARE)
        with pytest.raises(InputError, match=r"1 files are missing: test_masks/s.1.jpg"):
            open_dataset(spec)
        with pytest.raises(InputError, match=r"images/ and masks/ missing"):
            open_dataset(f"folder:{tmp_path}?instruction=it")

    def test_each_number_an_instance(self, tmp_path):
        root = fake_datasets.folder(tmp_path)
        array = fake_datasets.square(3).astype(np.uint16)
        array[5, 7] = 400
        fake_datasets.label(root / "masks" / "a.png", array)
        sample = open_dataset(root, instruction="all", masks="instances")[0]
        assert [mask.area for mask in sample.instances] == [9, 1]
        fake_datasets.label(root / "masks" / "a.png", np.zeros((2, 2), np.uint8))
        with pytest.raises(InputError, match=r"is 2 x 2"):
            open_dataset(root, instruction="all", masks="instances")[0]

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ({"instruction": "x"}, "row 1: no image is named"),
            ({"image": 3, "instruction": "x"}, "row 1: image needs to be a text, got 3"),
            ({"image": "c.jpg", "instruction": "x"}, "2 files are missing: images/c.jpg, masks/c.jpg"),
        ],
    )
    def test_broken_rows(self, tmp_path, row, message):
        with pytest.raises(InputError, match=message):
            open_dataset(fake_datasets.folder(tmp_path, [row]))

    def test_twin_ids(self, tmp_path):
        rows = [{"id": "x", "image": name, "instruction": "y"} for name in ("a", "b")]
        with pytest.raises(InputError, match=r"share the id 'x'"):
            open_dataset(fake_datasets.folder(tmp_path, rows))

    @pytest.mark.parametrize(
        ("line", "message"), [("{", "line 1: not valid JSON"), ("[]", "line 1: an object is expected")]
    )
    def test_broken_lines(self, tmp_path, line, message):
        root = fake_datasets.folder(tmp_path)
        fake_datasets.write(root / "instructions.jsonl", line)
        with pytest.raises(InputError, match=message):
            open_dataset(root)


class TestPhrases:
    def test_refsegrs_counts_the_first_channel(self, tmp_path):
        dataset = open_dataset(fake_datasets.refsegrs(tmp_path))
        assert list(dataset.ids) == ["train-12-0", "test-13-0", "test-13-1"]
        assert [sample.instruction for sample in dataset] == ["road", "vehicle on the road", "vehicle"]
        assert np.array_equal(dataset[0].truth.to_dense(), SQUARE)

    def test_risbench(self, tmp_path):
        red, plane = open_dataset(fake_datasets.risbench(tmp_path), split="val")
        assert (red.id, red.instruction, plane.instruction) == ("val-x-0", "the red car", "the plane")
        assert np.array_equal(red.truth.to_dense(), SQUARE)

    def test_a_line_without_a_phrase(self, tmp_path):
        root = fake_datasets.risbench(tmp_path)
        (root / "output_phrase_val.txt").write_text("x.png the car\ny.png\n")
        with pytest.raises(InputError, match=r"line 2: a name and a phrase are expected, got 'y.png'"):
            open_dataset(root)

    def test_a_text_that_is_not_utf8(self, tmp_path):
        root = fake_datasets.risbench(tmp_path)
        (root / "output_phrase_val.txt").write_bytes(b"x.png caf\xe9\n")
        with pytest.raises(InputError, match=r"not UTF-8 text"):
            open_dataset(root)
