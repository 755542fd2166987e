"""Several answers to one question, made one: by vote, and with how far they agree.

Self-consistency (Wang et al. 2023) asks a model that draws its tokens several times and takes what it says most often.
Here a choice is voted on, and prompts of one target are fused; the share that agrees is the answer's own measure of how
sure it is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.geometry import Mask, Prompt, Prompts, boxes
from fiducial.language.answers import Answer, Outcome

C = TypeVar("C", bound=Hashable)
REACH = 0.1
"""Share of the image's diagonal at which two points alone have nothing in common; nearer, they overlap linearly."""


@dataclass(frozen=True, slots=True)
class Vote(Generic[C]):
    """What several replies chose.

    Args:
        choice: the one that most of them chose, None where none could be read.
        agreement: the share in 0..1 of all replies that chose it.
        counts: votes by choice, most first; what could not be read is not in it.
    """

    choice: C | None
    agreement: float
    counts: tuple[tuple[C, int], ...]


def vote(choices: Sequence[C | None]) -> Vote[C]:
    """Take the choice that comes most often, of several the one that came first.

    Args:
        choices: one per reply, None where no choice could be read: it has no vote, and lowers the agreement.

    Raises:
        InputError: there are none.

    Example:
        >>> vote(["left", "right", None, "right"])
        Vote(choice='right', agreement=0.5, counts=(('right', 2), ('left', 1)))
    """
    if not choices:
        raise InputError("a vote needs at least one reply")
    counts = tuple(Counter(choice for choice in choices if choice is not None).most_common())
    return Vote(counts[0][0], counts[0][1] / len(choices), counts) if counts else Vote(None, 0.0, ())


def fuse(answers: Sequence[Answer], *, iou: float = 0.5, quorum: float = 0.5) -> Answer:
    """Make one answer of several to the same question about the same image.

    Prompts of different answers are one target where they overlap by at least ``iou`` with the one that overlaps most
    with the others. A target stays when more than ``quorum`` of the answers that could be read have it, and where there
    is no such, the one that most have. Its box has the median of each edge; name and points are those of the prompt
    that the others overlap most with; a drawn mask has the pixels that more than half of the masks have. Its ``score``
    is the agreement: the mean over the readable answers of their overlap with the fused box, 0 where one lacks it.

    Where more than half of the readable answers find nothing, so does the fused one. Words and thinking are those of
    the answer that has most of the targets; ``raw`` holds every reply, numbered; ``repairs`` says who agreed.

    Args:
        answers: with prompts in one frame; those that are malformed, cut off without a prompt or failed cannot be read.
        iou: least overlap in 0..1 of two prompts of one target: of their boxes, or of points, where they have no boxes
            (1 where the means of the positive points meet, 0 from a tenth of the image's diagonal on).
        quorum: share in 0..1 of the readable answers.

    Raises:
        InputError: there are none.
        FrameError: they are in different frames.
    """
    if not answers:
        raise InputError("there is no answer to fuse")
    for one in answers:
        answers[0].prompts.frame.require(one.prompts.frame, "answers to one question")
    raw = "\n\n".join(f"[{number}] {answer.raw}" for number, answer in enumerate(answers, start=1))
    readable = [one for one in answers if one.outcome is Outcome.NO_TARGET or len(one.prompts)]
    lost = len(answers) - len(readable)
    notes = [f"{lost} of {len(answers)} replies could not be read"] if lost else []
    if not readable:
        first = answers[0]
        return replace(first, raw=raw, repairs=(*first.repairs, *notes))
    empty = [one for one in readable if not len(one.prompts)]
    if len(empty) > len(readable) / 2:
        notes.append(f"{len(empty)} of {len(readable)} replies find nothing")
        return replace(empty[0], raw=raw, repairs=(*empty[0].repairs, *notes))
    targets = _targets([one.prompts for one in readable], iou)
    kept = [target for target in targets if len(target.votes) > quorum * len(readable)]
    kept = kept or [max(targets, key=lambda target: len(target.votes))]
    speaker = max(range(len(readable)), key=lambda place: sum(place in target.votes for target in kept))
    kept.sort(key=lambda target: target.votes.get(speaker, math.inf))  # in the order in which it names them
    said, prompts, masks = readable[speaker], [], []
    for number, target in enumerate(kept, start=1):
        members = [readable[place].prompts[item] for place, item in target.votes.items()]
        fused = _fused(members, readable[target.middle[0]].prompts[target.middle[1]])
        score = sum(float(_overlap([one], [fused])[0, 0]) for one in members) / len(readable)
        prompts.append(replace(fused, score=score))
        notes.append(f"target {number}: in {len(members)} of {len(readable)} replies, agreement {score:.2f}")
        if all(one.masks for one in readable if len(one.prompts)):
            drawn = [readable[place].masks[item] for place, item in target.votes.items()]
            masks.append(_majority(drawn).with_score(score))
    return Answer(
        outcome=Outcome.FOUND,
        prompts=Prompts(said.prompts.frame, tuple(prompts)),
        thinking=said.thinking,
        text=said.text,
        raw=raw,
        repairs=(*said.repairs, *notes),
        masks=tuple(masks),
    )


@dataclass(frozen=True, slots=True)
class _Target:
    """One target: its item in each answer that has it, by the answer's place; and the item most like the others."""

    votes: dict[int, int]
    middle: tuple[int, int]


def _targets(answers: Sequence[Prompts], least: float) -> list[_Target]:
    """Group the prompts of all answers, at most one of each answer in a group.

    The prompt with the greatest sum of overlaps takes from each other answer the one that overlaps most with it; then
    the next among those that are left.
    """
    places = [(place, item) for place, prompts in enumerate(answers) for item in range(len(prompts))]
    every = [answers[place][item] for place, item in places]
    overlaps = _overlap(every, every)
    owner = np.array([place for place, _ in places])
    left = np.ones(len(every), dtype=np.bool_)
    found = []
    while left.any():
        usable = np.where((overlaps >= least) & left[None, :] & (owner[:, None] != owner[None, :]), overlaps, 0)
        best = np.stack([usable[:, owner == place].max(axis=1, initial=0) for place in range(len(answers))], axis=1)
        middle = int(np.where(left, best.sum(axis=1), -1).argmax())
        votes = {int(owner[middle]): middle}
        for place in range(len(answers)):
            row = np.where(owner == place, usable[middle], 0)
            if row.max() > 0:
                votes[place] = int(row.argmax())
        left[list(votes.values())] = False
        found.append(_Target({place: places[row][1] for place, row in sorted(votes.items())}, places[middle]))
    return found


def _overlap(some: Sequence[Prompt], others: Sequence[Prompt]) -> NDArray[np.float64]:
    """Return (N, M) overlaps in 0..1; a box and points alone are never one target."""
    found = np.zeros((len(some), len(others)))
    boxed, boxed_too = ({n: one.box for n, one in enumerate(row) if one.box is not None} for row in (some, others))
    if boxed and boxed_too:
        found[np.ix_([*boxed], [*boxed_too])] = boxes.iou([*boxed.values()], [*boxed_too.values()])
    for n, one in enumerate(some):
        for m, other in enumerate(others):
            if one.box is None and other.box is None:
                a, b = (np.mean(prompt.positive_points or prompt.points, axis=0) for prompt in (one, other))
                unit = [float(side) for side in (one.frame.width, one.frame.height)]
                found[n, m] = max(0.0, 1 - math.hypot(*(a - b)) / (REACH * math.hypot(*unit)))
    return found


def _fused(members: Sequence[Prompt], middle: Prompt) -> Prompt:
    if middle.box is None:
        return middle
    edges = np.median([one.box for one in members if one.box is not None], axis=0)
    x1, y1, x2, y2 = (float(edge) for edge in edges)  # medians keep the order of the edges
    return replace(middle, box=(x1, y1, x2, y2))


def _majority(masks: Sequence[Mask]) -> Mask:
    """Keep the pixels that more than half of the masks have."""
    counts = np.zeros((masks[0].height, masks[0].width), dtype=np.int32)
    for mask in masks:
        masks[0].require_canvas(mask)
        counts += mask.to_dense()
    return Mask.from_dense(counts * 2 > len(masks))
