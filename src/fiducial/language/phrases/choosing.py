"""Choosing: which candidates fit a noun phrase, in which order, and how many of them are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import ceil

from fiducial.language.candidates import COLOURS
from fiducial.language.phrases.lexicon import place_order
from fiducial.language.phrases.nouns import in_number, name_stem, stem
from fiducial.language.phrases.request import Line, Order, Quantifier, Region, Relation, Target
from fiducial.language.phrases.scene import Scene, lines_among

_HELD_BY_ONE = ("near", "beside", "inside", "on", "between")
"""Relations that hold when they hold to one of several references; the others need each of them."""
DISTANCES = ("closest", "furthest")


@dataclass
class Filter:
    """Sieves candidates by everything that a phrase says, and keeps account of what it could not do.

    ``match`` tells whether a label is what a noun names; without ``recognises_nouns`` every candidate fits every noun.
    """

    scene: Scene
    match: Callable[[str, str | None], bool]
    recognises_nouns: bool = True
    unknown: list[str] = field(default_factory=list)  # words that played no part
    unmet: list[str] = field(default_factory=list)  # what could not be had or checked
    inner: dict[int, Pick] = field(default_factory=dict)  # for "of the two largest", by the id of the outer target

    def interpret(self, target: Target) -> Target:
        """Return the reading of a phrase that fits how the candidates are called.

        A candidate called exactly adjective and noun ("left hand") decides for that reading. When no
        candidate fits the whole noun, words are dropped from it until one does. Where nouns are not
        recognised, "the orange" can only be a colour. A colour that was taken for a part of the noun ("red
        cross") is a colour again where nothing is called so and colours were measured.
        """
        if not self.recognises_nouns:
            if target.noun in (("orange",), ("oranges",)):
                return replace(target, noun=(), colours=("orange",))
            return coloured_noun(target, target.noun[1:], target.noun[:1])
        called = {name_stem(candidate.prompt.label or "") for candidate in self.scene.candidates}
        for other in target.compounds:
            if stem(other.noun) in called:
                return replace(other, relations=target.relations, of=target.of)
        for noun, dropped in shorter_nouns(target.noun):
            called_so = [i for i in range(len(self.scene.candidates)) if self._is_called(noun, i)]
            if not called_so:
                continue
            measured = any(self.scene.candidates[i].colours for i in called_so)
            read = coloured_noun(target, noun, dropped) if measured else target
            self.unknown += [word for word in dropped if read is target or word not in read.colours]
            return replace(read, noun=noun)
        return target

    def cannot_tell(self, target: Target) -> bool:
        """Say whether a phrase says no more than its noun, where nouns are not recognised."""
        return not self.recognises_nouns and bool(target.noun) and target.bare

    def can_use(self, relation: Relation) -> bool:
        """Say whether candidates can be found for the references of a relation."""
        return not any(self.cannot_tell(self.interpret(target)) for target in relation.targets)

    def fitting(self, target: Target, pool: Sequence[int]) -> list[int]:
        """Return the candidates of a pool that fit a phrase as it was interpreted: by all but order and number."""
        found = list(pool)
        if target.of is not None:
            inner = self.interpret(target.of)
            one = pick(inner, self.fitting(inner, found), self)
            found = list(one.chosen)
            self.inner[id(target)] = one
        found = self._named(target, found)
        found = self._coloured(target, found)
        for line in target.lines:
            found = self._lined(line, found)
        for region in target.regions:
            found = self._placed(region, found)
        for relation in target.relations:
            if relation.kind not in DISTANCES:
                found = self._related(relation, found)
        found = self._described(target, found)
        for barred in target.barred:
            found = [index for index in found if index not in self.left_out(barred, found)]
        return found

    def left_out(self, target: Target, pool: Sequence[int]) -> set[int]:
        """Return what an exclusion takes out of a pool; what cannot be judged is taken out with it."""
        found = set(pick(target, self.fitting(target, pool), self).chosen)
        return found | self._not_judged(target, pool)

    def _not_judged(self, target: Target, pool: Sequence[int]) -> set[int]:
        """Return what an exclusion by a colour or an adjective can say nothing of, because nobody measured it."""
        named = self._named(target, list(pool)) if target.noun else list(pool)
        blank = {i for i in named if target.colours and self.scene.has_colours(i, target.colours, any_of=False) is None}
        for trait in target.traits:
            blank |= {i for i in named if self.scene.measure(i, trait.order) is None}
        return blank

    def references(self, relation: Relation) -> list[list[int]]:
        """Return, per target of a relation, the candidates it may mean, likeliest first."""
        return [self._reference(self.interpret(target), relation) for target in relation.targets]

    def _named(self, target: Target, pool: list[int]) -> list[int]:
        if not target.noun or not self.recognises_nouns:
            return pool
        found = [index for index in pool if self._is_called(target.noun, index)]
        if pool and not found:
            self.unmet.append(f"no candidate is called '{in_number(target.noun, 1)}'")
        return found

    def _is_called(self, noun: tuple[str, ...], index: int) -> bool:
        return self.match(" ".join(noun), self.scene.candidates[index].prompt.label)

    def _coloured(self, target: Target, pool: list[int]) -> list[int]:
        if not target.colours:
            return pool
        has = {i: self.scene.has_colours(i, target.colours, any_of=target.any_colour) for i in pool}
        self.not_measured("colour", [i for i in pool if has[i] is None], pool)
        return [i for i in pool if has[i]]

    def _placed(self, region: Region, pool: list[int]) -> list[int]:
        for share in dict.fromkeys((region.share, 1 / 2)):
            found = [i for i in pool if any(self.scene.lies_in(i, place, share) for place in region.places)]
            if found and share != region.share:
                self.unmet.append(f"nothing that fits lies in the third {region.words}: the half was taken instead")
            if found:
                return found
        return []

    def _lined(self, line: Line, pool: list[int]) -> list[int]:
        """Keep what stands in a row or column, counted among all of the pool."""
        lines = [[pool[k] for k in one] for one in lines_among([self.scene.boxes[i] for i in pool], line.kind)]
        there = len(lines)
        if line.rank == 0:
            if there and there % 2 == 0:
                self.unmet.append(f"there are {there} {line.kind}s: of the two in the middle the first was taken")
            taken = lines[(there - 1) // 2 :][:1]
        else:
            ordered = lines if line.rank > 0 else lines[::-1]
            rest = ordered[abs(line.rank) - 1 :]
            count = line.count or (there + 1) // 2
            taken = rest[:: line.step] if line.step else rest[:count]
            if not line.count and not line.step:
                self.unmet.append(f"'{line.words}' says no number: {count} of {there} {line.kind}s were taken")
            elif pool and (not taken or (not line.step and len(taken) < count)):
                least = abs(line.rank) - 1 + (1 if line.step else count)
                self.unmet.append(f"'{line.words}' needs at least {least} {line.kind}s, found {there}")
        return [index for one in taken for index in one]

    def _related(self, relation: Relation, pool: list[int]) -> list[int]:
        if not self.can_use(relation):
            self.unmet.append(f"'{relation.words}' was not used: what the regions show is not recognised here")
            return pool
        references = self.references(relation)
        if not all(references):
            return []
        if relation.kind == "between":
            return [i for i in pool if self._between(i, references)]
        every = relation.kind not in _HELD_BY_ONE and relation.targets[0].quantifier is not Quantifier.ANY
        return [i for i in pool if self._holds(relation, i, references[0], every=every)]

    def _described(self, target: Target, pool: list[int]) -> list[int]:
        found = pool
        for trait in target.traits:
            fits = {i: self.scene.has_trait(i, trait, pool) for i in found}
            self.not_measured(trait.order.measure, [i for i in found if fits[i] is None], found)
            found = [i for i in found if fits[i]]
        return found

    def not_measured(self, what: str, missing: Sequence[int], pool: Sequence[int]) -> None:
        """Note that a candidate's property is needed, but nobody measured it."""
        if missing:
            self.unmet.append(f"the {what} of {len(missing)} of {len(pool)} candidates is not known: left out")

    def _reference(self, target: Target, relation: Relation) -> list[int]:
        fits = self.fitting(target, range(len(self.scene.candidates)))
        if not fits:
            self.unmet.append(f"nothing fits '{target.words}', which '{relation.words}' needs")
            return []
        picks = target.orders or target.ranked or target.quantifier in (Quantifier.COUNT, Quantifier.BOTH)
        if picks or any(other.kind in DISTANCES for other in target.relations):
            return list(pick(target, fits, self).chosen)
        one = target.quantifier is Quantifier.THE
        if one and len(fits) > 1 and relation.kind not in ("near", "beside", "inside", "on", *DISTANCES):
            self.unmet.append(f"{len(fits)} candidates fit '{target.words}' in '{relation.words}': one was taken")
            # a second one is kept, for the candidate that would else be its own reference
            ranked = pick(replace(target, quantifier=Quantifier.ALL), fits, self).chosen
            return list(ranked[:2])
        return fits

    def _holds(self, relation: Relation, index: int, references: list[int], *, every: bool) -> bool:
        others = [other for other in references if other != index]
        if every and relation.targets[0].quantifier is Quantifier.THE:
            others = others[:1]
        held = [self.scene.holds(relation.kind, index, other) for other in others]
        return bool(held) and (all(held) if every else any(held))

    def _between(self, index: int, references: list[list[int]]) -> bool:
        if len(references) == 1:
            pairs = list(combinations(references[0], 2))
        else:
            firsts, seconds = ([i for i in found if i != index] for found in references)
            pairs = [(a, b) for a in firsts[:1] for b in seconds[:2] if a != b][:1]
        return any(self.scene.between(index, a, b) for a, b in pairs if index not in (a, b))


def coloured_noun(target: Target, noun: tuple[str, ...], dropped: Sequence[str]) -> Target:
    """Read the words in front of a noun as its colours, where they are colours and a noun is left."""
    colours = tuple(word.replace("gray", "grey") for word in dropped if word.replace("gray", "grey") in COLOURS)
    if not colours or not noun:
        return target
    return replace(target, noun=noun, colours=tuple(dict.fromkeys((*target.colours, *colours))))


def shorter_nouns(noun: tuple[str, ...]) -> list[tuple[tuple[str, ...], list[str]]]:
    """Return a noun, then what is left of it when words are dropped, each with what was dropped."""
    base = noun[: noun.index("of")] if "of" in noun[1:] else noun
    tail = [" ".join(noun[len(base) :])] if base != noun else []
    options: list[tuple[tuple[str, ...], list[str]]] = [(noun, [])]
    if tail:
        options.append((base, tail))
    return options + [(base[start:], [*base[:start], *tail]) for start in range(1, len(base))]


@dataclass(frozen=True, slots=True)
class Pick:
    """What one target chose out of what fits it, both best first.

    ``orders`` says what they were put in order by, when something in the phrase said so. Where ``by_score``, ties and
    choices by no superlative went to the best score rather than the largest. ``inner`` is what the choice was made
    among ("the leftmost of the two largest"), or None for everything.
    """

    target: Target
    fits: tuple[int, ...]
    chosen: tuple[int, ...]
    orders: tuple[str, ...]
    by_score: bool
    inner: Pick | None = None


def pick(target: Target, fits: Sequence[int], sieve: Filter) -> Pick:
    """Put what fits in order and take as many as asked for."""
    orders = target.orders
    distances = [relation for relation in target.relations if relation.kind in DISTANCES]
    if (target.ranked or target.step) and not orders and not distances:
        orders = (place_order(("left",)),)
        sieve.unmet.append(f"'{target.words}' says no order: counted from the left")
    ranked, words = _ranked(target, orders, fits, sieve)
    wanted = _wanted(target, len(ranked), bool(words), sieve)
    start = abs(target.rank) - 1
    line = ranked if target.rank > 0 else ranked[::-1]
    chosen = line[start :: target.step] if target.step else line[start : start + wanted]
    _account(target, len(ranked), len(chosen), wanted, sieve)
    return Pick(target, tuple(ranked), tuple(chosen), words, _by_score(ranked, sieve), sieve.inner.get(id(target)))


def _ranked(
    target: Target, orders: Sequence[Order], fits: Sequence[int], sieve: Filter
) -> tuple[list[int], tuple[str, ...]]:
    """Return what fits, best first, without what cannot be compared, and the superlatives used."""
    keys: dict[int, list[float]] = {index: [] for index in fits}
    words: list[str] = []
    for order in orders:
        values = {index: sieve.scene.measure(index, order) for index in keys}
        sieve.not_measured(order.measure, [index for index in keys if values[index] is None], list(keys))
        keys = {
            index: [*key, -value if order.largest else value]
            for index, key in keys.items()
            if (value := values[index]) is not None
        }
        words.append(order.words)
    keys, by_relation = _by_relations(target, keys, sieve)
    scene = sieve.scene
    by_score = _by_score(list(keys), sieve)

    def rule(index: int) -> tuple[float, ...]:
        score = scene.candidates[index].prompt.score or 0.0
        return (*keys[index], -score if by_score else 0.0, -scene.area(index), *scene.centre(index), index)

    return sorted(keys, key=rule), (*words, *by_relation)


def _by_relations(
    target: Target, keys: dict[int, list[float]], sieve: Filter
) -> tuple[dict[int, list[float]], list[str]]:
    """Add the distance to a reference ("closest to the pier") to what is sorted by."""
    words: list[str] = []
    for relation in target.relations:
        if relation.kind not in DISTANCES:
            continue
        if not sieve.can_use(relation):
            sieve.unmet.append(f"'{relation.words}' was not used: what the regions show is not recognised here")
            continue
        references = sieve.references(relation)[0]
        sign = 1.0 if relation.kind == "closest" else -1.0
        measured = {}
        for index, key in keys.items():
            apart = [sieve.scene.apart(index, other) for other in references if other != index]
            if apart:
                measured[index] = [*key, sign * min(apart)]
        keys = measured
        words.append(relation.words)
    return keys, words


def _by_score(fits: Sequence[int], sieve: Filter) -> bool:
    return bool(fits) and all(sieve.scene.candidates[index].prompt.score is not None for index in fits)


def _wanted(target: Target, there: int, ordered: bool, sieve: Filter) -> int:
    """Return how many to take."""
    if target.count is not None:
        return target.count
    if target.share is not None:
        wanted = ceil(target.share * there)
        if not ordered and wanted < there:
            rule = f"the first {wanted} of {there}, by score or else by size, were taken"
            sieve.unmet.append(f"'{target.words}' says no order: {rule}")
        return wanted
    if target.quantifier is not Quantifier.ALL or target.step:
        return 1
    if ordered and there > 1 and not target.ranked:
        half = ceil(there / 2)
        sieve.unmet.append(f"'{target.words}' says no number: the first {half} of {there} were taken")
        return half
    return there


def _account(target: Target, there: int, taken: int, wanted: int, sieve: Filter) -> None:
    """Note where the number asked for and the number there are differ."""
    noun = in_number(target.noun or ("thing",), wanted)
    if (target.ranked or target.step) and not taken:
        sieve.unmet.append(f"'{target.words}' needs at least {abs(target.rank)}, found {there}")
    elif target.count is not None and (taken < wanted or not wanted):
        sieve.unmet.append(f"asked for {wanted} {noun}, found {taken}")
    elif target.quantifier in (Quantifier.BOTH, Quantifier.ALL) and target.count is not None and there > wanted:
        said = "both" if target.quantifier is Quantifier.BOTH else f"all {wanted}"
        sieve.unmet.append(f"asked for {said} {noun}, but {there} fit: {wanted} were taken")
