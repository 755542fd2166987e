"""Nouns for a detector: what it promises, what it takes the nouns of a request to mean, and what is said about that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from fiducial.errors import GeometryError
from fiducial.geometry import Box, Frame, Mask
from fiducial.images import Image
from fiducial.language.answers import Outcome
from fiducial.language.candidates import Candidate
from fiducial.language.phrases import Quantifier, Request, Resolution, Target
from fiducial.language.phrases.choosing import Pick, coloured_noun, shorter_nouns
from fiducial.language.phrases.places import where
from fiducial.language.phrases.request import Relation

# -- the contract ----------------------------------------------------------------------------------------

DESCRIBED = 0.8
"""Similarity, at most, of a noun of which only the end is known: what the words before it say is not understood."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One instance of a noun phrase.

    Raises:
        GeometryError: a score outside 0..1.
    """

    box: Box  # xyxy in pixels of the image, inside it
    score: float  # how likely it is that the phrase names what is there, in 0..1
    name: str  # the name that was asked for, letter by letter
    mask: Mask | None = None  # where a detector draws what it finds: its pixels, whose tight box the box is

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise GeometryError(f"a detection's score lies in 0..1, got {self.score}")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a detector takes a noun to mean.

    Args:
        said: the noun as the user said it, such as ``"aeroplanes"``.
        name: what the detector is to be asked for, such as ``"airplane"``; None when it does not know the noun.
        similarity: how close the two are, in 0..1; 1 for a noun of the vocabulary or a synonym of it, at most
            ``DESCRIBED`` where only the end of it is known. Without a name, 0 means that the whole noun is something
            else ("fish tank"), so that its last word alone is not tried, and 1 that it is a name of several ("court"),
            all of which are in ``instead``.
        instead: names that could have been meant, the closest first; beside a name, others that the noun means in
            pictures of another kind.
        note: what is to be said of the name where it is used, one sentence.
        whole: words at the beginning that only name what all such pictures show: "breast" of "breast tumour".
    """

    said: str
    name: str | None
    similarity: float = 1.0
    instead: tuple[str, ...] = ()
    note: str = ""
    whole: str = ""

    @property
    def ambiguous(self) -> bool:
        """Whether the noun is known, but as several names."""
        return self.name is None and self.similarity == 1 and len(self.instead) > 1


@runtime_checkable
class Detector(Protocol):
    """Noun phrases in, boxes out; no spatial words, no counting: the resolver does that."""

    def read(self, noun: str) -> Reading:
        """Say what a noun phrase without article, singular or plural, is taken to mean."""
        ...

    def vocabulary(self) -> tuple[str, ...]:
        """Return the names that are known, singular; empty when any noun may be asked for."""
        ...

    def detect(self, images: Sequence[Image], names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """Find all instances of each name.

        Args:
            images: any number of pictures of any size.
            names: for each picture, names as :meth:`read` gave them; no name finds nothing.

        Returns:
            For each picture the detections at or above the detector's threshold, best first. A thing that fits two
            of the names is there twice. With a vocabulary, what is found for a name does not depend on the others.
        """
        ...


@runtime_checkable
class PictureKinds(Protocol):
    """Knows the kinds of pictures, and in which of them a name is looked for."""

    def fitting(self, pictures: Sequence[Image], names: Sequence[str]) -> tuple[str, ...]:
        """Return those of the names that can be in at least one of the pictures, in their order."""
        ...

    def why_not(self, pictures: Sequence[Image], names: Sequence[str], nouns: Sequence[str]) -> str:
        """Say why names that do not fit were not looked for, what the pictures seem to be, and what could be done.

        ``nouns`` are what the user said for the names.
        """
        ...


class WithinKind:
    """A detector that reads a noun of several names as the one that can be in the pictures: a "lesion" of the skin."""

    def __init__(self, detector: Detector, kinds: PictureKinds, pictures: Sequence[Image]) -> None:
        self._detector, self._kinds, self._pictures = detector, kinds, pictures

    def read(self, noun: str) -> Reading:
        """Read a noun, by the pictures where it means several names."""
        reading = self._detector.read(noun)
        if not (reading.ambiguous or (reading.name and reading.instead)):
            return reading
        names = (*filter(None, [reading.name]), *reading.instead)
        fitting = self._kinds.fitting(self._pictures, names)
        if len(fitting) != 1 or fitting[0] == reading.name:
            return reading
        similarity = reading.similarity if reading.name else 1.0
        return Reading(noun, fitting[0], similarity, whole=reading.whole)

    def vocabulary(self) -> tuple[str, ...]:
        """Return the names that the detector knows."""
        return self._detector.vocabulary()

    def detect(self, images: Sequence[Image], names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """Have the detector find them."""
        return self._detector.detect(images, names)


# -- reading ---------------------------------------------------------------------------------------------


Noun = tuple[str, ...]
WHERE = ("inside", "on")
"""Relations by which people say what all of a picture shows: "in the brain", "on the skin"."""
PATIENT = "patient"
"""Whose everything in a medical picture is."""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A request whose nouns a detector has read."""

    request: Request  # with the nouns that were read, and no other readings of its phrases
    names: Mapping[str, str]  # for each of these nouns the name that the detector is asked for
    unknown: tuple[Reading, ...]  # readings of the nouns that it does not know
    anything: tuple[str, ...]  # words of the phrases without a noun that may mean a thing of any kind
    notes: tuple[str, ...]  # what was read as something else, one sentence each

    def means(self, noun: str, label: str | None) -> bool:
        """Say whether a candidate's label is what a noun names: the ``match`` of the resolver."""
        return label is not None and self.names.get(noun) == label

    def nouns(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return what the user said for some of the names."""
        return tuple(noun for noun, name in self.names.items() if name in names)

    def name(self, noun: Noun) -> str | None:
        """Return what the detector is asked for by a noun that was read."""
        return self.names.get(" ".join(noun))


def read_request(request: Request, detector: Detector, *, rest: bool = False) -> ReadRequest:
    """Have a detector read every noun of a request: of what is asked for, left out, and told by.

    An adjective is part of the noun where the vocabulary holds exactly that ("black bear"), and no other name would
    be meant without it. A noun of which the detector knows only the end ("parked boat") is read as that, unless it
    says that it means something else (no name, similarity 0) or could mean several names; the words before are colours
    where they are colour terms, any other is not understood.
    A place that only names what all such pictures show plays no part: "in the brain" of a tumour, and what is "in the
    breast" is no tumour of a brain.
    With ``rest`` a relation to something that it does not know plays no part, which a note says.
    """
    reader = _Reader(detector, rest=rest)
    targets = tuple(reader.target(target) for target in request.targets)
    exclusions = tuple(reader.target(target, among=True) for target in request.exclusions)
    return ReadRequest(
        replace(request, targets=targets, exclusions=exclusions),
        reader.names,
        tuple(reader.unknown.values()),
        tuple(dict.fromkeys(reader.anything)),
        tuple(dict.fromkeys(reader.notes)),
    )


class _Reader:
    """Reads one request and keeps account."""

    def __init__(self, detector: Detector, *, rest: bool) -> None:
        self._detector = detector
        self._rest = rest
        self._closed = bool(detector.vocabulary())
        self.names: dict[str, str] = {}
        self.unknown: dict[str, Reading] = {}
        self.anything: list[str] = []
        self.notes: list[str] = []

    def target(self, target: Target, *, among: bool = False) -> Target:
        """Read a phrase and all that it is told by; ``among`` what other phrases name it needs no noun of its own."""
        target = self._anywhere(self._compound(self._whose(target)))
        relations = tuple(filter(None, map(self._relation, target.relations)))
        inner = None if target.of is None else self.target(target.of, among=among)
        target = replace(target, relations=relations, of=inner, compounds=(), guessed=False)
        if target.noun:
            return self._named(target)
        if inner is None and not among:
            self.anything.append(target.words)
        return target

    def _relation(self, relation: Relation) -> Relation | None:
        """Read what a relation is told by; None where that is not known and the rest is to choose alone."""
        known = dict(self.unknown)
        read = replace(relation, targets=tuple(map(self.target, relation.targets)))
        if not self._rest or self.unknown.keys() == known.keys():
            return read
        strange = " and ".join(f"'{said}'" for said in self.unknown if said not in known)
        self.notes.append(f"'{relation.words}' played no part: I do not know {strange}.")
        self.unknown = known
        return None

    def _compound(self, target: Target) -> Target:
        """Take an adjective into the noun where that is a name of its own."""
        if not self._closed:
            return target
        plain = self._read(target.noun).name if target.noun else None
        for other in target.compounds:
            reading = self._read(other.noun)
            if reading.similarity == 1 and reading.name not in (None, plain):
                return replace(other, relations=target.relations, of=target.of)
        return target

    def _whose(self, target: Target) -> Target:
        """Leave out of all readings of a noun what a thing is of, when that only names what all such pictures show."""
        if not (self._closed and target.noun):
            return target
        noun, unknown = target.noun, target.unknown
        if noun[0] == PATIENT:
            noun, unknown = noun[1:], (*unknown, PATIENT)
        if PATIENT in unknown and self._of_whole(target, noun, (PATIENT,)):
            unknown = tuple(word for word in unknown if word != PATIENT)
        if "of" in noun[1:]:
            at = noun.index("of")
            noun = self._of_whole(target, noun[:at], noun[at:]) or noun
        return replace(target, noun=noun, unknown=unknown, compounds=tuple(map(self._whose, target.compounds)))

    def _anywhere(self, target: Target) -> Target:
        """Leave out where a thing is, when that only names what all such pictures show."""
        if not (self._closed and target.noun):
            return target
        noun = target.noun
        kept: list[Relation] = []
        for relation in target.relations:
            where = relation.targets[0]
            places = [one.noun for one in (*where.compounds, where) if one.bare and not one.unknown]
            if relation.kind not in WHERE or len(relation.targets) > 1:
                places = []
            placed = next(filter(None, (self._of_whole(target, noun, place) for place in places)), None)
            noun, kept = placed or noun, kept if placed else [*kept, relation]
        return replace(target, noun=noun, relations=tuple(kept))

    def _of_whole(self, target: Target, noun: Noun, whole: Noun) -> Noun | None:
        """Return how to name a thing of what a picture shows as a whole; None where the whole tells more than that.

        A side is the picture's, but "the patient's lung on the left" may mean the patient's.
        """
        whole = tuple(word for word in whole if word != "of")
        sided = PATIENT in whole and (target.regions or any(order.sides for order in target.orders))
        if not (noun and whole) or sided:
            return None
        reading = self._read((*whole, *noun))
        if reading.name is None or reading.whole != " ".join(whole):
            return None
        return noun if self._read(noun).name == reading.name else (*whole, *noun)

    def _named(self, target: Target) -> Target:
        """Read the noun of a phrase."""
        noun, dropped, reading = self._best(target.noun)
        if reading.name is None:
            self.unknown[reading.said] = reading
            return target
        read = replace(coloured_noun(target, noun, dropped), noun=noun)
        self.names[" ".join(noun)] = reading.name
        lost = [word for word in dropped if word.replace("gray", "grey") not in read.colours]
        read = replace(read, unknown=(*read.unknown, *lost))
        if reading.note:
            self.notes.append(reading.note)
        if reading.similarity < 1:
            self.notes.append(f"'{reading.said}' was taken for any {reading.name}: no closer name is known.")
        return read

    def _best(self, noun: Noun) -> tuple[Noun, Sequence[str], Reading]:
        """Return the noun or the end of it that is known best, the longest of equals, and what was dropped of it."""
        whole = self._read(noun)
        if len(noun) == 1 or (whole.similarity > DESCRIBED if whole.name else whole.similarity == 0 or whole.ambiguous):
            return noun, (), whole
        options = [(shorter, dropped, self._read(shorter)) for shorter, dropped in shorter_nouns(noun)]
        known = [one for one in options if one[2].name is not None and whole.name in (None, one[2].name)]
        return max(known, key=lambda one: one[2].similarity, default=(noun, (), whole))

    def _read(self, noun: Noun) -> Reading:
        return self._detector.read(" ".join(noun))


# -- the words that go with what was chosen, or with nothing ---------------------------------------------


UNSURE = 0.5
"""Scores below this are told."""
MAX_LISTED = 40
"""Of a vocabulary with more names than this the first ones are listed."""
ANY_NOUN = (
    "Any noun is taken by --recipe grounded-sam, in Python fiducial.load('grounded-sam'): it needs pip install "
    "'fiducial[models]' and loads 0.9 GB when first used (Grounding DINO tiny and SAM 2.1 small, both Apache-2.0)."
)
"""What to do about a noun that a closed vocabulary does not have."""
_BY_BOX = ("area", "length", "roundness", "width", "height")


def found_text(resolution: Resolution, candidates: Sequence[Candidate], frame: Frame, notes: Sequence[str] = ()) -> str:
    """Say what was chosen among candidates, why, where it lies, and what is doubtful about it."""
    chosen = [candidates[index].prompt for index in resolution.chosen]
    boxes: list[Box] = [prompt.box for prompt in chosen if prompt.box is not None]
    decided = [measure for one in resolution.picks for part in one.target.walk() for measure in _measures(part)]
    by_box = [measure for measure in decided if measure in _BY_BOX]
    if all(candidates[index].area is not None for index in resolution.chosen):
        by_box = [measure for measure in by_box if measure != "area"]
    parts = [
        *notes,
        resolution.text,
        *(words for one in resolution.picks if (words := left_open(one))),
        where(boxes, frame),
        unsure([prompt.score or 0.0 for prompt in chosen]),
        "Sizes and shapes are those of boxes." if chosen and by_box else "",
    ]
    if resolution.outcome is Outcome.FAILED:
        return " ".join(filter(None, [*notes, resolution.text]))
    if resolution.unknown:
        parts.append(f"Not understood: {'; '.join(resolution.unknown)}.")
    if resolution.unmet:
        parts.append(f"Note: {'; '.join(resolution.unmet)}.")
    return " ".join(filter(None, parts))


def left_open(one: Pick) -> str:
    """Say that a phrase fits more things than it asks for: what the detector is most certain of was taken."""
    target, many, there = one.target, len(one.chosen), len(one.fits)
    by_number = target.quantifier in (Quantifier.THE, Quantifier.COUNT)
    is_ranked = one.orders or target.step or target.share is not None
    if is_ranked or not by_number or not 0 < many < there:
        return ""
    taken = "the most certain one was taken" if many == 1 else f"the {many} most certain were taken"
    return (
        f"Which of the {there} is left open: {taken}; say the leftmost, the largest, those in the upper half, or all."
    )


def unsure(scores: Sequence[float]) -> str:
    """Tell scores that are low; nothing where none is.

    Example:
        >>> unsure([0.9, 0.35]), unsure([0.9])
        ('Not sure of 1 of the 2: 0.35.', '')
    """
    low = sorted(score for score in scores if score < UNSURE)
    if not low:
        return ""
    least, most = f"{low[0]:.2f}", f"{low[-1]:.2f}"
    span = least if least == most else f"{least} to {most}"
    return f"Not sure: {span}." if len(scores) == 1 else f"Not sure of {len(low)} of the {len(scores)}: {span}."


def unknown_text(readings: Sequence[Reading], vocabulary: Sequence[str], *, regions: bool = False) -> str:
    """Say which nouns are not known and what to say instead; with ``regions`` things without a name count too."""
    parts = [f"'{one.said}' can mean {_listing(one.instead)}: say which." for one in readings if one.ambiguous]
    strange = [one for one in readings if not one.ambiguous]
    if strange:
        parts.append(f"I do not know {_listing([repr(one.said) for one in strange])}, so nothing was looked for.")
    parts += [f"Instead of '{one.said}' try {_listing(one.instead)}." for one in strange if one.instead]
    if strange and vocabulary:
        more = len(vocabulary) - MAX_LISTED
        rest = f" and {more} more" if more > 0 else ""
        parts.append(f"Known are {', '.join(vocabulary[:MAX_LISTED])}{rest}.")
    if strange and regions:
        parts.append("Say 'region' for whatever stands out by its colour or texture.")
    if strange and vocabulary:
        parts.append(ANY_NOUN)
    return " ".join(parts)


def no_noun_text(phrases: Sequence[str], vocabulary: Sequence[str]) -> str:
    """Say what phrases without a noun were taken to mean; a detector of any noun cannot do without one."""
    said = " and ".join(f"'{words}'" for words in phrases if words)
    if not vocabulary:
        return f"{said or 'The instruction'} names no kind of thing: say one, such as 'the largest ship'."
    return f"{said or 'A phrase without a noun'} was taken for any of the {len(vocabulary)} kinds of things known."


def _measures(target: Target) -> Iterator[str]:
    yield from (order.measure for order in target.orders)
    yield from (trait.order.measure for trait in target.traits)
    yield from ("area" for relation in target.relations if relation.kind in ("larger", "smaller"))


def _listing(words: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
