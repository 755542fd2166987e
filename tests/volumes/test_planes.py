import numpy as np
import pytest

from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Mask
from fiducial.volumes import LabelMap, Slicing, make_phantom
from fiducial.volumes.affines import apply
from fiducial.volumes.planes import PLANES, VIEWS
from volumes.grids import AXES, random_grid, random_labels

TOWARDS = {letter: np.array(vector) for letter, vector in zip("RASLPI", [*np.eye(3), *-np.eye(3)], strict=True)}


def test_places_are_the_same_in_voxels_in_slices_and_in_millimetres_on_a_thousand_grids():
    rng = np.random.default_rng(0)
    for _ in range(1000):
        shape, affine = random_grid(rng, low=2, high=6)
        array = random_labels(rng, shape, count=1)
        slicing = Slicing(shape, affine, PLANES[rng.integers(3)], VIEWS[rng.integers(2)])
        truth = apply(affine, np.argwhere(array)).mean(axis=0)
        masks = {index: Mask.from_dense(piece) for index, piece in enumerate(slicing.stack(array)) if piece.any()}
        centres = slicing.pixel_to_mm([mask.centroid for mask in masks.values()], list(masks))
        found = np.average(centres, axis=0, weights=[mask.area for mask in masks.values()])
        assert np.linalg.norm(found - truth) < 1e-6
        assert np.linalg.norm(np.subtract(LabelMap(array, affine).regions[1].centroid, truth)) < 1e-6
        points, index = slicing.mm_to_pixel(truth)
        assert (points >= 0).all()
        assert (points <= slicing.size).all()
        assert np.linalg.norm(slicing.pixel_to_mm(points, index) - truth) < 1e-6


def test_directions_say_where_pictures_run_to():
    rng = np.random.default_rng(2)
    for _ in range(100):
        shape, affine = random_grid(rng, tilt=20.0)  # below 45 degrees the closest axis is beyond doubt
        slicing = Slicing(shape, affine, PLANES[rng.integers(3)], VIEWS[rng.integers(2)])
        start = slicing.pixel_to_mm((0.5, 0.5), 0)
        for letter, step in zip(
            slicing.directions,
            (
                slicing.pixel_to_mm((1.5, 0.5), 0),
                slicing.pixel_to_mm((0.5, 1.5), 0),
                slicing.pixel_to_mm((0.5, 0.5), 1),
            ),
            strict=True,
        ):
            towards = (step - start) / np.linalg.norm(step - start)
            assert max(TOWARDS, key=lambda one: TOWARDS[one] @ towards) == letter


@pytest.mark.parametrize("plane", PLANES)
def test_a_radiological_picture_is_the_same_however_the_volume_is_stored(plane):
    stacks = []
    for axes in AXES:
        labels = make_phantom(spacing=(15.0, 15.0, 15.0), axes=axes).label_map
        slicing = Slicing(labels.shape, labels.affine, plane)
        assert slicing.directions[:2] == {"axial": ("L", "P"), "coronal": ("L", "I"), "sagittal": ("P", "I")}[plane]
        stack = slicing.stack(labels.array)
        stacks.append(stack if slicing.directions.index in "RAS" else stack[::-1])
    assert len(stacks) == 48
    assert all(np.array_equal(stacks[0], other) for other in stacks[1:])


def test_scans_are_read_from_the_patients_feet():
    labels = make_phantom(axes="LPS", rotation=(0, 0, 10)).label_map
    numbers = {name: number for number, name in labels.names.items()}

    def place(plane, organ):
        slicing = Slicing(labels.shape, labels.affine, plane)
        return slicing.mm_to_pixel(labels.regions[numbers[organ]].centroid)[0]

    for plane in ("axial", "coronal"):
        assert place(plane, "liver")[0] < place(plane, "spleen")[0]  # the patient's right is at the left
    for plane in ("coronal", "sagittal"):
        assert place(plane, "heart")[1] < place(plane, "urinary_bladder")[1]  # superior is up
    assert place("axial", "stomach")[1] < place("axial", "vertebrae_L1")[1]  # anterior is up
    assert place("sagittal", "stomach")[0] < place("sagittal", "vertebrae_L1")[0]  # anterior is at the left


def test_storage_view_is_the_array_itself():
    array = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    assert np.array_equal(Slicing(array.shape, affine, "axial", "storage").slice(array, 2), array[:, :, 2])
    assert np.array_equal(Slicing(array.shape, affine, "coronal", "storage").slice(array, 2), array[:, 2, :])
    assert np.array_equal(Slicing(array.shape, affine, "sagittal", "storage").slice(array, 2), array[2, :, :])
    assert Slicing(array.shape, affine, "axial", "storage").describe() == (
        "axial, storage view: posterior at the right, patient left at the bottom"
    )


def test_what_is_written_into_a_slice_is_read_from_it():
    rng = np.random.default_rng(3)
    shape, affine = random_grid(rng)
    array, other = rng.integers(0, 9, shape), np.zeros(shape, int)
    slicing = Slicing(shape, affine, "coronal")
    for index in range(slicing.count):
        slicing.unslice(other, index, slicing.slice(array, index))
    assert np.array_equal(array, other)


def test_wrong_slices_are_refused():
    slicing = Slicing((4, 5, 6), np.eye(4))
    with pytest.raises(InputError, match="there are 6 axial slices, 0 to 5, got 6"):
        slicing.slice(np.zeros((4, 5, 6)), 6)
    with pytest.raises(InputError, match=r"a volume of shape \(4, 5, 6\) is expected, got \(4, 5, 7\)"):
        slicing.slice(np.zeros((4, 5, 7)), 0)
    with pytest.raises(InputError, match=r"axial slices have shape \(5, 4\), got \(4, 5\)"):
        slicing.unslice(np.zeros((4, 5, 6)), 0, np.zeros((4, 5)))
    with pytest.raises(UnknownNameError, match="unknown plane 'axal': did you mean 'axial'"):
        Slicing((4, 5, 6), np.eye(4), "axal")
