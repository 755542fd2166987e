"""The vocabulary of the embedded grounder: its names, other words for them, and how a noun is read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from itertools import takewhile
from typing import Any

from fiducial.errors import UnknownNameError
from fiducial.files import read_yaml
from fiducial.language.phrases.nouns import in_number, singular, stem, words_of
from fiducial.prompters.detector.reading import DESCRIBED, Reading
from fiducial.prompters.grounder.words import Neighbours, is_one_typo, word_table
from fiducial.prompters.kinds.words import KINDS, within

NARROWER = 0.9
"""Similarity of a word for some of the things only: "truck" and "police car" are read as vehicle."""
WORTH_SAYING = 0.5
"""Names whose words are less like a noun than this are not worth suggesting."""
BEHIND = 0.15
"""Nor are those that are so much less like it than the first."""
MAX_SIMILARITY = 0.99
"""Similarity of a noun that is not listed, at most: 1 is for what is."""
MAX_INSTEAD = 3
"""Names that are suggested at most."""
EXTENT = frozenset({"region", "area"})
"""Words after a name that add nothing where pictures show one whole: "the tumour area"."""
MIN_LETTERS = 5
"""Shorter words are not taken for slips of the finger: too many words are one letter apart."""
MIN_START = 3
"""Letters at least of a word that makes one word with an ending."""
_AMERICAN = (("tumour", "tumor"), ("harbour", "harbor"), ("aeroplane", "airplane"), ("disk", "disc"))
"""Two spellings of one word, brought to one of them on both sides."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name of the vocabulary."""

    name: str  # as people say it, singular
    domain: str  # the kind of picture it is looked for in, a name of prompters/kinds/words.py
    phrases: tuple[str, ...] = ()  # words for the same thing, the name first: for training and for reading
    also: tuple[str, ...] = ()  # still other words for it, for reading only
    within: tuple[str, ...] = ()  # words for it in pictures of its kind, phrases of another entry
    narrower: tuple[str, ...] = ()  # words for some of the things, read as all of them; for reading only
    kinds: tuple[str, ...] = ()  # words that before one of these name some of the things too; for reading only
    endings: tuple[str, ...] = ()  # ends of words written as one, such as "boat"; for reading only
    unlike: tuple[str, ...] = ()  # words that end like a phrase and mean something else
    unseen: tuple[str, ...] = ()  # words kept from training and reading, to measure with
    note: str = ""  # what is said with every answer about it, one sentence
    least: int = 0  # smaller ones are hardly found: root of a box's area, in pixels of what is looked at; 0: not known
    hidden: str = ""  # which others are hardly found

    @property
    def listed(self) -> tuple[str, ...]:
        """All words that are read as the name: ``phrases``, ``also`` and ``narrower``."""
        return (*self.phrases, *self.also, *self.narrower)


@dataclass(frozen=True)
class Vocabulary:
    """The names that the grounder was trained with, one entry each."""

    entries: tuple[Entry, ...]

    @classmethod
    def read(cls) -> Vocabulary:
        """Read the vocabulary that comes with the package."""
        found = read_yaml(files(__package__).joinpath("vocabulary.yaml"), own=True)
        fields: list[dict[str, Any]] = [
            {key: tuple(value) if isinstance(value, list) else value for key, value in one.items()} for one in found
        ]
        entries = (Entry(**one) for one in fields)
        return cls(tuple(replace(one, phrases=tuple(dict.fromkeys((one.name, *one.phrases)))) for one in entries))

    @property
    def names(self) -> tuple[str, ...]:
        """The names, singular."""
        return tuple(entry.name for entry in self.entries)

    @property
    def domains(self) -> tuple[str, ...]:
        """The kinds of pictures, in the order of the entries."""
        return tuple(dict.fromkeys(entry.domain for entry in self.entries))

    def entry(self, name: str) -> Entry:
        """Return the entry of a name.

        Raises:
            UnknownNameError: there is none.
        """
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise UnknownNameError("name of the vocabulary", name, self.names)

    def only(self, names: Iterable[str]) -> Vocabulary:
        """Return the vocabulary with some of its names, in its own order.

        Raises:
            UnknownNameError: there is no such name.
        """
        wanted = {self.entry(name).name for name in names}
        return Vocabulary(tuple(entry for entry in self.entries if entry.name in wanted))

    def covering(self, names: Iterable[tuple[str, str]]) -> Vocabulary:
        """Return the vocabulary of weights that were taught some names, each given with its domain.

        Names that are not in this vocabulary are their own only words.
        """
        known = {entry.name: entry for entry in self.entries}
        return Vocabulary(tuple(known.get(name) or Entry(name, domain, (name,)) for name, domain in names))

    def describe(self) -> str:
        """Return all that can be said as Markdown: for each kind of picture its names with the other words for them."""
        lines = []
        for domain in self.domains:
            where = within(domain)
            lines.append(f"{where[:1].upper()}{where[1:]}:\n")
            for entry in self.entries:
                if entry.domain == domain:
                    others = [word for word in entry.listed if word != entry.name]
                    lines.append(f"- **{entry.name}**{': ' if others else ''}{', '.join(others)}")
            lines.append("")
        return "\n".join(lines)

    def look_up(self, noun: str) -> Reading:
        """Say what a noun is taken to mean.

        A listed phrase reads as its name (similarity 1), a narrower word as the whole kind (0.9), and a noun that ends
        in one of these as it: at 0.9 where the words before say which kind ("police car"), else at ``DESCRIBED``, for
        they are not understood. Words before that only name what all pictures of the name's kind show ("skin mole")
        change nothing, and choose among names of which each is for its own kind. A listed phrase of two names is not
        guessed, nor is any other noun: the reading then has no name and says what could have been meant, the closest
        first, by spelling and by the similarity of words. The likest name is not taken, however like: the card of
        ``nano-words`` says how often that would be wrong.

        Example:
            >>> vocabulary = Vocabulary.read()
            >>> vocabulary.look_up("Aeroplanes").name, vocabulary.look_up("trucks").name
            ('airplane', 'vehicle')
            >>> vocabulary.look_up("court").instead
            ('tennis court', 'basketball court')
        """
        words = words_of(noun)
        if len(words) > 1 and singular(words[-1]) in EXTENT:
            part = self.look_up(" ".join(words[:-1]))
            if part.name and part.similarity >= NARROWER and self._whole(part.name):
                return replace(part, said=noun)
        for dropped in range(len(words)):
            key = _key(words[dropped:])
            found = self._listed.get(key)
            if found is None:
                continue
            meant = [(name, similarity) for name, similarity in found.items() if similarity > 0]
            others = tuple(one.name for one in self.entries if key in map(_key, map(words_of, one.within)))
            if dropped and meant:
                placed = self._placed(words[:dropped], [*meant, *((one, meant[0][1]) for one in others)])
                if placed:
                    (name, similarity), *more = placed
                    whole = f"{' '.join(words[:dropped])} {self._beginning(name, words[dropped:])}".strip()
                    return Reading(noun, name, similarity, tuple(one for one, _ in more), self.entry(name).note, whole)
            if not meant:  # "paper plane": nothing to suggest, for its similarity to a plane is in the word alone
                return Reading(noun, None, 0.0)
            if len(meant) > 1:
                return Reading(noun, None, 1.0, tuple(name for name, _ in meant))
            name, similarity = meant[0]
            kinds = self.entry(name).kinds
            is_kind = " ".join(words[:dropped]) in kinds or all(word in kinds for word in words[:dropped])
            likeness = min(similarity, NARROWER if is_kind else DESCRIBED) if dropped else similarity
            return Reading(noun, name, likeness, others, self.entry(name).note, self._beginning(name, words))
        ended = self._ended(words)
        if ended is None:
            return self._nearest(noun, words)
        return Reading(noun, ended, DESCRIBED if len(words) > 1 else NARROWER)

    def _whole(self, name: str) -> frozenset[str]:
        """Return the words for what all pictures of a name's kind show."""
        kind = KINDS.get(self.entry(name).domain)
        return kind.whole if kind else frozenset()

    def _placed(self, words: tuple[str, ...], names: list[tuple[str, float]]) -> list[tuple[str, float]]:
        """Return those of the names for which words before them only name what their pictures show."""
        return [(name, similarity) for name, similarity in names if self._whole(name).issuperset(words)]

    def _beginning(self, name: str, words: tuple[str, ...]) -> str:
        """Return what a listed phrase begins with that only names what its pictures show."""
        return " ".join(takewhile(self._whole(name).__contains__, words[:-1]))

    @cached_property
    def _listed(self) -> dict[str, dict[str, float]]:
        """For each listed phrase its names with a similarity, of 0 when it is known to mean something else."""
        listed: dict[str, dict[str, float]] = {}
        for entry in self.entries:
            similarities = (entry.phrases, 1.0), (entry.also, 1.0), (entry.narrower, NARROWER), (entry.unlike, 0.0)
            for words, similarity in ((words_of(one), similarity) for some, similarity in similarities for one in some):
                # the plural too: its rule does not find back "annulus"
                for key in {_key(words), _key(tuple(in_number(words, 2).split()))}:
                    listed.setdefault(key, {}).setdefault(entry.name, similarity)
        return listed

    @cached_property
    def _neighbours(self) -> Neighbours:
        return Neighbours.of([(phrase, one.name) for one in self.entries for phrase in one.listed])

    def _ended(self, words: tuple[str, ...]) -> str | None:
        """Return the name of a word written as one whose beginning is a word as well: "speedboats", not "cambridge"."""
        last = stem(words)[-1] if words else ""
        for entry in self.entries:
            for ending in entry.endings:
                start = last.removesuffix(ending)
                if start != last and len(start) >= MIN_START and word_table().knows(start):
                    return entry.name
        return None

    def _nearest(self, noun: str, words: tuple[str, ...]) -> Reading:
        """Read a noun that is not listed: without a name, but with names that could have been meant."""
        if not words:
            return Reading(noun, None, 0.0)
        meant = self._misspelt(words)
        near = self._neighbours.near(" ".join(stem(words)))
        best = near[0][1]
        likely = [name for name, similarity in near if similarity >= max(WORTH_SAYING, best - BEHIND)]
        instead = tuple(dict.fromkeys((*meant, *likely)))[:MAX_INSTEAD]
        return Reading(noun, None, min(max(0.0, best), MAX_SIMILARITY), instead)

    def _misspelt(self, words: tuple[str, ...]) -> list[str]:
        """Return the names of listed phrases that are one slip of the finger away from a noun's last words."""
        if len(words[-1]) < MIN_LETTERS or word_table().knows(words[-1]):
            return []
        singular = stem(words)
        ends = ["".join(singular[start:]) for start in range(len(words))]
        return [name for phrase, name in self._spellings for end in ends if is_one_typo(end, phrase)]

    @cached_property
    def _spellings(self) -> list[tuple[str, str]]:
        listed = [(words_of(phrase), one.name) for one in self.entries for phrase in one.listed]
        return [(joined, name) for words, name in listed if len(joined := "".join(words)) >= MIN_LETTERS]


def _key(words: tuple[str, ...]) -> str:
    """Return words in one spelling, their head in the singular, written as one."""
    joined = "".join(stem(words))
    for british, american in _AMERICAN:
        joined = joined.replace(british, american)
    return joined
