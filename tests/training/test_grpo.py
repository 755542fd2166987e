import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import yaml
from transformers import get_scheduler

from fakes import BoxSegmenter
from fiducial.cli import main
from fiducial.config import Config, as_plain, read
from fiducial.errors import InputError, ModelError
from fiducial.language import Outcome
from fiducial.prompters.vlm import VLMPrompter
from fiducial.rewards import Reward, RewardConfig, RewardFunction
from fiducial.training import grpo, sft_data
from fiducial.training.augmentation import in_context
from fiducial.training.grpo_configs import GrpoConfig
from fiducial.training.grpo_data import AskingProcessor, question_of, turns
from fiducial.training.grpo_guards import Watchdog
from fiducial.training.grpo_record import Recorder
from fiducial.training.prompter_runs import Processes, load_prompter
from fiducial.training.recipes import load_config
from fiducial.training.runs import read_tensors
from fiducial.training.sft_data import held_out_items, read_portions
from fiducial.training.sft_samples import ExampleWriter
from tiny.vlm import BUILDERS

DATA = [{"dataset": "scenes:shapes?count=12&seed=3&size=96", "held_out": 0.25}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxes(Config):
    """The box itself as the mask."""

    kind: ClassVar[str] = "segmenter"
    name: ClassVar[str] = "boxes"

    def build(self):
        return BoxSegmenter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vowels(RewardConfig):
    """The part of a reply's letters that are vowels; ``worth`` scales it."""

    name: ClassVar[str] = "vowels"
    dialect: str = "sjtu"
    worth: float = 1.0

    def build(self):
        return self

    service, concurrency = None, 1

    def score(self, image, truth, replies, shown=None):
        earned = [self.worth * sum(letter in "aeiou" for letter in reply) / max(1, len(reply)) for reply in replies]
        return [Reward(one, {"vowels": one}, Outcome.MALFORMED) for one in earned]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    torch.set_num_threads(1)
    return {name: BUILDERS[name](tmp_path_factory.mktemp(name)) for name in ("qwen2_5_vl", "llava", "internvl")}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "short.txt"
    path.write_text("[user]\nWhere is $instruction?\n")
    return str(path)


@pytest.fixture(scope="module", autouse=True)
def _scenes_are_drawn_once():
    """Drawing them is most of the work, and runs read them again and again."""
    known = {}

    def drawn(dataset, index):
        key = (dataset.name, index)
        return known[key] if key in known else known.setdefault(key, in_context(dataset, index))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sft_data, "in_context", drawn)
        yield


def config_of(model, template, **more):
    values = {
        "model": str(model),
        "data": DATA,
        "answers": {"dialect": "sjtu", "canvas": [56, 56], "template": template},
        "reward": Vowels(),
        "eval_segmenter": Boxes(),
        "steps": 4,
        "batch_size": 2,
        "num_generations": 4,
        "completions_at_once": 4,
        "learning_rate": 1e-2,
        "schedule": "constant",
        "beta": 0.0,
        "eval_every": 4,
        "eval_limit": 2,
        "save_every": 2,
        "max_new_tokens": 6,
        "num_threads": 1,
        "pictures_every": 0,
    }
    return read(GrpoConfig, {**values, **more}, "test")


def train(config, out):
    return config.train(Path(), out, device="cpu", quiet=True)


def steps_of(out):
    return [json.loads(line) for line in (out / "steps.jsonl").read_text().splitlines()]


def log_of(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def questions_of(config, prompter):
    writer = ExampleWriter(config.answers, prompter.show)
    (pairs,) = held_out_items(config, read_portions(config, Path()), writer).values()
    return [question_of(item, example, writer.dialect) for item, example in pairs]


def test_the_reward_rises_and_everything_is_written_down(models, template, tmp_path):
    config = config_of(
        models["llava"], template, steps=14, num_generations=16, completions_at_once=32, scale_rewards="none",
        learning_rate=3e-2, max_new_tokens=2, eval_every=7, save_every=14, pictures_every=7,
    )  # fmt: skip
    left = train(config, tmp_path)
    table = steps_of(tmp_path)
    assert [line["step"] for line in table] == [*range(1, 15)]
    rewards = [line["reward"] for line in table]
    assert np.mean(rewards[-4:]) > np.mean(rewards[:4]) + 0.1
    assert all(line["reward_std"] > 0 and line["grad_norm"] > 0 for line in table[:4])
    assert all(sum(line["outcomes"].values()) == 32 for line in table)
    assert all(line["parts"]["vowels"] == pytest.approx(line["reward"], abs=1e-4) for line in table)
    assert all(sum(line["shares"].values()) == pytest.approx(1, abs=0.01) for line in table)
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"step-000007.png", "step-000014.png"}
    scores = [line for line in log_of(tmp_path) if "mean_iou" in line]
    assert [line["step"] for line in scores] == [0, 7, 14]
    assert all(line["interval"][0] <= line["mean_iou"] <= line["interval"][1] for line in scores)
    assert all(sum(line["outcomes"].values()) == 2 for line in scores)
    assert json.loads((tmp_path / "run.json").read_text())["config"]["reward"]["name"] == "vowels"
    assert json.loads((tmp_path / "best.json").read_text())["step"] in (7, 14)
    prompter = VLMPrompter.from_pretrained(left, dialect="sjtu", canvas=(56, 56), max_new_tokens=4, device="cpu")
    (question, *_) = questions_of(config, prompter)
    (answer,) = prompter.ask([question.image], ["the ship"])
    assert answer.raw


class StoppedError(Exception):
    pass


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("llava", {"num_iterations": 2, "beta": 0.05}),
        ("qwen2_5_vl", {"lora": {"rank": 2}, "beta": 0.05}),
    ],
)
def test_a_run_that_was_stopped_ends_with_the_same_weights(models, template, name, change, tmp_path, monkeypatch):
    config = config_of(models[name], template, **change)
    train(config, tmp_path / "whole")
    log = grpo._Watch.on_log

    def stop(self, args, state, control, **more):
        if state.global_step == 3:
            raise StoppedError
        return log(self, args, state, control, **more)

    with monkeypatch.context() as patch:
        patch.setattr(grpo._Watch, "on_log", stop)
        with pytest.raises(StoppedError):
            train(config, tmp_path / "stopped")
    train(config, tmp_path / "stopped")
    file = "checkpoints/checkpoint-4/" + ("model.safetensors" if "lora" not in change else "adapter_model.safetensors")
    one, other = (read_tensors(tmp_path / run / file)[0] for run in ("whole", "stopped"))
    before = read_tensors(tmp_path / "whole" / file.replace("-4", "-2"))[0]
    assert one.keys() == other.keys()
    assert any(not torch.equal(one[key], before[key]) for key in one)
    for key, value in one.items():
        torch.testing.assert_close(other[key], value, rtol=1e-4, atol=1e-6)
    told = ("step", "outcomes", "parts", "reward", "tokens", "kl")
    whole, stopped = (
        [{key: line.get(key) for key in told} for line in steps_of(tmp_path / run)] for run in ("whole", "stopped")
    )
    assert whole == stopped  # the same questions, answers and rewards


@pytest.mark.parametrize("name", ["qwen2_5_vl", "llava", "internvl"])
def test_questions_are_put_as_they_are_asked_later(models, template, name):
    config = config_of(models[name], template)
    prompter = load_prompter(config, "cpu")
    asked = questions_of(config, prompter)[:2]
    asking = AskingProcessor(prompter)
    chats = [prompter.chat(one.example.system, one.example.user) for one in asked]
    wanted = prompter.inputs([one.example.picture.pixels for one in asked], chats)
    rows = asking.apply_chat_template([turns(one) for one in asked for _ in range(2)], tokenize=True)
    batch = asking([[one] for one in asked], text=["", ""], padding=True, return_tensors="pt")
    assert batch.keys() == wanted.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(batch[key], value)
    mask = wanted["attention_mask"].bool()
    alone = [ids[kept].tolist() for ids, kept in zip(wanted["input_ids"], mask, strict=True)]
    assert rows["input_ids"] == [alone[0], alone[0], alone[1], alone[1]]
    torch.testing.assert_close(rows["pixel_values"], asking([[one] for one in asked for _ in range(2)])["pixel_values"])
    words = prompter.processor.tokenizer
    said = words("[[0.1, 0.2]]")["input_ids"]
    assert asking.batch_decode([[*said, words.eos_token_id, *said]])[0].endswith("[[0.1, 0.2]]")


@pytest.mark.parametrize(
    ("reward", "dialect", "template"),
    [
        ({"name": "think2seg", "segmenter": Boxes()}, "think2seg", "think2seg"),
        ({"name": "visionreasoner"}, "visionreasoner", "visionreasoner"),
        ({"name": "seg-zero"}, "seg-zero", "seg-zero"),
        ({"name": "mask-only", "segmenter": Boxes()}, "llava", "llava"),
    ],
)
def test_the_truth_earns_what_a_preset_gives_at_most(models, reward, dialect, template):
    config = config_of(
        models["llava"], None, reward=reward, max_targets=1, answers={"dialect": dialect, "template": template}
    )
    prompter = load_prompter(config, "cpu")
    asked = questions_of(config, prompter)
    recorder = Recorder(RewardFunction(config.rewarding()), prompter.model.generation_config.eos_token_id)
    end = prompter.processor.tokenizer.eos_token_id
    replies = [[{"role": "assistant", "content": one.example.answer}] for one in asked]
    earned = recorder([turns(one) for one in asked], replies, [[5, end]] * len(asked), asked)
    for one, answered, total in zip(asked, recorder.answered, earned, strict=True):
        best = recorder.function.scorer.best
        if "mask_iou" in answered.reward.parts:  # a box is not quite the mask
            best -= recorder.function.scorer.weights["mask_iou"] * (1 - one.truth[0].area / _box_area(one.truth[0]))
        assert total == pytest.approx(best, abs=0.1)
        assert answered.outcome is Outcome.FOUND
    recorder([turns(asked[0])], [[{"role": "assistant", "content": asked[0].example.answer}]], [[5, 6]], asked[:1])
    assert recorder.answered[0].outcome is Outcome.TRUNCATED


def _box_area(mask):
    x1, y1, x2, y2 = mask.box
    return (x2 - x1) * (y2 - y1)


def test_guards_say_what_goes_wrong_and_forget_what_went_well(models, template):
    config = config_of(models["llava"], template, guards={"patience": 3})
    good = {"reward_std": 0.1, "kl": 0.1, "truncated": 0.1, "loss": 0.0, "grad_norm": 1.0}
    for name, value, message in (
        ("reward_std", 0.0, "earn the same"), ("kl", 5.0, "runs away"), ("truncated", 1.0, "max_new_tokens"),
    ):  # fmt: skip
        watchdog = Watchdog(config)
        watchdog.begin([{"step": 1, **good, name: value}])
        for step in (2, 3):
            watchdog.check({"step": step, **good, name: value if step == 2 else good[name]})
        watchdog.check({"step": 4, **good, name: value})
        watchdog.check({"step": 5, **good, name: value})
        with pytest.raises(ModelError, match=rf"step 6: {name} is {value:g} .*{message}.*last checkpoint"):
            watchdog.check({"step": 6, **good, name: value})
    for name in ("loss", "grad_norm", "kl", "reward"):
        with pytest.raises(ModelError, match=rf"step 1: {name} is no longer a finite number.*learning_rate"):
            Watchdog(config).check({"step": 1, **good, name: None})


def test_a_run_whose_rewards_are_all_the_same_is_stopped_and_goes_on_when_told_to(models, template, tmp_path):
    config = config_of(
        models["llava"], template, reward=Vowels(worth=0.0), guards={"patience": 3, "max_truncated": None}
    )
    with pytest.raises(ModelError, match=r"step 3: reward_std is 0 .*3 steps in a row"):
        train(config, tmp_path)
    with pytest.raises(ModelError, match=r"step 3: .*3 steps in a row"):
        train(config, tmp_path)
    train(config.with_settings({"guards.min_reward_std": None}), tmp_path)
    assert [line["step"] for line in steps_of(tmp_path)] == [1, 2, 3, 4]
    with pytest.raises(InputError, match=r"temperature: 1\.0 there, 0\.5 now"):
        train(config.with_settings({"temperature": 0.5}), tmp_path)


def test_a_reward_that_is_no_number_stops_the_run(models, template, tmp_path):
    with pytest.raises(ModelError, match="the reward is inf"):
        train(config_of(models["llava"], template, reward=Vowels(worth=1e308)), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"completions_at_once": 3}, "does not divide the 8 answers"),
        ({"num_iterations": 4}, "multiple of num_iterations"),
        ({"reward": "mask-only?dialect=gemini"}, "leave it out"),
        ({"vllm_server": "http://localhost:8000"}, "vllm is not installed"),
    ],
)
def test_what_cannot_be_trained_is_bad_input(models, template, change, message, tmp_path):
    with pytest.raises(InputError, match=message):
        train(config_of(models["llava"], template, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_constant_rate_rises_first_where_a_warm_up_is_asked_for(models, template, tmp_path):
    for change, expected in (({"warmup_ratio": 0.5}, [0, 0.5, 1, 1]), ({}, [1, 1, 1, 1])):
        arguments = grpo._arguments(config_of(models["llava"], template, **change), tmp_path, Processes(1, 0, "cpu"))
        optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = get_scheduler(arguments.lr_scheduler_type, optimiser, arguments.warmup_steps, 4)
        rates = []
        for _ in expected:
            rates.append(schedule.get_last_lr()[0])
            optimiser.step()
            schedule.step()
        assert rates == expected


def test_the_command_trains(models, template, tmp_path, capsys):
    config = as_plain(
        config_of(models["llava"], template, reward="mask-only?segmenter=grabcut", eval_segmenter="grabcut")
    )
    path, out = tmp_path / "mine.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump({key: value for key, value in config.items() if key != "name"}))
    words = ["train", "grpo", str(path), "--out", str(out), "--device", "cpu", "--steps", "1", "--quiet"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"wrote {out / 'model'}\n"
    assert json.loads((out / "run.json").read_text())["command"] == ["fiducial", *words]


def test_the_published_numbers_are_those_of_the_shipped_configuration():
    config = load_config(GrpoConfig, "think2seg-grpo")
    assert (config.beta, config.epsilon, config.learning_rate, config.num_generations) == (0.001, 0.2, 1e-6, 16)
    assert (config.batch_size, config.scale_rewards, config.loss_type) == (4, "group", "grpo")
    reward = config.rewarding()
    assert (reward.name, reward.mask_iou, reward.suppress_above, reward.canvas) == ("think2seg", 2.0, 0.5, (840, 840))
    small = load_config(GrpoConfig, "small-grpo")
    assert (small.beta, small.scale_rewards, small.num_threads) == (0.0, "none", 1)
