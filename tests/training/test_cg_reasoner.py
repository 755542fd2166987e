"""Training of the joint model: what each loss is and where its gradient goes, runs that go on, and what they leave."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

import fiducial
from fiducial.errors import InputError
from fiducial.geometry import Frame, Mask, Prompts
from fiducial.language import Answer, Outcome
from fiducial.reasoner.model import Reasoned
from fiducial.reasoner.model_configs import CGReasonerConfig
from fiducial.reasoner.prompter import CGReasonerPrompter
from fiducial.reasoner.text2centroid import CentroidHead, head_file
from fiducial.training import cg_reasoner as module
from fiducial.training.cg_reasoner import CGReasonerTask, dice_of, joint_losses, targets_of, what_answers_say
from fiducial.training.cg_reasoner_configs import CGReasonerRunConfig, ReasonerLosses, ReasonerSource
from fiducial.training.cg_reasoner_data import read_portions
from fiducial.training.recipes import load_config
from fiducial.training.trainer import Trainer
from tiny.reasoner import SMALL, example, scans, write_scans
from tiny.vlm import BUILDERS

pytestmark = pytest.mark.usefixtures("one_thread")

SCANS = scans()
SPATIAL = ReasonerLosses(dice=1e-9, cross_entropy=0, words=0, spatial=1, presence=0)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Return a tiny language model and a head; beside them lie scans."""
    folder = tmp_path_factory.mktemp("parts")
    write_scans(folder / "scans")
    torch.manual_seed(5)
    head = folder / "head.safetensors"
    head.write_bytes(head_file(CentroidHead(8), np.eye(1, 384, dtype=np.float32)[0]))
    return {"model": str(BUILDERS["llava"](folder / "llava")), "head": str(head)}


def short(parts, **more):
    wanted = {
        "data": (SCANS,),
        "network": SMALL,
        "steps": 3,
        "batch_size": 2,
        "learning_rate": 3e-3,
        "eval_every": 2,
        "eval_limit": 9,
        "save_every": 2,
        "max_new_tokens": 3,
        "num_threads": 1,
    }
    return CGReasonerRunConfig(**(wanted | parts | more))


def data_of(config):
    return Path(config.model or config.head).parent


def run(config, folder, **more):
    return config.train(data_of(config), folder, device="cpu", quiet=True, **more)


def built(config, folder):
    task = CGReasonerTask(config, data_of(config))
    trainer = Trainer(task, folder, device="cpu", quiet=True)
    torch.manual_seed(0)
    return task, task.build(trainer)


# -- losses ---------------------------------------------------------------------------------------


def test_the_spatial_term_alone_teaches_the_adapters_and_leaves_the_head(parts, tmp_path):
    task, network = built(short(parts, losses=SPATIAL, absent=0.0), tmp_path / "run")
    (batch,) = next(iter(task.batches(0)))
    assert any(one.truth for one in batch)
    network.train()
    head = {name: weight.clone() for name, weight in network.head.state_dict().items()}
    found = task.loss(network, batch)
    found["spatial"].backward()
    adapters = {name: one for name, one in network.language.named_parameters() if "lora_B" in name}
    assert {name.split(".")[-4] for name in adapters} == {"q_proj", "k_proj", "v_proj", "o_proj"}
    # The first of each pair has no gradient while the second is zero: that is how adapters begin.
    for name, weight in adapters.items():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name
    frozen = [one for name, one in network.language.named_parameters() if "lora_" not in name]
    assert all(one.grad is None and not one.requires_grad for one in frozen)
    assert all(one.grad is None for one in network.head.parameters())
    optimiser = task.optimiser(network)
    trained = {id(one) for group in optimiser.param_groups for one in group["params"]}
    assert not trained & {id(one) for one in (*network.head.parameters(), *frozen)}
    assert {id(one) for one in adapters.values()} <= trained
    optimiser.step()
    assert all(torch.equal(value, head[name]) for name, value in network.head.state_dict().items())
    mask_half = [*network.encoder.parameters(), *network.decoder.parameters()]
    assert all(one.grad is None for one in mask_half)  # it is the language model that it teaches


def test_the_sentence_term_leaves_the_sentence_encoder_alone(parts, tmp_path, monkeypatch):
    class Words(torch.nn.Module):
        def __init__(self, *_):
            super().__init__()
            torch.manual_seed(1)
            self.table = torch.nn.Linear(1, 384)

        def embed(self, texts):
            return functional.normalize(self.table(torch.ones(len(texts), 1)), dim=1).detach().numpy()

    monkeypatch.setattr(module, "SentenceEncoder", Words)
    task, network = built(short(parts, losses=replace(SPATIAL, spatial=0, sentence=1)), tmp_path / "run")
    (batch,) = next(iter(task.batches(0)))
    found = task.loss(network, batch)
    assert 0 <= found["sentence"].item() <= 2
    found["all"].backward()
    assert any(one.grad is not None and one.grad.abs().max() > 0 for one in network.space.parameters())
    assert all(one.grad is None for one in task._sentences.parameters())


def test_losses_are_what_their_names_say():
    torch.manual_seed(0)
    examples = [example((0, 0, 10, 10), "a", kind=1), example(None, "b", kind=-1)]
    found = Reasoned(
        logits=torch.randn(2, 8, 8, requires_grad=True),
        presence=torch.tensor([2.0, -1.0]),
        sentences=functional.normalize(torch.ones(2, 384), dim=1),
        points=torch.tensor([[0.0, 0.5], [0.9, 0.9]]),
        kinds=torch.tensor([[0.0, 1.0], [5.0, 0.0]]),
        answer_loss=torch.tensor(0.7),
    )
    weights = ReasonerLosses(structure=0.5, kinds=2, spatial=3, words=0.5)
    losses = joint_losses(found, examples, targets_of(examples, found.logits.shape[-1]), weights, None)
    assert losses["spatial"].item() == pytest.approx(0.5 * (0.5**2) / 2)  # of (-0.5, 0.5), the one that is there
    assert losses["words"].item() == pytest.approx(0.7)
    assert losses["kinds"].item() == pytest.approx(float(np.log1p(np.exp(-1.0))))
    there = torch.tensor([1.0, 0.0])
    assert losses["presence"].item() == pytest.approx(
        functional.binary_cross_entropy_with_logits(found.presence, there).item()
    )
    target = torch.zeros(2, 8, 8)
    target[0, :4, :4] = 1
    entropy = functional.binary_cross_entropy_with_logits(found.logits, target)
    assert losses["cross_entropy"].item() == pytest.approx(entropy.item(), rel=1e-5)
    parts = sum(getattr(weights, name) * value.item() for name, value in losses.items() if name != "all")
    assert losses["all"].item() == pytest.approx(parts, rel=1e-5)


def test_pictures_that_show_nothing_have_no_place_to_learn():
    points = torch.full((1, 2), 0.4, requires_grad=True)
    logits = torch.zeros(1, 8, 8, requires_grad=True)
    found = Reasoned(logits, torch.zeros(1), torch.zeros(1, 384), points)
    losses = joint_losses(found, [example()], targets_of([example()], found.logits.shape[-1]), ReasonerLosses(), None)
    losses["all"].backward()
    assert losses["spatial"].item() == 0
    assert points.grad.abs().max() == 0
    assert (logits.grad > 0).all()  # and its mask is pushed down


# -- runs -----------------------------------------------------------------------------------------


def test_a_run_leaves_a_model_that_answers_and_draws(parts, tmp_path):
    config = short(parts, network={**SMALL, "kinds": ["brain MRI", "endoscopy"]}, losses=ReasonerLosses(kinds=0.1))
    model = run(config, tmp_path / "run", command=["fiducial", "train", "a b"])
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {"words", "spatial", "dice", "kinds", "presence", "all", "scans"} <= lines[-1].keys()
    assert any("scans place" in line and "scans nothing" in line for line in lines)
    assert (model / "language" / "adapter_config.json").exists()
    card = (model / "README.md").read_text()
    assert "adapters of rank 16" in card
    assert "fiducial train 'a b'" in card
    pipe = fiducial.load(
        "cg-reasoner",
        prompter=f"cg-reasoner:{model}",
        options={"prompter.device": "cpu", "prompter.presence": 0, "prompter.threshold": 0.01},
    )
    result = pipe(np.zeros((30, 40, 3), np.uint8), "Where is the tumour?")
    assert result.outcome in (Outcome.FOUND, Outcome.TRUNCATED)
    assert result.mask.area > 0
    # Adapters that were trained are in what is loaded.
    merged = pipe.prompter.network.language.state_dict()
    base = fiducial.load("cg-reasoner", prompter=f"vlm:{parts['model']}", segmenter="grabcut").prompter.model
    name = next(name for name in merged if name.endswith("language_model.layers.0.self_attn.q_proj.weight"))
    assert not torch.equal(merged[name], base.state_dict()[name].to(merged[name].device))


def test_a_run_goes_on_from_an_earlier_model_with_words_that_see_the_mask(parts, tmp_path):
    earlier = run(short(parts, steps=1, lora=None), tmp_path / "earlier")
    own = {"model": "", "initial": str(earlier), "lora": None, "network": {**SMALL, "words_see_mask": True}}
    config = short(parts, steps=1, learning_rate=1e-9, **own)
    _, network = built(replace(config), tmp_path / "look")
    before = load_file(earlier / "reasoner.safetensors")
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())
    assert not network.sight.joined.weight.any()
    later = config.train(data_of(short(parts)), tmp_path / "later", device="cpu", quiet=True)
    assert "sight.joined.weight" in load_file(later / "reasoner.safetensors")
    words = load_file(earlier / "language" / "model.safetensors")
    kept = load_file(later / "language" / "model.safetensors")
    assert all(torch.allclose(kept[name], value, atol=1e-4) for name, value in words.items())
    # Then words alone: what joins them to the mask moves, all else stays.
    told = own | {"initial": str(later), "learn": "words", "learning_rate": 0.05}
    last = short(parts, steps=2, **told).train(data_of(short(parts)), tmp_path / "last", device="cpu", quiet=True)
    before, after = (load_file(folder / "reasoner.safetensors") for folder in (later, last))
    moved = {name.partition(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {"sight", "space"}
    same = load_file(last / "language" / "model.safetensors")
    assert all(torch.equal(same[name], value) for name, value in kept.items())
    # Or masks alone: encoder and decoder move, and the language model that words come from stays.
    told = own | {"initial": str(later), "learn": "masks", "learning_rate": 0.05}
    last = short(parts, steps=2, **told).train(data_of(short(parts)), tmp_path / "masks", device="cpu", quiet=True)
    after = load_file(last / "reasoner.safetensors")
    moved = {name.partition(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {"encoder", "decoder"}
    with pytest.raises(InputError, match="masks alone are taught"):
        short(parts, learn="masks")
    with pytest.raises(InputError, match="words alone are taught"):
        short(parts, learn="words")
    with pytest.raises(InputError, match="lora=none"):
        short(parts, **(own | {"lora": {"rank": 2}}))
    kinds = {**SMALL, "kinds": ["brain MRI", "endoscopy"]}
    other = short(parts, **(own | {"network": kinds}), losses=ReasonerLosses(kinds=0.1))
    with pytest.raises(InputError, match="missing"):
        built(other, tmp_path / "other")


@pytest.mark.parametrize("lora", [True, False])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(parts, tmp_path, monkeypatch, lora):
    more = {} if lora else {"lora": None, "optimiser": "muon", "ema_decay": 0.9, "language_rate": 0.5}
    config = short(parts, steps=4, eval_every=4, save_every=2, **more)
    whole = run(config, tmp_path / "whole")
    loss = CGReasonerTask.loss

    def stopping(self, network, batch):
        if self._trainer.step == 3:
            raise KeyboardInterrupt
        return loss(self, network, batch)

    with monkeypatch.context() as patch:
        patch.setattr(CGReasonerTask, "loss", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "model").exists()
    again = run(config, tmp_path / "stopped")
    from safetensors.torch import load_file

    file = "adapter_model.safetensors" if lora else "model.safetensors"
    for name in ("reasoner.safetensors", f"language/{file}"):
        one, other = load_file(whole / name), load_file(again / name)
        assert one.keys() == other.keys()
        for key in one:
            torch.testing.assert_close(one[key], other[key], rtol=1e-4, atol=1e-6)


def test_epochs_say_how_many_steps_there_are(parts, tmp_path):
    config = short(parts, steps=0, epochs=3, batch_size=4)
    task, _ = built(config, tmp_path / "run")
    count = len(read_portions(config, data_of(config))[0].training)
    assert task.steps == 3 * -(-count // 4)
    assert config.with_steps(7).steps == 7


def test_the_language_model_has_a_rate_of_its_own(parts, tmp_path):
    task, network = built(short(parts, lora=None, optimiser="muon", language_rate=0.25), tmp_path / "run")
    groups = task.optimiser(network).param_groups
    slow = {id(one) for group in groups if group.get("rate_factor") == 0.25 for one in group["params"]}
    language = {id(one) for one in network.language.parameters() if one.requires_grad}
    assert slow == language
    tower = [one for name, one in network.language.named_parameters() if "vision_tower" in name]
    assert not any(one.requires_grad for one in tower)


def test_a_language_model_can_be_made_of_the_words_of_the_questions(parts, tmp_path):
    made = {"canvas": 32, "widths": [8, 8], "blocks": [0, 0, 0], "hidden_size": 16, "layers": 1, "heads": 2}
    config = short(
        {**parts, "model": ""}, made={**made, "intermediate_size": 16}, lora=None, train_vision=True, steps=1
    )
    folder = Path(parts["model"]).parent
    model = config.train(folder, tmp_path / "run", device="cpu", quiet=True)
    words = CGReasonerPrompter.from_config(CGReasonerConfig(model=str(model), device="cpu")).asker.processor.tokenizer
    text = "Where is the tumour in this brain MRI?"
    ids = words(text)["input_ids"]
    assert words.decode(ids) == text
    assert len(ids) <= len(text.split()) + 1  # words, not letters
    assert "a small model made from nothing" in (model / "README.md").read_text()


def test_bfloat16_is_computed_with_and_stays_finite(parts, tmp_path):
    task, network = built(short(parts, autocast=True), tmp_path / "run")
    (batch,) = next(iter(task.batches(0)))
    losses = task.loss(network, batch)
    assert all(torch.isfinite(value) for value in losses.values())
    losses["all"].backward()


def test_scores_of_answers():
    left, right = example((0, 0, 5, 5), "In the upper left."), example((15, 0, 20, 5), "In the upper right.")
    none = example(None, "No polyp is seen.")
    prompts = Prompts(Frame.pixels(20, 20))

    def answer(text, mask=None):
        outcome = Outcome.NO_TARGET if mask is None else Outcome.FOUND
        return Answer(outcome, prompts, raw=text, masks=() if mask is None else (mask,))

    half = Mask.from_box((0, 0, 5, 2.5), height=20, width=20)
    assert dice_of(answer("", left.truth), left) == 1
    assert dice_of(answer("", half), left) == pytest.approx(2 * half.area / (half.area + 25))
    assert dice_of(answer(""), left) == 0
    assert dice_of(answer(""), none) == 1
    assert dice_of(answer("", half), none) == 0
    said = what_answers_say(
        [answer("It is in the upper left.", half), answer("Lower right.", half), answer("", half)], [left, right, none]
    )
    assert said == {"place": 0.5, "nothing": 0.0}
    assert what_answers_say([answer("")], [none]) == {"nothing": 1.0}


# -- configurations -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cg-reasoner", "cg-reasoner-nano"])
def test_shipped_configurations_are_read(name):
    config = load_config(CGReasonerRunConfig, name)
    assert (config.made is not None) is (name == "cg-reasoner-nano")
    assert {source.modality for source in config.data} <= {*config.network.kinds}
    assert all(source.group for source in config.data)
    assert (config.lora is None) is (name == "cg-reasoner-nano")
    if config.lora is not None:
        assert (config.lora.rank, config.lora.target_modules) == (16, ("q_proj", "k_proj", "v_proj", "o_proj"))
        assert (config.learning_rate, config.epochs, config.steps) == (1e-4, 20, 0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"losses": ReasonerLosses(kinds=1)}, "give both or none"),
        ({"data": ()}, "at least one dataset"),
        ({"model": ""}, "give one of the language model to start from"),
        ({"model": "", "made": {}}, "lora=none, train_vision=true"),
        ({"data": (replace(SCANS, scored=False),)}, "has to be scored"),
        ({"batch_size": 1, "network": {}}, "batch normalisation needs two"),
        (
            {"network": {**SMALL, "kinds": ["skin", "endoscopy"]}, "losses": ReasonerLosses(kinds=1)},
            "is none of network",
        ),
    ],
)
def test_configurations_that_make_no_sense_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        short({"model": "x", "head": "y"} | given)


def test_sources_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="are for written questions"):
        ReasonerSource("x", questions="dataset", subject="polyp")
    with pytest.raises(InputError, match="a scale is smallest, largest"):
        ReasonerSource("x", scale=(2, 1))
    with pytest.raises(InputError, match="sum to 1 at most"):
        ReasonerSource("x", one_channel=(0.5, 0.5, 0.5))
    with pytest.raises(InputError, match="target"):
        ReasonerSource("x", subject="dragon")
    with pytest.raises(InputError, match="one of dice"):
        ReasonerLosses(dice=0, cross_entropy=0)
