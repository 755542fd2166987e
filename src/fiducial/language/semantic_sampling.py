"""Semantic sampling: the neighbours of a model's tokens, by which a likely next token is preferred to its look-alikes.

The rule is MIS-SemSam's (2025). Before each token, with p the model's distribution over the next one:

1. the candidates are its likeliest tokens (top-M, top-p);
2. is one of them no content token, the model's own way of choosing decides;
3. otherwise a candidate c has the score  p(c) + sum over its K nearest neighbours n of  max(0, cos(c, n)) p(n),
   and the largest score wins, or the token is drawn from the softmax of the scores.

So a token whose meaning has much probability in several spellings wins over one that is likely alone. Neighbours are
near by the cosine of token embeddings; they are found once per model, in blocks, among content tokens only. The rule
itself runs where the model runs: :mod:`fiducial.prompters.vlm.semantic`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fiducial.cache import TensorFiles
from fiducial.errors import InputError

Ids = NDArray[np.int64]
BLOCK = 4096
"""Tokens whose cosines with as many others are held at once: 64 MB of float32."""
_FORMAT = "fiducial-neighbours-1"
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
"""How SentencePiece writes the bytes that it falls back to: pieces of letters, without a meaning of their own."""


@dataclass(frozen=True, slots=True, eq=False)
class NeighbourTable:
    """The nearest content tokens of each content token.

    Args:
        ids: (V, K) int32, the neighbours of each token, nearest first, itself left out.
        cosines: (V, K) float32 in -1..1, how near they are. Rows of other tokens, and places for which there is no
            neighbour left, have their own id and 0.
        content: (V,) bool, which tokens are content.
    """

    ids: NDArray[np.int32]
    cosines: NDArray[np.float32]
    content: NDArray[np.bool_]

    @property
    def weights(self) -> NDArray[np.float32]:
        """(V, K) float32 in 0..1: max(0, cosine)."""
        return np.maximum(self.cosines, 0)


class Vectors(Protocol):
    """The embeddings of tokens, wherever they lie."""

    def unit(self, ids: Ids) -> Any:
        """Return the rows of (n,) tokens at length 1, in float32; a row of zeros stays one."""

    def cosines(self, left: Any, right: Any) -> NDArray[np.float32]:
        """Return the (n, m) cosines of n and m such rows."""


class ArrayVectors:
    """Embeddings (V, D) in an array; only the rows that are asked for are copied."""

    def __init__(self, embeddings: NDArray[Any]) -> None:
        self._embeddings = embeddings

    def unit(self, ids: Ids) -> NDArray[np.float32]:
        """Return the rows of (n,) tokens at length 1."""
        rows = self._embeddings[ids].astype(np.float32, copy=False)
        lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
        rows /= np.where(lengths > 0, lengths, 1)[:, None]
        return rows

    def cosines(self, left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the (n, m) cosines of n and m such rows."""
        return left @ right.T


# -- which tokens -----------------------------------------------------------------------------------


def content_tokens(tokenizer: Any, size: int, *, numerals: bool = True) -> NDArray[np.bool_]:
    """Tell which tokens are content.

    Others are special and added tokens (marks of turns, of pictures, of places), bytes that a tokenizer falls back to,
    and rows of the embedding that no token has.

    Args:
        tokenizer: one of transformers'.
        size: rows of the embedding.
        numerals: whether tokens with a digit are content.

    Returns:
        (size,) bool.
    """
    count = min(len(tokenizer), size)
    found = np.zeros(size, dtype=np.bool_)
    found[:count] = True
    apart = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    found[[number for number in apart if number < size]] = False
    for number, token in enumerate(tokenizer.convert_ids_to_tokens(range(count))):
        if token is None or _BYTE.fullmatch(token) or (not numerals and any(map(str.isnumeric, token))):
            found[number] = False
    return found


# -- the table --------------------------------------------------------------------------------------


def neighbour_table(
    vectors: Vectors | NDArray[Any],
    content: NDArray[np.bool_],
    k: int,
    *,
    block: int = BLOCK,
    progress: Callable[[float], None] | None = None,
) -> NeighbourTable:
    """Find the K nearest content tokens of each content token by the cosine of their embeddings.

    Cosines are computed in blocks, each once, as they are the same both ways; what is held at a time grows with the
    block and not with the square of the vocabulary. Of equally near tokens the one with the smaller id comes first.

    Args:
        vectors: the embeddings, or an array (V, D) of them.
        content: (V,) bool.
        k: neighbours per token, itself not counted; at least 1.
        block: tokens on either side of a block; at least 1.
        progress: is told the share in 0..1 that is done, after each block.

    Raises:
        InputError: embeddings that are not finite, or fewer than one neighbour.
    """
    if k < 1 or block < 1:
        raise InputError(f"neighbours: k and block need to be at least 1, got {k} and {block}")
    given: Vectors = ArrayVectors(vectors) if isinstance(vectors, np.ndarray) else vectors
    tokens = np.flatnonzero(content).astype(np.int64)
    best = np.full((len(tokens), k), -np.inf, dtype=np.float32)
    near = np.full((len(tokens), k), -1, dtype=np.int32)
    starts = range(0, len(tokens), block)
    done, whole = 0, len(starts) * (len(starts) + 1) // 2
    for start in starts:
        rows = slice(start, start + block)
        left = given.unit(tokens[rows])
        for other in starts[start // block :]:
            columns = slice(other, other + block)
            found = given.cosines(left, left if other == start else given.unit(tokens[columns]))
            if not np.isfinite(found).all():
                raise InputError("neighbours: the token embeddings hold numbers that are not finite")
            if other == start:
                found = np.array(found)
                np.fill_diagonal(found, -np.inf)
            else:
                _keep_best(best[columns], near[columns], found.T, tokens[rows])
            _keep_best(best[rows], near[rows], found, tokens[columns])
            done += 1
            if progress is not None:
                progress(done / whole)
    lacking = near < 0
    ids = np.repeat(np.arange(len(content), dtype=np.int32)[:, None], k, axis=1)
    cosines = np.zeros((len(content), k), dtype=np.float32)
    ids[tokens] = np.where(lacking, tokens[:, None], near)
    cosines[tokens] = np.where(lacking, 0, np.clip(best, -1, 1))
    return NeighbourTable(ids, cosines, np.asarray(content, dtype=np.bool_))


def _keep_best(best: NDArray[np.float32], near: NDArray[np.int32], found: NDArray[np.float32], tokens: Ids) -> None:
    """Take (n, m) cosines with m tokens, larger in id than those before, into the (n, k) best so far, in place."""
    count, k = best.shape
    better = found > best[:, -1:]
    if found.shape[1] > k and np.count_nonzero(better) > 4 * k * count:  # the first blocks: most are better than none
        better &= found >= np.partition(found, -k, axis=1)[:, -k, None]
    row, column = np.nonzero(better)
    touched = np.unique(row)
    if not len(touched):
        return
    rows = np.concatenate([np.repeat(touched, k), row])
    values = np.concatenate([best[touched].ravel(), found[row, column]])
    ids = np.concatenate([near[touched].ravel(), tokens[column].astype(np.int32)])
    order = np.lexsort((ids, -values, rows))
    first = np.searchsorted(rows[order], touched)
    taken = order[first[:, None] + np.arange(k)]
    best[touched], near[touched] = values[taken], ids[taken]


# -- kept on the disk -------------------------------------------------------------------------------


def stored_table(
    folder: str | Path | None,
    vectors: Vectors,
    content: NDArray[np.bool_],
    k: int,
    *,
    embedding_digest: Callable[[], str],
    progress: Callable[[float], None] | None = None,
) -> NeighbourTable:
    """Read the table of a model from a folder, or find it and keep it there.

    An entry never goes stale: its name is made of the embeddings' numbers, of which tokens are content, and of k.

    Args:
        folder: where tables are kept, made when missing; None keeps none.
        vectors: the embeddings.
        content: (V,) bool.
        k: neighbours per token.
        embedding_digest: names the embeddings by their content; not asked when nothing is kept.
        progress: as for :func:`neighbour_table`.

    Raises:
        InputError: the folder is a file or cannot be made, or as for :func:`neighbour_table`.
    """
    if folder is None:
        return neighbour_table(vectors, content, k, progress=progress)
    files = TensorFiles(folder, _FORMAT)
    bits = np.packbits(content).tobytes()
    key = hashlib.sha256(f"{embedding_digest()} {len(content)} {k} ".encode() + bits).hexdigest()
    kept = files.read(key)
    if kept is not None:
        return NeighbourTable(kept[0]["ids"], kept[0]["cosines"], content)
    table = neighbour_table(vectors, content, k, progress=progress)
    files.write(key, {"ids": table.ids, "cosines": table.cosines})
    return table
