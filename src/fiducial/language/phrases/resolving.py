"""Resolving: which candidates an instruction means, and in plain words why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fiducial.geometry import Frame
from fiducial.language.answers import Outcome
from fiducial.language.candidates import Candidate
from fiducial.language.phrases.filtering import Filter
from fiducial.language.phrases.nouns import same_noun
from fiducial.language.phrases.parsing import parse_instruction
from fiducial.language.phrases.picking import Pick, pick
from fiducial.language.phrases.request import Request, Target
from fiducial.language.phrases.scene import Scene
from fiducial.language.phrases.wording import sentence

Match = Callable[[str, str | None], bool]
"""Says whether a candidate's label is what a noun, as said, names."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an instruction means among candidates.

    Args:
        chosen: indices of the chosen candidates, each once; per target, best first.
        text: one plain sentence on how the choice was made.
        unknown: phrases that were not understood, as said.
        unmet: what was asked for and could not be had or checked, and every rule that was relaxed.
        outcome: ``FOUND``, or ``NO_TARGET`` when nothing was chosen.
        picks: what each target of the request chose, and out of what, in the order said.
    """

    chosen: tuple[int, ...]
    text: str
    unknown: tuple[str, ...]
    unmet: tuple[str, ...]
    outcome: Outcome
    picks: tuple[Pick, ...] = ()


def resolve(
    request: Request | str,
    candidates: Sequence[Candidate],
    frame: Frame,
    *,
    match: Match | None = None,
    recognises_nouns: bool = True,
) -> Resolution:
    """Choose the candidates that an instruction means.

    First come the filters: noun, colours, parts of the image, relations, what is left out. Then what
    fits is put in order, and rank and number are counted off. A position is that of the box's centre.

    - **Noun.** :func:`same_noun`, or ``match``. When no label fits the whole noun, its words are
      dropped from the front ("fishing boat", then "boat") and named in ``unknown``. When a label
      is exactly adjective and noun ("left hand"), the adjective is part of the name.
    - **Colour.** At least 0.25 of the pixels, or the most frequent colour.
    - **Parts of the image.** The outer third of the axis ("at the top", "on the left"), the outer half
      for "half" and "quarter"; both axes for corners; the middle third of both axes for the centre;
      within 5 % of the edge for "at the edge". Where nothing lies in the third, the half is taken and
      ``unmet`` says so.
    - **Rows and columns.** Among all that fits noun and colour: taken by their centres from the top (for columns
      from the left), a thing joins the row before it when their heights share at least half of the smaller one, the
      row's height being the mean of its things; else it begins a new row (:func:`lines_among`). "The top row of
      cars" takes all cars in it. Where something is called "row" or "column", that thing is meant.
    - **Every other, half.** "Every other" takes the first, the third and so on; "every third" the third, the
      sixth and so on; "half of the ships" the first half, rounded up: in the order said, else from the left
      (every other) or by score or size (half), and ``unmet`` says so.
    - **Relations.** See :meth:`Scene.holds` and :meth:`Scene.between`. Near is a gap of at most the
      reference's size, beside half of it. "Left of all ships" needs every ship; "near the ships" one.
    - **Order.** Superlatives sort by area (that of the box when it is not known), length, roundness,
      brightness, box height or width, or the distance of the centre to a side, corner, edge or the
      centre. Ties, and choices without a superlative, go to the best score (where all have one), else
      the largest, then the left, then the top.
    - **Number.** "The ship" and "a ship" take one; plurals, "all", "every" and "each" take all; "both"
      wants two. "The left ship" and "the large ship" take the leftmost and the largest; "left ships"
      and "large ships" filter (a size: at least the median). "The largest ships" without a number
      takes the upper half, and ``unmet`` says so.
    - **Left out.** "Except", "but not" and "not" apply to all targets before them. Each exclusion is chosen
      among what fits those targets, before anything is counted; it is not applied, and ``unmet`` says so,
      when it was not understood.
    - **Several targets.** "And" and "or" both add up.
    - **Not measured.** A candidate whose colour, length, roundness or brightness is needed but is
      None is left out, and ``unmet`` says how many were.

    Args:
        request: an instruction, or one that was parsed.
        candidates: what can be chosen, all in ``frame``; their order does not matter, except
            between candidates that are alike in every respect.
        frame: the frame of the candidates: the pixels of the image.
        match: tells whether a label (which may be None) is what a noun names, to bring synonyms or
            embeddings. Default: :func:`same_noun`.
        recognises_nouns: False when the candidates are regions of which nobody knows what they show:
            every candidate then fits every noun, references told by a noun alone are not used, and
            the text says so.

    Returns:
        The choice, as a value also when nothing fits.

    Raises:
        InputError: the instruction is empty, has no word, or is too long.
        FrameError: a candidate is in another frame.

    Example:
        >>> from fiducial.geometry import Prompt
        >>> frame = Frame.pixels(100, 100)
        >>> boxes = [(5, 40, 15, 50), (30, 40, 60, 60), (70, 40, 90, 55)]
        >>> ships = [Candidate(Prompt(frame, box=box, label="ship")) for box in boxes]
        >>> resolution = resolve("the two largest ships", ships, frame)
        >>> resolution.chosen, resolution.text
        ((1, 2), 'Chose the 2 largest of 3 ships (the smallest of them covers 300 square pixels).')
    """
    asked = parse_instruction(request) if isinstance(request, str) else request
    scene = Scene.of(candidates, frame)
    sieve = Filter(scene, match or same_noun, recognises_nouns)
    everything = list(range(len(scene.candidates)))
    readings = [sieve.reading(target) for target in asked.targets]
    fits = [sieve.fitting(target, everything) for target in readings]
    left_out = _left_out(asked.exclusions, fits, sieve)
    picks = [
        pick(target, [index for index in found if index not in left_out], sieve)
        for target, found in zip(readings, fits, strict=True)
    ]
    chosen = tuple(dict.fromkeys(index for one in picks for index in one.chosen))
    if len(chosen) < sum(len(one.chosen) for one in picks):
        sieve.unmet.append("two phrases chose the same candidate")
    return Resolution(
        chosen=chosen,
        text=sentence(picks, sieve, exclusions=asked.exclusions, left_out=len(left_out)),
        unknown=tuple(dict.fromkeys((*_unknown(asked, readings, sieve), *sieve.unknown))),
        unmet=tuple(dict.fromkeys(sieve.unmet)),
        outcome=Outcome.FOUND if chosen else Outcome.NO_TARGET,
        picks=tuple(picks),
    )


def _left_out(exclusions: Sequence[Target], fits: Sequence[Sequence[int]], sieve: Filter) -> set[int]:
    """Return what is left out: each exclusion is chosen among everything that fits the targets."""
    pool = sorted({index for found in fits for index in found})
    out: set[int] = set()
    for target in map(sieve.reading, exclusions):
        if sieve.cannot_tell(target):
            sieve.unmet.append(f"'{target.words}' was not left out: what the regions show is not recognised here")
            continue
        found: Pick = pick(target, sieve.fitting(target, pool), sieve)
        vague = bool(target.unknown)
        if vague and ((target.bare and not target.noun) or len(found.chosen) == len(pool)):
            sieve.unmet.append(f"'{target.words}' was not left out: it was not understood")
            continue
        if not found.chosen:
            sieve.unmet.append(f"nothing to leave out fits '{target.words}'")
        out.update(found.chosen)
    return out


def _unknown(asked: Request, readings: Sequence[Target], sieve: Filter) -> list[str]:
    """Return what was not understood in the readings that were taken, those of the references too."""
    roots = (*readings, *map(sieve.reading, asked.exclusions))
    return [*(words for root in roots for words in _unknown_in(root, sieve)), *asked.strays]


def _unknown_in(target: Target, sieve: Filter) -> list[str]:
    told = [other for relation in target.relations for other in relation.targets]
    if target.of is not None:
        told.append(target.of)
    return [*target.unknown, *(words for other in told for words in _unknown_in(sieve.reading(other), sieve))]
