import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from fiducial.cli import main
from fiducial.errors import InputError
from fiducial.geometry import boxes as box_arrays
from fiducial.prompters.grounder.detecting import NanoDetector
from fiducial.prompters.grounder.network import boxes_of, load_taught
from fiducial.training.configs import (
    GrounderConfig,
    GrounderLosses,
    GrounderNetworkConfig,
    GrounderSource,
    Phase,
)
from fiducial.training.grounder import GrounderTask, focal, giou, losses, told_apart
from fiducial.training.grounder_data import read_store
from fiducial.training.grounder_scoring import by_name, findings_of
from fiducial.training.trainer import Trainer

SCENES = GrounderSource("scenes:shapes?count=10&seed=3&size=128", held_out=0.3, name="shapes", scale=(0.9, 1.1))
CONFIG = GrounderConfig(
    data=(SCENES,),
    phases=(Phase(64, 14), Phase(80, 6)),
    batch_size=4,
    learning_rate=4e-3,
    ema_decay=0.9,
    network=GrounderNetworkConfig(widths=(12, 16, 24), blocks=(1, 1, 1), pyramid=12, embedding=8),
    eval_every=10,
    eval_limit=4,
    save_every=10,
    num_threads=1,
    num_workers=0,
)
TINY = {
    "data": [{"dataset": "scenes:shapes?count=6&seed=3&size=128", "held_out": 0.3, "name": "shapes"}],
    "phases": [{"size": 32, "steps": 3}, {"size": 64, "steps": 3}],
    "batch_size": 2,
    "network": {"widths": [8, 12], "blocks": [1, 1], "pyramid": 8, "embedding": 8},
    "num_workers": 0,
    "num_threads": 1,
}


def train(config, folder, lexicon, **options):
    return Trainer(GrounderTask(config, "unused", lexicon), folder, device="cpu", quiet=True, **options).fit()


@pytest.fixture(scope="module")
def trained(tmp_path_factory, lexicon):
    return train(CONFIG, tmp_path_factory.mktemp("run"), lexicon, command=["fiducial", "train"])


@pytest.fixture(scope="module")
def store(lexicon):
    return read_store(SCENES, "unused", lexicon.names)


def lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_training_lowers_the_loss_and_looks_at_the_held_out_part(trained):
    looks = [line for line in lines(trained.parent) if "ap50" in line]
    assert [look["step"] for look in looks] == [10, 20]
    assert looks[1]["heat"] < looks[0]["heat"]
    assert all(0 <= look["shapes"] == look["ap50"] <= 1 for look in looks)


def test_the_run_says_what_made_it(trained, lexicon):
    card = json.loads((trained.parent / "run.json").read_text())
    assert card["command"] == ["fiducial", "train"]
    assert card["config"]["phases"] == [{"size": 64, "steps": 14}, {"size": 80, "steps": 6}]
    assert card["config"]["words"] == lexicon.digest
    source, *_ = lines(trained.parent)
    assert source["pictures"] + source["held_out"] == 10
    assert "calibration" in lines(trained.parent)[-1]


def test_the_weights_load_and_know_what_the_data_shows(trained, store, lexicon):
    detector = NanoDetector.from_pretrained(trained, threshold=0.0, device="cpu")
    assert detector.vocabulary() == store.names
    assert "tumour" not in detector.vocabulary()
    grounder, _ = load_taught(trained)
    np.testing.assert_allclose(grounder.vectors, lexicon.only(store.names).mean_vectors(), atol=1e-6)
    found = findings_of(detector, store.held_out)
    assert sum(len(one.truth) for one in found) > 0
    assert set(by_name(found)) == set(store.names)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(trained, tmp_path, monkeypatch, lexicon):
    whole = GrounderTask.loss

    def stopping(self, network, batch):
        if self._trainer.step == 13:
            raise KeyboardInterrupt
        return whole(self, network, batch)

    with monkeypatch.context() as patch:
        patch.setattr(GrounderTask, "loss", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG, tmp_path / "run", lexicon)
    again = train(replace(CONFIG, save_every=7), tmp_path / "run", lexicon)
    one, other = (load_taught(path)[0] for path in (trained, again))
    assert one.names == other.names
    for name, tensor in one.network.state_dict().items():
        torch.testing.assert_close(tensor, other.network.state_dict()[name], rtol=0, atol=0, msg=name)


def test_another_configuration_or_other_words_do_not_go_on_with_a_run(trained, lexicon):
    with pytest.raises(InputError, match="learning_rate: "):
        train(replace(CONFIG, learning_rate=1.0), trained.parent, lexicon)
    turned = replace(lexicon, vectors=lexicon.vectors[::-1])
    with pytest.raises(InputError, match="words"):
        train(CONFIG, trained.parent, turned)


def test_a_run_begins_with_given_weights(trained, tmp_path, lexicon):
    short = replace(CONFIG, phases=(Phase(64, 1),), initial_weights=str(trained), learning_rate=1e-9, ema_decay=0.0)
    again = train(short, tmp_path / "run", lexicon)
    one, other = (load_taught(path)[0].network.state_dict()["phrase.0.weight"] for path in (trained, again))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    larger = replace(short, network=replace(CONFIG.network, pyramid=16))
    with pytest.raises(InputError, match="as configured"):
        train(larger, tmp_path / "other", lexicon)


def test_without_a_held_out_part_there_is_nothing_to_calibrate(tmp_path, lexicon):
    config = replace(CONFIG, data=(replace(SCENES, held_out=0.0),), phases=(Phase(32, 1),))
    weights = train(config, tmp_path, lexicon)
    assert {name.slope for name in load_taught(weights)[0].names} == {1.0}


def test_a_grounder_is_trained_and_loads(tmp_path, capsys):
    config, out = tmp_path / "tiny.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump(TINY))
    words = ["train", "grounder", str(config), "--out", str(out), "--device", "cpu", "--steps", "2", "--quiet"]
    assert main(words) == 0
    weights = out / "nano-grounder.safetensors"
    assert capsys.readouterr().out == f"wrote {weights}\n"
    detector = NanoDetector.from_pretrained(weights, device="cpu")
    assert "star" in detector.vocabulary()
    assert detector.read("stars").name == "star"
    assert '{\n        "size": 64,\n        "steps": 1\n      }' in (out / "run.json").read_text()


# -- losses ---------------------------------------------------------------------------------------


def test_focal_has_the_papers_value():
    logits = torch.tensor([0.0, 2.0, -1.0]).reshape(1, 1, 1, 3)
    targets = torch.tensor([1.0, 0.5, 0.0]).reshape(1, 1, 1, 3)
    p = 1 / (1 + np.exp(-np.array([0.0, 2.0, -1.0])))
    expected = -((1 - p[0]) ** 2 * np.log(p[0]))
    expected -= (1 - 0.5) ** 4 * p[1] ** 2 * np.log(1 - p[1]) + p[2] ** 2 * np.log(1 - p[2])
    assert float(focal(logits, targets)) == pytest.approx(expected, rel=1e-5)
    assert float(focal(logits.repeat(2, 1, 1, 1), targets.repeat(2, 1, 1, 1))) == pytest.approx(expected, rel=1e-5)


def test_nothing_is_learned_where_there_is_no_loss():
    logits = torch.tensor([5.0, -3.0], requires_grad=True)
    focal(logits.reshape(1, 1, 1, 2), torch.tensor([-1.0, 0.0]).reshape(1, 1, 1, 2)).backward()
    assert logits.grad[0] == 0
    assert logits.grad[1] > 0


def test_a_crop_of_background_alone_has_a_finite_loss():
    assert float(focal(torch.full((1, 2, 4, 4), -4.6), torch.zeros(1, 2, 4, 4))) < 0.01


def test_names_are_told_apart_at_the_places_of_things_among_those_that_are_taught():
    logits = torch.tensor([[2.0, 9.0], [1.0, 9.0], [30.0, 9.0]], requires_grad=True)  # three names at two places
    heat = torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, -1.0]])  # a thing of the first; the third is not taught
    weight = torch.tensor([1.0, 0.0])
    found = told_apart(logits.reshape(1, 3, 1, 2), heat.reshape(1, 3, 1, 2), weight.reshape(1, 1, 2))
    assert float(found.detach()) == pytest.approx(np.log(1 + np.exp(-1.0)), rel=1e-5)
    found.backward()
    assert (logits.grad[:, 1] == 0).all()
    assert logits.grad[2, 0] == 0
    assert logits.grad[0, 0] < 0 < logits.grad[1, 0]


def test_names_are_told_apart_only_where_the_run_says_so():
    batch = (torch.zeros(1, 2, 2, 2), torch.zeros(1, 4, 2, 2), torch.zeros(1, 2, 2))
    args = (torch.zeros(1, 2, 2, 2), torch.full((1, 4, 2, 2), 8.0), batch)
    assert "names" not in losses(*args, GrounderLosses())
    found = losses(*args, GrounderLosses(names=0.5))
    assert float(found["names"]) == 0  # a crop without a thing


def test_giou_is_that_of_geometry():
    random = np.random.default_rng(0)
    one, other = (np.sort(random.uniform(0, 9, (50, 2, 2)), axis=1).reshape(50, 4) for _ in range(2))
    found = giou(torch.from_numpy(one), torch.from_numpy(other))
    np.testing.assert_allclose(found.numpy(), box_arrays.giou(one, other, pairwise=False), atol=1e-6)


def test_right_boxes_cost_nothing_and_others_by_their_weight():
    sides = torch.full((1, 4, 2, 2), 8.0)
    boxes = boxes_of(sides).clone()
    weight = torch.tensor([[[0.5, 0.5], [0.0, 0.0]]])
    heat = torch.zeros(1, 1, 2, 2)
    found = losses(heat, sides, (heat, boxes, weight), GrounderLosses(1.0, 3.0))
    assert float(found["boxes"]) == pytest.approx(0, abs=1e-6)
    boxes[0, :, 0, 0] += 16  # the next square: GIoU 0 - 0, they touch
    boxes[0, :, 1, 1] += 99  # without weight
    found = losses(heat, sides, (heat, boxes, weight), GrounderLosses(1.0, 3.0))
    apart = 1 - box_arrays.giou([[0, 0, 16, 16]], [[16, 16, 32, 32]])[0, 0]
    assert float(found["boxes"]) == pytest.approx(0.5 * apart, rel=1e-5)
    assert float(found["all"]) == pytest.approx(float(found["heat"]) + 3 * 0.5 * apart, rel=1e-5)
