"""Reading: what a detector takes the nouns of a request to mean, and which of them it does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fiducial.language.phrases import Request, Target
from fiducial.language.phrases.choosing import coloured_noun, shorter_nouns
from fiducial.prompters.detector.contract import Detector, Reading

Noun = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A request whose nouns a detector has read.

    Args:
        request: the request with the nouns that were read, and no other readings of its phrases.
        names: for each of these nouns the name that the detector is asked for.
        unknown: readings of the nouns that it does not know.
        anything: words of the phrases without a noun that may mean a thing of any kind.
        notes: what was read as something else, one sentence each.
    """

    request: Request
    names: Mapping[str, str]
    unknown: tuple[Reading, ...]
    anything: tuple[str, ...]
    notes: tuple[str, ...]

    def means(self, noun: str, label: str | None) -> bool:
        """Say whether a candidate's label is what a noun names: the ``match`` of the resolver."""
        return label is not None and self.names.get(noun) == label


def read_request(request: Request, detector: Detector) -> ReadRequest:
    """Have a detector read every noun of a request: of what is asked for, left out, and told by.

    An adjective is part of the noun where the vocabulary holds exactly that ("black bear"), and no other name would
    be meant without it. Words in front of a noun that the detector does without are colours where they are colour
    terms; any other is named in a note. A noun of which the detector knows only the end ("fishing boat") is read as
    that, unless it says that it means something else (no name, likeness 0) or could mean several names.

    Args:
        request: as parsed.
        detector: what reads.
    """
    reader = _Reader(detector)
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
    """Reads one request and keeps account.

    Args:
        detector: what knows nouns.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._closed = bool(detector.vocabulary())
        self.names: dict[str, str] = {}
        self.unknown: dict[str, Reading] = {}
        self.anything: list[str] = []
        self.notes: list[str] = []

    def target(self, target: Target, *, among: bool = False) -> Target:
        """Read a phrase and all that it is told by.

        Args:
            target: the phrase.
            among: it chooses among what other phrases name, so that it needs no noun of its own.
        """
        target = self._compound(target)
        relations = tuple(
            replace(relation, targets=tuple(map(self.target, relation.targets))) for relation in target.relations
        )
        inner = None if target.of is None else self.target(target.of, among=among)
        target = replace(target, relations=relations, of=inner, compounds=())
        if target.noun:
            return self._named(target)
        if inner is None and not among:
            self.anything.append(target.words)
        return target

    def _compound(self, target: Target) -> Target:
        """Take an adjective into the noun where that is a name of its own."""
        if not self._closed:
            return target
        plain = self._read(target.noun).name if target.noun else None
        for other in target.compounds:
            reading = self._read(other.noun)
            if reading.likeness == 1 and reading.name not in (None, plain):
                return replace(other, relations=target.relations, of=target.of)
        return target

    def _named(self, target: Target) -> Target:
        """Read the noun of a phrase."""
        noun, dropped, reading = self._best(target.noun)
        if reading.name is None:
            self.unknown[reading.said] = reading
            return target
        read = replace(coloured_noun(target, noun, dropped), noun=noun)
        self.names[" ".join(noun)] = reading.name
        self._note(target.noun, [word for word in dropped if _grey(word) not in read.colours], reading)
        return read

    def _best(self, noun: Noun) -> tuple[Noun, Sequence[str], Reading]:
        """Return the noun or the end of it that is known best, the longest of equals, and what was dropped of it."""
        whole = self._read(noun)
        if _is_certain(whole) or len(noun) == 1:
            return noun, (), whole
        options = [(shorter, dropped, self._read(shorter)) for shorter, dropped in shorter_nouns(noun)]
        known = [one for one in options if one[2].name is not None and whole.name in (None, one[2].name)]
        return max(known, key=lambda one: one[2].likeness, default=(noun, (), whole))

    def _note(self, said: Noun, dropped: Sequence[str], reading: Reading) -> None:
        if dropped:
            self.notes.append(f"'{' '.join(said)}' was read as '{reading.said}': '{' '.join(dropped)}' played no part.")
        if reading.likeness < 1:
            self.notes.append(f"'{reading.said}' was taken for any {reading.name}: no closer name is known.")

    def _read(self, noun: Noun) -> Reading:
        return self._detector.read(" ".join(noun))


def is_ambiguous(reading: Reading) -> bool:
    """Say whether a noun is known, but as several names."""
    return reading.name is None and reading.likeness == 1 and len(reading.instead) > 1


def _is_certain(reading: Reading) -> bool:
    """Say whether nothing is gained by looking at a part of the noun."""
    if reading.name is not None:
        return reading.likeness == 1
    return reading.likeness == 0 or is_ambiguous(reading)


def _grey(word: str) -> str:
    return word.replace("gray", "grey")
