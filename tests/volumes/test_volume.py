import numpy as np
import pytest

from fiducial.errors import InputError, UnknownNameError
from fiducial.volumes import LabelMap, Volume, make_phantom
from fiducial.volumes.affines import apply, make_affine
from volumes.grids import random_grid, random_labels


def test_regions_are_what_counting_voxels_gives():
    rng = np.random.default_rng(0)
    for _ in range(60):
        shape, affine = random_grid(rng)
        array = random_labels(rng, shape)
        for label, region in LabelMap(array, affine, {2: "spleen"}).regions.items():
            voxels = np.argwhere(array == label)
            corners = apply(affine, (voxels[:, None] + np.array(list(np.ndindex(2, 2, 2))) - 0.5).reshape(-1, 3))
            assert region.voxels == len(voxels)
            assert region.name == {2: "spleen"}.get(label, f"label {label}")
            assert region.volume_ml == pytest.approx(len(voxels) * abs(np.linalg.det(affine[:3, :3])) / 1000)
            np.testing.assert_allclose(region.low, corners.min(axis=0), atol=1e-9)
            np.testing.assert_allclose(region.high, corners.max(axis=0), atol=1e-9)
            np.testing.assert_allclose(region.extent, np.ptp(corners, axis=0), atol=1e-9)


def test_another_grid_is_refused_or_resampled():
    phantom = make_phantom(spacing=(10.0, 10.0, 10.0))
    other = make_phantom(spacing=(8.0, 9.0, 10.0), axes="LPS", rotation=(0, 0, 15)).volume
    with pytest.raises(InputError, match=r"its shape is .* bring it onto that grid with resampled_to\(\)"):
        phantom.label_map.require_grid_of(other)
    shifted = Volume(phantom.volume.array, phantom.volume.affine + np.eye(4, k=3) * 0.5, "CT")
    with pytest.raises(InputError, match=r"its voxels lie up to 0\.5 mm from those of volume"):
        phantom.label_map.require_grid_of(shifted)
    moved = phantom.label_map.resampled_to(other)
    moved.require_grid_of(other)
    for label, region in phantom.label_map.regions.items():
        if region.volume_ml > 100:
            assert np.linalg.norm(np.subtract(moved.regions[label].centroid, region.centroid)) < 2.0
            assert moved.regions[label].volume_ml == pytest.approx(region.volume_ml, rel=0.1)


def test_windows():
    phantom = make_phantom(spacing=(10.0, 10.0, 10.0))
    assert phantom.volume.window() == (-160.0, 240.0)
    assert phantom.volume.window("lung") == (-1350.0, 150.0)
    assert phantom.volume.window((0, 50)) == (0.0, 50.0)
    with pytest.raises(UnknownNameError, match="unknown window 'bones': did you mean 'bone'"):
        phantom.volume.window("bones")
    with pytest.raises(InputError, match="low < high"):
        phantom.volume.window((5, 5))
    array = np.arange(1000.0).reshape(10, 10, 10)
    array[:2] = -5000.0  # the fill outside of the body
    array[5, 5, 5] = np.nan
    scan = Volume(array, np.eye(4), "MR")
    inside = np.setdiff1d(np.arange(200.0, 1000.0), [555.0])
    assert scan.window() == pytest.approx(np.percentile(inside, (0.5, 99.5)))
    with pytest.raises(InputError, match=r"nearly all voxels have the value 3: say the window as low,high"):
        Volume(np.full((3, 3, 3), 3), np.eye(4)).window()
    with pytest.raises(InputError, match="no voxel has a finite value"):
        Volume(np.full((3, 3, 3), np.nan), np.eye(4)).window()
    with pytest.raises(InputError, match="is in Hounsfield units, for CT"):
        scan.window("bone")


def test_a_picture_shows_the_window():
    volume = make_phantom(spacing=(10.0, 10.0, 10.0)).volume
    slicing = volume.slicing("axial")
    picture = volume.picture(slicing, 12, volume.window("bone"))
    values = slicing.slice(volume.array, 12)
    assert (picture.width, picture.height) == slicing.size
    assert (picture.pixels[values <= -500] == 0).all()
    assert (picture.pixels[..., 0] == picture.pixels[..., 2]).all()


@pytest.mark.parametrize(
    ("affine", "said"),
    [
        (np.eye(3), r"needs shape \(4, 4\)"),
        (np.full((4, 4), np.nan), "not finite"),
        (np.diag([1.0, 1.0, 0.0, 1.0]), "do not span space"),
        (make_affine((2, 2, 2), (1, 1, 1)) + np.eye(4)[[0, 1, 2, 0]] * [[0], [0], [0], [1]], "last row"),
        ("text", "needs 4 x 4 numbers"),
    ],
)
def test_affines_that_say_nothing_are_refused(affine, said):
    with pytest.raises(InputError, match=said):
        Volume(np.zeros((2, 2, 2)), affine)


def test_arrays_that_are_no_volumes_are_refused():
    with pytest.raises(InputError, match="three axes are expected"):
        Volume(np.zeros((2, 2)), np.eye(4))
    with pytest.raises(InputError, match="one real number per voxel"):
        Volume(np.zeros((2, 2, 2), complex), np.eye(4))
    with pytest.raises(UnknownNameError, match="unknown modality 'PET'"):
        Volume(np.zeros((2, 2, 2)), np.eye(4), "PET")
    with pytest.raises(InputError, match="whole numbers"):
        LabelMap(np.zeros((2, 2, 2)), np.eye(4))
    with pytest.raises(InputError, match="labels are not negative"):
        LabelMap(np.full((2, 2, 2), -1), np.eye(4))


def test_the_phantoms_organs_lie_on_their_sides_on_any_grid():
    for axes, rotation in (("RAS", (0, 0, 0)), ("LPS", (0, 0, 0)), ("SLA", (10, -8, 12))):
        labels = make_phantom(spacing=(8.0, 8.0, 8.0), axes=axes, rotation=rotation, seed=3).label_map
        assert labels.mm(np.zeros(3)).shape == (3,)
        place = {region.name: np.array(region.centroid) for region in labels.regions.values()}
        assert len(place) == len(labels.names) == 20
        for name in ("liver", "gallbladder", "kidney_right", "lung_right", "inferior_vena_cava", "tumour"):
            assert place[name][0] > 0
        for name in ("spleen", "stomach", "kidney_left", "lung_left", "aorta", "heart"):
            assert place[name][0] < 0
        spine = [place[f"vertebrae_{one}"][2] for one in ("T10", "T11", "T12", "L1", "L2", "L3")]
        assert spine == sorted(spine, reverse=True)
        assert place["vertebrae_L1"][1] < place["aorta"][1] < place["stomach"][1]
