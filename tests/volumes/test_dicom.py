import numpy as np
import pytest

from fiducial.errors import InputError
from fiducial.volumes import LabelMap, Volume, make_phantom
from fiducial.volumes.affines import make_affine
from volumes.dicom_files import write_series
from volumes.grids import random_grid

pydicom = pytest.importorskip("pydicom")
AFFINE = make_affine((5, 4, 6), (2.0, 3.0, 4.0), "LPS", (5, -8, 12), (10, 20, 30))


@pytest.fixture
def array():
    return np.random.default_rng(0).integers(-1000, 1000, (5, 4, 6)).astype(np.int16)


def test_a_series_is_the_volume_it_was_written_from(tmp_path):
    rng = np.random.default_rng(1)
    for number in range(8):
        shape, affine = random_grid(rng, low=2, high=5)
        if np.linalg.det(affine[:3, :3]) < 0:  # slices are sorted along the normal of their rows and columns
            affine = affine @ np.diag([1.0, 1.0, -1.0, 1.0])
        values = rng.integers(-1000, 1000, shape).astype(np.int16)
        write_series(tmp_path / str(number), values, affine, intercept=-1024.0)
        volume = Volume.read(tmp_path / str(number))
        assert volume.modality == "CT"
        assert volume.array.dtype == np.int16
        np.testing.assert_array_equal(volume.array, values)
        np.testing.assert_allclose(volume.affine, affine, atol=1e-6)


def test_slopes_that_differ_between_slices_are_heeded(tmp_path, array):
    def change(index, one):
        one.RescaleSlope = str(index + 1)

    paths = write_series(tmp_path, array, AFFINE, change=change)
    found = Volume.read(paths)
    assert found.array.dtype == np.float32
    np.testing.assert_array_equal(found.array, array * np.arange(1.0, 7.0))


def test_jpeg_2000_is_unpacked(tmp_path):
    pytest.importorskip("pylibjpeg")
    affine = make_affine((64, 48, 2), (1, 1, 2), "LPS")
    values = np.random.default_rng(2).integers(-1000, 1000, (64, 48, 2)).astype(np.int16)

    def change(index, one):
        one.compress(pydicom.uid.JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)

    write_series(tmp_path, values, affine, change=change)
    np.testing.assert_array_equal(Volume.read(tmp_path).array, values)


def test_files_that_are_no_images_are_left_out_and_said(tmp_path, array):
    write_series(tmp_path, array, AFFINE)
    (tmp_path / "README.txt").write_text("not DICOM", encoding="utf-8")
    assert Volume.read(tmp_path).notes == ("left out, as they are no DICOM images: README.txt",)


def test_a_tilted_gantry_stands_in_the_affine(tmp_path, array):
    def change(index, one):
        x, y, z = one.ImagePositionPatient
        one.ImagePositionPatient = [x, float(y) + 0.5 * index, z]

    affine = make_affine(array.shape, (2, 3, 4), "LPS")
    write_series(tmp_path, array, affine, change=change)
    volume = Volume.read(tmp_path)
    np.testing.assert_allclose(volume.affine[:3, 2], [0, -0.5, 4], atol=1e-9)
    assert "sheared by 7.13 degrees" in volume.notes[0]
    labels = LabelMap((volume.array > 0).astype(np.uint8), volume.affine)
    assert labels.write(tmp_path / "sheared.nii.gz").is_file()


def edit(**values):
    """Change the fields of the third slice alone."""

    def change(index, one):
        if index == 2:
            for key, value in values.items():
                setattr(one, key, value)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (edit(SeriesInstanceUID="1.2.3"), r"2 series are mixed \(number 3 with 5 files, number 3 with 1 files\)"),
        (lambda index, one: index != 3, "slices are missing between .* and .*: 8 mm apart, others 4 mm"),
        (edit(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), "the orientation differs within the series"),
        (edit(ImagePositionPatient=None), "ImagePositionPatient is None: it does not say where the voxels lie"),
        (edit(PixelSpacing=[1, 1]), "PixelSpacing differs within the series"),
        (edit(NumberOfFrames=3), "a multi-frame file"),
        (edit(PixelData=b"\0\0"), "its pixels are broken"),
    ],
)
def test_what_is_no_single_volume_is_refused(tmp_path, array, change, said):
    write_series(tmp_path, array, AFFINE, change=change)
    with pytest.raises(InputError, match=said):
        Volume.read(tmp_path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"ImageOrientationPatient": [1, 0, 0, 0.2, 1, 0]}, "no pair of perpendicular directions"),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]}, "no pair of perpendicular directions of length 1"),
        ({"PixelSpacing": [0, 1]}, "distances are positive"),
        ({"SamplesPerPixel": 3}, "one number per pixel is expected, got 3"),
        ({"AnatomicalOrientationType": "QUADRUPED"}, "an animal"),
        ({"ImagePositionPatient": [0, 0, 0]}, "lie at the same place: several volumes in one series"),
    ],
)
def test_series_that_say_no_place_are_refused(tmp_path, array, values, said):
    def change(index, one):
        for key, value in values.items():
            setattr(one, key, value)

    write_series(tmp_path, array, AFFINE, change=change)
    with pytest.raises(InputError, match=said):
        Volume.read(tmp_path)


def test_uneven_slices_are_refused(tmp_path, array):
    def change(index, one):
        x, y, z = (float(value) for value in one.ImagePositionPatient)
        one.ImagePositionPatient = [x, y, z + (0.7 if index == 2 else 0.0)]

    write_series(tmp_path, array, make_affine(array.shape, (2, 3, 4), "LPS"), change=change)
    with pytest.raises(InputError, match=r"not evenly spaced along one line: IM838 lies 0\.7 mm from its turn"):
        Volume.read(tmp_path)


def test_places_without_a_series_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        Volume.read(tmp_path / "none")
    with pytest.raises(InputError, match="no files of a DICOM series"):
        Volume.read(tmp_path)
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="no DICOM images among 1 files"):
        Volume.read(tmp_path)
    with pytest.raises(InputError, match="orientation is for NIfTI files"):
        Volume.read(tmp_path, orientation="LPS")


def test_a_segmentation_keeps_centroids_for_oblique_and_flipped_series(tmp_path):
    pytest.importorskip("highdicom")
    for number, (axes, rotation) in enumerate((("LPS", (0, 0, 0)), ("LAI", (0, 0, 0)), ("ASL", (12, -20, 33)))):
        phantom = make_phantom(spacing=(34.0, 35.0, 36.0), axes=axes, rotation=rotation)
        write_series(tmp_path / str(number), phantom.volume.array, phantom.volume.affine)
        volume = Volume.read(tmp_path / str(number))
        labels = phantom.label_map.on_grid_of(volume)
        path = labels.write(tmp_path / f"{number}.dcm", volume)  # which reads it back and compares
        written = pydicom.dcmread(path)
        assert [one.SegmentLabel for one in written.SegmentSequence] == [one.name for one in labels.regions.values()]
        assert written.Modality == "SEG"
    one = LabelMap(np.where(np.arange(volume.shape[2]) == 3, labels.array > 0, False), volume.affine, {1: "all"})
    assert one.write(tmp_path / "one.dcm", volume).is_file()  # one segment and frame: what is shared moves elsewhere
    with pytest.raises(InputError, match="the volume has to be read from one"):
        labels.write(tmp_path / "x.dcm", phantom.volume)
    with pytest.raises(InputError, match="nothing is labelled"):
        LabelMap(np.zeros(volume.shape, np.uint8), volume.affine).write(tmp_path / "x.dcm", volume)


def test_a_segmentation_that_lies_elsewhere_is_an_error_and_leaves_no_file(tmp_path, monkeypatch):
    pytest.importorskip("highdicom")
    from fiducial.volumes import writing

    phantom = make_phantom(spacing=(40.0, 40.0, 40.0))
    write_series(tmp_path / "scan", phantom.volume.array, phantom.volume.affine)
    volume = Volume.read(tmp_path / "scan")
    made = writing.segmentation_of

    def mirrored(labels, volume):
        segmentation = made(labels, volume)
        for groups in segmentation.PerFrameFunctionalGroupsSequence:
            position = groups.PlanePositionSequence[0]
            x, y, z = position.ImagePositionPatient
            position.ImagePositionPatient = [x, -float(y) + 1, z]
        return segmentation

    monkeypatch.setattr(writing, "segmentation_of", mirrored)
    with pytest.raises(InputError, match=r"read back, lung_right has .* the file is not kept"):
        phantom.label_map.write(tmp_path / "out" / "seg.dcm", volume)
    assert list((tmp_path / "out").iterdir()) == []
