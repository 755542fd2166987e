"""Training of Text2Centroid's head: embeddings of sentences to the points that they speak of.

The encoder is frozen, so every sentence is embedded once, before the first step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from fiducial.errors import InputError
from fiducial.files import write_atomically
from fiducial.reasoner.sentences import MINILM, SentenceEncoder
from fiducial.reasoner.text2centroid import EMBEDDED, PROBE, CentroidHead, head_file
from fiducial.training.sources import expand_data_folder
from fiducial.training.text2centroid_configs import PointKind, Text2CentroidConfig
from fiducial.training.text2centroid_data import Pair, write_pairs
from fiducial.training.trainer import Task, Trainer

WEIGHTS = f"{EMBEDDED}.safetensors"
"""What a run leaves: the head with the smallest error on held-out wordings, in half precision."""
EMBEDDINGS = "sentences.safetensors"
"""The sentences' vectors, kept so that a run that was stopped need not embed again."""
_LOG_EVERY = 1024


class Text2CentroidTask(Task[Tensor]):
    """Embeddings in, points out; scored by 1 minus the mean distance, per kind of sentence, on held-out wordings.

    A batch holds indices of sentences.
    """

    score_name = "closeness"

    def __init__(self, config: Text2CentroidConfig, data: str | Path) -> None:
        super().__init__(config, config.steps, config.eval_every)
        self.warmup_ratio = config.warmup_ratio
        self._config, self._data = config, data

    def build(self, trainer: Trainer[Tensor]) -> nn.Module:
        """Write and embed the sentences, and make the head."""
        config, self._trainer = self._config, trainer
        learned, held_out = write_pairs(config, "training"), write_pairs(config, "held_out")
        vectors = self._embedded([PROBE, *(pair.text for pair in (*learned, *held_out))])
        self._probe = vectors[0]
        cut = 1 + len(learned)
        self._vectors = torch.from_numpy(vectors[1:cut]).to(trainer.device)
        self._points = _points(learned, config.points).to(trainer.device)
        self._held_vectors = torch.from_numpy(vectors[cut:]).to(trainer.device)
        self._held_points = _points(held_out, config.points)
        self._held_kinds = np.array([pair.kind for pair in held_out])
        torch.manual_seed(config.seed)
        return CentroidHead(config.hidden_size, config.dropout, config.layers).to(trainer.device)

    def batches(self, start: int) -> Iterator[tuple[Tensor]]:
        """Yield indices drawn anew for every step."""
        for step in range(start, self.steps):
            random = np.random.default_rng([self._config.seed, step])
            yield (torch.from_numpy(random.integers(len(self._vectors), size=self._config.batch_size)),)

    def loss(self, network: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        """Compute Smooth L1 between points and centroids."""
        batch = batch.to(self._trainer.device)
        found = functional.smooth_l1_loss(network(self._vectors[batch]), self._points[batch], beta=self._config.beta)
        return {"all": found}

    def score(self, network: nn.Module) -> dict[str, float]:
        """Return by kind of sentence 1 minus the mean distance, in the unit of the centred frame."""
        off = (network(self._held_vectors).cpu() - self._held_points).norm(dim=1).numpy()
        kinds = dict.fromkeys(self._held_kinds.tolist())
        return {f"closeness_{kind}": 1 - float(off[self._held_kinds == kind].mean()) for kind in kinds}

    def save(self, network: nn.Module, step: int, scores: Mapping[str, float]) -> None:
        """Write the head."""
        assert isinstance(network, CentroidHead)
        config = self._config
        notes = {"step": step, "held_out": dict(scores), "seed": config.seed}
        notes |= {"convention": config.convention, "points": config.points}
        write_atomically(self._trainer.run.folder / WEIGHTS, head_file(network, self._probe, **notes))

    def finish(self, network: nn.Module) -> Path:
        """Return the file of the best head."""
        return self._trainer.run.folder / WEIGHTS

    def _embedded(self, texts: Sequence[str]) -> NDArray[np.float32]:
        run = self._trainer.run
        path = run.folder / EMBEDDINGS
        if path.exists():
            return _read_vectors(path, len(texts))
        encoder = self._config.encoder
        source = encoder if encoder == MINILM else expand_data_folder(encoder, self._data)
        reported = 0

        def report(done: int) -> None:
            nonlocal reported
            if done - reported >= _LOG_EVERY:
                reported = done
                run.log(0, embedded=done, texts=len(texts))

        vectors = SentenceEncoder(source, device=str(self._trainer.device), cache_size=0).embed(texts, report)
        run.open()
        write_atomically(path, save({"vectors": vectors}))
        return vectors


def _points(pairs: Sequence[Pair], which: PointKind) -> Tensor:
    return torch.tensor([getattr(pair, which) for pair in pairs], dtype=torch.float32)


def _read_vectors(path: Path, count: int) -> NDArray[np.float32]:
    try:
        kept: NDArray[np.float32] = load_file(path)["vectors"]
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{path}: holds no vectors of sentences ({error}): delete it to embed again") from None
    if len(kept) != count:
        raise InputError(f"{path}: holds {len(kept)} vectors, not {count}: delete it to embed again")
    return kept
