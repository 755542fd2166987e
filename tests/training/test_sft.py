import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from fiducial.cli import main
from fiducial.config import as_plain, build, read, read_part
from fiducial.contracts import TextReply
from fiducial.errors import InputError, ModelError
from fiducial.geometry import Frame, Prompts
from fiducial.language import Answer, Outcome
from fiducial.misground.asking import pictures_of
from fiducial.misground.building import BuildConfig
from fiducial.misground.building import build as build_benchmark
from fiducial.misground.items import read_items
from fiducial.misground.sources import PhantomConfig
from fiducial.prompters.model_configs import VLMConfig
from fiducial.prompters.vlm import VLMPrompter
from fiducial.prompters.vlm.loading import load
from fiducial.training import sft, sft_data
from fiducial.training.augmentation import in_context
from fiducial.training.prompter_runs import BestModel, last_checkpoint, load_prompter
from fiducial.training.recipes import load_config
from fiducial.training.runs import read_tensors
from fiducial.training.sft_configs import SftConfig
from fiducial.training.sft_data import (
    IGNORED,
    AnswerCollator,
    Rows,
    check_labels,
    grounding_accuracy,
    held_out_examples,
    read_portions,
)
from fiducial.training.sft_samples import ExampleWriter
from tiny.vlm import BUILDERS

DATA = [{"dataset": "scenes:shapes?count=12&seed=3&size=96", "held_out": 0.25}]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    torch.set_num_threads(1)
    return {name: BUILDERS[name](tmp_path_factory.mktemp(name)) for name in ("qwen2_5_vl", "llava")}


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


def config_of(model, **more):
    values = {
        "model": str(model),
        "data": DATA,
        "answers": {"dialect": "sjtu", "canvas": [56, 56]},
        "steps": 4,
        "batch_size": 2,
        "learning_rate": 3e-3,
        "warmup_ratio": 0.0,
        "augmentation": {"flip": 0.0, "crop": 0.0},
        "eval_every": 2,
        "eval_limit": 2,
        "save_every": 2,
        "max_new_tokens": 4,
        "num_threads": 1,
    }
    return read(SftConfig, {**values, **more}, "test")


def train(config, out):
    return config.train(Path(), out, device="cpu", quiet=True)


def log_of(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def weights_of(folder):
    return read_tensors(folder / "model.safetensors")[0]


def parts_of(config):
    prompter = load_prompter(config, "cpu")
    writer = ExampleWriter(config.answers, prompter.show)
    return prompter, writer, read_portions(config, Path())


@pytest.mark.parametrize("name", ["qwen2_5_vl", "llava"])
def test_labels_cover_the_answers_alone_and_prompts_are_those_that_are_asked_later(models, name):
    config = config_of(models[name], answers={"dialect": "think2seg", "canvas": [56, 56]})
    prompter, writer, portions = parts_of(config)
    table = sft._table(Rows(config, portions, writer), prompter)
    rows = [table[index] for index in range(3)]
    batch = AnswerCollator(prompter)(rows)
    words = prompter.processor.tokenizer
    asked = prompter.inputs([np.asarray(row["images"][0], np.uint8) for row in rows], [row["prompt"] for row in rows])
    for index, row in enumerate(rows):
        learned = batch["labels"][index] != IGNORED
        assert words.decode(batch["labels"][index][learned]) == row["completion"]
        assert row["completion"].endswith(words.eos_token)
        shown = batch["attention_mask"][index].bool()
        prompt = batch["input_ids"][index][shown & ~learned]
        assert prompt.tolist() == asked["input_ids"][index][asked["attention_mask"][index].bool()].tolist()
    with pytest.raises(ModelError, match="answer alone"):
        check_labels(batch["input_ids"], batch["input_ids"], [row["completion"] for row in rows], words)


def test_rows_are_the_same_whenever_they_are_made_and_change_with_the_epoch(models):
    config = config_of(models["llava"], steps=20)
    _, writer, portions = parts_of(config)
    first, again = Rows(config, portions, writer), Rows(config, portions, writer)
    assert [first[index].answer for index in (0, 7, 30)] == [again[index].answer for index in (0, 7, 30)]
    count = len(portions[0].training)
    seen = [first[index].id for index in range(count)]
    assert len(set(seen)) == count
    assert {first[count + index].id for index in range(count)} == set(seen)
    assert not set(seen) & {one.id for one in held_out_examples(config, portions, writer)[portions[0].source.title]}


def test_what_a_dialect_cannot_hold_gives_its_row_to_the_next(models):
    config = config_of(models["llava"], max_targets=1)
    _, writer, portions = parts_of(config)
    rows = Rows(config, portions, writer)
    assert all(len(rows[index].prompts) <= 1 for index in range(len(rows)))
    assert rows.left_out


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words") / "bench"
    return build_benchmark([PhantomConfig()], folder, BuildConfig(per_volume=60, size=64)).folder


def in_words(model, benchmark, **more):
    data = [{"dataset": f"misground:{benchmark}?reply=text", "group": "situation", "held_out": 0.3}]
    return config_of(model, data=data, augmentation={"flip": 1.0, "crop": 1.0}, **more)


def test_answers_in_words_are_asked_as_the_benchmark_asks_them(models, benchmark):
    config = in_words(models["llava"], benchmark)
    prompter, writer, portions = parts_of(config)
    rows = Rows(config, portions, writer)
    known = {item.id: item for item in read_items(benchmark)}
    for index in range(6):
        example, item = rows[index], known[rows[index].id]
        assert (example.system, example.user, example.answer) == ("", item.text, item.options[item.answer])
        (picture,) = pictures_of(benchmark, item, "sheet")
        assert np.array_equal(example.image.pixels, picture.pixels)  # neither mirrored nor cut
        assert np.array_equal(example.picture.pixels, prompter.show(picture)[0].pixels)
    batch = AnswerCollator(prompter)([sft._table(rows, prompter)[index] for index in range(2)])
    said = [prompter.processor.tokenizer.decode(row[row != IGNORED]) for row in batch["labels"]]
    assert said == [rows[index].answer + prompter.processor.tokenizer.eos_token for index in range(2)]


def test_answers_in_words_count_by_the_option_that_is_chosen(models, benchmark, monkeypatch):
    config = in_words(models["llava"], benchmark, eval_limit=8)
    prompter, writer, portions = parts_of(config)
    (examples,) = held_out_examples(config, portions, writer).values()
    right = {one.user: one.choice for one in examples}

    def converse(images, texts):
        assert all(len(shown) == 1 for shown in images)
        return [
            TextReply(f"{'ABCD'[right[text].right]}." if number % 2 else "I do not know")
            for number, text in enumerate(texts)
        ]

    monkeypatch.setattr(prompter, "converse", converse)
    assert sft_data.answer_scores(prompter, examples) == [number % 2 for number in range(len(examples))]


def test_words_that_a_small_vocabulary_spells_become_tokens(benchmark):
    config = in_words("nano-vlm", benchmark, answers={"dialect": "sjtu", "template": "nano-sjtu", "canvas": [192, 192]})
    prompter, writer, portions = parts_of(config)
    text = rows_text(portions, writer)
    before = len(prompter.processor.tokenizer(text)["input_ids"])
    sft._learn_words(prompter, portions, writer, 3)
    words = prompter.processor.tokenizer
    assert len(words(text)["input_ids"]) < before / 2
    assert words.decode(words(text, add_special_tokens=False)["input_ids"]) == text
    assert prompter.model.get_input_embeddings().weight.shape[0] == len(words)
    assert prompter.model.get_output_embeddings().weight.shape[0] == len(words)


def rows_text(portions, writer):
    return writer.write(in_context(portions[0].dataset, portions[0].training[0])).user


def test_words_are_added_to_vocabularies_of_whole_words_alone(models, benchmark):
    config = in_words(models["qwen2_5_vl"], benchmark, new_words=3)
    prompter, writer, portions = parts_of(config)
    with pytest.raises(InputError, match="new_words"):
        sft._learn_words(prompter, portions, writer, 3)
    with pytest.raises(InputError, match="lora=none"):
        in_words(models["llava"], benchmark, new_words=3, lora={"rank": 2})


def scalars_of(folder, name):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(folder))
    board.Reload()
    return {event.step: event.value for event in board.Scalars(name)}


@pytest.mark.parametrize("name", ["qwen2_5_vl", "llava"])
def test_loss_falls_and_the_best_model_answers(models, name, tmp_path):
    config = config_of(models[name], steps=14, eval_every=7, save_every=14)
    left = train(config, tmp_path / "run")
    losses = [line["loss"] for line in log_of(tmp_path / "run") if "loss" in line]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    accuracies = {line["step"]: line["accuracy"] for line in log_of(tmp_path / "run") if "accuracy" in line}
    assert set(accuracies) == {0, 7, 14}
    assert scalars_of(tmp_path / "run" / "tensorboard", "accuracy") == pytest.approx(accuracies)
    best = json.loads((tmp_path / "run" / "best.json").read_text())
    assert best["accuracy"] == max(accuracies[7], accuracies[14])
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"]["steps"] == 14
    prompter = VLMPrompter.from_pretrained(left, dialect="sjtu", canvas=(56, 56), max_new_tokens=4, device="cpu")
    sample = read_portions(config, Path())[0].dataset[0]
    (answer,) = prompter.ask([sample.image()], [sample.instruction])
    assert answer.raw
    if name == "qwen2_5_vl":
        before, after = weights_of(models[name]), weights_of(left)
        tower = [key for key in before if ".visual." in key or key.startswith("visual.")]
        still = [key for key in tower if "merger" not in key]
        assert still
        assert all(torch.equal(before[key], after[key]) for key in still)
        assert any(not torch.equal(before[key], after[key]) for key in before if key not in tower)


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("lora", [None, {"rank": 2, "dropout": 0.2}])
def test_a_run_that_was_stopped_ends_with_the_same_weights(models, lora, tmp_path, monkeypatch):
    config = config_of(models["qwen2_5_vl"], lora=lora)
    whole = train(config, tmp_path / "whole")
    end = sft._Watch.on_step_end

    def stop(self, args, state, control, **more):
        if state.global_step == 3:
            raise StoppedError
        return end(self, args, state, control, **more)

    with monkeypatch.context() as patch:
        patch.setattr(sft._Watch, "on_step_end", stop)
        with pytest.raises(StoppedError):
            train(config, tmp_path / "stopped")
    assert {path.name for path in (tmp_path / "stopped" / "checkpoints").glob("checkpoint-*")} == {"checkpoint-2"}
    train(config, tmp_path / "stopped")
    name = "model.safetensors" if lora is None else "adapter_model.safetensors"
    one, other = (
        read_tensors(tmp_path / run / "checkpoints" / "checkpoint-4" / name)[0] for run in ("whole", "stopped")
    )
    assert one.keys() == other.keys()
    for key, value in one.items():
        torch.testing.assert_close(other[key], value, rtol=1e-4, atol=1e-6)
    assert (
        json.loads((tmp_path / "stopped" / "best.json").read_text())["step"]
        == json.loads((whole.parent / "best.json").read_text())["step"]
    )
    with pytest.raises(InputError, match="learning_rate: "):
        train(config.with_settings({"learning_rate": 1e-4}), tmp_path / "stopped")


def test_what_a_kill_left_half_done_is_swept_away(models, tmp_path):
    """Killed when the new best model had come and the one before it was not gone, and in the middle of a checkpoint."""
    prompter = load_prompter(config_of(models["llava"]), "cpu")
    for name in ("model", ".model.before", ".model.0123.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    for step, text in ((2, "{}"), (4, '{"log_hist')):
        folder = tmp_path / "checkpoints" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(text)
    assert last_checkpoint(tmp_path / "checkpoints") == (str(tmp_path / "checkpoints" / "checkpoint-2"), 2)
    best = BestModel(tmp_path, prompter, "accuracy")
    best.begin(2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "model"]
    best.offer(prompter.model, 3, {"accuracy": 0.5})
    assert (tmp_path / "model" / "model.safetensors").exists()


def test_adapters_leave_the_base_as_it_is_and_load_on_it(models, tmp_path):
    base = Path(shutil.copytree(models["qwen2_5_vl"], tmp_path / "base"))
    before = {path.name: path.read_bytes() for path in base.iterdir()}
    left = train(config_of(base, lora={"rank": 2, "target_modules": ["q_proj", "v_proj"]}), tmp_path / "run")
    assert {path.name: path.read_bytes() for path in base.iterdir()} == before
    assert not (left / "model.safetensors").exists()
    options = {"device": "cpu", "local_files_only": True}
    merged = load(VLMConfig(model=str(left), **options)).model.state_dict()
    plain = load(VLMConfig(model=str(base), **options)).model.state_dict()
    assert merged.keys() == plain.keys()
    changed = {key for key in plain if not torch.equal(plain[key], merged[key])}
    assert changed
    assert all(key.endswith(("q_proj.weight", "v_proj.weight")) and "visual" not in key for key in changed)
    (left / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"lacks adapter_model.safetensors"):
        load(VLMConfig(model=str(left), **options))


def test_it_is_told_why_no_held_out_sample_can_be_asked(models):
    for change, why in (({"max_targets": 1}, "max_targets=1"), ({"answers": {"dialect": "seg-zero"}}, "'seg-zero'")):
        config = config_of(models["llava"], **change)
        (portion,) = read_portions(config, Path())
        several = tuple(index for index, one in enumerate(portion.dataset) if len(one.prompts()) > 1)
        assert several
        with pytest.raises(InputError, match=why):
            held_out_examples(config, [replace(portion, held_out=several)], ExampleWriter(config.answers))


def test_adapters_of_no_layer_are_refused(models, tmp_path):
    lora = {"rank": 2, "target_modules": ["query"]}
    with pytest.raises(InputError, match=r"names no linear layer .* which has .*q_proj"):
        train(config_of(models["llava"], lora=lora, steps=1), tmp_path)


def test_adapters_that_began_as_adapters_are_loaded_on_these(models, tmp_path):
    lora = {"rank": 2, "target_modules": ["q_proj"]}
    first = train(config_of(models["llava"], lora=lora), tmp_path / "first")
    second = train(config_of(first, lora=lora), tmp_path / "second")
    assert json.loads((second / "adapter_config.json").read_text())["base_model_name_or_path"] == str(first)
    options = {"device": "cpu", "local_files_only": True}
    bare, once, twice = (
        load(VLMConfig(model=str(path), **options)).model.state_dict() for path in (models["llava"], first, second)
    )
    added = load_file(second / "adapter_model.safetensors")
    key = next(key for key in twice if key.endswith("layers.0.self_attn.q_proj.weight") and "vision" not in key)
    up, down = (next(v for k, v in added.items() if f"layers.0.self_attn.q_proj.lora_{x}" in k) for x in "BA")
    assert not torch.equal(once[key], bare[key])
    torch.testing.assert_close(twice[key], once[key] + up @ down * 32 / 2)
    card = first / "adapter_config.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"base_model_name_or_path": str(second)}))
    with pytest.raises(InputError, match="is its own base"):
        load(VLMConfig(model=str(second), **options))


def test_the_command_trains_with_a_grid_and_its_model_is_a_prompter(models, tmp_path, capsys):
    config = as_plain(config_of(models["llava"], answers={"dialect": "sjtu", "canvas": [56, 56], "overlays": ["grid"]}))
    path, out = tmp_path / "mine.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump({key: value for key, value in config.items() if key != "name"}))
    words = ["train", "sft", str(path), "--out", str(out), "--device", "cpu", "--steps", "1", "--quiet"]
    assert main([*words, "--set", "lora.rank=1"]) == 2  # there is no part to reach into
    assert "lora" in capsys.readouterr().err
    assert main(words) == 0
    assert capsys.readouterr().out == f"wrote {out / 'model'}\n"
    card = json.loads((out / "run.json").read_text())
    assert card["command"] == ["fiducial", *words]
    assert card["versions"]["trl"]
    short = f"vlm:{out / 'model'}?dialect=sjtu&canvas=56,56&max_new_tokens=2&device=cpu"
    prompter = build(read_part("prompter", short))
    sample = read_portions(config_of(models["llava"]), Path())[0].dataset[0]
    assert len(prompter.ask([sample.image()], [sample.instruction])) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimiser": "muon"}, "adamw"),
        ({"lora": {"target_modules": []}}, "target_modules"),
        ({"data": [{**DATA[0], "held_out": 0.0}]}, "nothing is held out"),
        ({"answers": {"dialect": "sjtuu"}}, "did you mean"),
    ],
)
def test_what_cannot_be_trained_is_bad_input(models, change, message, tmp_path):
    with pytest.raises(InputError, match=message):
        train(config_of(models["llava"], **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_accuracy_counts_pairs_of_boxes():
    frame = Frame.pixels(100, 100)
    truth = Prompts.from_boxes(frame, [(0, 0, 10, 10), (50, 50, 70, 70)])

    def score(boxes, wanted=truth, outcome=Outcome.FOUND):
        return grounding_accuracy(Answer(outcome, Prompts.from_boxes(frame, boxes)), wanted)

    assert score([(50, 50, 70, 70), (0, 0, 10, 9)]) == 1.0
    assert score([(0, 0, 10, 10)]) == 0.5
    assert score([(0, 0, 10, 10), (0, 0, 10, 10)]) == 0.5  # one truth is found once
    assert score([(0, 0, 10, 10), (50, 50, 70, 70), (80, 80, 90, 90)]) == pytest.approx(2 / 3)
    assert score([], outcome=Outcome.MALFORMED) == 0.0
    nothing = Prompts(frame)
    assert score([], nothing, Outcome.NO_TARGET) == 1.0
    assert score([], nothing, Outcome.MALFORMED) == 0.0
    assert score([(0, 0, 1, 1)], nothing) == 0.0


@pytest.mark.parametrize(
    ("name", "dialect", "canvas"), [("sjtu-sft", "sjtu", 512), ("think2seg-sft", "think2seg", 840)]
)
def test_shipped_configurations_are_those_of_the_papers(name, dialect, canvas):
    config = load_config(SftConfig, name)
    assert config.answers.dialect == dialect
    assert config.answers.canvas == (canvas, canvas)
    assert bool(config.answers.overlays) is (name == "sjtu-sft")
