"""Semantic sampling where the model runs: the rule of :mod:`fiducial.language.semantic_sampling` in ``generate``."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from fiducial.errors import InputError, ModelError
from fiducial.language.semantic_sampling import Ids, NeighbourTable, content_tokens, stored_table

if TYPE_CHECKING:
    from fiducial.prompters.decoding_configs import SemanticConfig

logger = logging.getLogger(__name__)

_ROWS = 8192
"""Rows of an embedding that are hashed at once."""
_TELL_AFTER = 10.0
"""Seconds between two lines that say how far the table of neighbours is."""


class TensorVectors:
    """The rows of an embedding (V, D) on any device, in any dtype; turned into float32 block by block."""

    def __init__(self, weight: torch.Tensor) -> None:
        self._weight = weight.detach()

    def unit(self, ids: Ids) -> torch.Tensor:
        """Return the rows of (n,) tokens at length 1, in float32."""
        rows = self._weight[torch.from_numpy(ids).to(self._weight.device)].float()
        lengths = rows.norm(dim=1, keepdim=True)
        return rows / torch.where(lengths > 0, lengths, 1.0)

    def cosines(self, left: torch.Tensor, right: torch.Tensor) -> NDArray[np.float32]:
        """Return the (n, m) cosines of n and m such rows."""
        found: NDArray[np.float32] = (left @ right.T).cpu().numpy()
        return found

    def digest(self) -> str:
        """Name the numbers: SHA-256 of shape, dtype and bytes."""
        digest = hashlib.sha256(f"{tuple(self._weight.shape)}{self._weight.dtype}".encode())
        for start in range(0, len(self._weight), _ROWS):
            rows = self._weight[start : start + _ROWS]
            digest.update(rows.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


class SemanticSampling(LogitsProcessor):
    """Prefers a likely token whose meaning has much probability in other spellings too.

    Each row of a batch is decided for itself. Rows with a candidate that is no content token keep their scores, so that
    the likeliest token is taken, or are narrowed as usual before one is drawn. It has to be the last processor.

    Args:
        table: the neighbours of the model's tokens.
        config: the candidates, and whether a token counts as its own neighbour.
        device: of the scores.
        warpers: how the model's own way of drawing narrows the scores; None where the likeliest token is taken.

    Attributes:
        counts: how often a token was chosen (``steps``), how often the model's own way decided (``deferred``), and how
            often the best token was another than the likeliest (``changed``); rows that have ended are not counted.
    """

    supports_continuous_batching = False

    def __init__(
        self,
        table: NeighbourTable,
        config: SemanticConfig,
        device: torch.device | str,
        warpers: Sequence[LogitsProcessor] | None = None,
    ) -> None:
        self._config, self._warpers = config, warpers
        self._ids = torch.from_numpy(table.ids).to(device, torch.int64)
        self._weights = torch.from_numpy(table.weights).to(device)
        self._content = torch.from_numpy(table.content).to(device)
        self._counts = torch.zeros(3, dtype=torch.int64, device=device)
        self._start, self._ends = 0, torch.zeros(0, dtype=torch.int64, device=device)

    def begin(self, start: int, ends: Sequence[int]) -> SemanticSampling:
        """Say where replies begin and which tokens end one (or fill the row behind its end); returns itself."""
        self._start = start
        self._ends = torch.tensor(sorted({*ends}), dtype=torch.int64, device=self._ids.device)
        return self

    @property
    def counts(self) -> dict[str, int]:
        """How often what was done."""
        return dict(zip(("steps", "deferred", "changed"), self._counts.tolist(), strict=True))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores (B, V) of the next token: what is largest is taken, or their softmax is drawn from."""
        if scores.shape[1] != len(self._content):
            raise ModelError(
                f"semantic sampling: the model scores {scores.shape[1]} tokens, and its embedding has "
                f"{len(self._content)} rows: take the other one (embedding=input, embedding=output)"
            )
        probabilities = torch.softmax(scores.float(), dim=-1)
        ids, own_mass, inside = self._candidates(probabilities)
        deferred = (inside & ~self._content[ids]).any(dim=1)
        neighbours = self._ids[ids]  # (B, M, K)
        mass = probabilities.gather(1, neighbours.flatten(1)).view_as(neighbours)
        found = (mass * self._weights[ids]).sum(dim=2)
        if self._config.include_self:
            found = found + own_mass
        found = found.masked_fill(~inside, -torch.inf)
        self._count(input_ids, deferred, found)
        if self._config.temperature is not None:
            found = found / self._config.temperature
        chosen = torch.full_like(scores, -torch.inf).scatter_(1, ids, found.to(scores.dtype))
        own = scores
        for warper in self._warpers or ():
            own = warper(input_ids, own)
        return torch.where(deferred[:, None], own, chosen)

    def _candidates(self, probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return (B, M) ids, the likeliest first, their probabilities, and which of them are candidates."""
        count = self._config.top_m or probabilities.shape[1]
        mass, ids = probabilities.topk(min(count, probabilities.shape[1]), dim=1)
        if self._config.top_p is None:
            return ids, mass, torch.ones_like(ids, dtype=torch.bool)
        inside = mass.cumsum(dim=1) - mass < self._config.top_p  # up to the one that makes the sum reach it
        inside[:, 0] = True
        if self._config.top_m is None:
            most = int(inside.sum(dim=1).max())
            return ids[:, :most], mass[:, :most], inside[:, :most]
        return ids, mass, inside

    def _count(self, input_ids: torch.Tensor, deferred: torch.Tensor, found: torch.Tensor) -> None:
        going = torch.ones_like(deferred)
        if input_ids.shape[1] > self._start:
            going = ~torch.isin(input_ids[:, -1], self._ends)
        changed = ~deferred & (found.argmax(dim=1) != 0)  # the first candidate is the likeliest
        self._counts += torch.stack([going, going & deferred, going & changed]).sum(dim=1)


def semantic_sampling(
    model: Any, tokenizer: Any, config: SemanticConfig, drawing: Mapping[str, Any] | None
) -> SemanticSampling:
    """Make the processor of a model; finding the neighbours of 150,000 tokens takes minutes on a CPU, once.

    Args:
        model: one of transformers'.
        tokenizer: its tokenizer.
        config: every constant of the rule.
        drawing: ``temperature``, ``top_k`` and ``top_p`` of the model's own draws; None takes the likeliest token.

    Raises:
        InputError: the model has no such embedding, or its table cannot be kept where it should be.
    """
    layer = model.get_input_embeddings() if config.embedding == "input" else model.get_output_embeddings()
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.ndim != 2:
        raise InputError(f"decode=semantic: the model has no {config.embedding} embedding to compare tokens by")
    vectors = TensorVectors(weight)
    content = content_tokens(tokenizer, len(weight), numerals=config.numerals)
    with torch.inference_mode():
        table = stored_table(
            config.cache,
            vectors,
            content,
            config.k,
            embedding_digest=vectors.digest,
            progress=_Teller(int(content.sum())),
        )
    return SemanticSampling(table, config, weight.device, None if drawing is None else warpers_of(drawing))


def warpers_of(drawing: Mapping[str, Any]) -> list[LogitsProcessor]:
    """Return what narrows scores before a token is drawn, as ``generate`` would make and order it."""
    found: list[LogitsProcessor] = []
    if drawing.get("temperature") not in (None, 1.0):
        found.append(TemperatureLogitsWarper(drawing["temperature"]))
    if drawing.get("top_k"):
        found.append(TopKLogitsWarper(drawing["top_k"]))
    if drawing.get("top_p") is not None and drawing["top_p"] < 1:
        found.append(TopPLogitsWarper(drawing["top_p"]))
    return found


class _Teller:
    """Says now and then how far the table is, where it takes long."""

    def __init__(self, tokens: int) -> None:
        self._tokens, self._told = tokens, time.monotonic()

    def __call__(self, share: float) -> None:
        if time.monotonic() - self._told > _TELL_AFTER:
            self._told = time.monotonic()
            logger.warning(
                "semantic sampling: neighbours of %s tokens, %.0f %% found", f"{self._tokens:,}", 100 * share
            )
