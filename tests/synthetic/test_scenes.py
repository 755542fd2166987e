"""Drawn scenes: the same for the same seed, exact in their truth, and sound in what is said of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from fiducial.errors import InputError, UnknownNameError
from fiducial.language.candidates import COLOURS
from fiducial.synthetic.aerial import THEMES
from fiducial.synthetic.aerial_site import Site
from fiducial.synthetic.canvas import NOBODY, Canvas, scene_of
from fiducial.synthetic.drawing import (
    Places,
    Pose,
    band,
    blob,
    cross,
    ellipse,
    fractal_noise,
    polygon,
    rectangle,
    rounded,
    smooth_noise,
    stadium,
    star,
)
from fiducial.synthetic.expressions import FAMILIES, propose, reads_back
from fiducial.synthetic.referring import referring_expressions
from fiducial.synthetic.scenes import STYLES, SceneDataset, view_of
from fiducial.synthetic.shapes import PAINTS
from fiducial.synthetic.view import read_colours

SMALL = {"shapes": 128, "aerial": 192, "phantom": 128}


def area_of(points) -> float:
    x, y = np.asarray(points).T
    return abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2))


# -- datasets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_a_sample_depends_on_seed_and_number_alone(style) -> None:
    few, more = SceneDataset(style, 3, seed=4, size=SMALL[style]), SceneDataset(style, 50, seed=4, size=SMALL[style])
    late = more[2]
    again = [*few][2]
    assert (late.id, late.instruction, late.meta) == (again.id, again.instruction, again.meta)
    assert late.picture.digest == again.picture.digest
    assert late.instances == again.instances
    other = SceneDataset(style, 3, seed=5, size=SMALL[style])[2]
    assert late.picture.digest != other.picture.digest
    assert few.ids == tuple(sample.id for sample in few)


@pytest.mark.parametrize("style", STYLES)
def test_samples_are_sound(style) -> None:
    dataset = SceneDataset(style, 5, seed=1, size=(SMALL[style], SMALL[style] + 32))
    assert len(dataset) == 5
    for index, sample in enumerate(dataset):
        scene = dataset.scene(index)
        assert sample.size == (SMALL[style], SMALL[style] + 32) == (sample.picture.height, sample.picture.width)
        assert sample.meta["family"] in FAMILIES
        assert bool(sample.instances) != sample.meta["family"].startswith("no_target")
        assert len(sample.labels) == len(sample.instances) == len(sample.meta["attributes"])
        assert set(sample.instances) <= set(scene.masks)
        assert all(mask.area >= 16 for mask in scene.masks)
        for one, other in itertools.combinations(scene.masks, 2):
            assert not one.intersection(other)


@pytest.mark.parametrize("style", STYLES)
def test_what_is_said_of_scenes_reads_back(style) -> None:
    """The resolver's own reading is an independent witness; "square" is an adjective to it, so few sentences fail."""
    dataset = SceneDataset(style, 6, seed=2, size=SMALL[style])
    said = failed = 0
    for index, sample in enumerate(dataset):
        view = view_of(dataset.scene(index))
        for one in propose(view, np.random.default_rng(index)):
            said += 1
            failed += not reads_back(view, one) and "square" not in one.words and "red cross" not in one.words
        assert sample.instruction
    assert said > 60
    assert failed == 0


def test_a_dataset_of_scenes_makes_more_expressions() -> None:
    dataset = SceneDataset("phantom", 3, seed=0, size=128)

    class Whole:
        name = "whole"

        def __len__(self) -> int:
            return 3

        def __iter__(self):
            return (dataset.everything(index) for index in range(3))

        def __getitem__(self, index: int):
            return dataset.everything(index)

    found = referring_expressions(Whole(), 1, per_image=5)
    assert {one.image for one in found} == set(dataset.ids)
    assert len(found) == 15


def test_phantoms_have_lesions_or_none() -> None:
    dataset = SceneDataset("phantom", 16, seed=0, size=96)
    lesions = [dataset.scene(k).labels.count("lesion") for k in range(16)]
    assert 0 in lesions
    assert max(lesions) >= 1
    grey = dataset.scene(0).image.pixels
    assert (grey[..., 0] == grey[..., 1]).all()
    assert view_of(dataset.scene(0)).read is None


def test_shapes_have_the_colour_that_is_stated() -> None:
    dataset = SceneDataset("shapes", 12, seed=3, size=192)
    right = total = 0
    for k in range(12):
        scene = dataset.scene(k)
        for mask, attributes in zip(scene.masks, scene.attributes, strict=True):
            shares = read_colours(scene.image.pixels[mask.to_dense()]).shares
            right += max(shares, key=shares.get) == attributes["colour"]
            total += 1
    assert total > 40
    assert right >= 0.95 * total
    assert set(PAINTS) == set(COLOURS)


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_draws_its_things(theme) -> None:
    kinds = {
        "open sea": {"ship"},
        "harbour": {"harbor", "ship", "storage tank"},
        "airport": {"airplane"},
        "tank farm": {"storage tank"},
        "sports": {"tennis court", "basketball court", "baseball diamond", "running track"},
        "river": {"bridge", "ship"},
        "street": {"vehicle"},
    }
    seen = set()
    for seed in range(6):
        site = Site.empty((160, 192), np.random.default_rng([9, seed]))
        THEMES[theme](site)
        seen |= set(site.canvas.labels)
        assert np.isfinite(site.canvas.pixels).all()
    assert seen <= kinds[theme]
    assert len(seen) >= len(kinds[theme]) - 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"style": "shape"}, UnknownNameError, "did you mean 'shapes'"),
        ({"style": "shapes", "size": 64}, InputError, "at least 96 x 96 pixels, got 64 x 64"),
        ({"style": "shapes", "seed": -1}, InputError, "numbers from 0"),
        ({"style": "shapes", "count": -1}, InputError, "numbers from 0"),
    ],
)
def test_wrong_arguments(arguments, error, message) -> None:
    with pytest.raises(error, match=message):
        SceneDataset(**arguments)


def test_a_dataset_ends_like_any_sequence() -> None:
    dataset = SceneDataset("shapes", 2, size=96)
    assert dataset[-1].id == dataset[1].id == "shapes-0-000001"
    with pytest.raises(IndexError):
        _ = dataset[2]


def test_families_choose_what_is_said() -> None:
    some = SceneDataset("shapes", 6, seed=2, families=("order", "no_target_class"))
    assert {sample.meta["family"] for sample in some} == {"order", "no_target_class"}
    assert some.name.endswith("-order-no_target_class")
    every = SceneDataset("shapes", 2, seed=2, families=tuple(FAMILIES))
    assert [one.instruction for one in every] == [one.instruction for one in SceneDataset("shapes", 2, seed=2)]
    with pytest.raises(UnknownNameError, match="family"):
        SceneDataset("shapes", families=("ordr",))


def test_hopeless_scenes_are_given_up(monkeypatch) -> None:
    dataset = SceneDataset("shapes", 1, size=96)
    monkeypatch.setattr(dataset, "_draw", lambda rng, size, name: None)
    with pytest.raises(InputError, match="take a larger one"):
        _ = dataset[0]


# -- painting --------------------------------------------------------------------------------------


def test_what_is_painted_last_owns_the_pixel() -> None:
    canvas = Canvas(40, 60)
    low, high = canvas.new_thing("low"), canvas.new_thing("high", {"colour": "red"})
    canvas.paint(canvas.cover(rectangle(20, 20, 20, 20)), (10, 20, 30), low)
    canvas.paint(canvas.cover(rectangle(20, 20, 30, 20)), (200, 0, 0), high)
    masks = canvas.masks()
    assert masks[0].box == (10.0, 10.0, 20.0, 30.0)
    assert masks[1].box == (20.0, 10.0, 40.0, 30.0)
    assert canvas.visible_shares() == [0.5, 1.0]
    assert canvas.pixels[20, 15].tolist() == [10, 20, 30]
    assert canvas.pixels[20, 25].tolist() == [200, 0, 0]


def test_nobody_takes_and_markings_leave_the_owner() -> None:
    canvas = Canvas(40, 40)
    thing = canvas.new_thing("field")
    field = canvas.cover(rectangle(30, 30, 20, 20))
    canvas.paint(field, (0, 100, 0), thing)
    canvas.paint(canvas.stroke([(5, 20), (35, 20)], 3), (255, 255, 255))
    assert canvas.masks()[0].area == 900
    canvas.shade(field, 0.5)
    assert canvas.masks()[0].area == 900
    assert canvas.pixels[10, 10].tolist() == [0, 50, 0]
    canvas.paint(canvas.cover(rectangle(30, 10, 20, 10)), (0, 0, 0), NOBODY)
    assert canvas.masks()[0].area == 600


@pytest.mark.parametrize("outline", [ellipse(30, 20, 40, 30), polygon(6) * 15 + (40, 30), rectangle(20, 10, 40, 30)])
def test_a_mask_has_the_area_of_its_outline(outline) -> None:
    canvas = Canvas(60, 80)
    canvas.paint(canvas.cover(outline), (255, 255, 255), canvas.new_thing("thing"))
    assert canvas.masks()[0].area == pytest.approx(area_of(outline), rel=0.04)
    assert canvas.masks()[0].centroid == pytest.approx((40, 30), abs=0.3)


def test_outlines_beyond_the_border_are_cut() -> None:
    canvas = Canvas(30, 30)
    canvas.paint(canvas.cover(rectangle(20, 20, 0, 0)), (1, 1, 1), canvas.new_thing("corner"))
    canvas.paint(canvas.cover(rectangle(20, 20, 90, 90)), (1, 1, 1), canvas.new_thing("outside"))
    corner, outside = canvas.masks()
    assert corner.box == (0.0, 0.0, 10.0, 10.0)
    assert not outside
    assert canvas.visible_shares() == [1.0, 0.0]


def test_thin_lines_are_faint() -> None:
    canvas = Canvas(20, 20)
    _, thin = canvas.stroke([(2, 10.5), (18, 10.5)], 0.5)
    _, thick = canvas.stroke([(2, 10.5), (18, 10.5)], 1)
    assert thin.max() == pytest.approx(thick.max() / 2)


@pytest.mark.parametrize(("hidden", "kept"), [(4, True), (14, False)])
def test_scenes_with_hidden_things_are_refused(hidden, kept) -> None:
    canvas = Canvas(40, 40)
    canvas.paint(canvas.cover(rectangle(20, 20, 20, 20)), (9, 9, 9), canvas.new_thing("thing"))
    canvas.paint(canvas.cover(rectangle(20, hidden, 20, 10 + hidden / 2)), (0, 0, 0), NOBODY)
    scene = scene_of(canvas, "scene", colours=True, vocabulary=())
    assert (scene is not None) == kept


# -- outlines, noise, places -----------------------------------------------------------------------


def test_outlines_have_the_size_they_say() -> None:
    assert area_of(ellipse(4, 2)) == pytest.approx(2 * math.pi, rel=0.01)
    assert area_of(stadium(177, 93)) == pytest.approx(84 * 93 + math.pi * 46.5**2, rel=0.01)
    assert area_of(rounded(10, 6, 1)) == pytest.approx(60 - (4 - math.pi), rel=0.01)
    assert rounded(10, 6, 1, 5, 7).mean(axis=0).tolist() == pytest.approx([5, 7])
    assert area_of(cross(0.5)) == pytest.approx(3)
    assert np.hypot(*star(5, 0.4).T).tolist() == pytest.approx([1, 0.4] * 5)
    assert area_of(band([(0, 0), (5, 0), (10, 0)], 3)) == pytest.approx(30)
    assert np.hypot(*blob(np.random.default_rng(0), 0.3).T).min() >= 0.4


def test_a_pose_scales_turns_and_moves() -> None:
    pose = Pose(10, 20, math.pi / 2, 3)
    assert pose.place([(1, 0), (0, 1)]).round(9).tolist() == [[10, 23], [7, 20]]


def test_noise_is_centred_and_seeded() -> None:
    one, two = (fractal_noise(np.random.default_rng(1), (50, 70), 12) for _ in range(2))
    assert np.array_equal(one, two)
    assert one.shape == (50, 70)
    assert float(one.mean()) == pytest.approx(0, abs=1e-4)
    assert float(one.std()) == pytest.approx(1, abs=1e-3)
    fine, coarse = (smooth_noise(np.random.default_rng(1), (64, 64), cell) for cell in (1, 20))
    assert np.abs(np.diff(fine)).mean() > 5 * np.abs(np.diff(coarse)).mean()


def test_places_do_not_overlap() -> None:
    places = Places(100, 200, np.random.default_rng(0))
    found = [spot for _ in range(30) if (spot := places.find(12)) is not None]
    assert 5 < len(found) < 30
    assert all(math.dist(a, b) >= 24 for a, b in itertools.combinations(found, 2))
    assert all(12 <= x <= 188 and 12 <= y <= 88 for x, y in found)
    assert Places(20, 20, np.random.default_rng(0)).find(12) is None
    places.take_line((0, 0), (200, 0), 5)
    assert not places.is_free(100, 4, 1)
