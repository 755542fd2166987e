import numpy as np
import PIL.Image
import pytest
import tifffile

import fake_datasets
from fiducial.datasets import LayoutError
from fiducial.datasets.files import count_of, picture_size, read_csv, read_mask, read_values, tree
from fiducial.errors import ImageError, InputError
from fiducial.geometry import Mask
from fiducial.images import read_image

SQUARE = fake_datasets.square() > 0


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
        with pytest.raises(InputError, match=r"no such file"):
            read_csv(tmp_path / "b.csv", ("image",))

    def test_large_label_pictures_are_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr("fiducial.datasets.files.DEFAULT_MAX_PIXELS", 10)
        fake_datasets.label(tmp_path / "a.png", fake_datasets.square())
        with pytest.raises(ImageError, match=r"more than the limit"):
            read_values(tmp_path / "a.png")


def test_trees_are_short(tmp_path):
    for number in range(12):
        (tmp_path / f"{number:02}.txt").write_text("")
    (tmp_path / "inner" / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "inner" / "void").mkdir()
    drawn = tree(tmp_path)
    assert drawn.splitlines()[1:4] == ["  inner/", "    deep/", "    void/"]
    assert drawn.endswith("... and 5 more")
    assert "deeper" not in drawn
    (tmp_path / "empty").mkdir()
    assert tree(tmp_path / "empty").endswith("(empty)")
    assert tree(tmp_path / "00.txt") == "00.txt (a file)"
    assert "nothing" in str(LayoutError(tmp_path / "no", "coco", "a/", "x"))
    assert count_of(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert count_of(["a"]) == "a"


@pytest.mark.parametrize("kind", ["int8", "int16", "uint16", "uint32", "int64", "float64"])
@pytest.mark.parametrize("separate", [False, True])
def test_labels_in_tiff_keep_their_numbers(tmp_path, kind, separate):
    labels = np.arange(48).reshape(6, 8).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", labels)
    assert np.array_equal(read_values(tmp_path / "a.tif"), labels)
    colours = np.stack([labels, labels * 0 + 1, labels * 2], axis=0 if separate else 2).astype(kind)
    how = "separate" if separate else "contig"
    tifffile.imwrite(tmp_path / "b.tif", colours, photometric="rgb", planarconfig=how)
    assert np.array_equal(read_values(tmp_path / "b.tif", channel=2), (labels * 2).astype(kind))
    assert np.array_equal(read_values(tmp_path / "b.tif"), np.maximum(labels * 2, 1).astype(kind))


def test_the_size_of_a_turned_tiff_is_that_of_the_picture(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((6, 8), np.uint8), extratags=[(274, "H", 1, 6, True)])
    assert picture_size(tmp_path / "a.tif") == (8, 6) == read_image(tmp_path / "a.tif").pixels.shape[:2]
