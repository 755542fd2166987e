"""A question is computed once for all its answers: when they are drawn, and when their probabilities are computed.

TRL does both once an answer, picture and all, and the question is most of the work where answers are short. Here the
answers to a question stand behind it in one row, at the places that they have alone and without seeing each other, so
that probabilities and gradients are those of the rows one by one. It is done for LLaVA, whose text has plain places;
other families are left to TRL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

FAMILIES = frozenset({"llava"})
IGNORED = -100


def groups_of(ids: Tensor, pixels: Tensor) -> tuple[list[int], list[int]]:
    """Find rows that are the same question.

    Args:
        ids: (N, P) token ids.
        pixels: (N, 3, H, W) pictures.

    Returns:
        The first row of each question, and for every row the number of its question.
    """
    first: list[int] = []
    numbers = []
    for row in range(len(ids)):
        same = (
            number
            for number, other in enumerate(first)
            if torch.equal(ids[row], ids[other]) and torch.equal(pixels[row], pixels[other])
        )
        numbers.append(next(same, len(first)))
        if numbers[-1] == len(first):
            first.append(row)
    return first, numbers


def places_of(mask: Tensor) -> Tensor:
    """Return the places of tokens padded at the left, (N, P) from their mask."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


# -- drawing ----------------------------------------------------------------------------------------------


def shared_generate(model: Any, generate: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a model's ``generate``: rows that are the same question are read once, and their cache is copied."""

    def generated(**inputs: Any) -> Any:
        pixels, ids, mask = inputs.get("pixel_values"), inputs["input_ids"], inputs.get("attention_mask")
        if pixels is None or mask is None or len(pixels) != len(ids):
            return generate(**inputs)
        first, numbers = groups_of(ids, pixels)
        if len(first) == len(ids):
            return generate(**inputs)
        cache = DynamicCache(config=model.config.get_text_config())
        with torch.no_grad():  # the last token is left to generate, which needs something to begin with
            model.model(
                input_ids=ids[first, :-1],
                attention_mask=mask[first, :-1],
                position_ids=places_of(mask[first, :-1]),
                pixel_values=pixels[first],
                past_key_values=cache,
                use_cache=True,
            )
        cache.batch_select_indices(torch.tensor(numbers, device=ids.device))
        rest = {key: value for key, value in inputs.items() if key != "pixel_values"}
        return generate(**rest, past_key_values=cache)

    return generated


# -- probabilities ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class PackedAnswers:
    """Questions with all their answers behind them.

    Args:
        inputs: what the model takes: ``input_ids``, ``position_ids``, ``attention_mask`` (R, 1, L, L), ``labels`` and
            ``pixel_values``.
        rows: (N,) in which row each answer stands.
        columns: (N, C) in which columns its tokens stand.
    """

    inputs: dict[str, Tensor]
    rows: Tensor
    columns: Tensor

    def unpacked(self, values: Tensor) -> Tensor:
        """Return (N, C) values of the answers' tokens from (R, L - 1), which begin with that of the second token."""
        return values[self.rows[:, None], self.columns - 1]


def pack(ids: Tensor, mask: Tensor, length: int, pixels: Tensor, dtype: torch.dtype) -> PackedAnswers | None:
    """Put answers to the same question behind it.

    Each answer begins with a copy of the question's last token, from which its first token is foretold.

    Args:
        ids: (N, P + C) questions padded at the left and answers padded at the right.
        mask: (N, P + C) 1 where a token counts.
        length: C.
        pixels: (N, 3, H, W) pictures.
        dtype: of the mask that is added to attention.

    Returns:
        None where every question has one answer, so that nothing is gained.
    """
    size = ids.shape[1] - length
    first, numbers = groups_of(ids[:, :size], pixels)
    if len(first) == len(ids):
        return None
    slots = _slots(numbers)
    most, branch = max(slots) + 1, length + 1
    rows = torch.tensor(numbers, device=ids.device)
    starts = size + torch.tensor(slots, device=ids.device) * branch
    columns = starts[:, None] + 1 + torch.arange(length, device=ids.device)

    total = size + most * branch
    packed = ids[first][:, size - 1 :][:, :1].repeat(1, total)  # unused branches hold some token, and nobody sees them
    packed[:, :size] = ids[first, :size]
    packed[rows[:, None], columns] = ids[:, size:]
    counts = mask[first, :size]
    lengths = counts.sum(-1)
    places = torch.cat(
        [places_of(counts), (lengths[:, None] - 1 + torch.arange(branch, device=ids.device)).repeat(1, most)], dim=1
    )
    labels = torch.full_like(packed, IGNORED)
    labels[rows[:, None], columns] = ids[:, size:].masked_fill(mask[:, size:] == 0, IGNORED)
    seen = torch.ones_like(packed)
    seen[:, :size] = counts
    seen[rows[:, None], columns] = mask[:, size:]
    may = _visible(seen.bool(), size, branch)
    added = torch.zeros(may.shape, dtype=dtype, device=ids.device).masked_fill(~may, torch.finfo(dtype).min)
    inputs = {"input_ids": packed, "position_ids": places, "attention_mask": added[:, None], "labels": labels}
    return PackedAnswers(inputs | {"pixel_values": pixels[first]}, rows, columns)


def _slots(numbers: Sequence[int]) -> list[int]:
    """Return for every answer the how manieth to its question it is, from 0."""
    seen: dict[int, int] = {}
    found = []
    for number in numbers:
        seen[number] = seen.get(number, -1) + 1
        found.append(seen[number])
    return found


def _visible(seen: Tensor, size: int, branch: int) -> Tensor:
    """Return (R, L, L) which token sees which: earlier ones of the question, and of its own answer; itself always."""
    total = seen.shape[1]
    place = torch.arange(total, device=seen.device)
    number = torch.where(place < size, -1, (place - size) // branch)
    # The question's last token stands at the head of each answer too, which sees that one instead.
    question = (place[None, :] < size - 1) | ((place[None, :] < size) & (number[:, None] < 0))
    may = (place[:, None] >= place[None, :]) & (question | (number[:, None] == number[None, :]))
    return (may & seen[:, None, :]) | torch.eye(total, dtype=torch.bool, device=seen.device)
