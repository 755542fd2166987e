"""Making the word table: embed texts with the teacher once, then fit the student to the result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from fiducial.errors import InputError
from fiducial.prompters.grounder.vocabulary import Vocabulary
from fiducial.prompters.grounder.words import WordTable
from fiducial.results import write_atomically
from fiducial.training.configs import as_plain
from fiducial.training.runs import TrainingRun
from fiducial.training.words.config import WordsConfig
from fiducial.training.words.student import Student, cosine_to, fit, reduced, reduction
from fiducial.training.words.teacher import Teacher
from fiducial.training.words.texts import (
    LONGEST_PIECE,
    kept_pieces,
    random_phrases,
    read_words,
    whole_words,
)

WEIGHTS = "nano-words.safetensors"
"""What a run leaves."""
EMBEDDED = "teacher.safetensors"
"""The teacher's vectors, kept so that a run that was stopped need not embed again."""
_TELL_EVERY = 8192


@dataclass(frozen=True)
class Texts:
    """What is learned from.

    Args:
        general: words and random phrases; the last ``held_out`` are to measure with.
        listed: phrases of the vocabulary.
        held_out: how many of ``general`` are never learned from.
    """

    general: tuple[str, ...]
    listed: tuple[str, ...]
    held_out: int


def train(
    config: WordsConfig,
    data: str | Path,
    out: str | Path,
    *,
    device: str = "auto",
    command: Sequence[str] = (),
    quiet: bool = False,
) -> Path:
    """Make the word table.

    Args:
        config: the run's configuration.
        data: the folder that ``DATA/`` stands for.
        out: the run's folder; see :class:`fiducial.training.runs.TrainingRun`.
        device: not used: a processor takes minutes.
        command: the words of the command line, for the run's card.
        quiet: write the log without printing it.

    Returns:
        The table's file.

    Raises:
        InputError: teacher or list of words cannot be read, or the folder holds another run.
    """
    run = TrainingRun(out, as_plain(config), command, free=("threads",), quiet=quiet)
    if config.threads:
        torch.set_num_threads(config.threads)
    teacher = Teacher(_placed(config.teacher, data))
    pieces = teacher.pieces()
    texts = gather(config, pieces, read_words(_placed(config.words, data), config.frequent))
    vectors = _embedded(teacher, (*texts.general, *texts.listed), run)
    arrays = _fitted(config, kept_pieces(pieces), texts, vectors, run)
    return write_atomically(run.folder / WEIGHTS, save(arrays, {"config": json.dumps(as_plain(config))}))


def gather(config: WordsConfig, pieces: Sequence[str], frequent: Sequence[str]) -> Texts:
    """Put together what is learned from.

    Args:
        config: how much of each.
        pieces: the teacher's word pieces, the frequent ones first.
        frequent: words of a list, the frequent ones first.
    """
    single = whole_words(pieces)
    known = frozenset(single)
    rare = [word for word in frequent if word not in known][: config.rare]
    pool = [word for word in frequent if len(word) > 2][config.skipped : config.skipped + config.pool]
    phrases = random_phrases(pool, config.phrases, np.random.default_rng(config.seed))
    entries = Vocabulary.read().entries
    listed = [phrase for entry in entries for phrase in (*entry.phrases, *entry.narrower)]
    general = tuple(dict.fromkeys([*single, *rare, *phrases]))
    return Texts(general, tuple(dict.fromkeys(listed)), config.held_out)


def _embedded(teacher: Teacher, texts: Sequence[str], run: TrainingRun) -> NDArray[np.float32]:
    path = run.folder / EMBEDDED
    if path.exists():
        try:
            kept = load_file(path)["vectors"].astype(np.float32)
        except (SafetensorError, KeyError) as error:
            raise InputError(f"{path}: holds no vectors of the teacher ({error}): delete it to embed again") from None
        if len(kept) != len(texts):
            raise InputError(f"{path}: holds {len(kept)} vectors, not {len(texts)}: delete it to embed again")
        return kept
    told = 0

    def tell(done: int) -> None:
        nonlocal told
        if done - told >= _TELL_EVERY:
            told = done
            run.log(0, embedded=done, texts=len(texts))

    vectors = teacher.embed(texts, tell)
    # half precision on both ways, so that a run that goes on gives the very same table
    write_atomically(path, save({"vectors": vectors.astype(np.float16)}))
    return vectors.astype(np.float16).astype(np.float32)


def _fitted(
    config: WordsConfig, pieces: list[str], texts: Texts, vectors: NDArray[np.float32], run: TrainingRun
) -> dict[str, NDArray[np.generic]]:
    everything = (*texts.general, *texts.listed)
    mean, axes = reduction(vectors[: len(texts.general)])
    targets = reduced(vectors, mean, axes)
    torch.manual_seed(config.seed)
    student = Student(len(pieces), config.hidden)
    cutter = WordTable.of(student.arrays(pieces, LONGEST_PIECE))
    cuts = [cutter.cut_phrase(text) for text in everything]
    start_from(student, cuts, targets)
    kept = np.ones(len(everything), dtype=bool)
    kept[len(texts.general) - texts.held_out : len(texts.general)] = False
    rows = np.flatnonzero(kept)
    importance = np.array([1.0 if " " in text else config.single for text in everything], dtype=np.float32)
    importance[len(texts.general) :] = config.listed
    losses = fit(
        student,
        [cuts[k] for k in rows],
        targets[rows],
        importance[rows],
        epochs=config.epochs,
        rate=config.rate,
        batch=config.batch,
        seed=config.seed,
    )
    for epoch, loss in enumerate(losses, start=1):
        run.log(epoch, loss=loss)
    arrays = student.arrays(pieces, LONGEST_PIECE)
    held = np.flatnonzero(~kept)
    table = WordTable.of(arrays)
    listed = slice(len(texts.general), None)
    run.log(
        config.epochs,
        cosine_held_out=cosine_to(table, [everything[k] for k in held], targets[held]),
        cosine_listed=cosine_to(table, everything[listed], targets[listed]),
    )
    return arrays


def start_from(student: Student, cuts: Sequence[tuple[list[int], list[bool]]], targets: NDArray[np.float32]) -> None:
    """Let each piece that is a word begin with the teacher's vector of it."""
    with torch.no_grad():
        for (rows, _), target in zip(cuts, targets, strict=True):
            if len(rows) == 1:
                student.table.weight[rows[0]] = torch.from_numpy(target)


def _placed(path: str, data: str | Path) -> Path:
    return Path(data) / path.removeprefix("DATA/") if path.startswith("DATA/") else Path(path)
