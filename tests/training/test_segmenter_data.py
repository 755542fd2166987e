from dataclasses import replace

import numpy as np
import pytest
import torch

from fiducial.errors import InputError
from fiducial.geometry import Mask
from fiducial.training.configs import SegmenterConfig, SegmenterPhase, SegmenterPrompting, Source
from fiducial.training.segmenter_data import SegmenterBatches, read_store, training_crop, training_object
from fiducial.training.sources import corrupted, expand_data_folder, hazed, recoloured

HEIGHT, WIDTH = 300, 400
EXACT = SegmenterPrompting(exact=1.0)
SCENES = Source("scenes:shapes?count=12&seed=3&size=160", held_out=0.3, name="shapes")
CONFIG = SegmenterConfig(
    data=(SCENES,),
    phases=(SegmenterPhase(32, 30), SegmenterPhase(48, 10, SegmenterPrompting(previous=0.5, predicted=0.5))),
    batch_size=8,
    num_workers=0,
)


@pytest.fixture(scope="module")
def store():
    return read_store(SCENES, "unused", 6)


def scene(box=(150, 100, 230, 140)):
    """A bright target on dark ground, so that the picture tells where the mask has to be."""
    mask = Mask.from_box(box, HEIGHT, WIDTH)
    pixels = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    pixels[mask.to_dense()] = 230
    return training_object(mask, 0), pixels


@pytest.mark.parametrize("mode", ["box", "box_points", "points", "previous"])
@pytest.mark.parametrize("box", [(150, 100, 230, 140), (3, 2, 12, 9), (10, 10, 390, 290), (200, 0, 230, 300)])
def test_picture_and_mask_stay_together(mode, box):
    target, pixels = scene(box)
    agreed = []
    for seed in range(12):
        crop = training_crop(target, pixels, 64, mode, EXACT, np.random.default_rng(seed))
        assert crop.inputs.shape == (7, 64, 64)
        assert crop.target.min() >= 0
        assert crop.target.max() <= 1
        seen = crop.inputs[:3].mean(axis=0)
        inside, outside = seen[crop.target > 0.95], seen[crop.target < 0.05]
        if inside.size > 8 and outside.size > 8:
            agreed.append(inside.mean() > outside.mean() + 0.5)
    assert agreed
    assert np.mean(agreed) > 0.95


def test_an_exact_box_touches_the_mask_on_all_sides():
    target, pixels = scene()
    for seed in range(40):
        crop = training_crop(target, pixels, 96, "box", EXACT, np.random.default_rng(seed))
        covered = crop.inputs[3] > 0.5
        rows, columns = np.nonzero(crop.target > 0.5)
        box_rows, box_columns = np.nonzero(covered)
        for one, other in ((rows, box_rows), (columns, box_columns)):
            assert abs(int(one.min()) - int(other.min())) <= 2
            assert abs(int(one.max()) - int(other.max())) <= 2


def test_jitter_moves_boxes_by_no_more_than_it_says():
    target, pixels = scene((100, 100, 200, 180))
    areas = []
    for seed in range(40):
        crop = training_crop(
            target, pixels, 96, "box", SegmenterPrompting(exact=0.0, jitter=0.2), np.random.default_rng(seed)
        )
        areas.append(crop.inputs[3].sum() / max(1, crop.target.sum()))
    assert min(areas) > 0.6 * 0.6 * 0.9
    assert max(areas) < 2.4
    assert np.std(areas) > 0.05


def test_a_point_lies_on_the_target_and_in_the_middle_of_the_crop():
    target, pixels = scene()
    for seed in range(40):
        crop = training_crop(target, pixels, 64, "points", EXACT, np.random.default_rng(seed))
        assert not crop.inputs[3].any()
        assert crop.inputs[4, 31:33, 31:33].max() > 0.8
        assert crop.target[30:34, 30:34].max() > 0.5


def test_what_the_crop_cannot_see_is_counted():
    target, pixels = scene((50, 50, 350, 250))
    seen = []
    for seed in range(40):
        crop = training_crop(target, pixels, 64, "points", EXACT, np.random.default_rng(seed))
        seen.append(crop.outside / (crop.outside + crop.target.sum()))
    assert min(seen) < 0.02
    assert max(seen) > 0.5


def test_only_previous_masks_fill_their_channel():
    target, pixels = scene()
    for mode, filled in (("box", False), ("points", False), ("previous", True)):
        crop = training_crop(target, pixels, 64, mode, EXACT, np.random.default_rng(3))
        assert bool(crop.inputs[6].any()) is filled


def test_the_same_chance_gives_the_same_crop():
    target, pixels = scene()
    one, other = (
        training_crop(target, pixels, 64, "box", SegmenterPrompting(), np.random.default_rng(5)) for _ in range(2)
    )
    np.testing.assert_array_equal(one.inputs, other.inputs)
    np.testing.assert_array_equal(one.target, other.target)


def test_corrupted_masks_are_like_the_true_one_and_not_it():
    truth = np.zeros((96, 96), np.float32)
    truth[30:70, 25:60] = 1
    ious = []
    for seed in range(40):
        mask = corrupted(truth, np.random.default_rng(seed))
        assert mask.shape == truth.shape
        assert mask.min() >= 0
        assert mask.max() <= 1
        ious.append(((mask > 0.5) & (truth > 0)).sum() / ((mask > 0.5) | (truth > 0)).sum())
    assert 0.6 < np.mean(ious) < 0.97


def test_haze_makes_dark_brighter_and_differences_smaller():
    colours = np.stack([np.zeros((8, 8)), np.full((8, 8), 200.0)]).astype(np.float32).transpose(1, 2, 0)
    colours = np.concatenate([colours, colours[..., :1]], axis=2)
    for seed in range(20):
        found = hazed(colours, np.random.default_rng(seed))
        assert found.min() >= 0
        assert found.max() <= 255
        assert (found[..., 0] > 15).all()
        assert 200 * 0.25 < (found[..., 1] - found[..., 0]).mean() < 200 * 1.0


def test_recoloured_crops_keep_range_and_shape():
    colours = np.random.default_rng(0).uniform(0, 255, (32, 32, 3)).astype(np.float32)
    results = [recoloured(colours, np.random.default_rng(seed)) for seed in range(20)]
    assert all(one.shape == colours.shape and one.min() >= 0 and one.max() <= 255 for one in results)
    assert sum(not np.array_equal(one, colours) for one in results) > 10


def test_a_crop_waits_for_the_networks_own_mask_when_told_to():
    target, pixels = scene()
    own = SegmenterPrompting(exact=1.0, predicted=1.0)
    crop = training_crop(target, pixels, 64, "previous", own, np.random.default_rng(3))
    assert crop.wants_prediction
    assert not crop.inputs[6].any()
    assert not training_crop(target, pixels, 64, "box", own, np.random.default_rng(3)).wants_prediction


# -- data and batches -----------------------------------------------------------------------------


def test_a_batch_depends_on_seed_and_step_alone(store):
    one, other = SegmenterBatches(CONFIG, [store]), SegmenterBatches(CONFIG, [store])
    torch.testing.assert_close(one[5][0], other[5][0], rtol=0, atol=0)
    assert not torch.equal(one[5][0], one[6][0])
    assert not torch.equal(one[5][0], SegmenterBatches(replace(CONFIG, seed=1), [store])[5][0])
    assert one[0][0].shape == (8, 7, 32, 32)
    assert one[35][0].shape == (8, 7, 48, 48)
    assert len(list(one.parts(38))) == 2


def test_crops_that_wait_for_the_networks_own_mask_are_told_apart(store):
    batches = SegmenterBatches(CONFIG, [store])
    assert not batches[5][3].any()
    inputs, _, _, own = batches[35]
    assert own.any()
    assert not inputs[own, 6].any()


def test_nothing_of_the_held_out_part_is_trained_on(store):
    assert 0 < len(store.held_out) < 12
    assert 4 < len(store.pictures) <= 12 - len(store.held_out)  # scenes without a target teach nothing
    held = {sample.image().pixels.tobytes() for sample in store.held_out}
    assert not held & {picture.tobytes() for picture in store.pictures}


def test_the_data_folder_is_put_where_it_is_named(tmp_path):
    assert expand_data_folder("coco:DATA/a?per=image", tmp_path) == f"coco:{tmp_path}/a?per=image"
    assert expand_data_folder("coco:/elsewhere/DATA/a", tmp_path) == "coco:/elsewhere/DATA/a"
    assert expand_data_folder("DATA/a", tmp_path) == f"{tmp_path}/a"


def test_a_source_without_training_targets_is_named():
    with pytest.raises(InputError, match="no target of at least 900 pixels"):
        read_store(SCENES, "unused", 900)
