"""PRS-Med's CSV files and the plain folder."""

import numpy as np
import PIL.Image
import pytest

import fake_datasets
from fiducial.datasets import LayoutError, open_dataset
from fiducial.datasets.files import picture_size, read_csv, read_mask, read_values
from fiducial.errors import ImageError, InputError
from fiducial.geometry import Mask

SQUARE = fake_datasets.square() > 0


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


class TestFiles:
    def test_sizes_are_those_of_the_upright_picture(self, tmp_path):
        exif = PIL.Image.Exif()
        exif[0x0112] = 6
        fake_datasets.picture(tmp_path / "a.jpg", exif=exif)
        assert picture_size(tmp_path / "a.jpg") == (8, 6)
        with pytest.raises(ImageError, match=r"no such file"):
            picture_size(tmp_path / "b.jpg")
        (tmp_path / "c.jpg").write_text("no picture")
        with pytest.raises(ImageError, match=r"not a picture"):
            picture_size(tmp_path / "c.jpg")

    def test_alpha_never_counts_and_jpeg_is_cut_at_half(self, tmp_path):
        rgba = np.zeros((*fake_datasets.SIZE, 4), np.uint8)
        rgba[..., 3] = 255
        rgba[..., 1] = fake_datasets.square(9)
        fake_datasets.label(tmp_path / "a.png", rgba)
        assert read_mask(tmp_path / "a.png", fake_datasets.SIZE) == Mask.from_dense(SQUARE)
        PIL.Image.fromarray(np.full((16, 16), 90, np.uint8)).save(tmp_path / "b.jpg")
        assert not read_mask(tmp_path / "b.jpg", (16, 16))
        PIL.Image.fromarray(np.full((16, 16), 160, np.uint8)).save(tmp_path / "b.jpg")
        assert read_mask(tmp_path / "b.jpg", (16, 16)).area == 256

    def test_one_bit_and_broken_label_pictures(self, tmp_path):
        PIL.Image.fromarray(SQUARE).save(tmp_path / "a.png")
        assert read_mask(tmp_path / "a.png", fake_datasets.SIZE).area == 9
        PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "b.png")
        data = (tmp_path / "b.png").read_bytes()
        (tmp_path / "b.png").write_bytes(data[: len(data) // 2])
        with pytest.raises(ImageError, match=r"broken or cut off"):
            read_values(tmp_path / "b.png")

    def test_csv_with_too_many_cells(self, tmp_path):
        fake_datasets.write(tmp_path / "a.csv", "image,instruction\na.jpg,x, y\n")
        with pytest.raises(InputError, match=r"line 2: more cells than columns"):
            read_csv(tmp_path / "a.csv", ("image",))
        fake_datasets.write(tmp_path / "a.csv", 'image,instruction\na.jpg,"x"y\n')
        with pytest.raises(InputError, match=r"not valid CSV after line 1"):
            read_csv(tmp_path / "a.csv", ("image",))
        fake_datasets.write(tmp_path / "a.csv", "")
        with pytest.raises(InputError, match=r"its columns: none"):
            read_csv(tmp_path / "a.csv", ("image",))
        with pytest.raises(InputError, match=r"cannot be read"):
            read_csv(tmp_path / "b.csv", ("image",))

    def test_large_label_pictures_are_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr("fiducial.datasets.files.DEFAULT_MAX_PIXELS", 10)
        fake_datasets.label(tmp_path / "a.png", fake_datasets.square())
        with pytest.raises(ImageError, match=r"more than the limit"):
            read_values(tmp_path / "a.png")
