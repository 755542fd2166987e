"""Supervised training of vision-language models: TRL's loop, our samples, scores, run folder and card.

The folder is that of :mod:`fiducial.training.prompter_runs`; the best model is the one with the highest accuracy on
held-out samples (:func:`fiducial.training.sft_data.answer_scores`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig as TrlConfig
from trl.trainer.sft_trainer import SFTTrainer

import datasets
from fiducial.errors import ModelError
from fiducial.prompters.vlm import VLMPrompter
from fiducial.training.augmentation import in_context
from fiducial.training.nano_vlm_words import with_words
from fiducial.training.prompter_runs import (
    CHECKPOINTS,
    MODEL,
    BestModel,
    Processes,
    StrictResume,
    adapters,
    check_whole,
    frozen,
    last_checkpoint,
    load_prompter,
)
from fiducial.training.runs import Progress, TrainingRun
from fiducial.training.sft_configs import SftConfig
from fiducial.training.sft_data import (
    AnswerCollator,
    Portion,
    Rows,
    answer_scores,
    held_out_examples,
    read_portions,
)
from fiducial.training.sft_samples import Example, ExampleWriter


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
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``; each process of a launcher takes one.
        command: the words of the command line, for the run's card.
        quiet: write the log without printing it.

    Raises:
        InputError: data, model or folder cannot be used.
        ModelError: the loss is no longer a finite number.
    """
    processes = Processes.here(device)
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    run = TrainingRun(out, config, command, quiet=quiet, writes=processes.is_main)
    with run.beginning():
        prompter = load_prompter(config, processes.device)
        writer = ExampleWriter(config.answers, prompter.show)
        portions = read_portions(config, data)
        if config.new_words:
            _learn_words(prompter, portions, writer, config.new_words)
        rows = Rows(config, portions, writer, processes=processes.count)
        held_out = held_out_examples(config, portions, writer)
    run.open_board()
    watch = _Watch(config, run, prompter, held_out, processes)
    trainer = _Trainer(
        model=frozen(prompter.model, config.train_vision),
        args=_arguments(config, run.folder, on_cpu=processes.device == "cpu"),
        train_dataset=_table(rows, prompter),
        data_collator=AnswerCollator(prompter),
        processing_class=prompter.processor,
        callbacks=[watch],
        peft_config=adapters(prompter.model, config.lora, config.train_vision),
    )
    trainer.remove_callback(PrinterCallback)  # what is printed is our log
    check_whole(trainer.accelerator)
    last, step = last_checkpoint(run.folder / CHECKPOINTS)
    watch.begin(trainer.model, step)
    trainer.train(resume_from_checkpoint=last)
    if rows.left_out:
        run.say(f"left out {len(rows.left_out)} samples, such as {min(rows.left_out)}: see max_targets and the dialect")
    return run.folder / MODEL


def _learn_words(prompter: VLMPrompter, portions: Sequence[Portion], writer: ExampleWriter, min_count: int) -> None:
    """Make tokens of the words that recur in what is learned from, with new rows of embeddings."""
    texts = []
    for portion in portions:
        for index in portion.training:
            item = in_context(portion.dataset, index)
            if item.sample.choice is not None:  # its picture is of no use here
                texts += [item.sample.instruction, item.sample.choice.reply]
            else:
                example = writer.write(item)
                texts += [example.system, example.user, example.answer]
    words = with_words(prompter.processor.tokenizer, texts, min_count)
    prompter.processor.tokenizer = words
    prompter.model.resize_token_embeddings(len(words), mean_resizing=False)


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
        report_to=[],  # the run's log is what is written for TensorBoard
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


class _Trainer(StrictResume, SFTTrainer):
    """TRL's trainer, with checkpoints that come back whole."""


class _Watch(TrainerCallback):
    """Logs, evaluates by what the model answers, and keeps the best."""

    def __init__(
        self,
        config: SftConfig,
        run: TrainingRun,
        prompter: VLMPrompter,
        held_out: Mapping[str, Sequence[Example]],
        processes: Processes,
    ) -> None:
        self._processes = processes
        self._config, self._run, self._prompter, self._held_out = config, run, prompter, held_out
        self._model: Any = None
        self._best = BestModel(run.folder, prompter, "accuracy")

    def begin(self, model: Any, step: int) -> None:
        """Take the model that is trained, and what is known of the best so far; log how good it is before."""
        self._model = model
        self._run.say_start(step, self._config.steps)
        self._progress = Progress(self._run, step, self._config.steps)
        if self._processes.is_main:
            self._best.begin(step)
            if step == 0:
                self._run.log(0, **self._scores())
        self._processes.wait()

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
        self._progress(step)
        if step % self._config.eval_every and step != self._config.steps:
            return
        if self._processes.is_main:
            scores = self._scores()
            self._run.log(step, **scores)
            self._best.offer(self._model, step, scores)
        self._processes.wait()

    def _scores(self) -> dict[str, float]:
        """Return the accuracy of greedy answers by source, and as ``"accuracy"`` its mean over sources."""
        training = self._model.training
        self._model.eval()
        found = {}
        for title, examples in self._held_out.items():
            right = answer_scores(self._prompter, examples)
            found[title] = sum(right) / len(right)
        self._model.train(training)
        return {**found, "accuracy": sum(found.values()) / len(found)}
