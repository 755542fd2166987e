import json

import pytest
import torch

from fiducial.errors import InputError
from fiducial.training.runs import BEST, CARD, CHECKPOINT, LOG, TrainingRun, read_tensors

CONFIG = {"seed": 3, "rate": 0.1, "threads": 1}


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))


def steps(model, optimiser, numbers):
    for number in numbers:
        generator = torch.Generator().manual_seed(number)
        optimiser.zero_grad()
        model(torch.randn(5, 3, generator=generator)).square().mean().backward()
        optimiser.step()


def optimiser_of(model):
    return torch.optim.AdamW(model.parameters(), lr=0.05)


def test_the_card_says_what_made_the_run(tmp_path):
    TrainingRun(tmp_path / "a" / "run", CONFIG, ["fiducial", "train"], quiet=True)
    card = json.loads((tmp_path / "a" / "run" / CARD).read_text())
    assert card["command"] == ["fiducial", "train"]
    assert card["config"] == CONFIG
    assert card["seed"] == 3
    assert card["versions"]["torch"] == torch.__version__


def test_another_configuration_is_refused_but_for_free_keys(tmp_path):
    TrainingRun(tmp_path, CONFIG, quiet=True)
    TrainingRun(tmp_path, CONFIG | {"threads": 8}, free=["threads"], quiet=True)
    with pytest.raises(InputError, match="holds a run with another rate, threads"):
        TrainingRun(tmp_path, CONFIG | {"threads": 8, "rate": 1.0}, quiet=True)
    with pytest.raises(InputError, match="another more"):
        TrainingRun(tmp_path, CONFIG | {"more": 1}, quiet=True)


def test_going_on_equals_not_stopping(tmp_path):
    whole = network()
    optimiser = optimiser_of(whole)
    steps(whole, optimiser, range(8))

    first, run = network(), TrainingRun(tmp_path, CONFIG, quiet=True)
    optimiser = optimiser_of(first)
    steps(first, optimiser, range(5))
    run.save(5, {"net": first}, optimiser, best=0.25)

    second = network(seed=9)
    optimiser = optimiser_of(second)
    notes = TrainingRun(tmp_path, CONFIG, quiet=True).resume({"net": second}, optimiser)
    assert notes == {"step": 5, "best": 0.25}
    steps(second, optimiser, range(5, 8))
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(tensor, second.state_dict()[name], rtol=0, atol=0)


def test_weights_that_have_no_state_yet_stay_without(tmp_path):
    model, run = network(), TrainingRun(tmp_path, CONFIG, quiet=True)
    optimiser = optimiser_of(model)
    model[0](torch.ones(1, 3)).sum().backward()
    optimiser.step()
    run.save(1, {"net": model}, optimiser)
    fresh = network()
    other = optimiser_of(fresh)
    run.resume({"net": fresh}, other)
    assert sorted(other.state_dict()["state"]) == [0, 1]


def test_nothing_saved_is_step_0(tmp_path):
    assert TrainingRun(tmp_path, CONFIG, quiet=True).resume({"net": network()}) == {"step": 0}


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    run = TrainingRun(tmp_path, CONFIG, quiet=True)
    run.save(1, {"net": network()})
    for modules in ({"other": network()}, {"net": torch.nn.Linear(2, 2)}):
        with pytest.raises(InputError, match="no checkpoint of this network"):
            run.resume(modules)


def test_broken_files_are_named(tmp_path):
    run = TrainingRun(tmp_path, CONFIG, quiet=True)
    (tmp_path / CHECKPOINT).write_bytes(b"nonsense")
    with pytest.raises(InputError, match=f"{CHECKPOINT}: cannot be read as safetensors"):
        run.resume({"net": network()})
    with pytest.raises(InputError, match=r"missing\.safetensors"):
        read_tensors(tmp_path / "missing.safetensors")


def test_the_best_weights_carry_their_notes(tmp_path):
    model = network()
    path = TrainingRun(tmp_path, CONFIG, quiet=True).save_best(model, step=4, held_out={"a": 0.5})
    assert path == tmp_path / BEST
    tensors, notes = read_tensors(path)
    assert notes == {"step": 4, "held_out": {"a": 0.5}}
    torch.testing.assert_close(tensors["0.weight"], model[0].weight.detach(), rtol=0, atol=0)


def test_the_log_is_appended_and_printed(tmp_path, capsys):
    run = TrainingRun(tmp_path, CONFIG)
    run.log(1, loss=0.123456)
    TrainingRun(tmp_path, CONFIG, quiet=True).log(2, loss=0.1)
    with open(tmp_path / LOG, "a") as file:
        file.write('{"step": 3, "lo')
    assert [(line["step"], line["loss"]) for line in run.history()] == [(1, 0.123456), (2, 0.1)]
    said = capsys.readouterr().err
    assert "loss 0.1235" in said
    assert "step 2" not in said
