import json
import re
from dataclasses import dataclass

import pytest
import torch
from filelock import FileLock, Timeout

from fiducial.config import option
from fiducial.errors import InputError, ModelError
from fiducial.provenance import RUN_CARD
from fiducial.training import runs
from fiducial.training.configs import RunConfig
from fiducial.training.runs import CHECKPOINT, LOCK, LOG, TrainingRun, read_tensors, write_tensors
from fiducial.training.trainer import Task, Trainer, update_ema

CONFIG = RunConfig(seed=3, learning_rate=0.05, num_threads=1, save_every=3)


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))


def optimiser_of(model):
    return torch.optim.AdamW(model.parameters(), lr=0.05)


def lines(folder):
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


class Toy(Task[torch.Tensor]):
    """Learns to give 0, with dropout, from two parts per step; writes down which hook was called."""

    ema_decay = 0.5
    score_first = True
    stop_at = None

    def __init__(self, config=CONFIG, steps=8, eval_every=4):
        super().__init__(config, steps, eval_every)
        self.called = []
        self.scores = iter((0.0, 0.5, 0.25))

    def build(self, trainer):
        self.called.append("build")
        self.trainer = trainer
        layers = (torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
        return torch.nn.Sequential(*layers)

    def batches(self, start):
        self.called.append(f"batches {start}")
        for step in range(start, self.steps):
            generator = torch.Generator().manual_seed(step)
            yield [torch.randn(5, 3, generator=generator) for _ in range(2)]

    def loss(self, network, batch):
        assert network.training
        if self.trainer.step == self.stop_at:
            raise KeyboardInterrupt
        self.called.append("loss")
        wrong = network(batch).square().mean()
        return {"wrong": wrong, "all": 2 * wrong}

    def score(self, network):
        assert not network.training
        self.called.append("score")
        return {"a": next(self.scores)}

    def save(self, network, step, scores):
        self.called.append(f"save {step} {scores['a']}")

    def finish(self, network):
        self.called.append("finish")
        return self.trainer.run.folder


def train(task, folder, **more):
    trainer = Trainer(task, folder, device="cpu", **{"quiet": True, **more})
    assert trainer.fit() == folder
    return trainer


def assert_same(one, other):
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(tensor, other.state_dict()[name], rtol=0, atol=0, msg=name)


# -- the trainer --------------------------------------------------------------------------------


def test_hooks_are_called_in_order(tmp_path):
    task = Toy()
    trainer = train(task, tmp_path)
    losses = ["loss"] * 8
    assert task.called == [*("build", "score", "batches 0", *losses, "score", "save 4 0.5", *losses, "score", "finish")]
    assert trainer.before == {"a": 0.0}
    assert trainer.best == {"step": 4, "mean": 0.5, "scores": {"a": 0.5}}
    first, middle, last = lines(tmp_path)
    assert (first["step"], first["a"], first["held_out"]) == (0, 0.0, 0.0)
    assert (middle["step"], last["step"], last["held_out"]) == (4, 8, 0.25)
    assert last["all"] == pytest.approx(2 * last["wrong"])
    assert last["learning_rate"] == pytest.approx(0.01 * CONFIG.learning_rate)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path, capsys):
    whole = train(Toy(), tmp_path / "whole")
    stopped = Toy()
    stopped.stop_at = 5
    with pytest.raises(KeyboardInterrupt):
        Trainer(stopped, tmp_path / "stopped", device="cpu").fit()
    assert "stopped after step 5" in capsys.readouterr().err
    task = Toy()
    task.scores = iter((0.5, 0.25))
    again = train(task, tmp_path / "stopped")
    assert task.called[:2] == ["build", "batches 3"]
    assert_same(whole.network, again.network)
    assert_same(whole.average, again.average)
    assert (again.before, again.best) == (whole.before, whole.best)
    means = [
        {key: value for key, value in lines(run.run.folder)[-1].items() if key != "seconds"} for run in (whole, again)
    ]
    assert means[0] == means[1]


def test_a_finished_run_only_finishes_again(tmp_path):
    train(Toy(), tmp_path)
    task = Toy()
    train(task, tmp_path)
    assert task.called == ["build", "batches 8", "finish"]


def test_without_a_decay_the_network_is_its_own_average(tmp_path):
    task = Toy()
    task.ema_decay = 0.0
    trainer = train(task, tmp_path)
    assert trainer.average is trainer.network
    assert not any(key.startswith("average/") for key in read_tensors(tmp_path / CHECKPOINT)[0])


def test_losses_that_are_no_longer_finite_end_the_run(tmp_path):
    task = Toy()
    task.loss = lambda network, batch: {"all": network(batch).sum() * float("nan")}
    with pytest.raises(ModelError, match="step 0: the loss is no longer a finite number"):
        train(task, tmp_path)


def test_the_average_moves_towards_the_network():
    average, now = network(0), network(1)
    before = average[0].weight.clone()
    update_ema(average, now, step=0, decay=0.9)  # early steps are forgotten quickly: 1 / 10 is kept
    torch.testing.assert_close(average[0].weight, 0.1 * before + 0.9 * now[0].weight)
    update_ema(average, now, step=10**6, decay=0.9)
    torch.testing.assert_close(average[0].weight, 0.09 * before + 0.91 * now[0].weight)
    now[1].num_batches_tracked += 7
    update_ema(average, now, step=0, decay=0.9)
    assert average[1].num_batches_tracked == 7


# -- its folder ---------------------------------------------------------------------------------


def opened(folder, config=CONFIG, *command, quiet=True):
    run = TrainingRun(folder, config, command, quiet=quiet)
    run.open()
    return run


def test_the_card_says_what_made_the_run(tmp_path):
    opened(tmp_path / "a" / "run", CONFIG, "fiducial", "train")
    card = json.loads((tmp_path / "a" / "run" / RUN_CARD).read_text())
    assert card["command"] == ["fiducial", "train"]
    assert card["config"]["learning_rate"] == 0.05
    assert card["seed"] == 3
    assert card["versions"]["torch"] == torch.__version__


def test_another_configuration_is_refused_but_for_what_may_change(tmp_path):
    opened(tmp_path)
    opened(tmp_path, RunConfig(seed=3, learning_rate=0.05, num_threads=8))
    with pytest.raises(InputError, match=r"learning_rate: 0.05 there, .* now; seed: 3 there, 0 now\).*another"):
        TrainingRun(tmp_path, RunConfig(num_threads=8))
    with pytest.raises(InputError, match=r"words: null there, \"abc\" now"):
        TrainingRun(tmp_path, CONFIG, digests={"words": "abc"})


def test_weights_that_were_replaced_are_noticed(tmp_path):
    @dataclass(frozen=True, slots=True, kw_only=True)
    class FromWeights(RunConfig):
        """A run that begins with weights."""

        initial_weights: str = option("", "where it begins")

    one, same, run = tmp_path / "one", tmp_path / "same", tmp_path / "run"
    one.write_bytes(b"1")
    same.write_bytes(b"1")
    opened(run, FromWeights(initial_weights=str(one)))
    opened(run, FromWeights(initial_weights=str(same)))
    one.write_bytes(b"2")
    with pytest.raises(InputError, match=r"initial_weights: the contents of \S+one changed \(sha256"):
        TrainingRun(run, FromWeights(initial_weights=str(one)))


def test_no_two_processes_train_in_one_folder(tmp_path):
    run = TrainingRun(tmp_path, CONFIG, quiet=True)
    held = FileLock(tmp_path / LOCK)  # as another process would hold it
    held.acquire()
    with pytest.raises(InputError, match="another process trains in this folder"):
        run.open()
    held.release()
    run.open()
    run.log(1, loss=1.0)
    with pytest.raises(Timeout):
        held.acquire(timeout=0)


def test_who_trains_in_the_folder_is_told_before_anything_is_read(tmp_path):
    held, task = FileLock(tmp_path / LOCK), Toy()
    held.acquire()
    with pytest.raises(InputError, match="another process trains in this folder"):
        train(task, tmp_path)
    assert task.called == []
    held.release()


def test_a_run_that_never_began_leaves_nothing(tmp_path):
    def build(trainer):
        assert (trainer.run.folder / LOCK).exists()
        raise InputError("no data")

    task = Toy()
    task.build = build
    for folder in (tmp_path / "new", tmp_path):
        with pytest.raises(InputError, match="no data"):
            train(task, folder)
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]  # the folder was there before, and stays
    train(Toy(), tmp_path)


def test_how_far_a_run_is_is_said_between_evaluations(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(runs, "PAUSE", 0.0)
    stopped = Toy()
    stopped.stop_at = 5
    with pytest.raises(KeyboardInterrupt):
        train(stopped, tmp_path, quiet=False)
    said = capsys.readouterr().err
    assert re.search(r"^step 2 of 8, loss [\d.e-]+, [\d.e-]+ s a step, \d+:\d\d left$", said, re.MULTILINE)
    task = Toy()
    task.scores = iter((0.5, 0.25))
    train(task, tmp_path, quiet=False)
    assert "goes on from step 3 of 8\n" in capsys.readouterr().err
    train(Toy(), tmp_path, quiet=False)
    assert capsys.readouterr().err == "all 8 steps are done already\n"


def test_a_pace_is_that_of_the_steps_since_it_was_said(tmp_path, capsys, monkeypatch):
    times = iter((0.0, 0.0, 20.0, 31.0, 60.0, 64.0))
    monkeypatch.setattr(runs.time, "monotonic", lambda: next(times))
    progress = runs.Progress(TrainingRun(tmp_path, CONFIG), 10, 110)
    for step, loss in ((11, 1.0), (12, 0.5), (13, 0.4), (14, None)):
        progress(step, loss)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "step 12 of 110, loss 0.5, 15.5 s a step, 25:19 left"
    assert second == "step 14 of 110, 16.5 s a step, 25:36 left"


def test_cards_with_the_names_of_older_versions_are_the_same_run(tmp_path):
    opened(tmp_path)
    card = json.loads((tmp_path / RUN_CARD).read_text())
    config = card["config"]
    card["config"] = {"seed": 3, "rate": 0.05, "decay": config["weight_decay"], "threads": 8, "save_every": 9}
    (tmp_path / RUN_CARD).write_text(json.dumps(card))
    opened(tmp_path)
    with pytest.raises(InputError, match=r"settings \(learning_rate: 0.05 there, 0.06 now\)"):
        TrainingRun(tmp_path, RunConfig(seed=3, learning_rate=0.06))


def test_weights_that_have_no_state_yet_stay_without(tmp_path):
    model, run = network(), opened(tmp_path)
    optimiser = optimiser_of(model)
    model[0](torch.ones(1, 3)).sum().backward()
    optimiser.step()
    run.save({"net": model}, optimiser, step=1)
    fresh = network()
    other = optimiser_of(fresh)
    assert run.resume({"net": fresh}, other) == {"step": 1}
    assert sorted(other.state_dict()["state"]) == [0, 1]


def test_nothing_saved_has_no_notes(tmp_path):
    assert opened(tmp_path).resume({"net": network()}) == {}


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    run = opened(tmp_path)
    run.save({"net": network()})
    for modules in ({"other": network()}, {"net": torch.nn.Linear(2, 2)}):
        with pytest.raises(InputError, match=f"{CHECKPOINT}: is no checkpoint of this network"):
            run.resume(modules)


def test_checkpoints_of_older_decoders_are_read(tmp_path):
    run, model = opened(tmp_path), torch.nn.ModuleDict({"mask_decoder": network(), "prompt_encoder": network(1)})
    run.save(dict(model.items()), step=2)
    fresh = torch.nn.ModuleDict({"mask_decoder": network(2), "prompt_encoder": network(3)})
    assert run.resume({"network": fresh}) == {"step": 2}
    assert_same(model, fresh)


def test_broken_files_are_named(tmp_path):
    run = opened(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"nonsense")
    with pytest.raises(InputError, match=f"{CHECKPOINT}: cannot be read as safetensors"):
        run.resume({"net": network()})
    with pytest.raises(InputError, match=r"missing\.safetensors"):
        read_tensors(tmp_path / "missing.safetensors")


def test_weights_carry_their_notes(tmp_path):
    model = network()
    write_tensors(tmp_path / "best", model.state_dict(), {"step": 4, "held_out": {"a": 0.5}})
    tensors, notes = read_tensors(tmp_path / "best")
    assert notes == {"step": 4, "held_out": {"a": 0.5}}
    torch.testing.assert_close(tensors["0.weight"], model[0].weight.detach(), rtol=0, atol=0)


def test_the_log_is_appended_and_printed(tmp_path, capsys):
    opened(tmp_path, quiet=False).log(1, loss=0.123456)
    opened(tmp_path).log(2, loss=0.1)
    assert [(line["step"], line["loss"]) for line in lines(tmp_path)] == [(1, 0.123456), (2, 0.1)]
    said = capsys.readouterr().err
    assert "loss 0.1235" in said
    assert "step 2" not in said
