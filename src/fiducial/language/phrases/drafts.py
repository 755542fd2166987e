"""Drafts: one noun phrase while it is being read, before it is known what it asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fiducial.language.phrases import lexicon
from fiducial.language.phrases.bounds import Bound
from fiducial.language.phrases.nouns import head_index, is_plural, singular
from fiducial.language.phrases.request import Group, Line, Region

if TYPE_CHECKING:
    from lark import Token

MAX_NOUN_WORDS = 8
"""Longest name of a thing; words before it are not understood."""
_NAMING = ("WORD", "PRONOUN")


@dataclass
class DraftRelation:
    """A relation whose references are drafts still."""

    kind: str
    drafts: list[Draft]
    words: str
    order: str = ""
    bound: Bound | None = None


@dataclass
class Draft:
    """One noun phrase: its tokens by their place around the noun, and what was attached to it."""

    before: list[Token]
    noun: list[str]
    pronoun: str = ""  # "one", "things", "everything": a noun that says nothing
    after: list[Token] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    relations: list[DraftRelation] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    bounds: list[Bound] = field(default_factory=list)
    group: Group | None = None
    of: Draft | None = None
    unknown: list[str] = field(default_factory=list)
    counted_from: tuple[str, ...] = ()
    toward: list[tuple[tuple[str, ...], bool]] = field(default_factory=list)
    shares_noun: bool = False
    guessed: bool = False
    words: str = ""

    @classmethod
    def of_tokens(cls, tokens: Iterable[Token]) -> Draft:
        """Find the noun among the tokens of a phrase: the last run of words that name something."""
        items = [token for token in tokens if str(token)]
        end = next((i + 1 for i in range(len(items) - 1, -1, -1) if items[i].type in _NAMING), 0)
        start = end
        while start > 0 and items[start - 1].type in _NAMING:
            start -= 1
        named, before, after = items[start:end], items[:start], items[end:]
        # "the orange", "the square": adjectives that are things too
        if not named and after and after[-1].type in ("COLOUR", "PLAIN") and after[-1] in ("orange", "square", "oval"):
            named, before, after = [after[-1]], after[:-1], []
        elif not named:
            before, after = after, []
        draft = cls(before, [], after=after, words=" ".join(items))
        draft._name(named)
        # what nothing here can check: further adjectives, and words before them
        draft.unknown += [str(token) for token in draft.all_of("PLAIN", "WORD", "PRONOUN")]
        draft.before = [token for token in before if token.type not in _NAMING]
        return draft

    def _name(self, named: list[Token]) -> None:
        said = [part for token in named if token.type != "PRONOUN" for part in str(token).split()]
        pronouns = [str(token) for token in named if token.type == "PRONOUN"]
        if said and pronouns and named[-1].type == "PRONOUN" and pronouns[-1] not in ("one", "ones"):
            said.append(pronouns[-1])  # "shaded area": a name after all
        elif not said and pronouns:
            self.pronoun = pronouns[-1]
        if len(said) > 1 and said[0] in ("side", "hand") and self.before and self.before[-1].type == "SIDE":
            said = said[1:]  # "the left side cow"
        self.noun = said[-MAX_NOUN_WORDS:]
        self.unknown += said[:-MAX_NOUN_WORDS]

    def all_of(self, *kinds: str) -> list[Token]:
        """Return the tokens of these types, in order."""
        return [token for token in (*self.before, *self.after) if token.type in kinds]

    @property
    def plural(self) -> bool:
        """Whether more than one thing is named."""
        if self.pronoun == "one":  # "the red ships and the blue one"
            return False
        if self.noun:
            return is_plural(self.noun[head_index(tuple(self.noun))])
        return self.pronoun in ("ones", "them", "everything", "anything") or self.pronoun.endswith("s")

    @property
    def line_kind(self) -> str:
        """The kind of line that the noun names ("row", "column"), or nothing."""
        kind = singular(self.noun[0]) if self.noun else ""
        return kind if kind in lexicon.LINES and (len(self.noun) == 1 or self.noun[1:][0].isdigit()) else ""

    @property
    def group_kind(self) -> str:
        """The noun when it names things that stand together ("group", "pair"), in the singular, or nothing."""
        name = singular(self.noun[0]) if len(self.noun) == 1 else ""
        return name if name in lexicon.GROUPS else ""

    @property
    def place_word(self) -> str:
        """The noun when it names a part of the image ("corner", "half"), or nothing."""
        last = self.noun[-1] if len(self.noun) == 1 else self.pronoun
        return last if last in lexicon.PLACE_NOUNS else ""

    @property
    def is_place(self) -> bool:
        """Whether the phrase is a part of the image: "the top right", "the upper left corner"."""
        named = bool(self.noun or self.pronoun)
        if named and not self.place_word:
            return False
        if self.all_of("COLOUR", "TRAIT", "COUNT", "ORDINAL", "CLOSEST"):
            return False
        return bool(self.sides) or self.place_word in lexicon.EDGES | lexicon.CORNERS

    @property
    def positions(self) -> list[list[Token]]:
        """The words of direction before the noun and after it, in runs; "and" begins a new run."""
        runs: list[list[Token]] = [[]]
        for token in self.all_of("SIDE", "SUPERLATIVE", "JOIN"):
            if token.type == "JOIN":
                runs.append([])
            elif token.type == "SIDE" or lexicon.superlative(str(token)).measure == "place":
                runs[-1].append(token)
        return [run for run in runs if run]

    @property
    def sides(self) -> tuple[str, ...]:
        """The sides named in the first run of words of direction."""
        runs = self.positions
        return sides_in(runs[0]) if runs else ()

    def region(self, words: str) -> Region:
        """Return the part of the image that a place phrase names; ``words`` are as said, with the preposition."""
        share = 1 / 2 if self.place_word in lexicon.HALVES else 1 / 3
        extra: tuple[str, ...] = ("edge",) if self.place_word in lexicon.EDGES else ()
        if extra and words.partition(" ")[0] in lexicon.NEAR_EDGES:
            share = 1 / 6
        places = tuple(sides_in(run) + extra for run in self.positions) or (extra,)
        if self.place_word in lexicon.CORNERS:
            places = tuple(place if len(place) > 1 else (*place, "corner") for place in places)
        return Region(tuple(place for place in places if place), share, words)

    def hoist(self, child: Draft) -> None:
        """Take over what was attached to a place phrase: in "on the left near the pier" the pier is mine."""
        self.regions += child.regions
        self.relations += child.relations
        self.lines += child.lines
        self.bounds += child.bounds
        self.group = self.group or child.group
        self.unknown += child.unknown


def sides_in(run: list[Token]) -> tuple[str, ...]:
    """Return the sides that a run of words of direction names together, each once."""
    named = (
        lexicon.sides_of(str(token)) if token.type == "SIDE" else lexicon.superlative(str(token)).sides for token in run
    )
    return tuple(dict.fromkeys(side for sides in named for side in sides))


def line_of(draft: Draft) -> Line | None:
    """Return which line a phrase such as "the second row" names, or None where it does not say which."""
    kind = draft.line_kind
    if draft.all_of("COLOUR", "TRAIT", "CLOSEST", "FRACTION"):
        return None
    rank, step = _rank(draft, kind)
    if rank is None:
        return None
    counts = draft.all_of("COUNT")
    plural = draft.noun[0] != kind and not step
    count = lexicon.number_of(str(counts[0])) if counts else 0 if plural else 1
    return Line(kind, rank, draft.words, count, step)


def _rank(draft: Draft, kind: str) -> tuple[int | None, int]:
    """Return where the line is, and the step of "every other row"."""
    side = _side(draft, kind)
    if side == "centre":
        return (None if draft.all_of("ORDINAL", "STRIDE", "COUNT") else 0), 0
    if side == "none":
        return None, 0
    sign = -1 if side == lexicon.LINES[kind][1] else 1
    strides = draft.all_of("STRIDE")
    if strides:
        first, step = stride_of(str(strides[0]))
        return sign * first, step
    ordinals = draft.all_of("ORDINAL")
    if ordinals:
        return sign * lexicon.ordinal_of(str(ordinals[0])), 0
    if len(draft.noun) > 1:
        return max(1, int(draft.noun[1])), 0
    return (sign if side else None), 0


def _side(draft: Draft, kind: str) -> str:
    """Return the side from which lines are counted, "centre", nothing, or "none" for a side that lines do not have."""
    groups = [draft.sides, draft.counted_from, *(sides for sides, closest in draft.toward if closest)]
    sides = {side for group in groups for side in group}
    known = {*lexicon.LINES[kind], "centre"}
    unplaced = any(lexicon.superlative(str(token)).measure != "place" for token in draft.all_of("SUPERLATIVE"))
    if len(sides) > 1 or not sides <= known or unplaced or any(not closest for _, closest in draft.toward):
        return "none"
    return next(iter(sides), "")


def stride_of(words: str) -> tuple[int, int]:
    """Return where "every other" and "every third" begin, and their step: (1, 2) and (3, 3)."""
    which = words.removeprefix("every ")
    if which == "other":
        return 1, 2
    step = lexicon.ordinal_of(which)
    return step, step
