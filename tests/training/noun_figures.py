"""How well nouns are read that nobody listed: other words for the names, and words for other things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fiducial.language.phrases.nouns import stem, words_of
from fiducial.prompters.grounder.vocabulary import Vocabulary
from fiducial.prompters.grounder.words import Neighbours


@dataclass(frozen=True, slots=True)
class Reach:
    """What taking the most similar name would do at one threshold; shares in 0..1.

    Args:
        threshold: of similarity.
        right: other words for a name that would be taken for it.
        wrong: other words for a name that would be taken for another name.
        false: words for other things that would be taken for a name.
    """

    threshold: float
    right: float
    wrong: float
    false: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured; shares in 0..1.

    Args:
        unseen: how many other words for names there are.
        others: how many words for other things there are.
        read: other words that are read as their name already, by the noun that they end in.
        misread: those that are read as another name.
        first: of those not read, how often the right name is the first suggestion.
        among: of those not read, how often the right name is among the suggestions.
        taken: words for other things that are read as a name.
        silent: words for other things that nothing is suggested for.
        reach: what taking the most similar name would do.
        mistakes: other words that are misread or suggested something else first, with what.
        false: words for other things that are read as a name, with the name.
    """

    unseen: int
    others: int
    read: float
    misread: float
    first: float
    among: float
    taken: float
    silent: float
    reach: tuple[Reach, ...]
    mistakes: tuple[tuple[str, str], ...]
    false: tuple[tuple[str, str], ...]


def other_nouns() -> tuple[str, ...]:
    """Return nouns that stand for nothing in the vocabulary."""
    text = Path(__file__).with_name("other_nouns.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple(noun for line in lines for part in line.split(",") if (noun := part.strip()))


def measure(vocabulary: Vocabulary, others: Sequence[str], thresholds: Sequence[float] = (0.6, 0.7, 0.8)) -> Figures:
    """Measure the reading of nouns that are not listed.

    Args:
        vocabulary: its entries' ``unseen`` are the other words.
        others: nouns that stand for none of its names.
        thresholds: similarities at which the most similar name would be taken.
    """
    unseen = [(phrase, entry.name) for entry in vocabulary.entries for phrase in entry.unseen]
    readings = [(vocabulary.look_up(phrase), name) for phrase, name in unseen]
    open_ones = [(reading, name) for reading, name in readings if reading.name is None]
    elsewhere = [vocabulary.look_up(noun) for noun in others]
    false = tuple((reading.said, reading.name) for reading in elsewhere if reading.name is not None)
    mistakes = [(reading.said, reading.name or (reading.instead or ("-",))[0]) for reading, _ in readings]
    wrong = [pair for pair, (_, name) in zip(mistakes, unseen, strict=True) if pair[1] != name]
    return Figures(
        unseen=len(unseen),
        others=len(others),
        read=_share([reading.name == name for reading, name in readings]),
        misread=_share([reading.name not in (None, name) for reading, name in readings]),
        first=_share([reading.instead[:1] == (name,) for reading, name in open_ones]),
        among=_share([name in reading.instead for reading, name in open_ones]),
        taken=_share([reading.name is not None for reading in elsewhere]),
        silent=_share([not reading.instead for reading in elsewhere]),
        reach=_reach(vocabulary, unseen, others, thresholds),
        mistakes=tuple(wrong),
        false=false,
    )


def _reach(
    vocabulary: Vocabulary, unseen: Sequence[tuple[str, str]], others: Sequence[str], thresholds: Sequence[float]
) -> tuple[Reach, ...]:
    listed = [(phrase, one.name) for one in vocabulary.entries for phrase in one.listed]
    neighbours = Neighbours.of(listed)
    near = [neighbours.near(_singular(phrase))[0] for phrase, _ in unseen]
    away = [neighbours.near(_singular(noun))[0][1] for noun in others]
    return tuple(
        Reach(
            threshold=threshold,
            right=_share([v >= threshold and n == own for (n, v), (_, own) in zip(near, unseen, strict=True)]),
            wrong=_share([v >= threshold and n != own for (n, v), (_, own) in zip(near, unseen, strict=True)]),
            false=_share([value >= threshold for value in away]),
        )
        for threshold in thresholds
    )


def _singular(noun: str) -> str:
    return " ".join(stem(words_of(noun)))


def _share(held: Sequence[bool]) -> float:
    return sum(held) / len(held) if held else 0.0
