import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from fiducial.errors import InputError
from fiducial.prompters.grounder.detecting import NanoDetector
from fiducial.prompters.grounder.weights import load_grounder
from fiducial.training.grounder import GrounderConfig, train
from fiducial.training.grounder import loop as training_loop
from fiducial.training.grounder.batches import Batches
from fiducial.training.grounder.config import Network, Phase, Source
from fiducial.training.grounder.pictures import read_store
from fiducial.training.grounder.scoring import findings_of, table

SCENES = Source("scenes:shapes?count=10&seed=3&size=128", held_out=0.3, name="shapes", scale=(0.9, 1.1))
CONFIG = GrounderConfig(
    data=(SCENES,),
    phases=(Phase(64, 14), Phase(80, 6)),
    batch=4,
    rate=4e-3,
    average=0.9,
    network=Network(widths=(12, 16, 24), blocks=(1, 1, 1), pyramid=12, embedding=8),
    score_every=10,
    score_limit=4,
    save_every=10,
    threads=1,
    workers=0,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, lexicon):
    folder = tmp_path_factory.mktemp("run")
    return train(CONFIG, "unused", folder, device="cpu", command=["fiducial", "train"], quiet=True, lexicon=lexicon)


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
    grounder, _ = load_grounder(trained)
    np.testing.assert_allclose(grounder.vectors, lexicon.only(store.names).mean_vectors(), atol=1e-6)
    found = table(findings_of(detector, store.held_out))
    assert found["things"] > 0
    assert set(found["ap50_by_name"]) == set(store.names)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(trained, tmp_path, monkeypatch, lexicon):
    steps = []
    whole_step = training_loop._Training._step

    def stopping(self, step, batch):
        if step == 13 and not steps:
            steps.append(step)
            raise KeyboardInterrupt
        return whole_step(self, step, batch)

    monkeypatch.setattr(training_loop._Training, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, "unused", tmp_path / "run", device="cpu", quiet=True, lexicon=lexicon)
    going_on = replace(CONFIG, save_every=7)
    again = train(going_on, "unused", tmp_path / "run", device="cpu", quiet=True, lexicon=lexicon)
    one, other = (load_grounder(path)[0] for path in (trained, again))
    assert one.names == other.names
    for name, tensor in one.network.state_dict().items():
        torch.testing.assert_close(tensor, other.network.state_dict()[name], rtol=0, atol=0, msg=name)


def test_another_configuration_or_other_words_do_not_go_on_with_a_run(trained, lexicon):
    with pytest.raises(InputError, match="another rate"):
        train(replace(CONFIG, rate=1.0), "unused", trained.parent, device="cpu", quiet=True, lexicon=lexicon)
    turned = replace(lexicon, vectors=lexicon.vectors[::-1])
    with pytest.raises(InputError, match="another words"):
        train(CONFIG, "unused", trained.parent, device="cpu", quiet=True, lexicon=turned)


def test_a_run_begins_with_given_weights(trained, tmp_path, lexicon):
    short = replace(CONFIG, phases=(Phase(64, 1),), start=str(trained), rate=1e-9, average=0.0)
    again = train(short, "unused", tmp_path / "run", device="cpu", quiet=True, lexicon=lexicon)
    one, other = (load_grounder(path)[0].network.state_dict()["phrase.0.weight"] for path in (trained, again))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    larger = replace(short, network=replace(CONFIG.network, pyramid=16))
    with pytest.raises(InputError, match="the configuration one of"):
        train(larger, "unused", tmp_path / "other", device="cpu", quiet=True, lexicon=lexicon)


def test_without_a_held_out_part_there_is_nothing_to_calibrate(tmp_path, lexicon):
    config = replace(CONFIG, data=(replace(SCENES, held_out=0.0),), phases=(Phase(32, 1),))
    weights = train(config, "unused", tmp_path, device="cpu", quiet=True, lexicon=lexicon)
    assert {name.slope for name in load_grounder(weights)[0].names} == {1.0}


def test_a_batch_depends_on_seed_and_step_alone(store, lexicon):
    one, other = (Batches(CONFIG, [store], lexicon) for _ in range(2))
    for part, same in zip(one[5], other[5], strict=True):
        torch.testing.assert_close(part, same, rtol=0, atol=0)
    assert not torch.equal(one[5][0], one[6][0])
    assert not torch.equal(one[5][0], Batches(replace(CONFIG, seed=1), [store], lexicon)[5][0])
    pixels, phrases, heat, boxes, weight = one[15]
    assert pixels.shape == (4, 80, 80, 3)
    assert phrases.shape == (4, 9, 8)
    assert heat.shape == (4, 9, 20, 20)
    assert boxes.shape == (4, 4, 20, 20)
    assert weight.shape == (4, 20, 20)
    assert len(list(one.loader(18))) == 2


def test_names_of_other_datasets_count_as_absent_now_and_then(store, lexicon):
    def tumours(part):
        batches = Batches(replace(CONFIG, elsewhere=part), [store], lexicon)
        return [float(batches.crop(np.random.default_rng(seed), 64).targets.heat[-1].max()) for seed in range(40)]

    assert set(tumours(0.0)) == {-1.0}
    assert set(tumours(1.0)) == {0.0}
    assert 0.3 < np.mean(np.array(tumours(0.5)) == 0) < 0.7


def test_what_the_crop_cuts_away_is_ignored_and_not_background(store, lexicon):
    every = Batches(replace(CONFIG, kept=0.0, least=0.0), [store], lexicon)
    strict = Batches(replace(CONFIG, kept=1.1), [store], lexicon)
    some = [every.crop(np.random.default_rng(seed), 64).targets for seed in range(6)]
    none = [strict.crop(np.random.default_rng(seed), 64).targets for seed in range(6)]
    for with_things, without in zip(some, none, strict=True):
        centres = np.argwhere(with_things.heat == 1)
        assert not (without.heat == 1).any()
        assert all(without.heat[tuple(place)] == -1 for place in centres)
    assert sum((one.heat == 1).any() for one in some) >= 3
