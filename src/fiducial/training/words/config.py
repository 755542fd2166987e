"""The configuration of a run that makes the word table."""

from __future__ import annotations

from dataclasses import dataclass

from fiducial.errors import InputError


@dataclass(frozen=True, slots=True)
class WordsConfig:
    """How the word table is made.

    Args:
        teacher: folder of a MiniLM (``config.json``, ``model.safetensors``, ``tokenizer.json``, ``vocab.txt``); a
            leading ``DATA/`` stands for the data folder.
        words: a list of words, one a line, the frequent ones first; only learned from, never shipped.
        frequent: how many words of the list to use.
        rare: how many of them that are no single piece to learn from.
        skipped: how many of the most frequent words ("the", "of") take no part in phrases.
        pool: how many words after those phrases are made of.
        phrases: how many phrases of two and three words to make at random.
        held_out: how many of the phrases are kept to measure with.
        single: how much a single word counts beside a random phrase.
        listed: how much a phrase of the vocabulary counts.
        hidden: width of the hidden layer.
        epochs: how often each text is seen.
        rate: the largest learning rate.
        batch: texts per step.
        seed: of everything random.
        threads: that torch may use; 0 leaves it its own choice.

    Raises:
        InputError: a number is not positive, or nothing is left to learn from.
    """

    teacher: str
    words: str
    frequent: int = 45000
    rare: int = 16000
    skipped: int = 150
    pool: int = 8850
    phrases: int = 44000
    held_out: int = 2000
    single: float = 3.0
    listed: float = 20.0
    hidden: int = 256
    epochs: int = 12
    rate: float = 0.003
    batch: int = 512
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        for name in (
            "frequent",
            "pool",
            "phrases",
            "held_out",
            "single",
            "listed",
            "hidden",
            "epochs",
            "rate",
            "batch",
        ):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} must be positive, got {getattr(self, name)}")
        if min(self.rare, self.skipped, self.threads) < 0:
            raise InputError("rare, skipped and threads must not be negative")
        if self.held_out >= self.phrases:
            raise InputError(f"held_out ({self.held_out}) must leave some of the {self.phrases} phrases to learn from")
