"""Training of the word table.

The teacher gives sentence embeddings of words and phrases, by a frozen MiniLM in a local folder; the student is a table
of word pieces and three small matrices that give about the same vectors.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from fiducial.config import as_plain
from fiducial.errors import InputError
from fiducial.files import read_text, write_atomically
from fiducial.prompters.grounder.vocabulary import Vocabulary
from fiducial.prompters.grounder.words import DIMENSIONS, WordTable
from fiducial.reasoner.sentences import SentenceEncoder
from fiducial.training.runs import TrainingRun
from fiducial.training.sources import expand_data_folder
from fiducial.training.trainer import Task, Trainer
from fiducial.training.words_configs import WordsConfig

WEIGHTS = "nano-words.safetensors"
"""What a run leaves."""
EMBEDDED = "teacher.safetensors"
"""The teacher's vectors, kept so that a run that was stopped need not embed again."""
_LOG_EVERY = 8192
_PIECE = re.compile(r"(##)?[a-z0-9]+")
_WORD = re.compile(r"[a-z]{2,}")
LONGEST_PIECE = 18
"""Letters of the longest piece that is kept, with its ``##``: the width of a row in the table of pieces."""


Cut = tuple[list[int], list[bool]]
"""A phrase's pieces, as rows of the table, and which of them belong to its head."""
_MAX_PIECES = 24


class WordsTask(Task[Tensor]):
    """Pieces of phrases in, vectors out; after each epoch the mean cosine to the teacher is logged, the last is kept.

    A batch holds indices of texts.
    """

    score_name = "cosine"

    def __init__(self, config: WordsConfig, data: str | Path) -> None:
        super().__init__(config)
        self._config, self._data = config, data

    def build(self, trainer: Trainer[Tensor]) -> nn.Module:
        """Embed the texts with the teacher, and make the student."""
        config, self._run = self._config, trainer.run
        teacher = SentenceEncoder(expand_data_folder(config.teacher, self._data), cache_size=0)
        vocabulary = teacher.pieces()
        words = read_words(expand_data_folder(config.words, self._data), config.num_words)
        general, listed = texts_of(config, vocabulary, words)
        texts = (*general, *listed)
        vectors = _embedded(teacher, texts, trainer.run)
        targets = reduced(vectors, *reduction(vectors[: len(general)]))
        self._pieces = kept_pieces(vocabulary)
        torch.manual_seed(config.seed)
        student = Student(len(self._pieces), config.hidden_size)
        cutter = WordTable.of(student.arrays(self._pieces, LONGEST_PIECE))
        cuts = [cutter.cut_phrase(text) for text in texts]
        with torch.no_grad():
            for (rows, _), target in zip(cuts, targets, strict=True):
                if len(rows) == 1:  # a piece that is a word begins with the teacher's vector of it
                    student.table.weight[rows[0]] = torch.from_numpy(target)
        weights = np.array([1.0 if " " in text else config.word_weight for text in texts], dtype=np.float32)
        weights[len(general) :] = config.listed_weight
        held_out = slice(len(general) - config.held_out, len(general))
        self._scored = {"held_out": (texts[held_out], targets[held_out]), "listed": (listed, targets[len(general) :])}
        learned = np.delete(np.arange(len(texts)), held_out)
        self.learn([cuts[index] for index in learned], targets[learned], weights[learned])
        return student

    def learn(self, cuts: Sequence[Cut], targets: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
        """Set what is learned from: n phrases, their unit vectors (n, 64), and how much each counts (n,)."""
        self._rows, self._is_head = padded(cuts)
        self._targets, self._weights = torch.from_numpy(targets), torch.from_numpy(weights)
        self.eval_every = -(-len(cuts) // self._config.batch_size)
        self.steps = self._config.epochs * self.eval_every

    def batches(self, start: int) -> Iterator[tuple[Tensor]]:
        """Yield every text once per epoch, in an order of its own."""
        order = torch.Generator().manual_seed(self._config.seed)
        for epoch in range(self._config.epochs):
            parts = torch.split(torch.randperm(len(self._rows), generator=order), self._config.batch_size)
            yield from ((part,) for part in parts[max(0, start - epoch * self.eval_every) :])

    def learning_rate(self, step: int) -> float:
        """Return the learning rate: half a cosine down to nothing."""
        return self._config.learning_rate * (1 + math.cos(math.pi * step / self.steps)) / 2

    def loss(self, network: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        """Compute the mean of 1 minus the cosine to the teacher, plain and weighted."""
        off = 1 - (network(self._rows[batch], self._is_head[batch]) * self._targets[batch]).sum(dim=1)
        weights = self._weights[batch]
        return {"loss": off.mean(), "all": (off * weights).sum() / weights.sum()}

    def score(self, network: nn.Module) -> dict[str, float]:
        """Return the mean cosine to the teacher of the table as it would be written."""
        table = WordTable.of(self._arrays(network))
        return {f"cosine_{name}": cosine_to(table, *pair) for name, pair in self._scored.items()}

    def finish(self, network: nn.Module) -> Path:
        """Write the table."""
        config = {"config": json.dumps(as_plain(self._config))}
        return write_atomically(self._run.folder / WEIGHTS, save(self._arrays(network), config))

    def _arrays(self, network: nn.Module) -> dict[str, NDArray[np.generic]]:
        assert isinstance(network, Student)
        return network.arrays(self._pieces, LONGEST_PIECE)


def _embedded(teacher: SentenceEncoder, texts: Sequence[str], run: TrainingRun) -> NDArray[np.float32]:
    run.open()
    path = run.folder / EMBEDDED
    if path.exists():
        try:
            kept = load_file(path)["vectors"].astype(np.float32)
        except (SafetensorError, KeyError) as error:
            raise InputError(f"{path}: holds no vectors of the teacher ({error}): delete it to embed again") from None
        if len(kept) != len(texts):
            raise InputError(f"{path}: holds {len(kept)} vectors, not {len(texts)}: delete it to embed again")
        return kept
    reported = 0

    def report(done: int) -> None:
        nonlocal reported
        if done - reported >= _LOG_EVERY:
            reported = done
            run.log(0, embedded=done, texts=len(texts))

    vectors = teacher.embed(texts, report)
    # half precision on both ways, so that a run that goes on gives the very same table
    write_atomically(path, save({"vectors": vectors.astype(np.float16)}))
    return vectors.astype(np.float16).astype(np.float32)


# -- texts ----------------------------------------------------------------------------------------


def texts_of(
    config: WordsConfig, vocabulary: Sequence[str], frequent: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put together what is learned from, given the teacher's word pieces and a list of words, frequent ones first.

    Returns:
        Words and random phrases, the last ``held_out`` of which are to measure with; and phrases of our vocabulary.
    """
    single = whole_words(vocabulary)
    known = frozenset(single)
    rare = [word for word in frequent if word not in known][: config.num_rare]
    pool = [word for word in frequent if len(word) > 2][config.skip_words : config.skip_words + config.pool_size]
    phrases = random_phrases(pool, config.num_phrases, np.random.default_rng(config.seed))
    listed = [phrase for entry in Vocabulary.read().entries for phrase in (*entry.phrases, *entry.narrower)]
    return tuple(dict.fromkeys([*single, *rare, *phrases])), tuple(dict.fromkeys(listed))


def kept_pieces(vocabulary: Iterable[str]) -> list[str]:
    """Return the word pieces of the Latin alphabet without accents, sorted as bytes.

    Every word of a-z and 0-9 can be cut into them, for all single letters and digits are among them.
    """
    kept = {piece for piece in vocabulary if _PIECE.fullmatch(piece) and len(piece) <= LONGEST_PIECE}
    return sorted(kept)


def whole_words(vocabulary: Iterable[str]) -> list[str]:
    """Return the pieces that are words, in the order given (a BERT vocabulary has the frequent ones first)."""
    return [piece for piece in vocabulary if _WORD.fullmatch(piece)]


def read_words(path: str | Path, count: int) -> list[str]:
    """Read the first ``count`` words of a list, one a line; what is no plain word is left out."""
    return [line for line in read_text(Path(path)).split() if _WORD.fullmatch(line)][:count]


def random_phrases(words: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """Put phrases of two words (three quarters) and three words together at random.

    A word is drawn with a chance that falls with the square root of its rank, so that frequent words come often.
    """
    chance = 1 / np.sqrt(np.arange(1, len(words) + 1) + 50)
    chance /= chance.sum()
    lengths = np.where(rng.random(count) < 0.75, 2, 3)
    drawn = iter(rng.choice(len(words), size=int(lengths.sum()), p=chance).tolist())
    return [" ".join(words[next(drawn)] for _ in range(length)) for length in lengths.tolist()]


# -- the student ----------------------------------------------------------------------------------


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
