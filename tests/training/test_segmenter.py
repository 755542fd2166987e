import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from fiducial.errors import InputError
from fiducial.segmenters.nano import NanoSegmenter, load_engine
from fiducial.segmenters.nano_unet import load_network
from fiducial.training.configs import (
    SegmenterConfig,
    SegmenterLosses,
    SegmenterNetworkConfig,
    SegmenterPhase,
    SegmenterPrompting,
    Source,
)
from fiducial.training.losses import true_iou
from fiducial.training.prompting import inside_point, ious_of, jittered_box, true_box
from fiducial.training.segmenter import SegmenterTask, losses
from fiducial.training.segmenter_data import SegmenterBatches, read_store
from fiducial.training.trainer import Trainer

SCENES = Source("scenes:shapes?count=12&seed=3&size=160", held_out=0.3, name="shapes")
CONFIG = SegmenterConfig(
    data=(SCENES,),
    phases=(SegmenterPhase(32, 30), SegmenterPhase(48, 10, SegmenterPrompting(previous=0.5, predicted=0.5))),
    batch_size=8,
    learning_rate=4e-3,
    ema_decay=0.9,
    network=SegmenterNetworkConfig(widths=(12, 24), encoder=(1, 2), decoder=1),
    eval_every=20,
    eval_limit=10,
    save_every=10,
    num_threads=1,
    num_workers=0,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return CONFIG.train("unused", folder, device="cpu", command=["fiducial", "train"], quiet=True)


def lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_training_lowers_the_loss_and_betters_the_held_out_part(trained):
    looks = [line for line in lines(trained.parent) if "held_out" in line]
    assert [look["step"] for look in looks] == [20, 40]
    assert looks[1]["all"] < looks[0]["all"]
    assert looks[1]["held_out"] > 0.3


def test_the_run_says_what_made_it(trained):
    card = json.loads((trained.parent / "run.json").read_text())
    assert card["command"] == ["fiducial", "train"]
    assert card["config"]["phases"] == [
        {"size": 32, "steps": 30, "prompts": None},
        {"size": 48, "steps": 10, "prompts": card["config"]["prompts"] | {"previous": 0.5, "predicted": 0.5}},
    ]
    assert card["versions"]["torch"]


def test_the_best_weights_load_and_cut(trained):
    store = read_store(SCENES, trained, 6)
    targets = store.targets(6)[:6]
    segmenter = NanoSegmenter.from_pretrained(trained, device="cpu")
    for make_prompt in (true_box, jittered_box(0.2), inside_point):
        ious = ious_of(targets, segmenter, lambda sample: segmenter.encode(sample.image()), make_prompt)
        assert 0 <= ious.min() <= ious.max() <= 1
        assert make_prompt is not true_box or ious.mean() > 0.3
    inputs = np.random.default_rng(0).normal(size=(2, 7, 32, 32)).astype(np.float32)
    assert load_engine(trained, "cpu", bits=8)(inputs)[0].shape == (2, 32, 32)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(trained, tmp_path, monkeypatch):
    whole = SegmenterTask.loss

    def stopping(self, network, batch):
        if self._trainer.step == 25:
            raise KeyboardInterrupt
        return whole(self, network, batch)

    with monkeypatch.context() as patch:
        patch.setattr(SegmenterTask, "loss", stopping)
        with pytest.raises(KeyboardInterrupt):
            CONFIG.train("unused", tmp_path / "run", device="cpu", quiet=True)
    again = replace(CONFIG, save_every=7).train("unused", tmp_path / "run", device="cpu", quiet=True)
    one, other = (load_network(path)[0].state_dict() for path in (trained, again))
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=0, atol=0, msg=name)


def test_another_configuration_does_not_go_on_with_a_run(trained):
    with pytest.raises(InputError, match="learning_rate: "):
        replace(CONFIG, learning_rate=1.0).train("unused", trained.parent, device="cpu", quiet=True)


def test_the_rate_rises_and_falls():
    task = SegmenterTask(CONFIG, "unused")
    rates = [task.learning_rate(step) for step in range(CONFIG.steps)]
    assert max(rates) == pytest.approx(CONFIG.learning_rate, rel=0.01)
    assert rates.index(max(rates)) <= 2
    assert rates[-1] == pytest.approx(0.01 * CONFIG.learning_rate, rel=0.02)


def test_a_perfect_mask_costs_next_to_nothing_and_a_wrong_one_does():
    target = torch.zeros(1, 16, 16)
    target[0, 4:12, 4:12] = 1
    sure = (target * 2 - 1) * 20
    quality = torch.tensor([20.0])
    right = losses(sure, quality, target, torch.zeros(1), SegmenterLosses())
    wrong = losses(-sure, quality, target, torch.zeros(1), SegmenterLosses())
    assert float(right["all"]) < 1e-3
    assert float(wrong["all"]) > 5


def test_pixels_at_the_edge_count_more():
    target = torch.zeros(1, 32, 32)
    target[0, 8:24, 8:24] = 1
    at_edge, inside = torch.zeros_like(target), torch.zeros_like(target)
    at_edge[0, 8, 10:14] = -10
    inside[0, 15, 10:14] = -10
    sure = (target * 2 - 1) * 5
    costs = [
        float(losses(sure + 2 * wrong, torch.zeros(1), target, torch.zeros(1), SegmenterLosses())["cross_entropy"])
        for wrong in (at_edge, inside)
    ]
    assert costs[0] > 2 * costs[1]


def test_what_lies_outside_the_crop_counts_as_missed():
    target = torch.ones(1, 4, 4)
    assert true_iou(target, target, torch.tensor([0.0])).tolist() == [1.0]
    assert true_iou(target, target, torch.tensor([48.0])).tolist() == [0.25]
    assert true_iou(-target, target * 0, torch.tensor([0.0])).tolist() == [0.0]


def test_the_network_is_shown_its_own_masks(tmp_path):
    trainer = Trainer(SegmenterTask(CONFIG, "unused"), tmp_path, device="cpu", quiet=True)
    trainer.run.open()
    trainer.network = trainer.average = trainer.task.build(trainer)
    batch = SegmenterBatches(CONFIG, [read_store(SCENES, "unused", 6)])[35]
    seen = []
    trainer.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    trainer.task.loss(trainer.network.train(), batch)
    assert trainer.network.training
    assert len(seen) == 2  # for the masks, and for the losses
    assert seen[1][batch[3], 6].abs().amax((1, 2)).min() > 0


def test_a_run_can_begin_with_the_weights_of_another(trained, tmp_path):
    short = replace(CONFIG, phases=(SegmenterPhase(48, 1),), learning_rate=1e-9, initial_weights=str(trained))
    again = short.train("unused", tmp_path / "run", device="cpu", quiet=True)
    before, after = (load_network(path)[0].state_dict()["head.weight"] for path in (trained, again))
    torch.testing.assert_close(before, after, atol=2e-3, rtol=0)
    other = replace(short, network=SegmenterNetworkConfig((8, 8), (1, 1), 1))
    with pytest.raises(InputError, match=r"initial_weights: .* holds a network of"):
        other.train("unused", tmp_path / "b", device="cpu", quiet=True)
