import itertools
import json
import sys

import numpy as np
import pytest

import fake_datasets
from fiducial.datasets import LayoutError, open_dataset
from fiducial.errors import InputError, MissingExtraError, UnknownNameError

nibabel = pytest.importorskip("nibabel")

SHAPE = (4, 5, 6)
RIGHT, FRONT, TOP = 1, 2, 3


def marked():
    """Labels in RAS+: 1 at the patient's right, 2 in front (on the left half), 3 at the top (back, left)."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[3, 0, :] = RIGHT
    labels[0, 4, :] = FRONT
    labels[0, 0, 5] = TOP
    return labels


def volume(root, labels=None, image=None, names=None, affine=None, **kind):
    labels = marked() if labels is None else labels
    image = np.arange(labels.size, dtype=np.int16).reshape(labels.shape) if image is None else image
    names = {"1": "right", "2": {"name": "front", "voxels": 6}, "3": "top"} if names is None else names
    affine = np.diag([2.0, 3.0, 5.0, 1.0]) if affine is None else affine
    fake_datasets.volume_files(root, image, labels, affine)
    fake_datasets.write(root / "labels.json", names)
    return root


def open_volume(root, **options):
    return open_dataset(f"volume:{root}", **options)


def where(sample, label):
    """Row, column of a label's only pixel."""
    dense = sample.instances[sample.labels.index(label)].to_dense()
    return tuple(int(i) for i in np.argwhere(dense)[0])


class TestOrientation:
    def test_axial_has_anterior_up_and_the_left_at_the_right(self, tmp_path):
        sample = open_volume(volume(tmp_path), min_area=1)[5]
        assert sample.id == "axial-005"
        assert sample.size == (5, 4)
        assert sample.spacing == (3.0, 2.0)
        assert (where(sample, "right"), where(sample, "front"), where(sample, "top")) == ((4, 0), (0, 3), (4, 3))

    def test_coronal_has_superior_up_and_the_left_at_the_right(self, tmp_path):
        sample = open_volume(volume(tmp_path), min_area=1, plane="coronal")[0]
        assert (sample.id, sample.size, sample.spacing) == ("coronal-000", (6, 4), (5.0, 2.0))
        assert where(sample, "top") == (0, 3)
        assert where(sample, "right") == (0, 0)

    def test_sagittal_has_superior_up_and_anterior_at_the_left(self, tmp_path):
        sample = open_volume(volume(tmp_path), min_area=1, plane="sagittal")[0]
        assert (sample.id, sample.size, sample.spacing) == ("sagittal-000", (6, 5), (5.0, 3.0))
        assert where(sample, "front") == (0, 0)
        assert where(sample, "top") == (0, 4)

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    @pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (-1, -1, -1)])
    def test_the_order_on_disk_does_not_matter(self, order, flips, tmp_path):
        plain = open_volume(volume(tmp_path / "plain"), plane="all", min_area=1)
        image = np.arange(120, dtype=np.int16).reshape(SHAPE)
        affine = np.zeros((4, 4))
        for axis, source in enumerate(order):
            affine[source, axis] = (2.0, 3.0, 5.0)[source] * flips[axis]
        affine[3, 3] = 1
        turned = [np.ascontiguousarray(a.transpose(order)[tuple(slice(None, None, f) for f in flips)])
                  for a in (image, marked())]  # fmt: skip
        other = open_volume(volume(tmp_path / "other", turned[1], turned[0], affine=affine), plane="all", min_area=1)
        assert other.ids == plain.ids
        for a, b in zip(plain, other, strict=True):
            assert (a.instances, a.labels, a.spacing) == (b.instances, b.labels, b.spacing)
            assert np.array_equal(a.image().pixels, b.image().pixels)


class TestPictures:
    def test_window_as_text_or_numbers(self, tmp_path):
        root = volume(tmp_path)
        sample = open_dataset(f"volume:{root}?window=0,119&min_area=1")[5]
        column = sample.image().pixels[:, 3]
        assert (column == column[:, :1]).all()
        assert column[:, 0].tolist() == [round((y * 6 + 5) / 119 * 255) for y in (4, 3, 2, 1, 0)]
        assert np.array_equal(open_volume(root, window=(0, 119), min_area=1)[5].image().pixels, sample.image().pixels)

    def test_values_outside_of_the_window_and_no_numbers(self, tmp_path):
        image = np.full(SHAPE, 5, dtype=np.float32)
        image[3, 4], image[2, 4], image[1, 4], image[0, 4] = np.nan, -9, 99, np.inf
        pixels = open_volume(volume(tmp_path, image=image), window="0,10", min_area=1)[0].image().pixels
        assert pixels[0, :, 0].tolist() == [0, 0, 255, 255]
        assert pixels[1, 0, 0] == 128

    def test_percentiles_of_the_whole_volume(self, tmp_path):
        image = np.zeros(SHAPE, dtype=np.float32)
        image[:, :, 3:] = 10
        dataset = open_volume(volume(tmp_path, image=image), min_area=1)
        assert dataset[0].image().pixels.max() == 0
        assert dataset[5].image().pixels.min() == 255

    def test_the_volume_is_read_once_and_not_on_opening(self, tmp_path):
        root = volume(tmp_path)
        dataset = open_volume(root, min_area=1, plane="all")
        assert len(dataset) == 6 + 2 + 2
        dataset[0]
        (root / "image.nii.gz").unlink()
        assert len(list(dataset)) == 10

    def test_nothing_finite_and_nothing_but_one_value(self, tmp_path):
        flat = open_volume(volume(tmp_path / "a", image=np.ones(SHAPE, np.float32)), min_area=1)
        with pytest.raises(InputError, match=r"have the value 1: say window=low,high"):
            flat[0]
        void = open_volume(volume(tmp_path / "b", image=np.full(SHAPE, np.nan, np.float32)), min_area=1)
        with pytest.raises(InputError, match=r"no voxel has a finite value"):
            void[0]


def test_small_pieces_are_left_out(tmp_path):
    labels = np.zeros((6, 6, 3), dtype=np.uint8)
    labels[:4, :4, 1] = 1
    labels[5, :, 1] = 2
    root = volume(tmp_path, labels)
    (sample,) = open_volume(root)
    assert (sample.labels, sample.truth.area) == (("right",), 16)
    assert open_dataset(f"volume:{root}?min_area=6")[0].labels == ("right", "front")
    with pytest.raises(InputError, match=r"no axial slice has a label of at least 17 pixels"):
        open_volume(root, min_area=17)


def test_meta_and_names(tmp_path):
    root = volume(tmp_path, names={"0": "background", "1": " right ", "2": "front", "3": "top", "9": "absent"})
    sample = open_volume(root, min_area=1)[0]
    assert sample.labels == ("right", "front")
    assert sample.meta == {"volume": root.name, "plane": "axial", "index": 0, "spacing": [3.0, 2.0]}
    assert json.loads(json.dumps(sample.meta)) == sample.meta


def test_plain_nifti_a_fourth_axis_of_one_and_floating_labels(tmp_path):
    root = volume(tmp_path, marked()[..., None].astype(np.float32))
    for stem in ("image", "labels"):
        nibabel.save(nibabel.load(root / f"{stem}.nii.gz"), root / f"{stem}.nii")
        (root / f"{stem}.nii.gz").unlink()
    assert len(open_dataset(root, min_area=1)) == 6


@pytest.mark.parametrize("window", ["1", "a,b", "5,5", "9,1", "0,inf", "1,2,3", 7])
def test_windows_that_are_none(window, tmp_path):
    with pytest.raises(InputError, match=r"window"):
        open_volume(volume(tmp_path), window=window)


@pytest.mark.parametrize("min_area", ["x", "0", "1.5", -3, 2.5, None, float("inf")])
def test_counts_that_are_none(min_area, tmp_path):
    with pytest.raises(InputError, match=r"min_area"):
        open_volume(volume(tmp_path), min_area=min_area)


def test_unknown_plane_and_split(tmp_path):
    root = volume(tmp_path)
    with pytest.raises(InputError, match=r"plane: 'oblique'.*known: all, axial, coronal, sagittal"):
        open_dataset(f"volume:{root}?plane=oblique")
    with pytest.raises(UnknownNameError, match=r"split"):
        open_volume(root, split="test")


@pytest.mark.parametrize("lost", ["image.nii.gz", "labels.nii.gz", "labels.json"])
def test_missing_files(lost, tmp_path):
    (volume(tmp_path) / lost).unlink()
    with pytest.raises(LayoutError, match=rf"{lost} missing\nexpected:\n  folder/"):
        open_dataset(f"volume:{tmp_path}")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"names": {"1": "right", "2": "front"}}, "no name for label 3 of labels.nii.gz"),
        ({"names": {"one": "right"}}, "a label's number with its name is expected, got 'one'"),
        ({"names": {"1": {"voxels": 3}}}, "number with its name"),
        ({"labels": marked().astype(np.int16) - 1}, "labels lie in 0..2147483647, got -1..2"),
        ({"labels": marked() * np.float32(0.5)}, "labels are whole numbers"),
        ({"labels": np.stack([marked()] * 2, axis=3)}, r"three axes is expected, got shape \(4, 5, 6, 2\)"),
        ({"labels": np.zeros(SHAPE, np.uint8)}, "no axial slice has a label"),
        ({"image": np.zeros((4, 5, 7), np.int16)}, r"its shape is \(4, 5, 6\), that of image is \(4, 5, 7\)"),
        ({"image": np.zeros(SHAPE, np.complex64)}, "one real number per voxel"),
    ],
)
def test_files_that_do_not_fit(given, message, tmp_path):
    with pytest.raises(InputError, match=message):
        open_volume(volume(tmp_path, **given), min_area=1)


def test_two_places(tmp_path):
    root = volume(tmp_path)
    affine = np.diag([2.0, 3.0, 5.0, 1.0])
    affine[0, 3] = 4
    nibabel.save(nibabel.Nifti1Image(marked(), affine), root / "labels.nii.gz")
    with pytest.raises(InputError, match=r"its voxels lie up to 4 mm from those of image"):
        open_volume(root)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_an_affine_without_a_second_axis(value, tmp_path):
    root = volume(tmp_path)
    nibabel.save(nibabel.load(root / "image.nii.gz"), root / "image.nii")
    (root / "image.nii.gz").unlink()
    header = bytearray((root / "image.nii").read_bytes())
    header[252:254] = b"\0\0"  # qform_code
    header[296:312] = np.full(4, value, dtype="<f4").tobytes()  # srow_y
    (root / "image.nii").write_bytes(header)
    with pytest.raises(InputError, match=r"image.nii, sform: its affine .*does not say where the voxels lie"):
        open_volume(root)


def test_no_nifti_cut_off_and_too_large(tmp_path, monkeypatch):
    root = volume(tmp_path)
    nibabel.save(nibabel.load(root / "image.nii.gz"), root / "image.nii")
    (root / "image.nii.gz").unlink()
    (root / "image.nii").write_bytes((root / "image.nii").read_bytes()[:400])
    with pytest.raises(InputError, match=r"image.nii: the voxels are broken or cut off"):
        open_volume(root, min_area=1)[0]
    with monkeypatch.context() as patch:
        patch.setattr("fiducial.volumes.nifti.MAX_BYTES", 119)
        with pytest.raises(InputError, match=r"of voxels are more than the limit of"):
            open_volume(root)
    (root / "image.nii").write_text("no volume")
    with pytest.raises(InputError, match=r"image.nii: not a readable NIfTI file"):
        open_volume(root)


def test_without_nibabel(tmp_path, monkeypatch):
    root = volume(tmp_path)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingExtraError, match=r"fiducial\[volumes\]"):
        open_volume(root)
