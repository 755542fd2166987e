"""Reinforcement learning of vision-language models: TRL's GRPO, our questions, rewards, guards, run folder and card.

The folder is that of :mod:`fiducial.training.prompter_runs`; the best model is the one with the highest mean mask IoU
on held-out samples. Beside it ``steps.jsonl`` has a line for each step, with outcomes, parts of the reward and times,
and ``pictures/`` shows answers with their masks.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig as TrlConfig
from trl.trainer.grpo_trainer import GRPOTrainer

import datasets
from fiducial.config import build
from fiducial.errors import InputError
from fiducial.files import rounded
from fiducial.prompters.vlm import VLMPrompter
from fiducial.prompters.vlm.loading import adapter_in
from fiducial.rewards import MaskService, RewardFunction
from fiducial.rewards.service import MaskSource
from fiducial.training.grpo_configs import GrpoConfig
from fiducial.training.grpo_data import AskingProcessor, Question, Questions, question_of, turns
from fiducial.training.grpo_evaluation import evaluate
from fiducial.training.grpo_guards import Watchdog
from fiducial.training.grpo_pictures import write_sheet
from fiducial.training.grpo_record import Recorder, StepTable
from fiducial.training.grpo_sharing import FAMILIES, pack, shared_generate
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
from fiducial.training.sft_data import held_out_items, read_portions
from fiducial.training.sft_samples import ExampleWriter

_LOGGED = ("loss", "grad_norm", "learning_rate", "kl", "entropy")


def train_grpo(
    config: GrpoConfig,
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
        InputError: data, model, reward or folder cannot be used.
        ModelError: a guard stopped the run, or a value is no longer a finite number.
    """
    processes = Processes.here(device)
    _check_parts(config, processes.count)
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    run = TrainingRun(out, config, command, quiet=quiet, writes=processes.is_main)
    with run.beginning():
        prompter = load_prompter(config, processes.device)
        writer = ExampleWriter(config.answers, prompter.show)
        portions = read_portions(config, data)
        questions = Questions(config, portions, writer)
        pairs = held_out_items(config, portions, writer)
        held_out = {
            title: [question_of(item, example, writer.dialect) for item, example in some]
            for title, some in pairs.items()
        }
        function = RewardFunction(config.rewarding())
        service = function.scorer.service or MaskService(build(config.eval_segmenter))
        recorder = Recorder(function, prompter.model.generation_config.eos_token_id)
    run.open_board()
    watch = _Watch(config, run, prompter, recorder, service, held_out, processes)
    trainer = _Trainer(
        model=frozen(prompter.model, config.train_vision),
        reward_funcs=recorder,
        args=_arguments(config, run.folder, processes),
        train_dataset=_table(questions),
        processing_class=prompter.processor,
        callbacks=[watch],
        peft_config=adapters(prompter.model, config.lora, config.train_vision),
    )
    trainer.take(prompter, recorder, share=config.share_questions)
    trainer.remove_callback(PrinterCallback)  # what is printed is our log
    check_whole(trainer.accelerator)
    last, step = last_checkpoint(run.folder / CHECKPOINTS)
    watch.begin(trainer.model, step)
    trainer.train(resume_from_checkpoint=last)
    if questions.left_out:
        left_out = questions.left_out
        run.say(f"left out {len(left_out)} samples, such as {min(left_out)}: see max_targets and the dialect")
    return run.folder / MODEL


def _check_parts(config: GrpoConfig, processes: int) -> None:
    answers = config.batch_size * config.num_generations
    if answers % (config.completions_at_once * processes):
        raise InputError(
            f"completions_at_once={config.completions_at_once} in each of {processes} processes does not divide the "
            f"{answers} answers of a step (batch_size x num_generations)"
        )
    if config.vllm_server is not None and importlib.util.find_spec("vllm") is None:
        raise InputError(
            "vllm_server: the package vllm is not installed here, and it needs a GPU on both sides: "
            "pip install 'trl[vllm]', or leave vllm_server out, and transformers writes the answers"
        )
    if config.beta and config.lora is None and adapter_in(config.model) is not None:
        raise InputError(
            f"model {config.model}: is a folder of adapters, and beta={config.beta:g} compares with the weights of "
            "its base: train adapters (lora), say beta=0, or merge them into the base first"
        )


def _arguments(config: GrpoConfig, folder: Path, processes: Processes) -> TrlConfig:
    answers = config.batch_size * config.num_generations
    return TrlConfig(
        output_dir=str(folder / CHECKPOINTS),
        max_steps=config.steps,
        per_device_train_batch_size=config.completions_at_once,
        gradient_accumulation_steps=answers // (config.completions_at_once * processes.count),
        num_generations=config.num_generations,
        num_iterations=config.num_iterations,
        max_completion_length=config.max_new_tokens,
        temperature=config.temperature,
        top_k=config.top_k,
        beta=config.beta,
        epsilon=config.epsilon,
        loss_type=config.loss_type,
        scale_rewards=config.scale_rewards,
        mask_truncated_completions=config.mask_truncated,
        use_vllm=config.vllm_server is not None,
        vllm_mode="server",
        vllm_server_base_url=config.vllm_server,
        learning_rate=config.learning_rate,
        # The plain "constant" would leave out the warm-up without a word.
        lr_scheduler_type="constant_with_warmup" if config.schedule == "constant" else config.schedule,
        warmup_steps=round(config.warmup_ratio * config.steps),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        bf16=config.autocast,
        gradient_checkpointing=config.activation_checkpointing,
        disable_dropout=True,  # the update has to see the model that answered
        shuffle_dataset=False,  # the rows are drawn already
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=config.save_every,
        save_total_limit=2,
        eval_strategy="no",
        report_to=[],  # the run's log is what is written for TensorBoard
        use_cpu=processes.device == "cpu",
        seed=config.seed,
        data_seed=config.seed,
        dataloader_num_workers=0,
        disable_tqdm=True,
    )


def _table(questions: Questions) -> datasets.Dataset:
    """Return the questions as TRL's prompts, each made when it is read."""

    def made(batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        asked = [questions[int(row)] for row in batch["row"]]
        return {"prompt": [turns(one) for one in asked], "question": asked}

    return datasets.Dataset.from_dict({"row": list(range(len(questions)))}).with_transform(made)


class _Trainer(StrictResume, GRPOTrainer):
    """TRL's trainer, asking as the prompter does, with checkpoints that come back whole."""

    def take(self, prompter: VLMPrompter, recorder: Recorder, *, share: bool) -> None:
        """Take what asks and what records, and whether a question is computed once for all its answers."""
        self._recorder = recorder
        self._dtype = torch.bfloat16 if self.args.bf16 else prompter.model.dtype  # of what attention computes
        self._shares = share and prompter.model.config.model_type in FAMILIES
        if self._shares:
            prompter.model.generate = shared_generate(prompter.model, prompter.model.generate)
        asking: Any = AskingProcessor(prompter)
        self.processing_class = asking  # TRL wants a real one while it is made

    def _generate(self, prompts: list[Any]) -> Any:
        with self._recorder.timing("rollout"):
            return super()._generate(prompts)

    def _generate_single_turn(self, prompt_ids: Any, images: Any, *given: Any, **options: Any) -> Any:
        if self.use_vllm:  # its server prepares the pictures itself
            import PIL.Image

            images = [[PIL.Image.fromarray(one.example.picture.pixels) for one in some] for some in images]
        return super()._generate_single_turn(prompt_ids, images, *given, **options)  # type: ignore[no-untyped-call]

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **pictures: Any,
    ) -> tuple[Any, Any, Any]:
        pixels = pictures.get("pixel_values")
        packed = None
        if self._shares and pixels is not None and len(pixels) == len(input_ids):
            packed = pack(input_ids, attention_mask, logits_to_keep, pixels, self._dtype)
        if packed is None:
            found: tuple[Any, Any, Any] = super()._get_per_token_logps_and_entropies(
                model,
                input_ids,
                attention_mask,
                logits_to_keep,
                batch_size=batch_size,
                compute_entropy=compute_entropy,
                compute_aux_loss=compute_aux_loss,
                **pictures,
            )
            return found
        with self.accelerator.autocast():
            out = model(**packed.inputs, fused_lm_head=True)
        return packed.unpacked(out.log_probs), packed.unpacked(out.entropy) if compute_entropy else None, None

    def _calculate_rewards(self, *given: Any) -> torch.Tensor:
        with self._recorder.timing("reward"):
            rewards: torch.Tensor = super()._calculate_rewards(*given)
        self._recorder.rewarded(rewards)
        return rewards


class _Watch(TrainerCallback):
    """Writes the table of steps and the log, stops what goes wrong, evaluates, and keeps the best."""

    def __init__(
        self,
        config: GrpoConfig,
        run: TrainingRun,
        prompter: VLMPrompter,
        recorder: Recorder,
        service: MaskSource,
        held_out: Mapping[str, Sequence[Question]],
        processes: Processes,
    ) -> None:
        self._processes = processes
        self._config, self._run, self._prompter, self._recorder = config, run, prompter, recorder
        self._service, self._held_out = service, held_out
        self._table, self._best = StepTable(run.folder), BestModel(run.folder, prompter, "mean_iou")
        self._watchdog = Watchdog(config)
        self._model: Any = None

    def begin(self, model: Any, step: int) -> None:
        """Take the model that is trained, and what is known of the best so far; log how good it is before."""
        self._model = model
        self._watchdog.begin(self._table.until(step))
        self._run.say_start(step, self._config.steps)
        self._progress = Progress(self._run, step, self._config.steps)
        if self._processes.is_main:
            self._best.begin(step)
            self._table.forget(step)
            if step == 0:
                self._run.log(0, **self._scores())
        self._processes.wait()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._recorder.begin()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Tell of the step that was just done; TRL saves it after this, so that what is stopped here is not saved."""
        step, found = state.global_step, logs or {}
        if "loss" not in found:  # the summary at the end
            return
        line = {"step": step, **{key: rounded(found[key], 8) for key in _LOGGED if key in found}}
        line |= self._recorder.end(self._config.num_generations)
        if self._processes.is_main:
            self._table.add(line)
        if step % max(1, min(10, self._config.steps // 20)) == 0:
            shown = ("loss", "grad_norm", "reward", "reward_std", "tokens", "kl", "truncated")
            self._run.log(step, **{key: line[key] for key in shown if key in line})
        self._progress(step)
        self._watchdog.check(line)
        if self._processes.is_main:
            self._show(step)
        if step % self._config.eval_every == 0 or step == self._config.steps:
            if self._processes.is_main:
                scores = self._scores()
                self._run.log(step, **scores)
                self._best.offer(self._model, step, scores)
            self._processes.wait()

    def _show(self, step: int) -> None:
        every = self._config.pictures_every
        if every and step % every == 0 and self._recorder.answered:
            write_sheet(self._run.folder, step, self._recorder.answered)

    def _scores(self) -> dict[str, Any]:
        training = self._model.training
        self._model.eval()
        scores = evaluate(self._prompter, self._service, self._held_out).report(self._config.seed)
        self._model.train(training)
        return scores
