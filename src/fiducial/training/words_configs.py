"""What a training run of the word table can be given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from fiducial.config import option
from fiducial.errors import InputError
from fiducial.training.configs import RunConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsConfig(RunConfig):
    """A run that makes the word table: a small student of a MiniLM's sentence embeddings."""

    kind: ClassVar[str] = "training"
    name: ClassVar[str] = "words"
    task: ClassVar[str] = "fiducial.training.words:WordsTask"

    teacher: str = option(
        help="folder of a MiniLM (config.json, model.safetensors, tokenizer.json, vocab.txt); may begin with DATA/"
    )
    words: str = option(help="a list of words, one a line, frequent ones first; only learned from, never shipped")
    num_words: int = option(45000, "how many words of the list to use", minimum=1)
    num_rare: int = option(16000, "how many of them that are no single piece to learn from", minimum=0)
    skip_words: int = option(
        150, 'how many of the most frequent words ("the", "of") take no part in phrases', minimum=0
    )
    pool_size: int = option(8850, "how many words after those phrases are made of", minimum=1)
    num_phrases: int = option(44000, "how many phrases of two and three words to make at random", minimum=1)
    held_out: int = option(2000, "how many of the phrases are kept to measure with", minimum=1)
    word_weight: float = option(3.0, "how much a single word counts beside a random phrase", above=0)
    listed_weight: float = option(20.0, "how much a phrase of the vocabulary counts", above=0)
    hidden_size: int = option(256, "width of the hidden layer", minimum=1)
    epochs: int = option(12, "how often each text is seen; the table is evaluated after each", minimum=1)
    batch_size: int = option(512, "texts per step", minimum=1)
    learning_rate: float = option(0.003, "the first one; it falls to zero along a cosine", above=0)
    weight_decay: float = option(0.0, "none, so that pieces that a batch does not show stay as they are", minimum=0)
    num_threads: int = option(1, "of torch; 0 leaves it to torch", minimum=0)

    def with_steps(self, steps: int) -> Self:
        """Refuse: the number of steps follows from the texts."""
        raise InputError("train words takes no --steps: say how often it goes through its texts, --set epochs=N")

    def check(self) -> None:
        """Refuse a run that holds out all that it could learn from."""
        if self.held_out >= self.num_phrases:
            raise InputError(
                f"held_out ({self.held_out}) must leave some of the {self.num_phrases} phrases to learn from"
            )
