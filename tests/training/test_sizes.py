from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from fiducial.config import as_plain
from fiducial.errors import InputError
from fiducial.segmenters.nano_sizes import FIGURES, SizeJudge
from fiducial.training.recipes import load_config
from fiducial.training.sizes import POINTS, WEIGHTS, stacked
from fiducial.training.sizes_configs import SizesConfig, SizesSource
from fiducial.training.sizes_model import listwise_loss

torch.set_num_threads(1)
SMALL = {"steps": 3, "batch_size": 8, "eval_every": 2, "save_every": 2, "network": {"members": 2, "width": 4}}


def small(**changes):
    sources = (SizesSource(dataset="scenes:shapes?count=4", points=5, held_out=0.0),)
    return SizesConfig(data=sources, validation=0.4).with_settings({**SMALL, **changes})


def test_a_run_leaves_a_judge_and_goes_on_with_the_points_that_it_cut(tmp_path):
    path = small().train(tmp_path, tmp_path / "run", quiet=True)
    assert path.name == WEIGHTS
    points = load_file(tmp_path / "run" / POINTS)
    count, most = points["ious"].shape
    assert count == 5
    assert points["figures"].shape == (count, most, len(FIGURES))
    assert points["ious"].max() <= 1
    assert set(np.unique(points["validation"])) <= {0, 1}
    assert 0 <= SizeJudge.from_pretrained(path).choose(points["figures"][0][points["ious"][0] >= 0]) < most
    # The same points and the same seed give the same judge.
    again = tmp_path / "again"
    again.mkdir()
    (again / POINTS).write_bytes((tmp_path / "run" / POINTS).read_bytes())
    other = load_file(small().train(tmp_path, again, quiet=True))
    assert all(np.allclose(one, other[name], atol=1e-3) for name, one in load_file(path).items())


def test_points_of_other_figures_are_not_taken(tmp_path):
    run = tmp_path / "run"
    small().train(tmp_path, run, quiet=True)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / POINTS).write_bytes(b"nothing")
    with pytest.raises(InputError, match="delete it to cut again"):
        small().train(tmp_path, broken, quiet=True)


def test_nothing_left_to_point_at_is_named(tmp_path):
    with pytest.raises(InputError, match="no target of at least 9999 pixels is left"):
        small(min_size=9999.0).train(tmp_path, tmp_path / "run", quiet=True)


def test_points_of_few_and_of_many_sizes_are_put_together():
    rows = [
        (np.ones((2, len(FIGURES)), np.float32), np.array([0.1, 0.2], np.float32), 0, False),
        (np.ones((3, len(FIGURES)), np.float32), np.array([0.3, 0.4, 0.5], np.float32), 1, True),
    ]
    points = stacked(rows)
    assert points["figures"].shape == (2, 3, len(FIGURES))
    assert points["ious"][0] == pytest.approx([0.1, 0.2, -1])
    assert points["source"].tolist() == [0, 1]
    assert points["validation"].tolist() == [0, 1]


def test_the_loss_is_least_where_the_best_size_is_taken():
    ious, there = torch.tensor([[0.2, 0.8, 0.4, 0.0]]), torch.tensor([[True, True, True, False]])
    said = torch.tensor([[[0.0, 5.0, 0.0, -1e4]], [[5.0, 0.0, 0.0, -1e4]]])
    right, wrong = listwise_loss(said[:1], ious, there), listwise_loss(said[1:], ious, there)
    assert torch.isfinite(right)
    assert right < wrong


def test_the_shipped_run_is_read():
    config = load_config(SizesConfig, "nano-sizes", {})
    assert json.dumps(as_plain(config), default=str)
    assert len(config.data) == 11
