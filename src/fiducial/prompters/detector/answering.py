"""Answering: the words that go with what was chosen, or with nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fiducial.geometry import Box, Frame
from fiducial.language.candidates import Candidate
from fiducial.language.phrases import Quantifier, Resolution, Target
from fiducial.language.phrases.choosing import Pick
from fiducial.language.phrases.nouns import in_number
from fiducial.language.phrases.places import where
from fiducial.prompters.detector.contract import Reading
from fiducial.prompters.detector.reading import is_ambiguous

UNSURE = 0.5
"""Scores below this are told."""
MOST_LISTED = 40
"""Of a vocabulary with more names than this the first ones are listed."""
_BY_BOX = ("area", "length", "roundness", "width", "height")


def found_text(resolution: Resolution, candidates: Sequence[Candidate], frame: Frame, notes: Sequence[str] = ()) -> str:
    """Say what was chosen, why, where it lies, and what is doubtful about it.

    Args:
        resolution: what was chosen.
        candidates: what it was chosen from, with boxes and scores.
        frame: pixels of the picture.
        notes: what was read as something else, one sentence each.
    """
    chosen = [candidates[index].prompt for index in resolution.chosen]
    boxes: list[Box] = [prompt.box for prompt in chosen if prompt.box is not None]
    parts = [
        *notes,
        resolution.text,
        *(words for one in resolution.picks if (words := left_open(one))),
        where(boxes, frame),
        unsure([prompt.score or 0.0 for prompt in chosen]),
        "Sizes and shapes are those of boxes." if chosen and _needs_boxes(resolution.picks) else "",
    ]
    if resolution.unknown:
        parts.append(f"Not understood: {'; '.join(resolution.unknown)}.")
    if resolution.unmet:
        parts.append(f"Note: {'; '.join(resolution.unmet)}.")
    return " ".join(filter(None, parts))


def left_open(one: Pick) -> str:
    """Say that a phrase fits more things than it asks for, and by which rule some were taken; else nothing.

    The rule: what the detector is most certain of.
    """
    target, many, there = one.target, len(one.chosen), len(one.fits)
    by_number = target.quantifier in (Quantifier.THE, Quantifier.COUNT)
    told = one.orders or target.step or target.share is not None
    if told or not by_number or not 0 < many < there:
        return ""
    taken = "the most certain one was taken" if many == 1 else f"the {many} most certain were taken"
    return (
        f"Which of the {there} is left open: {taken}; say the leftmost, the largest, those in the upper half, or all."
    )


def unsure(scores: Sequence[float]) -> str:
    """Tell scores that are low; nothing where none is.

    Example:
        >>> unsure([0.9, 0.35]), unsure([0.35]), unsure([0.9])
        ('Not sure of 1 of the 2: 0.35.', 'Not sure: 0.35.', '')
    """
    low = sorted(score for score in scores if score < UNSURE)
    if not low:
        return ""
    least, most = f"{low[0]:.2f}", f"{low[-1]:.2f}"
    told = least if least == most else f"{least} to {most}"
    return f"Not sure: {told}." if len(scores) == 1 else f"Not sure of {len(low)} of the {len(scores)}: {told}."


def unknown_text(readings: Sequence[Reading], vocabulary: Sequence[str], *, regions: bool = False) -> str:
    """Say which nouns are not known and what to say instead.

    Args:
        readings: those without a name; one at least.
        vocabulary: the names that are known; none where any noun may be asked for.
        regions: things without a name can be asked for as well.
    """
    parts = [f"'{one.said}' can mean {_listing(one.instead)}: say which." for one in readings if is_ambiguous(one)]
    strange = [one for one in readings if not is_ambiguous(one)]
    if strange:
        parts.append(f"I do not know {_listing([repr(one.said) for one in strange])}, so nothing was looked for.")
    parts += [f"Instead of '{one.said}' try {_listing(one.instead)}." for one in strange if one.instead]
    if strange and vocabulary:
        more = len(vocabulary) - MOST_LISTED
        rest = f" and {more} more" if more > 0 else ""
        parts.append(f"Known are {', '.join(vocabulary[:MOST_LISTED])}{rest}.")
    if strange and regions:
        parts.append("Say 'region' for whatever stands out by its colour or texture.")
    return " ".join(parts)


def no_noun_text(phrases: Sequence[str]) -> str:
    """Say that a phrase names no kind of thing, which a detector of any noun cannot do without."""
    said = " and ".join(f"'{words}'" for words in phrases if words)
    return f"{said or 'The instruction'} names no kind of thing: say one, such as 'the largest ship'."


def by_any_name(phrases: Sequence[str], vocabulary: Sequence[str]) -> str:
    """Say what a phrase without a noun was taken to mean."""
    said = " and ".join(f"'{words}'" for words in phrases if words)
    return f"{said or 'A phrase without a noun'} was taken for any of the {len(vocabulary)} kinds of things known."


def spoken_name(target: Target) -> str:
    """Return the noun of a phrase as the user said it, in the singular, for one of its things."""
    return in_number(target.noun, 1)


def _needs_boxes(picks: Sequence[Pick]) -> bool:
    """Say whether a size or a shape decided something."""
    return any(measure in _BY_BOX for one in picks for part in one.target.walk() for measure in _measures(part))


def _measures(target: Target) -> Iterator[str]:
    yield from (order.measure for order in target.orders)
    yield from (trait.order.measure for trait in target.traits)
    yield from ("area" for relation in target.relations if relation.kind in ("larger", "smaller"))


def _listing(words: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
