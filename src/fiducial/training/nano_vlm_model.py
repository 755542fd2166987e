"""A small vision-language model to be trained from nothing: how it is built, and what it is taught by.

The architecture is LLaVA's, with :mod:`fiducial.prompters.vlm.conv_tower` and a Llama, so that what comes out is loaded
and asked like any other. Neighbouring numbers begin with embeddings that are alike, and a right number
is a Gaussian over its neighbours: coordinates are learned as places, not as words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import DynamicCache, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from fiducial.checkpoints import check_complete
from fiducial.errors import InputError
from fiducial.language.candidates import COLOURS
from fiducial.prompters.vlm.conv_tower import ConvTowerConfig
from fiducial.synthetic.vocabulary import many
from fiducial.training.nano_vlm_configs import NanoVLMNetwork
from fiducial.training.nano_vlm_data import NO_CLASS, STRIDE, PackedBatch
from fiducial.training.nano_vlm_words import IMAGE, PAD, NumberTokens

_WAVES = 13
"""Cosines and sines of which the first embeddings of numbers are made; the faster count less."""
_POINTING = 128
_HIDDEN = -1e9
_NAMED = 2.0
"""Length of what is added to the embedding of a word for a name or colour; of a row as it is drawn it is 0.3."""
_ROPE = 1e5
"""Base of the rotary positions: enough of each head turns too slowly to tell cells apart, and is free for contents."""


class NanoVLM(nn.Module):
    """The model, and heads that only training uses.

    Args:
        model: with its vocabulary.
        numbers: the tokens of each dialect's coordinates.
        names: how many names a cell can have.
    """

    def __init__(self, model: Any, numbers: list[NumberTokens], names: int) -> None:
        super().__init__()
        width = int(model.config.text_config.hidden_size)
        self.model: Any = model
        self.numbers = numbers
        self.dense = nn.Linear(width, 1 + names + len(COLOURS))
        self.box = nn.Linear(width, 4 * width)
        self.scale = nn.Parameter(torch.tensor(8.0))
        self.query, self.key = nn.Linear(width, _POINTING), nn.Linear(width, _POINTING)
        self._names = names

    def cells(self, pixels: Tensor) -> Tensor:
        """See (B, S, S, 3) uint8 pictures: (B, n, width), as the language model reads them."""
        seen = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        return torch.stack(list(self.model.model.get_image_features(seen, return_dict=True).pooler_output))

    def number_logits(self, cells: Tensor) -> Tensor:
        """Return (M, 4, bins) logits of the edges of the boxes that cells (M, width) speak of."""
        first = self.numbers[0]
        table = self.model.get_input_embeddings().weight[first.first : first.first + first.count]
        logits: Tensor = self.box(cells).view(len(cells), 4, -1) @ table.T * self.scale
        return logits

    def dense_losses(self, cells: Tensor, batch: PackedBatch) -> dict[str, Tensor]:
        """Compute the losses of what every cell says."""
        holds, names, colours, boxes = batch.dense
        said, full = self.dense(cells), holds > 0
        found = functional.binary_cross_entropy_with_logits(said[..., 0], holds)
        if not bool(full.any()):  # the pictures show nothing
            none = found * 0
            return {"holds": found, "name": none, "colour": none, "pixels": none, "all": 3 * found}
        named, coloured = said[full][:, 1 : 1 + self._names], said[full][:, 1 + self._names :]
        centre, nearby = number_losses(self.number_logits(cells[full]), boxes[full], 3.4)
        name = functional.cross_entropy(named, names[full], ignore_index=NO_CLASS)
        clear = colours[full] != NO_CLASS
        colour = functional.cross_entropy(coloured[clear], colours[full][clear]) if bool(clear.any()) else found * 0
        side = float(STRIDE * math.isqrt(holds.shape[1]))
        total = 3 * found + 0.7 * name + 0.5 * colour + 0.5 * centre.mean() + 2 * nearby.mean() / side
        return {"holds": found, "name": name, "colour": colour, "pixels": nearby.mean(), "all": total}

    def answer_logits(self, cells: Tensor, batch: PackedBatch) -> tuple[Tensor, Tensor]:
        """Return (M, vocabulary) logits of what is to be learned, and (Q, V) of the cells pointed at.

        Each question sees the visible cells of its picture and itself, at its own places.
        """
        count, shown = cells.shape[1], batch.visible.shape[1]
        prefix = cells.gather(1, batch.visible[..., None].expand(-1, -1, cells.shape[2]))
        tower = self.model.model.language_model
        cache = DynamicCache()
        seen = tower(
            inputs_embeds=prefix, position_ids=batch.visible, past_key_values=cache, use_cache=True
        ).last_hidden_state
        layers: Any = cache.layers
        for layer in layers:
            layer.keys, layer.values = layer.keys[batch.picture], layer.values[batch.picture]
        hidden = tower(
            inputs_embeds=self.model.get_input_embeddings()(batch.ids),
            position_ids=batch.positions + count,
            attention_mask=_mask(shown, batch.blocks, cells.dtype),
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        at = batch.pointed
        asked, looked_at = self.query(hidden[at[:, 0], at[:, 1]]), self.key(seen)[batch.picture[at[:, 0]]]
        toward = torch.einsum("qd,qnd->qn", asked, looked_at) / math.sqrt(_POINTING)
        return self.model.lm_head(hidden[batch.at[:, 0], batch.at[:, 1]]), toward

    def answer_losses(self, cells: Tensor, batch: PackedBatch, sigma: float) -> dict[str, Tensor]:
        """Compute the losses of the answers; ``sigma`` is the spread of edges, in pixels."""
        logits, toward = self.answer_logits(cells, batch)
        word = batch.kind == 0
        plain = functional.cross_entropy(logits[word], batch.target[word])
        likely, bins = logits.log_softmax(-1), self.numbers[0].count
        spread, pixels = [], []
        for sharp in (False, True):  # points may lie anywhere on a thing
            here = batch.kind >= 2 if sharp else batch.kind == 1
            if not bool(here.any()):
                spread.append(plain * 0)
                continue
            first = batch.first[here]
            within = likely[here].gather(1, first[:, None] + torch.arange(bins, device=first.device))
            true = (batch.target[here] - first).float()
            spread.append(-(_bell(true, bins, sigma if sharp else max(sigma, 2.0)) * within).sum(-1).mean())
            if sharp:
                pixels.append((expected_number(within) - true).abs().mean())
        away = torch.stack(pixels).mean() if pixels else plain * 0
        pointing = functional.cross_entropy(toward, batch.pointed[:, 2]) if len(toward) else plain * 0
        side = float(STRIDE * math.isqrt(cells.shape[1]))
        total = plain + 0.25 * spread[0] + spread[1] + 2 * away / side + 0.5 * pointing
        return {"words": plain, "edges": spread[1], "away": away, "pointing": pointing, "all": total}


def _mask(shown: int, blocks: Tensor, dtype: torch.dtype) -> Tensor:
    """Return (R, 1, T, shown + T) what is added to attention: 0 where a token may look, blocks (R, T) are questions."""
    rows, length = blocks.shape
    earlier = torch.ones(length, length, dtype=torch.bool, device=blocks.device).tril()
    may = torch.ones(rows, length, shown + length, dtype=torch.bool, device=blocks.device)
    may[:, :, shown:] = (blocks[:, :, None] == blocks[:, None]) & earlier
    return torch.zeros(may.shape, dtype=dtype, device=blocks.device).masked_fill(~may, _HIDDEN)[:, None]


def _bell(true: Tensor, bins: int, sigma: float) -> Tensor:
    """Return (..., bins) a Gaussian about true pixels that sums to 1."""
    away = (torch.arange(bins, device=true.device) - true[..., None]) / sigma
    bell = torch.exp(-0.5 * away.square())
    return bell / bell.sum(-1, keepdim=True)


def number_losses(logits: Tensor, true: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Return cross-entropy to a Gaussian about the true pixels (...,), and how far the expected number is off."""
    spread = -(_bell(true, logits.shape[-1], sigma) * logits.log_softmax(-1)).sum(-1)
    return spread, (expected_number(logits) - true).abs()


def expected_number(logits: Tensor) -> Tensor:
    """Return the mean pixel (...,) of logits over pixels (..., bins)."""
    bins = torch.arange(logits.shape[-1], device=logits.device, dtype=logits.dtype)
    return (logits.softmax(-1) * bins).sum(-1)


def spread_numbers(model: Any, numbers: list[NumberTokens]) -> None:
    """Give the numbers of every dialect what those of the first have learned; only these say where cells lie."""
    with torch.no_grad():
        table = model.get_input_embeddings().weight
        first = numbers[0].first
        learned = table[first : first + numbers[0].count].clone()
        for start in (start for one in numbers for start in (one.first, one.followed)):
            if start != first:
                own = table[start : start + len(learned)].mean(0) - learned.mean(0)
                table[start : start + len(learned)] = learned + own


def name_things(network: NanoVLM, tokenizer: Any, names: Sequence[str]) -> None:
    """Let the words for names and colours begin near what the heads know such cells by.

    A match of words with cells that is learned for one word then serves all.
    """
    known = network.dense.weight[1:].detach()
    spoken = [(name, many(name)) for name in names]
    parts = ((known[: len(names)], spoken), (known[len(names) :], [(colour,) for colour in COLOURS]))
    found: dict[int, list[Tensor]] = {}
    for rows, forms in parts:
        apart = functional.normalize(rows - rows.mean(0), dim=-1)
        for row, some in zip(apart, forms, strict=True):
            for form in (f"{lead}{one}" for one in some for lead in ("", " ")):
                tokens = tokenizer(form, add_special_tokens=False)["input_ids"]
                if len(tokens) == len(form.split()):  # else it is spelled
                    for token in tokens:
                        found.setdefault(token, []).append(row)
    with torch.no_grad():
        table = network.model.get_input_embeddings().weight
        for token, known_by in found.items():
            table[token] += _NAMED * torch.stack(known_by).mean(0)


# -- building -------------------------------------------------------------------------------------


def build_model(network: NanoVLMNetwork, tokenizer: Any, numbers: list[NumberTokens]) -> Any:
    """Make a model with random weights for a vocabulary; ``numbers`` are ``[]`` where it has no coordinates."""
    image, pad = tokenizer.convert_tokens_to_ids([IMAGE, PAD])
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=network.hidden_size,
        intermediate_size=network.intermediate_size,
        num_hidden_layers=network.layers,
        num_attention_heads=network.heads,
        num_key_value_heads=network.heads // 2,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": _ROPE},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=pad,
    )
    tower = ConvTowerConfig(
        image_size=network.canvas,
        patch_size=STRIDE,
        hidden_size=network.hidden_size,
        widths=list(network.widths),
        blocks=list(network.blocks),
    )
    model: Any = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=tower,
            text_config=text,
            image_token_index=image,
            image_seq_length=(network.canvas // STRIDE) ** 2,
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
            tie_word_embeddings=True,
        )
    )
    if not numbers:
        return model
    with torch.no_grad():
        table = model.get_input_embeddings().weight
        smooth = _smooth(numbers[0].count, network.hidden_size)
        for first in (start for one in numbers for start in (one.first, one.followed)):
            table[first : first + len(smooth)] = smooth + 0.01 * torch.randn(network.hidden_size)
    return model


def _smooth(count: int, width: int) -> Tensor:
    """Draw embeddings (count, width) of numbers of which neighbours are alike."""
    place, wave = torch.linspace(0, 1, count)[:, None], torch.arange(_WAVES)
    waves = torch.cat([torch.cos(math.pi * wave * place), torch.sin(math.pi * wave * place)], 1)
    mixed = waves * torch.exp(-wave / 6.0).repeat(2) @ torch.randn(2 * _WAVES, width)
    return mixed / mixed.std() * 0.02


def build_processor(tokenizer: Any, model: Any) -> Any:
    """Put the processor together: the canvas whole, stretched by nobody, in -1..1."""
    from fiducial.prompters.vlm.families import FAMILIES

    tokenizer.padding_side = "left"  # generation goes on at the right
    side = int(model.config.vision_config.image_size)
    family = FAMILIES["llava"]
    square = {"height": side, "width": side}
    half = [0.5, 0.5, 0.5]
    images = family.image_processor(
        size=square, crop_size=square, do_center_crop=False, image_mean=half, image_std=half
    )
    return family.build_processor(images, tokenizer, model.config, tokenizer.chat_template)


def save_model(model: Any, processor: Any, folder: Path) -> None:
    """Write a folder as ``--prompter vlm:FOLDER`` loads it."""
    model.save_pretrained(folder, safe_serialization=True)
    processor.tokenizer.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)


def load_initial(folder: str, made: Any) -> None:
    """Take the weights of a saved model of the same make-up, in place.

    Raises:
        InputError: it is of another make-up.
    """
    llava: Any = LlavaForConditionalGeneration
    loaded, report = llava.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True)
    check_complete(folder, "LlavaForConditionalGeneration", report)
    shapes = {name: tuple(weight.shape) for name, weight in loaded.state_dict().items()}
    if shapes != {name: tuple(weight.shape) for name, weight in made.state_dict().items()}:
        raise InputError(f"initial: {folder} holds a model of another make-up or vocabulary than configured")
    made.load_state_dict(loaded.state_dict())
