"""The vocabulary of the embedded grounder: its names, other words for them, and how a noun is read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from fiducial.errors import InputError, UnknownNameError
from fiducial.files import read_yaml
from fiducial.language.phrases.nouns import in_number, stem, words_of
from fiducial.prompters.detector.reading import Reading
from fiducial.prompters.grounder.words import Neighbours, is_one_typo, word_table

NARROWER = 0.9
"""Similarity of a word for some of the things only: "truck" is read as vehicle."""
DESCRIBED = 0.8
"""Similarity of a known noun with words before it that play no part: "fishing boat" is read as ship."""
WORTH_SAYING = 0.5
"""Names whose words are less like a noun than this are not worth suggesting."""
BEHIND = 0.15
"""Nor are those that are so much less like it than the first."""
MAX_SIMILARITY = 0.99
"""Similarity of a noun that is not listed, at most: 1 is for what is."""
MAX_INSTEAD = 3
"""Names that are suggested at most."""
MIN_LETTERS = 5
"""Shorter words are not taken for slips of the finger: too many words are one letter apart."""
MIN_START = 3
"""Letters at least of a word that makes one word with an ending."""
_AMERICAN = (("tumour", "tumor"), ("harbour", "harbor"), ("aeroplane", "airplane"), ("disk", "disc"))
"""Two spellings of one word, brought to one of them on both sides."""
_DOMAINS = {
    "aerial": "in aerial pictures",
    "brain": "in brain scans",
    "fundus": "in pictures of the retina",
    "shapes": "in drawings",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One name of the vocabulary."""

    name: str  # as people say it, singular
    domain: str  # the kind of picture it is looked for in: aerial, brain, fundus, shapes
    labels: tuple[str, ...] = ()  # what datasets call it, the name among them
    phrases: tuple[str, ...] = ()  # words for the same thing, the name first: for training and for reading
    also: tuple[str, ...] = ()  # still other words for it, for reading only
    narrower: tuple[str, ...] = ()  # words for some of the things, read as all of them; for reading only
    endings: tuple[str, ...] = ()  # ends of words written as one, such as "boat"; for reading only
    unlike: tuple[str, ...] = ()  # words that end like a phrase and mean something else
    unseen: tuple[str, ...] = ()  # words kept from training and reading, to measure with

    @property
    def listed(self) -> tuple[str, ...]:
        """All words that are read as the name: ``phrases``, ``also`` and ``narrower``."""
        return (*self.phrases, *self.also, *self.narrower)


@dataclass(frozen=True)
class Vocabulary:
    """The names that the grounder was trained with.

    Args:
        entries: one per name.

    Raises:
        InputError: no entry, or two of one name.
    """

    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        if not self.entries or len(set(self.names)) < len(self.entries):
            raise InputError("a vocabulary needs at least one entry, and each name once")

    @classmethod
    def read(cls, path: str | Path | None = None) -> Vocabulary:
        """Read the vocabulary that comes with the package, or another one.

        Args:
            path: a YAML file with a list ``entries``; None for the package's own.

        Raises:
            InputError: the file cannot be read, or an entry lacks name or domain.
        """
        where = str(path or "vocabulary.yaml")
        found = read_yaml(Path(path) if path else files(__package__).joinpath("vocabulary.yaml"))
        if not isinstance(found, dict) or not isinstance(found.get("entries"), list):
            raise InputError(f"{where}: a vocabulary needs a list 'entries'")
        return cls(tuple(_entry(one, f"{where}, entry {k}") for k, one in enumerate(found["entries"], start=1)))

    # -- what there is -----------------------------------------------------------------------------

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

    def of_label(self, label: str) -> Entry | None:
        """Return the entry that a dataset's label stands for, or None; case and marks do not matter."""
        wanted = _key(words_of(label))
        return next((one for one in self.entries if wanted in {_key(words_of(known)) for known in one.labels}), None)

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
        return Vocabulary(tuple(known.get(name) or Entry(name, domain, (name,), (name,)) for name, domain in names))

    def describe(self) -> str:
        """Return all that can be said as Markdown: for each kind of picture its names with the other words for them."""
        lines = []
        for domain in self.domains:
            lines.append(f"{_capital(_DOMAINS.get(domain, domain))}:\n")
            for entry in self.entries:
                if entry.domain == domain:
                    others = [word for word in entry.listed if word != entry.name]
                    lines.append(f"- **{entry.name}**{': ' if others else ''}{', '.join(others)}")
            lines.append("")
        return "\n".join(lines)

    # -- reading -----------------------------------------------------------------------------------

    def look_up(self, noun: str) -> Reading:
        """Say what a noun is taken to mean.

        A listed phrase reads as its name (similarity 1), a narrower word as the whole kind (0.9), and a noun that ends
        in one of these as it, without the words before (0.8). A listed phrase of two names is not guessed, nor is
        any other noun: the reading then has no name and says what could have been meant, the closest first, by
        spelling and by the similarity of words. The likest name is not taken, however like: the card of ``nano-words``
        says how often that would be wrong.

        Args:
            noun: words without article, singular or plural.

        Example:
            >>> vocabulary = Vocabulary.read()
            >>> vocabulary.look_up("Aeroplanes").name, vocabulary.look_up("trucks").name
            ('airplane', 'vehicle')
            >>> vocabulary.look_up("court")
            Reading(said='court', name=None, similarity=1.0, instead=('tennis court', 'basketball court'))
        """
        words = words_of(noun)
        for dropped in range(len(words)):
            found = self._listed.get(_key(words[dropped:]))
            if found is not None:
                return found.reading(noun, described=dropped > 0)
        ended = self._ended(words)
        if ended is None:
            return self._nearest(noun, words)
        return Reading(noun, ended, DESCRIBED if len(words) > 1 else NARROWER)

    @cached_property
    def _listed(self) -> dict[str, _Listed]:
        listed: dict[str, _Listed] = {}
        for entry in self.entries:
            for phrases, similarity in _similarities(entry):
                for phrase in phrases:
                    words = words_of(phrase)
                    # the plural too: its rule does not find back "annulus"
                    for key in {_key(words), _key(tuple(in_number(words, 2).split()))}:
                        listed[key] = listed.get(key, _Listed()).also(entry.name, similarity)
        return listed

    @cached_property
    def _neighbours(self) -> Neighbours:
        pairs = [(phrase, one.name) for one in self.entries for phrase in one.listed]
        return Neighbours.of(pairs)

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


@dataclass(frozen=True, slots=True)
class _Listed:
    """What a listed phrase means: names with a similarity; of similarity 0 when it is known to mean something else."""

    names: tuple[tuple[str, float], ...] = ()

    def also(self, name: str, similarity: float) -> _Listed:
        return self if name in dict(self.names) else _Listed((*self.names, (name, similarity)))

    def reading(self, noun: str, *, described: bool) -> Reading:
        meant = [(name, similarity) for name, similarity in self.names if similarity > 0]
        if not meant:  # "paper plane": nothing to suggest, for its similarity to a plane is in the word alone
            return Reading(noun, None, 0.0)
        if len(meant) > 1:
            return Reading(noun, None, 1.0, tuple(name for name, _ in meant))
        name, similarity = meant[0]
        return Reading(noun, name, min(similarity, DESCRIBED) if described else similarity)


def _entry(found: Any, where: str) -> Entry:
    """Read one entry of the file."""
    known = {field.name for field in fields(Entry)}
    if not isinstance(found, dict) or not {"name", "domain"} <= set(found):
        raise InputError(f"{where}: needs at least name and domain")
    for key in found:
        if key not in known:
            raise UnknownNameError(f"key in {where}:", str(key), known)
    lists = {key: _strings(value, f"{where}, {key}") for key, value in found.items() if key not in ("name", "domain")}
    entry = Entry(str(found["name"]), str(found["domain"]), **lists)
    labels, phrases = (tuple(dict.fromkeys((entry.name, *given))) for given in (entry.labels, entry.phrases))
    return replace(entry, labels=labels, phrases=phrases)


def _similarities(entry: Entry) -> tuple[tuple[tuple[str, ...], float], ...]:
    return (entry.phrases, 1.0), (entry.also, 1.0), (entry.narrower, NARROWER), (entry.unlike, 0.0)


def _strings(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InputError(f"{where}: needs a list of texts, got {value!r}")
    return tuple(value)


def _key(words: tuple[str, ...]) -> str:
    """Return words in one spelling, their head in the singular, written as one."""
    joined = "".join(stem(words))
    for british, american in _AMERICAN:
        joined = joined.replace(british, american)
    return joined


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
