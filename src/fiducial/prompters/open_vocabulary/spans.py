"""Captions of many names, in which every name keeps its own tokens.

Grounding DINO reads one caption, "airplane . storage tank .", and scores every query against every token of it.
Reading names back out of the tokens that scored well merges neighbours ("cat dog") and cuts words ("##hy"). Here it
goes the other way: where each name stands in the caption is known from the start, and a name's score comes from its
own tokens alone, also when another name shares a word with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fiducial.errors import InputError


@dataclass(frozen=True, slots=True)
class Marks:
    """The tokens around names.

    Args:
        start: id of the token that opens a caption, ``[CLS]``.
        between: id of the token after each name, ``.``.
        end: id of the token that closes a caption, ``[SEP]``.
    """

    start: int
    between: int
    end: int


@dataclass(frozen=True, slots=True)
class Span:
    """Where a name stands in a caption.

    Args:
        name: the name.
        start: its first token, counted from 0 with the opening token.
        stop: the token after its last one.
    """

    name: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Caption:
    """One text that a model reads at once.

    Args:
        tokens: ids, with the opening and the closing token.
        spans: the names in it, in order.
    """

    tokens: tuple[int, ...]
    spans: tuple[Span, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names in it, in order."""
        return tuple(span.name for span in self.spans)


def room_for_name(limit: int) -> int:
    """Say how many tokens a name may have in a caption of ``limit`` tokens: it needs three more around it."""
    return limit - 3


def captions(tokens: Mapping[str, Sequence[int]], marks: Marks, limit: int) -> list[Caption]:
    """Write names into as few captions as their order allows; no name is ever cut.

    Args:
        tokens: the token ids of each name, without any mark.
        marks: the tokens around names.
        limit: most tokens in a caption, marks included.

    Returns:
        Captions that together hold every name once, in order; none for no names.

    Raises:
        InputError: a name without tokens, or one that fits no caption.
    """
    found: list[Caption] = []
    written: list[int] = []
    spans: list[Span] = []
    for name, own in tokens.items():
        if not 1 <= len(own) <= room_for_name(limit):
            raise InputError(
                f"the name {name!r} has {len(own)} tokens that the model knows, and a name needs 1 to "
                f"{room_for_name(limit)} of them"
            )
        if spans and 1 + len(written) + len(own) + 2 > limit:
            found.append(_caption(written, spans, marks))
            written, spans = [], []
        start = 1 + len(written)
        spans.append(Span(name, start, start + len(own)))
        written += [*own, marks.between]
    if spans:
        found.append(_caption(written, spans, marks))
    return found


def name_scores(logits: NDArray[np.floating], caption: Caption) -> NDArray[np.float64]:
    """Score queries for names: the best of a name's own tokens, as the model's authors take it.

    Args:
        logits: (Q, T) of each query for each token, T at least the caption's length; what stands beyond it counts
            for nothing.
        caption: the caption that was read.

    Returns:
        (Q, N) in 0..1, one column for each name of the caption; NaN where a logit was.
    """
    likely = expit(np.asarray(logits, dtype=np.float64))
    columns = [likely[:, span.start : span.stop].max(axis=1) for span in caption.spans]
    return np.stack(columns, axis=1)


def _caption(written: Sequence[int], spans: Sequence[Span], marks: Marks) -> Caption:
    return Caption((marks.start, *written, marks.end), tuple(spans))
