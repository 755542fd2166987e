"""What every training of a vision-language model by TRL shares: model, adapters, checkpoints, and the best model.

A run's folder holds ``run.json`` and ``log.jsonl`` as every run's does (:mod:`fiducial.training.runs`);
``checkpoints/`` is TRL's, from which a run that was stopped goes on; ``model/`` is the best model by held-out samples,
or its adapters, as ``--prompter vlm:RUN/model`` loads it; ``best.json`` says at which step it was, and how good.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import PartialState
from peft import LoraConfig

from fiducial.checkpoints import check_complete, pick_device
from fiducial.errors import InputError
from fiducial.files import json_text, make_folder, read_json, replace_folder, write_atomically
from fiducial.prompters.model_configs import VLMConfig
from fiducial.prompters.vlm import VLMPrompter
from fiducial.prompters.vlm.loading import adapter_in
from fiducial.training.sft_configs import Lora, PrompterRunConfig

if TYPE_CHECKING:
    from trl.trainer.base_trainer import _BaseTrainer as _Base
else:
    _Base = object

CHECKPOINTS, MODEL, BEST = "checkpoints", "model", "best.json"
_BEFORE = ".model.before"
_LAUNCHED = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}
"""What launchers set, and what it is without one."""
_TOWER = ("visual", "vision_tower", "vision_model")
"""Parts of the names of the vision tower's weights."""


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes that train together, as a launcher (accelerate, torchrun) has set them up; one without.

    Args:
        count: how many there are.
        rank: the number of this one; 0 writes the run's folder and evaluates.
        device: the device of this one.
    """

    count: int
    rank: int
    device: str

    @classmethod
    def here(cls, device: str) -> Processes:
        """Find out where this process stands.

        Raises:
            InputError: a device with a number: which ones are used is the launcher's business.
        """
        chosen = pick_device(device)
        if chosen.index is not None:
            raise InputError(f"device {device!r}: say cpu or cuda, and which by CUDA_VISIBLE_DEVICES")
        count, rank, local = (int(os.environ.get(key) or usual) for key, usual in _LAUNCHED.items())
        name = f"{chosen.type}:{local}" if count > 1 and chosen.type != "cpu" else str(chosen)
        return cls(count, rank, name)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and evaluates."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            PartialState().wait_for_everyone()


def check_whole(accelerator: Any) -> None:
    """Refuse launchers that leave no process with all weights, which evaluating and keeping the best model need."""
    plugin = getattr(accelerator.state, "deepspeed_plugin", None)
    kind = str(accelerator.distributed_type)
    if "FSDP" in kind or (plugin is not None and plugin.zero_stage == 3):
        raise InputError(
            "the launcher splits the weights over the processes, and held-out answers need all of them in one: take "
            "DDP, or DeepSpeed with ZeRO stage 1 or 2; lora and activation_checkpointing save memory"
        )


def load_prompter(config: PrompterRunConfig, device: str) -> VLMPrompter:
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


def frozen(model: Any, train_vision: bool) -> Any:
    """Let only what is trained have gradients; adapters freeze the rest themselves."""
    for name, weight in model.named_parameters():
        in_tower = any(part in name.split(".") for part in _TOWER) and "merger" not in name
        weight.requires_grad_(train_vision or not in_tower)
    return model


def adapters(model: Any, lora: Lora | None, train_vision: bool) -> LoraConfig | None:
    """Say to peft which layers of a model get adapters; None where all weights are trained.

    Raises:
        InputError: none does.
    """
    if lora is None:
        return None
    names = "|".join(lora.target_modules)
    elsewhere = "" if train_vision else rf"(?!.*\b(?:{'|'.join(_TOWER)})\b)"
    linear = [name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)]
    if not any(re.fullmatch(rf"{elsewhere}.*\.(?:{names})", name) for name in linear):
        known = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
        raise InputError(f"lora: target_modules names no linear layer of the model, which has {known}")
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=rf"{elsewhere}.*\.(?:{names})",
        task_type="CAUSAL_LM",
    )


def last_checkpoint(folder: Path) -> tuple[str | None, int]:
    """Return the newest checkpoint that was written whole, and its step; None and 0 where there is none."""
    # The state of the trainer is what is written last.
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json") if _is_json(path)]
    steps = {int(path.name.rpartition("-")[2]): path for path in whole}
    return (str(steps[max(steps)]), max(steps)) if steps else (None, 0)


def _is_json(path: Path) -> bool:
    try:
        read_json(path)
    except InputError:  # cut off in the middle
        return False
    return True


class StrictResume(_Base):
    """A mixin for transformers' trainers: checkpoints come back whole.

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


class BestModel:
    """Keeps the best model of a run, by one of its held-out scores.

    Args:
        folder: of the run.
        prompter: whose model is trained.
        score: the key of the score; higher is better.
    """

    def __init__(self, folder: Path, prompter: VLMPrompter, score: str) -> None:
        self._path, self._folder = folder / BEST, folder / MODEL
        self._prompter, self._score = prompter, score
        self._best: dict[str, Any] = {}

    def begin(self, step: int) -> None:
        """Find out what a run that goes on behind a step knows of the best so far."""
        before = self._folder.with_name(_BEFORE)
        if not self._folder.exists() and before.exists():  # stopped while one took the other's place
            before.replace(self._folder)
        for left in (before, *self._folder.parent.glob(f".{MODEL}.*.part")):  # stopped while it was written or removed
            shutil.rmtree(left, ignore_errors=True)
        best = read_json(self._path, kind=dict) if self._path.exists() else {}
        self._best = best if best.get("step", step + 1) <= step and self._folder.exists() else {}

    def offer(self, model: Any, step: int, scores: Mapping[str, Any]) -> None:
        """Keep a model, or its adapters, if none was better."""
        if self._best and scores[self._score] <= self._best[self._score]:
            return
        self._best = {"step": step, **scores}
        hidden = make_folder(self._folder.with_name(f".{MODEL}.{secrets.token_hex(8)}.part"))
        begun = self._prompter.config.model
        write_model(model, self._prompter.processor, base_of(begun, self._prompter.name), hidden)
        replace_folder(self._folder, hidden)
        write_atomically(self._path, json_text(self._best))


def base_of(begun: str, source: str) -> str:
    """Name what adapters that were trained are for: what a run began with, or the model loaded from it.

    What began as adapters on a base is not that base: both are needed to load what they became.
    """
    base = source if adapter_in(begun) is None else str(Path(begun).expanduser())
    return str(Path(base).resolve()) if Path(base).is_dir() else base


def write_model(model: Any, processor: Any, base: str, folder: Path) -> None:
    """Write a model with what it is asked with, or its adapters alone with the name of their base."""
    if hasattr(model, "peft_config"):
        model.peft_config["default"].base_model_name_or_path = base
        model.save_pretrained(folder, safe_serialization=True)
        return
    model.save_pretrained(folder, safe_serialization=True)
    processor.tokenizer.chat_template = processor.chat_template
    processor.tokenizer.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
