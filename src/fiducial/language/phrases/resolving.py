"""Resolving: which candidates an instruction means, and in plain words why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fiducial.geometry import Frame
from fiducial.language.answers import Outcome
from fiducial.language.candidates import Candidate
from fiducial.language.phrases.choosing import Filter, Pick, pick
from fiducial.language.phrases.nouns import in_number, same_noun, stem
from fiducial.language.phrases.ordering import DISTANCES
from fiducial.language.phrases.parsing import parse_instruction
from fiducial.language.phrases.request import Quantifier, Request, Target
from fiducial.language.phrases.scene import Scene
from fiducial.language.phrases.spelling import meant

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
        outcome: ``FOUND``; ``NO_TARGET`` when all was understood and nothing fits; ``FAILED`` when something was not
            understood or could not be used, so that nothing was chosen.
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
    rest: bool = False,
) -> Resolution:
    """Choose the candidates that an instruction means.

    First come the filters: noun, colours, parts of the image, relations, what is left out. Then what
    fits is put in order, and rank and number are counted off. A position is that of the box's centre.

    What is not understood, or cannot be used here, might have changed the choice: nothing is chosen then, and the text
    names it ("the ship in front of the shop", "the shiny ship"). With ``rest`` the other words choose alone, and
    ``unknown`` and ``unmet`` say what played no part.

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
        candidates: what can be chosen, all in ``frame``.
        frame: the pixels of the image.
        match: tells whether a label (which may be None) is what a noun names, to bring synonyms or
            embeddings. Default: :func:`same_noun`.
        recognises_nouns: False when the candidates are regions of which nobody knows what they show:
            every candidate then fits every noun, references that are only a noun cannot be used, and
            the text says so.
        rest: where something is not understood, or told by what is not there ("near the road"), choose by the rest.

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
    sieve = Filter(scene, match or same_noun, recognises_nouns, rest)
    everything = list(range(len(scene.candidates)))
    readings = [sieve.interpret(target) for target in asked.targets]
    fits = [sieve.fitting(target, everything) for target in readings]
    left_out = _left_out(asked.exclusions, readings, fits, sieve)
    picks = [
        pick(target, [index for index in found if index not in left_out], sieve)
        for target, found in zip(readings, fits, strict=True)
    ]
    chosen = tuple(dict.fromkeys(index for one in picks for index in one.chosen))
    if len(chosen) < sum(len(one.chosen) for one in picks):
        sieve.unmet.append("two phrases chose the same candidate")
    roots = (*asked.targets, *asked.exclusions)
    words = [words for root in roots for words in _unknown(root, sieve)]
    words += [one.words for one in readings if one.guessed and one.noun and not sieve.is_there(one.noun)]
    unknown = tuple(dict.fromkeys((*words, *asked.strays, *sieve.unknown)))
    if (unknown or sieve.unused) and not rest:
        return _refused(unknown, tuple(dict.fromkeys(sieve.unused)))
    return Resolution(
        chosen=chosen,
        text=_sentence(picks, sieve, exclusions=asked.exclusions, left_out=len(left_out)),
        unknown=unknown,
        unmet=tuple(dict.fromkeys(sieve.unmet)),
        outcome=Outcome.FOUND if chosen else Outcome.NO_TARGET,
        picks=tuple(picks),
    )


def _refused(unknown: tuple[str, ...], unused: tuple[str, ...]) -> Resolution:
    """Choose nothing, and name what was not understood or could not be used."""
    said = " and ".join(map(_hinted, unknown))
    reasons = [f"{said} {'is' if len(unknown) == 1 else 'are'} not understood"] if unknown else []
    return Resolution((), f"Chose nothing: {'; '.join([*reasons, *unused])}.", unknown, unused, Outcome.FAILED)


def _hinted(words: str) -> str:
    """Return words that are not understood in quotes, with the word of the grammar that they may be a slip of."""
    hint = meant(words)
    return f"'{words}'" + (f" (did you mean '{hint}'?)" if hint else "")


def _left_out(
    exclusions: Sequence[Target], readings: Sequence[Target], fits: Sequence[Sequence[int]], sieve: Filter
) -> set[int]:
    """Return what is left out: each exclusion is chosen among everything that fits the targets.

    A noun that no candidate has, or that names all that was asked for by another noun, may be a kind of it that nobody
    tells apart ("all vehicles except the vans").
    """
    pool = sorted({index for found in fits for index in found})
    nouns = {stem(target.noun) for target in readings if target.noun}
    out: set[int] = set()
    for target in map(sieve.interpret, exclusions):
        if target.quantifier is Quantifier.ANY:  # "not a ship"
            target = replace(target, quantifier=Quantifier.ALL)
        if sieve.cannot_tell(target):
            sieve.not_used(f"'{target.words}' was not left out: what the regions show is not recognised here")
            continue
        found = sieve.left_out(target, pool)
        one = target.quantifier is Quantifier.THE and not target.noun and not target.ranked  # "all but one"
        count = target.count or (1 if one else len(pool))
        if target.bare and len(sieve.fitting(target, pool)) > count:
            sieve.not_used(f"'{target.words}' was not left out: it may be any of more")
            continue
        vague = bool(target.unknown)
        if vague and ((target.bare and not target.noun) or len(found) == len(pool)):
            sieve.not_used(f"'{target.words}' was not left out: it was not understood")
            continue
        other = sieve.recognises_nouns and bool(target.noun) and bool(nouns) and stem(target.noun) not in nouns
        if other and pool and ((target.bare and len(found) == len(pool)) or not sieve.is_there(target.noun)):
            asked = " or ".join(sorted(in_number(noun, 2) for noun in nouns))
            sieve.not_used(
                f"'{target.words}' was not left out: {in_number(target.noun, 2)} are not told apart among {asked}"
            )
            continue
        if not found:
            sieve.unmet.append(f"nothing to leave out fits '{_said(target)}'")
        out |= found
    return out


def _unknown(target: Target, sieve: Filter) -> list[str]:
    """Return what was not understood in the reading that is taken of a target, and in its references."""
    read = sieve.interpret(target)
    others = [other for relation in read.relations for other in relation.targets]
    others += [read.of] if read.of is not None else []
    return [*read.unknown, *(words for other in others for words in _unknown(other, sieve))]


_RANKS = ("", "", "second ", "third ", "fourth ", "fifth ")


def _sentence(picks: Sequence[Pick], sieve: Filter, *, exclusions: Sequence[Target] = (), left_out: int = 0) -> str:
    """Say in one sentence how a choice was made, and how many candidates the exclusions took away."""
    taken = [_taken(one, sieve) for one in picks if one.chosen]
    text = f"Chose {' and '.join(taken)}" if taken else "Chose nothing"
    if left_out:
        text += f", leaving out {left_out} ({' and '.join(_said(target) for target in exclusions)})"
    missing = [_missing(one, sieve) for one in picks if not one.chosen]
    text += "".join(f"; {words}" for words in missing)
    if not sieve.recognises_nouns and any(one.target.noun for one in picks):
        said = " and ".join(dict.fromkeys(f"'{' '.join(one.target.noun)}'" for one in picks if one.target.noun))
        text += f"; nouns are not recognised here, so every region counted as {said}"
    return text + "."


def _taken(one: Pick, sieve: Filter) -> str:
    """Return what a target chose, and out of how many."""
    many, there = len(one.chosen), len(one.fits)
    named = _describe(one.target, there, sieve)
    among = f"of {there} {named}"
    if one.inner is not None:
        inner = _taken(one.inner, sieve)
        among = f"of {inner}" if there == len(one.inner.chosen) else f"{among} among {inner}"
    elif there == 1:
        return f"the only {named}"
    if one.target.step:
        begin = "first" if one.target.rank == 1 else f"{one.target.rank}."
        return f"{many} {among}, one in {one.target.step} from the {begin} on, {' and '.join(one.orders)} first"
    if one.orders:
        number = f"{many} " if many > 1 else ""
        return f"the {number}{_rank(one.target.rank)}{' and '.join(one.orders)} {among}{_evidence(one, sieve)}"
    if many == there:
        number = "both" if there == 2 else f"all {there}"
        return f"{number} {among}" if one.inner else f"{number} {named}"
    rule = "best score" if one.by_score else "largest area"
    return f"the {many if many > 1 else 'one'} with the {rule} {among}"


def _missing(one: Pick, sieve: Filter) -> str:
    """Return why a target chose nothing."""
    there, total = len(one.fits), len(sieve.scene.candidates)
    if there and one.target.count == 0:
        return "none was asked for"
    named = _describe(one.target, there, sieve)
    if there:
        return f"only {there} {named} fit{'s' if there == 1 else ''}"
    if not total:
        return f"no {named} {'was' if named == _describe(one.target, 1, sieve) else 'were'} found"
    return f"no {named} among {total} candidate{'' if total == 1 else 's'}"


def _rank(rank: int) -> str:
    if rank < 0:
        return "last " if rank == -1 else f"{_RANKS[min(-rank, 5)]}to last "
    return _RANKS[rank] if rank < len(_RANKS) else f"number {rank} "


def _evidence(one: Pick, sieve: Filter) -> str:
    """Return the area that decided, so that a reader can check a choice by size."""
    orders = one.target.orders
    if not orders or orders[0].measure != "area":
        return ""
    area = sieve.scene.area(one.chosen[-1])
    last = "smallest" if orders[0].largest == (one.target.rank > 0) else "largest"
    which = "it" if len(one.chosen) == 1 else f"the {last} of them"
    return f" ({which} covers {area:.0f} square pixels)"


def _describe(target: Target, count: int, sieve: Filter) -> str:
    """Return what was asked for in words: "red ships near the pier"."""
    number = 2 if count > 1 or (count == 0 and target.quantifier is Quantifier.ALL) else 1
    generic = "thing" if sieve.recognises_nouns else "region"
    noun = in_number(target.noun if target.noun and sieve.recognises_nouns else (generic,), number)
    colours = (" or " if target.any_colour else " and ").join(target.colours)
    front = [*(trait.words for trait in target.traits), *([colours] if colours else [])]
    # relations that were not used are left unsaid
    used = [relation for relation in target.relations if relation.kind not in DISTANCES and sieve.can_use(relation)]
    return " ".join([*front, noun, *dict.fromkeys([*_tails(target), *(relation.words for relation in used)])])


def _tails(target: Target) -> list[str]:
    """Return the parts of the image that filtered, as said."""
    return [
        *(bound.words for bound in target.bounds),
        *(f"in {line.words}" for line in target.lines),
        *([target.group.words] if target.group else []),
        *(region.words for region in target.regions),
    ]


def _said(target: Target) -> str:
    tails = [*_tails(target), *(relation.words for relation in target.relations)]
    return " ".join([*([target.words] if target.words else []), *dict.fromkeys(tails)])
