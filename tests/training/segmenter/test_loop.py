import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from fiducial.errors import InputError
from fiducial.segmenters.nano import NanoSegmenter
from fiducial.segmenters.nano_network import load_network
from fiducial.training.runs import TrainingRun
from fiducial.training.segmenter import SegmenterConfig, train
from fiducial.training.segmenter import loop as training_loop
from fiducial.training.segmenter.batches import Batches
from fiducial.training.segmenter.config import Losses, Network, Phase, Prompting, Source
from fiducial.training.segmenter.loop import losses, rate_at, true_iou
from fiducial.training.segmenter.objects import read_store
from fiducial.training.segmenter.scoring import PROMPTINGS, score, targets_of
from fiducial.training.sources import spelled_out

SCENES = Source("scenes:shapes?count=12&seed=3&size=160", held_out=0.3, name="shapes")
CONFIG = SegmenterConfig(
    data=(SCENES,),
    phases=(Phase(32, 30), Phase(48, 10, Prompting(previous=0.5, own=0.5))),
    batch=8,
    rate=4e-3,
    average=0.9,
    network=Network(widths=(12, 24), encoder=(1, 2), decoder=1),
    score_every=20,
    score_limit=10,
    save_every=10,
    threads=1,
    workers=0,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return train(CONFIG, "unused", folder, device="cpu", command=["fiducial", "train"], quiet=True)


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
        {"size": 48, "steps": 10, "prompts": card["config"]["prompts"] | {"previous": 0.5, "own": 0.5}},
    ]
    assert card["versions"]["torch"]


def test_the_best_weights_load_and_cut(trained):
    store = read_store(SCENES, trained, 6)
    targets = targets_of(store.held_out, least=6, limit=6)
    segmenter = NanoSegmenter.from_pretrained(trained, device="cpu")
    found = {name: score(segmenter, targets, prompting) for name, prompting in PROMPTINGS.items()}
    assert found["true box"].mean > 0.3
    assert all(0 <= one.ious.min() <= one.ious.max() <= 1 for one in found.values())
    assert not np.isnan(found["true box"].expected).any()


def test_a_run_that_was_stopped_ends_as_one_that_was_not(trained, tmp_path, monkeypatch):
    steps = []
    whole_step = training_loop._Training._step

    def stopping(self, step, batch):
        if step == 25 and not steps:
            steps.append(step)
            raise KeyboardInterrupt
        return whole_step(self, step, batch)

    monkeypatch.setattr(training_loop._Training, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, "unused", tmp_path / "run", device="cpu", quiet=True)
    again = train(replace(CONFIG, save_every=7), "unused", tmp_path / "run", device="cpu", quiet=True)
    one, other = (load_network(path)[0].state_dict() for path in (trained, again))
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=0, atol=0, msg=name)


def test_another_configuration_does_not_go_on_with_a_run(trained):
    with pytest.raises(InputError, match="another rate"):
        train(replace(CONFIG, rate=1.0), "unused", trained.parent, device="cpu", quiet=True)


def test_a_batch_depends_on_seed_and_step_alone():
    stores = [read_store(SCENES, "unused", 6)]
    one, other = Batches(CONFIG, stores), Batches(CONFIG, stores)
    torch.testing.assert_close(one[5][0], other[5][0], rtol=0, atol=0)
    assert not torch.equal(one[5][0], one[6][0])
    assert not torch.equal(one[5][0], Batches(replace(CONFIG, seed=1), stores)[5][0])
    assert one[0][0].shape == (8, 7, 32, 32)
    assert one[35][0].shape == (8, 7, 48, 48)
    assert len(list(one.loader(38))) == 2


def test_crops_that_wait_for_the_networks_own_mask_are_told_apart():
    batches = Batches(CONFIG, [read_store(SCENES, "unused", 6)])
    assert not batches[5][3].any()
    inputs, _, _, own = batches[35]
    assert own.any()
    assert not inputs[own, 6].any()


def test_nothing_of_the_held_out_part_is_trained_on():
    store = read_store(SCENES, "unused", 6)
    assert 0 < len(store.held_out) < 12
    assert 4 < len(store.pictures) <= 12 - len(store.held_out)  # scenes without a target teach nothing
    held = {sample.image().pixels.tobytes() for sample in store.held_out}
    assert not held & {picture.tobytes() for picture in store.pictures}


def test_the_rate_rises_and_falls():
    rates = [rate_at(CONFIG, step) for step in range(CONFIG.steps)]
    assert max(rates) == pytest.approx(CONFIG.rate, rel=0.01)
    assert rates.index(max(rates)) <= 2
    assert rates[-1] == pytest.approx(0.01 * CONFIG.rate, rel=0.02)


def test_a_perfect_mask_costs_next_to_nothing_and_a_wrong_one_does():
    target = torch.zeros(1, 16, 16)
    target[0, 4:12, 4:12] = 1
    sure = (target * 2 - 1) * 20
    quality = torch.tensor([20.0])
    right = losses(sure, quality, target, torch.zeros(1), Losses())
    wrong = losses(-sure, quality, target, torch.zeros(1), Losses())
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
        float(losses(sure + 2 * wrong, torch.zeros(1), target, torch.zeros(1), Losses())["cross_entropy"])
        for wrong in (at_edge, inside)
    ]
    assert costs[0] > 2 * costs[1]


def test_what_lies_outside_the_crop_counts_as_missed():
    target = torch.ones(1, 4, 4)
    assert true_iou(target, target, torch.tensor([0.0])).tolist() == [1.0]
    assert true_iou(target, target, torch.tensor([48.0])).tolist() == [0.25]
    assert true_iou(-target, target * 0, torch.tensor([0.0])).tolist() == [0.0]


def test_the_data_folder_is_put_where_it_is_named(tmp_path):
    assert spelled_out("coco:DATA/a?per=image", tmp_path) == f"coco:{tmp_path}/a?per=image"
    assert spelled_out("coco:/elsewhere/DATA/a", tmp_path) == "coco:/elsewhere/DATA/a"
    assert spelled_out("DATA/a", tmp_path) == f"{tmp_path}/a"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": ()}, "data"),
        ({"phases": ()}, "phases"),
        ({"phases": (Phase(30, 5),)}, "multiple of 4"),
        ({"batch": 1}, "batch"),
        ({"data": (replace(SCENES, share=0.0),)}, "shares"),
    ],
)
def test_wrong_numbers_are_named(change, said):
    with pytest.raises(InputError, match=said):
        replace(CONFIG, **change)


def test_the_network_is_shown_its_own_masks(tmp_path):
    shown = []

    class Watched(training_loop._Training):
        def _show_own(self, inputs, own):
            super()._show_own(inputs, own)
            shown.append(inputs[own, 6].abs().amax((1, 2)).min())

    run = TrainingRun(tmp_path, {}, quiet=True)
    training = Watched(CONFIG, run, [read_store(SCENES, "unused", 6)], torch.device("cpu"))
    training._step(35, Batches(CONFIG, training._stores)[35])
    assert shown
    assert min(shown) > 0


def test_a_source_without_training_targets_is_named():
    with pytest.raises(InputError, match="no target of at least 900 pixels"):
        read_store(SCENES, "unused", 900)


def test_a_run_can_begin_with_the_weights_of_another(trained, tmp_path):
    short = replace(CONFIG, phases=(Phase(48, 1),), rate=1e-9, start=str(trained))
    again = train(short, "unused", tmp_path / "run", device="cpu", quiet=True)
    before, after = (load_network(path)[0].state_dict()["head.weight"] for path in (trained, again))
    torch.testing.assert_close(before, after, atol=2e-3, rtol=0)
    with pytest.raises(InputError, match=r"start: .* holds a network of"):
        train(replace(short, network=Network((8, 8), (1, 1), 1)), "unused", tmp_path / "b", device="cpu", quiet=True)
