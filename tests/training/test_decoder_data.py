from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.geometry import Frame, Mask
from fiducial.segmenters.canvas import Preprocessing
from fiducial.training import decoder_data as module
from fiducial.training.configs import DecoderConfig, DecoderLosses, DecoderPrompting, Source
from fiducial.training.decoder import losses
from fiducial.training.decoder_data import read_portions
from fiducial.training.decoder_model import Grid
from fiducial.training.prompting import draw_point, draw_prompts

SCENES = Source("scenes:shapes?count=30&seed=3&size=96", held_out=0.3, name="shapes")
CONFIG = DecoderConfig(model="unused", data=(SCENES,))
HOLLOW = Mask.from_box((10, 20, 50, 60), 80, 100).difference(Mask.from_box((15, 25, 45, 55), 80, 100))


# -- the grid -----------------------------------------------------------------------------------


def test_a_target_is_averaged_by_area():
    grid = Grid.of(8, 8, Frame.canvas(8, 8), 8, (4, 4))
    target = grid.target(Mask.from_box((1, 2, 4, 4), 8, 8))
    expected = np.zeros((4, 4))
    expected[1] = [0.5, 1, 0, 0]
    np.testing.assert_allclose(target, expected)


def test_padding_is_left_out_and_cells_at_the_border_count_what_they_show():
    # 100 x 50 pixels are shown on 60 x 30 of a canvas of 60: all columns, and 3 3/4 rows of 8 pixels.
    shown = Preprocessing(60, keep_aspect=True).frame(100, 50)
    grid = Grid.of(100, 50, shown, 60, (60 // 8 + 1, 10))
    assert grid.shape == (4, 10)
    np.testing.assert_allclose(grid.y_edges, [0, 12.5, 25, 37.5, 50])
    np.testing.assert_allclose(grid.target(Mask.from_box((0, 0, 100, 50), 50, 100)), 1)


@given(
    st.integers(3, 60),
    st.integers(3, 60),
    st.integers(2, 12),
    st.booleans(),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_no_area_is_lost(width, height, cells, keep_aspect, edges):
    x1, x2 = sorted(edges[:2])
    y1, y2 = sorted(edges[2:])
    mask = Mask.from_box((x1 * width, y1 * height, x2 * width, y2 * height), height, width)
    shown = Preprocessing(48, keep_aspect).frame(width, height)
    grid = Grid.of(width, height, shown, 48, (cells, cells))
    area = np.outer(np.diff(grid.y_edges), np.diff(grid.x_edges))
    assert area.sum() == pytest.approx(width * height)
    assert (grid.target(mask) * area).sum() == pytest.approx(mask.area, abs=1e-3)


# -- prompts ------------------------------------------------------------------------------------


def test_points_are_any_pixel_of_the_mask():
    random = np.random.default_rng(0)
    found = np.array([draw_point(HOLLOW, random) for _ in range(3000)])
    assert HOLLOW.contains(found).all()
    np.testing.assert_allclose(found % 1, 0.5)
    np.testing.assert_allclose(found.mean(0), HOLLOW.centroid, atol=1.0)
    small = Mask.from_dense([[0, 1, 0], [1, 0, 1]])
    assert {draw_point(small, random) for _ in range(100)} == {(1.5, 0.5), (0.5, 1.5), (2.5, 1.5)}


@pytest.mark.parametrize(
    ("prompting", "box", "points"),
    [
        (DecoderPrompting(1, 0, 0), True, {0}),
        (DecoderPrompting(0, 1, 0, max_points=2), True, {1, 2}),
        (DecoderPrompting(0, 0, 1, max_points=3), False, {1, 2, 3}),
    ],
)
def test_the_prompts_of_a_picture_are_of_one_kind(prompting, box, points):
    masks = [HOLLOW, Mask.from_box((60, 5, 90, 30), 80, 100)]
    seen = set()
    for seed in range(60):
        prompts = draw_prompts(masks, prompting, np.random.default_rng(seed))
        assert all((prompt.box is not None) == box for prompt in prompts)
        assert len({len(prompt.points) for prompt in prompts}) == 1
        seen.add(len(prompts[0].points))
        for mask, prompt in zip(masks, prompts, strict=True):
            assert all(mask.contains(point) for point in prompt.points)
            assert set(prompt.labels) <= {1}
    assert seen == points


def test_boxes_are_exact_or_shifted_by_no_more_than_said():
    mask = Mask.from_box((30, 20, 70, 60), 80, 100)
    exact = draw_prompts([mask], DecoderPrompting(1, 0, 0, exact=1), np.random.default_rng(0))[0].box
    assert exact == mask.box
    shifted = np.array(
        [
            draw_prompts([mask], DecoderPrompting(1, 0, 0, exact=0, jitter=0.1), np.random.default_rng(k))[0].box
            for k in range(99)
        ]
    )
    away = np.abs(shifted - np.array(mask.box))
    assert 3.5 < away.max() <= 4
    assert away.mean() > 1.5


def test_negative_points_lie_beside_the_target_and_the_first_never_does():
    prompting = DecoderPrompting(0, 0, 1, max_points=3, negative=1.0)
    labels = []
    for seed in range(60):
        (prompt,) = draw_prompts([HOLLOW], prompting, np.random.default_rng(seed))
        assert [int(HOLLOW.contains(point)) for point in prompt.points] == list(prompt.labels)
        assert all(0 <= x <= 100 and 0 <= y <= 80 for x, y in prompt.points)
        labels.append(prompt.labels)
    assert {label[0] for label in labels} == {1}
    assert {kind for label in labels for kind in label[1:]} == {0}
    whole = Mask.from_box((0, 0, 9, 9), 9, 9)
    for seed in range(20):
        assert set(draw_prompts([whole], prompting, np.random.default_rng(seed))[0].labels) == {1}


# -- pictures -----------------------------------------------------------------------------------


def indices(pictures):
    return {picture.index for picture in pictures}


def test_parts_are_apart_and_smaller_fractions_are_subsets():
    whole, half, tenth = (read_portions(replace(CONFIG, fraction=part), ".")[0] for part in (1.0, 0.5, 0.2))
    assert not indices(whole.training) & indices(whole.held_out)
    assert indices(tenth.training) < indices(half.training) < indices(whole.training)
    assert indices(tenth.held_out) == indices(whole.held_out)
    picture = whole.training[0]
    assert (picture.image().height, picture.image().width) == (picture.targets[0].height, picture.targets[0].width)
    assert all(max(m.box[2] - m.box[0], m.box[3] - m.box[1]) >= 6 for p in whole.training for m in p.targets)


def test_held_out_targets_are_drawn_by_the_seed():
    portion = read_portions(CONFIG, ".")[0]
    every, some, other = (
        portion.sampled(replace(CONFIG, eval_limit=limit, seed=seed)) for limit, seed in ((1000, 0), (4, 0), (4, 1))
    )
    assert len(some) == 4 < len(every)
    assert set(some) < set(every)
    assert some == portion.sampled(replace(CONFIG, eval_limit=4))
    assert set(some) != set(other)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (replace(CONFIG, fraction=0.001), r"fraction 0\.001 of the \d+ pictures leaves none to train on"),
        (replace(CONFIG, data=(replace(SCENES, held_out=0.0),)), r"held_out 0 of its \d+ pictures holds none out"),
        (replace(CONFIG, data=(replace(SCENES, held_out=1.0),)), "held_out 1 leaves none to train on"),
        (replace(CONFIG, min_size=500.0), "no target of at least 500 pixels"),
        (replace(CONFIG, data=(SCENES, SCENES)), "a name of their own: shapes, shapes"),
        (replace(CONFIG, data=(replace(SCENES, group="patient"),)), "no 'patient' to group by"),
    ],
)
def test_empty_parts_name_the_number_that_made_them_so(config, said):
    with pytest.raises(InputError, match=said):
        read_portions(config, ".")


def test_a_dataset_without_masks_is_refused(monkeypatch):
    from fiducial.synthetic.scenes import SceneDataset

    class Boxes(SceneDataset):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            return replace(sample, instances=None, labels=(), boxes=sample.prompts())

        def __iter__(self):
            return (self[index] for index in range(len(self)))

    monkeypatch.setattr(module, "open_dataset", lambda spec: Boxes("shapes", 2, size=96))
    with pytest.raises(InputError, match="has boxes but no masks"):
        read_portions(CONFIG, ".")


def test_a_source_that_is_not_scored_needs_nothing_held_out():
    other = Source("scenes:shapes?count=5&seed=4&size=96", held_out=0.0, scored=False)
    portions = read_portions(replace(CONFIG, data=(SCENES, other)), ".")
    assert [portion.source.title for portion in portions] == ["shapes", "scenes:shapes"]
    assert not portions[1].held_out


# -- losses -------------------------------------------------------------------------------------


def test_of_several_proposals_the_best_is_trained():
    target = torch.zeros(2, 8, 8)
    target[:, 2:6, 2:6] = 1
    sure = (target * 2 - 1) * 10
    logits = torch.stack([-sure, sure, torch.zeros_like(sure)], dim=1).requires_grad_()
    scores = torch.tensor([[0.0, 1.0, 0.0]] * 2).requires_grad_()
    found = losses(logits, scores, target, DecoderLosses(cross_entropy=1, dice=1, focal=2, structure=1, quality=1))
    assert set(found) == {"cross_entropy", "dice", "focal", "structure", "quality", "all"}
    assert found["all"].item() < 0.01
    found["all"].backward()
    assert logits.grad[:, 1].abs().sum() > 0
    assert logits.grad[:, [0, 2]].abs().sum() == 0


def test_losses_are_weighted_and_those_without_weight_are_not_computed():
    logits, scores, target = torch.randn(3, 1, 8, 8), torch.rand(3, 1), torch.rand(3, 8, 8)
    found = losses(logits, scores, target, DecoderLosses(cross_entropy=2, dice=0.5, quality=0))
    assert set(found) == {"cross_entropy", "dice", "all"}
    torch.testing.assert_close(found["all"], 2 * found["cross_entropy"] + 0.5 * found["dice"])
