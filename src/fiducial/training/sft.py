"""Supervised training of vision-language models: TRL's loop, our samples, scores, run folder and card.

``run.json`` and ``log.jsonl`` are those of every run (:mod:`fiducial.training.runs`); ``checkpoints/`` is TRL's, from
which a run that was stopped goes on; ``model/`` is the best model by held-out grounding accuracy, or its adapters, as
``--prompter vlm:RUN/model`` loads it; ``best.json`` says at which step it was.
"""

from __future__ import annotations

import importlib.util
import math
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig as TrlConfig
from trl.trainer.sft_trainer import SFTTrainer

import datasets
from fiducial.checkpoints import check_complete, pick_device
from fiducial.errors import InputError, ModelError
from fiducial.files import json_text, make_folder, read_json, write_atomically
from fiducial.prompters.configs import VLMConfig
from fiducial.prompters.vlm import VLMPrompter
from fiducial.training.runs import TrainingRun
from fiducial.training.sft_configs import Lora, SftConfig
from fiducial.training.sft_data import AnswerCollator, Rows, grounding_accuracy, held_out_examples, read_portions
from fiducial.training.sft_samples import Example, ExampleWriter

CHECKPOINTS, MODEL, BEST = "checkpoints", "model", "best.json"
_BEFORE = ".model.before"
_TOWER = ("visual", "vision_tower", "vision_model")
"""Parts of the names of the vision tower's weights."""


def train_sft(
    config: SftConfig,
    data: str | Path,
    out: str | Path,
    *,
    device: str = "auto",
    command: Sequence[str] = (),
    quiet: bool = False,
) -> Path:
    """Train, or go on where the run in the folder ``out`` stopped; returns the folder of the best model.

    Args:
        config: the run's configuration.
        data: the folder that ``DATA/`` stands for.
        out: the run's folder.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``; one device, one process.
        command: the words of the command line, for the run's card.
        quiet: write the log without printing it.

    Raises:
        InputError: data, model or folder cannot be used.
        ModelError: the loss is no longer a finite number.
    """
    chosen = pick_device(device)
    if chosen.index is not None:
        raise InputError(f"device {device!r}: say cpu or cuda, and which by CUDA_VISIBLE_DEVICES")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("train sft runs in one process: start it without a launcher of several")
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    run = TrainingRun(out, config, command, quiet=quiet)
    prompter = _prompter(config, str(chosen))
    writer = ExampleWriter(config.answers, prompter.show)
    portions = read_portions(config, data)
    rows = Rows(config, portions, writer)
    held_out = held_out_examples(config, portions, writer)
    run.open()
    watch = _Watch(config, run, prompter, held_out)
    trainer = _Trainer(
        model=_frozen(prompter.model, config),
        args=_arguments(config, run.folder, on_cpu=chosen.type == "cpu"),
        train_dataset=_table(rows, prompter),
        data_collator=AnswerCollator(prompter),
        processing_class=prompter.processor,
        callbacks=[watch],
        peft_config=None if config.lora is None else _adapters(config.lora, config.train_vision),
    )
    trainer.remove_callback(PrinterCallback)  # what is printed is our log
    last = _last_checkpoint(run.folder / CHECKPOINTS)
    watch.begin(trainer.model, 0 if last is None else int(last.name.rpartition("-")[2]))
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    if rows.left_out:
        run.say(f"left out {len(rows.left_out)} samples, such as {min(rows.left_out)}: see max_targets and the dialect")
    return run.folder / MODEL


def _prompter(config: SftConfig, device: str) -> VLMPrompter:
    """Load the model as it will be asked later."""
    answers = config.answers
    return VLMPrompter.from_config(
        VLMConfig(
            model=config.model,
            dialect=answers.dialect,
            template=answers.template,
            canvas=answers.canvas,
            min_pixels=answers.min_pixels,
            max_pixels=answers.max_pixels,
            max_new_tokens=config.max_new_tokens,
            stop="never",  # whether it ends its answers itself is a part of what is scored
            batch_size=config.eval_batch_size,
            device=device,
            dtype=config.dtype,
        )
    )


def _frozen(model: Any, config: SftConfig) -> Any:
    """Let only what is trained have gradients; adapters freeze the rest themselves."""
    for name, weight in model.named_parameters():
        in_tower = any(part in name.split(".") for part in _TOWER) and "merger" not in name
        weight.requires_grad_(config.train_vision or not in_tower)
    return model


def _adapters(lora: Lora, train_vision: bool) -> LoraConfig:
    names = "|".join(lora.target_modules)
    elsewhere = "" if train_vision else rf"(?!.*\b(?:{'|'.join(_TOWER)})\b)"
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=rf"{elsewhere}.*\.(?:{names})",
        task_type="CAUSAL_LM",
    )


def _arguments(config: SftConfig, folder: Path, *, on_cpu: bool) -> TrlConfig:
    return TrlConfig(
        output_dir=str(folder / CHECKPOINTS),
        max_steps=config.steps,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(config.warmup_ratio * config.steps),
        weight_decay=config.weight_decay,
        max_length=None,  # cutting an answer would teach to stop in the middle
        completion_only_loss=True,
        bf16=config.autocast,
        gradient_checkpointing=config.activation_checkpointing,
        train_sampling_strategy="sequential",  # the rows are drawn already
        remove_unused_columns=False,
        logging_steps=max(1, min(10, config.steps // 20)),
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=config.save_every,
        save_total_limit=2,
        eval_strategy="no",
        report_to=["tensorboard"] if importlib.util.find_spec("tensorboard") else [],
        use_cpu=on_cpu,
        seed=config.seed,
        data_seed=config.seed,
        dataloader_num_workers=0,
        disable_tqdm=True,
    )


def _table(rows: Rows, prompter: VLMPrompter) -> datasets.Dataset:
    """Return the rows as TRL's prompt, completion and images, each made when it is read."""
    end = prompter.processor.tokenizer.eos_token

    def made(batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        examples = [rows[int(row)] for row in batch["row"]]
        return {
            "prompt": [prompter.chat(one.system, one.user) for one in examples],
            "completion": [one.answer + end for one in examples],
            "images": [[one.picture.pixels] for one in examples],
        }

    return datasets.Dataset.from_dict({"row": list(range(len(rows)))}).with_transform(made)


def _last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written whole: the state of the trainer comes last."""
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json") if path.stat().st_size]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


class _Trainer(SFTTrainer):
    """TRL's trainer, with checkpoints that come back whole.

    The names of weights in a file are not those in the model of most families; transformers' trainer loads what happens
    to fit, and warns (5.23). Here they go through ``from_pretrained``, which knows both.
    """

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        model = self.model if model is None else model
        if hasattr(model, "peft_config"):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        loaded, report = type(model).from_pretrained(
            resume_from_checkpoint, dtype=model.dtype, use_safetensors=True, output_loading_info=True
        )
        check_complete(resume_from_checkpoint, type(model).__name__, report)
        model.load_state_dict(loaded.state_dict())


class _Watch(TrainerCallback):
    """Logs, evaluates by what the model answers, and keeps the best."""

    def __init__(
        self, config: SftConfig, run: TrainingRun, prompter: VLMPrompter, held_out: Mapping[str, Sequence[Example]]
    ) -> None:
        self._config, self._run, self._prompter, self._held_out = config, run, prompter, held_out
        self._model: Any = None
        self._best: dict[str, Any] = {}

    def begin(self, model: Any, step: int) -> None:
        """Take the model that is trained, and what is known of the best so far; log how good it is before."""
        self._model = model
        path, folder = self._run.folder / BEST, self._run.folder / MODEL
        if not folder.exists() and folder.with_name(_BEFORE).exists():  # stopped while one took the other's place
            folder.with_name(_BEFORE).replace(folder)
        best = read_json(path, kind=dict) if path.exists() else {}
        self._best = best if best.get("step", step + 1) <= step and folder.exists() else {}
        if step == 0:
            self._run.log(0, **self._scores())

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Write a line of the log."""
        found = {key: value for key, value in (logs or {}).items() if isinstance(value, (int, float))}
        if not math.isfinite(found.get("loss", 0.0)) or not math.isfinite(found.get("grad_norm", 0.0)):
            raise ModelError(f"step {state.global_step}: the loss is no longer finite: try a smaller learning_rate")
        self._run.log(
            state.global_step, **{key: found[key] for key in ("loss", "grad_norm", "learning_rate") if key in found}
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Evaluate where it is time, and keep the model when it is the best so far."""
        step = state.global_step
        if step % self._config.eval_every and step != self._config.steps:
            return
        scores = self._scores()
        self._run.log(step, **scores)
        if not self._best or scores["accuracy"] > self._best["accuracy"]:
            self._best = {"step": step, **scores}
            self._save()

    def _scores(self) -> dict[str, float]:
        """Return the grounding accuracy of greedy answers by source, and as ``"accuracy"`` its mean over sources."""
        training = self._model.training
        self._model.eval()
        found = {}
        for title, examples in self._held_out.items():
            answers = self._prompter.ask([one.image for one in examples], [one.instruction for one in examples])
            right = [grounding_accuracy(a, one.prompts) for a, one in zip(answers, examples, strict=True)]
            found[title] = sum(right) / len(right)
        self._model.train(training)
        return {**found, "accuracy": sum(found.values()) / len(found)}

    def _save(self) -> None:
        """Write the model, or its adapters, beside the last best one, and then in its place."""
        folder = self._run.folder / MODEL
        hidden = make_folder(folder.with_name(f".{MODEL}.{secrets.token_hex(8)}.part"))
        base = self._prompter.name
        if self._config.lora is not None:
            config = self._model.peft_config["default"]
            config.base_model_name_or_path = str(Path(base).resolve()) if Path(base).is_dir() else base
        self._model.save_pretrained(hidden, safe_serialization=True)
        if self._config.lora is None:
            processor = self._prompter.processor
            processor.tokenizer.chat_template = processor.chat_template
            processor.tokenizer.save_pretrained(hidden)
            processor.image_processor.save_pretrained(hidden)
        before = folder.with_name(_BEFORE)
        if folder.exists():
            folder.replace(before)
        hidden.replace(folder)
        shutil.rmtree(before, ignore_errors=True)
        write_atomically(self._run.folder / BEST, json_text(self._best))
