"""Teacher and student of the word table.

The teacher gives sentence embeddings of words and phrases, by a frozen MiniLM in a local folder; the student is a table
of word pieces and three small matrices that give about the same vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fiducial.errors import InputError
from fiducial.prompters.grounder.words import DIMENSIONS, WordTable

Cut = tuple[list[int], list[bool]]
"""A phrase's pieces, as rows of the table, and which of them belong to its head."""
_MAX_PIECES = 24
TEACHER_DIMENSIONS = 384
"""Of a MiniLM sentence embedding."""
_TEACHER_BATCH = 256


class Teacher:
    """A sentence-transformers MiniLM (mean pooling, then unit length) in a folder, run by transformers."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        names = ("config.json", "model.safetensors", "tokenizer.json", "vocab.txt")
        if missing := [name for name in names if not (self.folder / name).is_file()]:
            raise InputError(f"{folder}: is no folder of a MiniLM: it lacks {', '.join(missing)}")

    def pieces(self) -> list[str]:
        """Return its word pieces, in the order of its vocabulary; those inside a word begin with ``##``."""
        return (self.folder / "vocab.txt").read_text(encoding="utf-8").splitlines()

    def embed(self, texts: Sequence[str], report: Callable[[int], None]) -> NDArray[np.float32]:
        """Return unit vectors (n, 384) of words or short phrases; each batch reports the number of texts done."""
        from tokenizers import Tokenizer
        from transformers import BertModel

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        network: Any = BertModel.from_pretrained(self.folder)
        network.eval()
        ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
        # texts of one length need no padding, and padding is most of the work with phrases
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        out = np.empty((len(ids), TEACHER_DIMENSIONS), dtype=np.float32)
        done = 0
        with torch.inference_mode():
            while done < len(order):
                length = len(ids[order[done]])
                rows = [index for index in order[done : done + _TEACHER_BATCH] if len(ids[index]) == length]
                states = network(torch.tensor([ids[index] for index in rows])).last_hidden_state
                out[rows] = torch.nn.functional.normalize(states.mean(dim=1), dim=-1).numpy()
                done += len(rows)
                report(done)
        return out


class Student(nn.Module):
    """The same arithmetic as :class:`fiducial.prompters.grounder.words.WordTable`, to be fitted."""

    def __init__(self, pieces: int, hidden: int) -> None:
        super().__init__()
        self.table = nn.Embedding(pieces, DIMENSIONS)
        self.weights = nn.Embedding(pieces, 1)
        self.head = nn.Parameter(torch.zeros(1))
        self.inner = nn.Linear(3 * DIMENSIONS, hidden)
        self.outer = nn.Linear(hidden, DIMENSIONS, bias=False)
        nn.init.normal_(self.table.weight, std=DIMENSIONS**-0.5)
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.outer.weight)

    def forward(self, rows: Tensor, is_head: Tensor) -> Tensor:
        """Return unit vectors (B, 64) of pieces (B, L), padded with -1, and which of them belong to the head."""
        there = rows >= 0
        vectors = self.table(rows.clamp(min=0)) * there[..., None]
        scores = self.weights(rows.clamp(min=0))[..., 0] + self.head * is_head
        share = scores.masked_fill(~there, -torch.inf).softmax(dim=1)
        parts = [_mean(vectors, is_head), _mean(vectors, there & ~is_head)]
        hidden = self.inner(torch.cat([*parts, parts[0] * parts[1]], dim=1)).relu()
        return functional.normalize((share[..., None] * vectors).sum(dim=1) + self.outer(hidden), dim=1)

    def arrays(self, pieces: Sequence[str], width: int) -> dict[str, NDArray[np.generic]]:
        """Return what the table's file holds, the vectors in whole steps of a scale each.

        Pieces are sorted as bytes, in the order of the rows; ``width`` is the letters per row.
        """
        table = self.table.weight.detach().numpy()
        scales = (np.abs(table).max(axis=1) / 127).clip(1e-6).astype(np.float16)
        codes = np.rint(table / scales.astype(np.float32)[:, None]).clip(-127, 127).astype(np.int8)
        return {
            "pieces": np.array([piece.encode() for piece in pieces], f"S{width}").view(np.uint8).reshape(-1, width),
            "codes": codes,
            "scales": scales,
            "weights": self.weights.weight.detach().numpy()[:, 0].astype(np.float16),
            "head": self.head.detach().numpy(),
            "inner": np.ascontiguousarray(self.inner.weight.detach().numpy().T),
            "inner_shift": self.inner.bias.detach().numpy(),
            "outer": np.ascontiguousarray(self.outer.weight.detach().numpy().T),
        }


def padded(cuts: Sequence[Cut]) -> tuple[Tensor, Tensor]:
    """Return phrases as rows, shape (n, L), padded with -1, and which belong to the head."""
    length = min(_MAX_PIECES, max(len(rows) for rows, _ in cuts))
    rows = torch.full((len(cuts), length), -1)
    is_head = torch.zeros((len(cuts), length), dtype=torch.bool)
    for index, (found, head) in enumerate(cuts):
        rows[index, : len(found)] = torch.tensor(found)[:length]
        is_head[index, : len(head)] = torch.tensor(head)[:length]
    return rows, is_head


def reduction(
    vectors: NDArray[np.float32], dimensions: int = DIMENSIONS
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean, shape (D,), and the first principal axes, shape (D, dimensions), of vectors, shape (n, D)."""
    mean = vectors.mean(axis=0)
    centred = (vectors - mean).astype(np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    chosen = axes[:, ::-1][:, :dimensions]
    # an axis may point either way: let its largest part be positive, so that every machine gives the same table
    signs = np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(dimensions)])
    return mean, (chosen * signs).astype(np.float32)


def reduced(vectors: NDArray[np.float32], mean: NDArray[np.float32], axes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors along the principal axes, at unit length."""
    out = (vectors - mean) @ axes
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True), dtype=np.float32)


def cosine_to(table: WordTable, texts: Sequence[str], targets: NDArray[np.float32]) -> float:
    """Return the mean cosine of a table's vectors to the teacher's."""
    return float((table.vectors(texts) * targets).sum(axis=1).mean())


def _mean(vectors: Tensor, which: Tensor) -> Tensor:
    return (vectors * which[..., None]).sum(dim=1) / which.sum(dim=1, keepdim=True).clamp(min=1)
