import gzip
import json

import numpy as np
import pytest

from fiducial.errors import InputError
from fiducial.volumes import LabelMap, Volume, make_phantom
from fiducial.volumes import nifti as reader
from fiducial.volumes.affines import make_affine
from fiducial.volumes.nifti import rescaled
from volumes.grids import random_grid, random_labels

nibabel = pytest.importorskip("nibabel")
AFFINE = make_affine((3, 4, 5), (1.0, 2.0, 3.0), "LPS", (5, -8, 12))


def write(path, array=None, affine=AFFINE, *, sform=1, qform=1, change=None):
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5) if array is None else array, affine)
    image.set_sform(affine, sform)
    image.set_qform(affine, qform)
    if change is not None:
        change(image)
    image.to_filename(path)
    return path


def test_labels_keep_their_places_through_files(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(40):
        shape, affine = random_grid(rng)
        labels = LabelMap(random_labels(rng, shape), affine, {1: "liver"})
        path = labels.write(tmp_path / f"{number}.nii{'.gz' if number % 2 else ''}")
        found = LabelMap.read(path)
        assert np.array_equal(found.array, labels.array)
        assert found.names == {1: "liver", 2: "label 2", 3: "label 3"}
        for label, region in labels.regions.items():
            assert np.linalg.norm(np.subtract(found.regions[label].centroid, region.centroid)) < 1e-3
    assert len(list(tmp_path.iterdir())) == 80


def test_sheared_grids_keep_their_places_too(tmp_path):
    affine = AFFINE + np.array([[0, 0, 0.8, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    labels = LabelMap(random_labels(np.random.default_rng(1), (3, 4, 5)), affine)
    np.testing.assert_allclose(LabelMap.read(labels.write(tmp_path / "a.nii")).affine, affine, atol=1e-5)


def test_a_label_that_lies_elsewhere_is_an_error_and_leaves_no_file(tmp_path, monkeypatch):
    from fiducial.volumes import writing

    real = writing._write_nifti
    labels = make_phantom(spacing=(20.0, 20.0, 20.0)).label_map

    def mirrored(given, path):
        real(LabelMap(given.array[::-1], given.affine), path)

    monkeypatch.setattr(writing, "_write_nifti", mirrored)
    with pytest.raises(InputError, match=r"read back, lung_right has .* the file is not kept"):
        labels.write(tmp_path / "a.nii.gz")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match=r"are written as \.nii, \.nii\.gz or"):
        labels.write(tmp_path / "a.png")


def test_volumes_keep_values_and_places(tmp_path, monkeypatch):
    from fiducial.volumes import writing

    volume = make_phantom(spacing=(20.0, 20.0, 20.0), axes="SLA", rotation=(3, 5, 7)).volume
    found = Volume.read(volume.write(tmp_path / "a.nii.gz"))
    assert np.array_equal(found.array, volume.array)
    np.testing.assert_allclose(found.affine, volume.affine, atol=1e-4)
    real = writing._write_nifti
    moved = Volume(volume.array, volume.affine + np.eye(4, k=3) * 0.01)
    monkeypatch.setattr(writing, "_write_nifti", lambda given, path: real(moved, path))
    with pytest.raises(InputError, match=r"read back, its voxels lie 0\.01 mm away"):
        volume.write(tmp_path / "b.nii.gz")
    monkeypatch.setattr(
        writing, "_write_nifti", lambda given, path: real(Volume(volume.array + 1, volume.affine), path)
    )
    with pytest.raises(InputError, match="other values than were written"):
        volume.write(tmp_path / "b.nii.gz")
    with pytest.raises(InputError, match=r"written as \.nii"):
        volume.write(tmp_path / "b.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii.gz"]


def test_labels_on_the_same_voxels_are_turned_to_another_order_of_axes():
    rng = np.random.default_rng(2)
    for axes in ("RAS", "LPS", "SLA", "AIL"):
        phantom = make_phantom(spacing=(20.0, 20.0, 20.0), rotation=(3, 5, 7))
        other = make_phantom(spacing=(20.0, 20.0, 20.0), axes=axes, rotation=(3, 5, 7))
        turned = phantom.label_map.on_grid_of(other.volume)
        assert np.array_equal(turned.array, other.label_map.array)
    with pytest.raises(InputError, match=r"bring it onto that grid with resampled_to\(\)"):
        phantom.label_map.on_grid_of(Volume(rng.random((4, 4, 4)), np.eye(4)))


def test_values_are_scaled_and_stay_whole_where_they_can(tmp_path):
    stored = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    packed = bytearray(write(tmp_path / "a.nii").read_bytes())
    packed[112:120] = np.array([2.0, -1024.0], np.float32).tobytes()  # slope and intercept
    (tmp_path / "a.nii").write_bytes(packed)
    found = Volume.read(tmp_path / "a.nii")
    assert found.array.dtype == np.int16
    np.testing.assert_array_equal(found.array, stored * 2 - 1024)
    assert rescaled(stored, 0.5, 0.0).dtype == np.float32
    assert rescaled(np.array([0, 60000], np.uint16), 1.0, -1024.0).tolist() == [-1024, 58976]
    assert rescaled(np.array([0, 2**32 - 1], np.uint32), 1.0, -5.0).dtype == np.float32
    assert rescaled(stored, 1.0, 0.0) is stored


def test_modality_is_told_from_values_and_said(tmp_path):
    array = np.full((3, 4, 5), -1000, np.int16)
    assert Volume.read(write(tmp_path / "a.nii", array)).modality == "CT"
    assert "taken for CT, as its values reach -1000" in Volume.read(tmp_path / "a.nii").notes[0]
    assert Volume.read(tmp_path / "a.nii", modality="MR").modality == "MR"
    assert Volume.read(write(tmp_path / "b.nii")).modality == ""


def test_a_header_without_orientation_is_refused_unless_somebody_knows(tmp_path):
    path = write(tmp_path / "a.nii", affine=np.diag([1.0, 2.0, 3.0, 1.0]), sform=0, qform=0)
    with pytest.raises(InputError, match=r"nothing says where the voxels lie .*: left and right cannot be told"):
        Volume.read(path)
    volume = Volume.read(path, orientation="LPS")
    assert (volume.axes, volume.spacing) == ("LPS", (1.0, 2.0, 3.0))
    assert "axes LPS were taken, as asked" in volume.notes[0]
    with pytest.raises(InputError, match="three letters"):
        Volume.read(path, orientation="LPX")
    with pytest.raises(InputError, match="it has no sform"):
        Volume.read(path, orientation="sform")
    with pytest.raises(InputError, match="is for those that do not"):
        Volume.read(write(tmp_path / "b.nii"), orientation="LPS")


def test_matrices_that_contradict_each_other_are_refused(tmp_path):
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])

    def contradict(image):
        image.set_qform(mirror @ AFFINE, 1)

    path = write(tmp_path / "a.nii", change=contradict)
    with pytest.raises(InputError, match="by the sform the axes run LPS, by the qform RPS"):
        Volume.read(path)
    assert Volume.read(path, orientation="sform").axes == "LPS"
    assert Volume.read(path, orientation="qform").axes == "RPS"

    def shift(image):
        image.set_qform(AFFINE + np.eye(4, k=3) * 7, 1)

    moved = Volume.read(write(tmp_path / "b.nii", change=shift))
    assert moved.notes[0] == "sform and qform differ by up to 7 mm: the sform was taken"
    np.testing.assert_allclose(moved.affine, AFFINE, atol=1e-6)


def test_microns_become_millimetres(tmp_path):
    def microns(image):
        image.header.set_xyzt_units("micron")

    volume = Volume.read(write(tmp_path / "a.nii", change=microns))
    np.testing.assert_allclose(volume.spacing, (0.001, 0.002, 0.003), rtol=1e-5)
    assert "lengths in microns became millimetres" in volume.notes


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 4, 5, 2), np.int16), r"one volume with three axes is expected, got shape \(3, 4, 5, 2\): cut"),
        (np.zeros((3, 4, 5), np.complex64), "one real number per voxel is expected, got complex64"),
    ],
)
def test_other_images_are_refused(tmp_path, array, said):
    with pytest.raises(InputError, match=said):
        Volume.read(write(tmp_path / "a.nii", array))


def test_broken_files_are_refused(tmp_path):
    whole = write(tmp_path / "a.nii.gz").read_bytes()
    for name, data, said in (
        ("cut.nii.gz", whole[:-20], "broken or cut off|cannot be read"),
        ("empty.nii", b"", "no header"),
        ("text.nii", b"hello" * 200, "no header"),
        ("short.nii", gzip.decompress(whole)[:400], "broken or cut off|not a readable"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=said):
            Volume.read(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        Volume.read(tmp_path / "none.nii")


def test_bombs_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    head = bytearray(gzip.decompress(write(tmp_path / "a.nii.gz").read_bytes()))
    head[108:112] = np.float32(2e9).tobytes()  # where the voxels begin
    (tmp_path / "far.nii.gz").write_bytes(gzip.compress(bytes(head)))
    with pytest.raises(InputError, match=r"its voxels are said to begin at byte 2e\+09"):
        Volume.read(tmp_path / "far.nii.gz")
    head[108:112] = np.float32(352).tobytes()
    head[42:48] = np.array([30000, 30000, 30000], np.int16).tobytes()
    (tmp_path / "large.nii.gz").write_bytes(gzip.compress(bytes(head)))
    with pytest.raises(InputError, match=r"50291\.4 GiB of voxels are more than the limit of 2"):
        Volume.read(tmp_path / "large.nii.gz")
    monkeypatch.setattr(reader, "MAX_BYTES", 100)
    with pytest.raises(InputError, match="more than the limit"):
        Volume.read(tmp_path / "a.nii.gz")


def test_names_are_read_from_beside_the_file(tmp_path):
    path = write(tmp_path / "a.nii.gz", np.ones((3, 4, 5), np.float32))
    assert LabelMap.read(path).regions[1].name == "label 1"
    (tmp_path / "labels.json").write_text(json.dumps({"0": "air", "1": {"name": "liver", "voxels": 3}}), "utf-8")
    assert LabelMap.read(path).names == {1: "liver"}
    (tmp_path / "a.json").write_text(json.dumps({"1": "spleen"}), "utf-8")
    assert LabelMap.read(path).names == {1: "spleen"}
    assert LabelMap.read(path, {1: "heart"}).names == {1: "heart"}
    (tmp_path / "bad.json").write_text(json.dumps({"one": "spleen"}), "utf-8")
    with pytest.raises(InputError, match="a label's number with its name is expected, got 'one': 'spleen'"):
        LabelMap.read(path, tmp_path / "bad.json")


@pytest.mark.parametrize(("value", "said"), [(0.5, "labels are whole numbers"), (-1.0, "labels lie in 0")])
def test_files_of_other_numbers_are_no_label_maps(tmp_path, value, said):
    with pytest.raises(InputError, match=said):
        LabelMap.read(write(tmp_path / "a.nii", np.full((3, 4, 5), value, np.float32)))
