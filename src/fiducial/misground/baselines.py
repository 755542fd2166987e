"""Baselines: answers without a model that show what a score means."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256

from fiducial.misground.items import Item

FOLDS = 5
_WORD = re.compile(r"[\w']+")


def oracle(items: Sequence[Item]) -> list[int]:
    """Give the right answers: 100 %, or something is broken."""
    return [item.answer for item in items]


def first(items: Sequence[Item]) -> list[int]:
    """Choose the first option always."""
    return [0] * len(items)


def majority(items: Sequence[Item]) -> list[int]:
    """Choose the place that is right most often among the questions of one kind."""
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for item in items:
        counts[item.factors.kind][item.answer] += 1
    return [min(found := counts[item.factors.kind], key=lambda place: (-found[place], place)) for item in items]


def antonym_flip(items: Sequence[Item]) -> list[int]:
    """Know everything, but take each direction for its opposite: superior for inferior, left for right."""
    return [item.answer if item.flipped is None else item.flipped for item in items]


def text_only(items: Sequence[Item]) -> list[int]:
    """Choose by the words of question and options alone, without pictures: how much they give away.

    Naive Bayes over words of an option, alone and together with each word of the question, learned from the other
    four fifths of the situations; all items of a situation are in one fifth.
    """
    folds: dict[int, list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        folds[int(sha256(item.situation.encode()).hexdigest(), 16) % FOLDS].append(place)
    counts = {fold: _count(items[place] for place in places) for fold, places in folds.items()}
    answers = [0] * len(items)
    for fold, places in folds.items():
        learned = _added([count for other, count in counts.items() if other != fold])
        for place in places:
            answers[place] = _likeliest(items[place], learned)
    return answers


BASELINES: Mapping[str, Callable[[Sequence[Item]], list[int]]] = {
    "oracle": oracle,
    "first": first,
    "majority": majority,
    "text-only": text_only,
    "antonym-flip": antonym_flip,
}
"""The baselines by name."""

_Counts = tuple[Counter[str], Counter[str]]  # features of right options, of wrong ones


def _features(item: Item, place: int) -> Iterator[str]:
    option = " ".join(_WORD.findall(item.options[place].lower()))
    question = set(_WORD.findall(item.question.partition("\n")[2].lower())) | {item.factors.kind, item.factors.plane}
    yield option
    for word in question:
        yield f"{word} {option}"


def _count(items: Iterator[Item]) -> _Counts:
    right, wrong = Counter[str](), Counter[str]()
    for item in items:
        for place in range(len(item.options)):
            (right if place == item.answer else wrong).update(_features(item, place))
    return right, wrong


def _added(counts: Sequence[_Counts]) -> _Counts:
    right, wrong = Counter[str](), Counter[str]()
    for one, other in counts:
        right.update(one)
        wrong.update(other)
    return right, wrong


def _likeliest(item: Item, learned: _Counts) -> int:
    right, wrong = learned

    def score(place: int) -> float:
        return sum(math.log((right[one] + 0.5) / (wrong[one] + 0.5)) for one in _features(item, place))

    return max(range(len(item.options)), key=lambda place: (round(score(place), 9), -place))
