"""Generation: how a model is made to speak, and whether it came to its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fiducial.errors import InputError, ModelError
from fiducial.prompters.showing import Reply


@dataclass(frozen=True, slots=True)
class Decoding:
    """How the next token is chosen.

    By default the likeliest token is taken, without any penalty: coordinates repeat for good
    reasons, and a penalty would make an answer depend on what it is batched with.

    Args:
        max_new_tokens: the most tokens of a reply, at least 1.
        do_sample: draw tokens instead; top-p and top-k are then those of the checkpoint.
        temperature: above 0, when sampling; default 1.
        seed: of the draws; every call starts from it.

    Raises:
        InputError: an option out of its range, or a temperature where nothing is drawn.
    """

    max_new_tokens: int
    do_sample: bool = False
    temperature: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens needs to be at least 1, got {self.max_new_tokens}")
        if self.temperature is not None and not self.do_sample:
            raise InputError("a temperature changes nothing while do_sample is off")
        if self.temperature is not None and self.temperature <= 0:
            raise InputError(f"the temperature needs to be above 0, got {self.temperature}: do_sample=False takes 0")

    def config(self, own: Any, tokenizer: Any) -> Any:
        """Write this down for transformers.

        Args:
            own: the generation config that came with the checkpoint.
            tokenizer: the model's tokenizer, whose end token ends a reply too.
        """
        from transformers import GenerationConfig

        drawing = {}
        if self.do_sample:
            drawing = {"temperature": self.temperature or 1.0, "top_p": own.top_p, "top_k": own.top_k}
        return GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=self.max_new_tokens,
            do_sample=self.do_sample,
            repetition_penalty=1.0,
            num_beams=1,
            eos_token_id=end_tokens(own, tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            **drawing,
        )


def end_tokens(own: Any, tokenizer: Any) -> list[int]:
    """List the ids that end a reply: those of the checkpoint's generation config and of its tokenizer."""
    stated = own.eos_token_id
    ids = [stated] if isinstance(stated, int) else list(stated or ())
    if tokenizer.eos_token_id is not None:
        ids.append(tokenizer.eos_token_id)
    return sorted(set(ids))


def generate(model: Any, inputs: Any, tokenizer: Any, decoding: Decoding, what: str) -> list[Reply]:
    """Let a model reply to every prompt of a batch.

    Args:
        model: a vision-language model of transformers; its ``generation_config`` says how.
        inputs: padded at the left, on any device.
        tokenizer: the model's tokenizer.
        decoding: how tokens are chosen.
        what: names model and images in errors.

    Raises:
        ModelError: the model failed, such as for want of memory.
    """
    try:
        with torch.inference_mode(), _seeded(decoding, model.device):
            moved = inputs.to(model.device, dtype=model.dtype)
            output = model.generate(**moved, generation_config=model.generation_config)
    except (RuntimeError, MemoryError) as error:
        raise ModelError(f"{what}: {_diagnosis(error)}") from error
    ends = set(model.generation_config.eos_token_id)
    return [_reply(row, ends, tokenizer) for row in output[:, moved["input_ids"].shape[1] :].cpu()]


def _reply(row: Tensor, ends: set[int], tokenizer: Any) -> Reply:
    ids = row.tolist()
    end = next((place for place, token in enumerate(ids) if token in ends), None)
    # Box marks are special tokens in some families, so special tokens are not skipped.
    text = tokenizer.decode(ids[:end], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return Reply(text, finished=end is not None)


@contextmanager
def _seeded(decoding: Decoding, device: torch.device) -> Iterator[None]:
    if not decoding.do_sample:
        yield
        return
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"):
        torch.manual_seed(decoding.seed)
        yield


def _diagnosis(error: BaseException) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    words = reason.lower()
    short = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "memory" in words
    if short:
        return (
            f"not enough memory ({reason}): try a smaller batch_size, a smaller max_pixels or canvas, "
            "dtype='bfloat16', or quantize='int8'"
        )
    return f"generation failed ({reason}): try dtype='float32', or another device"
