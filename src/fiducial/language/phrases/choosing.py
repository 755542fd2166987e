"""Choosing: which candidates fit a noun phrase, in which order, and how many of them are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import ceil

from fiducial.language.candidates import COLOURS
from fiducial.language.phrases.bounds import Bound, Measure
from fiducial.language.phrases.groups import bounds, groups_among
from fiducial.language.phrases.lexicon import place_order
from fiducial.language.phrases.nouns import in_number, name_stem, stem
from fiducial.language.phrases.ordering import DISTANCES, by_score, ordering_relations, orders_of_parts, ranked
from fiducial.language.phrases.request import Group, Line, Quantifier, Region, Relation, Target
from fiducial.language.phrases.scene import Scene, lines_among

_HELD_BY_ONE = ("near", "beside", "inside", "on", "between", "with", "among")
"""Relations that hold when they hold to one of several references; the others need each of them."""


@dataclass
class Filter:
    """Sieves candidates by everything that a phrase says, and keeps account of what it could not do.

    ``match`` tells whether a label is what a noun names; without ``recognises_nouns`` every candidate fits every noun.
    """

    scene: Scene
    match: Callable[[str, str | None], bool]
    recognises_nouns: bool = True
    rest: bool = False  # what is told by something that is not there plays no part
    unknown: list[str] = field(default_factory=list)  # words that played no part
    unmet: list[str] = field(default_factory=list)  # what could not be had or checked
    unused: list[str] = field(default_factory=list)  # of these, what was understood and could not be used
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
            measured = bool(dropped) and any(self.scene.candidates[i].colours for i in called_so)
            read = coloured_noun(target, noun, dropped) if measured else target
            self.unknown += [word for word in dropped if read is target or word not in read.colours]
            return replace(read, noun=noun)
        return target

    def cannot_tell(self, target: Target) -> bool:
        """Say whether a phrase says no more than its noun, where nouns are not recognised."""
        return not self.recognises_nouns and bool(target.noun) and target.bare

    def can_use(self, relation: Relation) -> bool:
        """Say whether candidates can be found for the references of a relation; note what keeps them from it."""
        read = [self.interpret(target) for target in relation.targets]
        strange = [target.noun for target in read if self.rest and target.noun and not self.is_there(target.noun)]
        if strange:
            called = " or ".join(f"'{in_number(noun, 1)}'" for noun in strange)
            self.unmet.append(f"'{relation.words}' was not used: nothing here is called {called}")
            return False
        if not any(map(self.cannot_tell, read)):
            return True
        self.not_used(f"'{relation.words}' was not used: what the regions show is not recognised here")
        return False

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
        for bound in target.bounds:
            found = self._bounded(bound, found)
        for line in target.lines:
            found = self._lined(line, found)
        together = found
        for region in target.regions:
            found = self._placed(region, found, target.count or 1)
        for relation in target.relations:
            if relation.kind not in DISTANCES:
                found = self._related(relation, found)
        found = self._described(target, found)
        for barred in target.barred:
            found = [index for index in found if index not in self.left_out(barred, found)]
        return found if target.group is None else self._grouped(target, target.group, together, found)

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

    def is_there(self, noun: tuple[str, ...]) -> bool:
        """Say whether any candidate is called so, where nouns are recognised."""
        return not self.recognises_nouns or any(
            self._is_called(noun, index) for index in range(len(self.scene.candidates))
        )

    def _is_called(self, noun: tuple[str, ...], index: int) -> bool:
        return self.match(" ".join(noun), self.scene.candidates[index].prompt.label)

    def _coloured(self, target: Target, pool: list[int]) -> list[int]:
        if not target.colours:
            return pool
        has = {i: self.scene.has_colours(i, target.colours, any_of=target.any_colour) for i in pool}
        self.not_measured("colour", [i for i in pool if has[i] is None], pool)
        return [i for i in pool if has[i]]

    def _bounded(self, bound: Bound, pool: list[int]) -> list[int]:
        """Keep what is as large as said.

        A size in percent, or of more pixels than the image is long, is an area; else length and area must say the same.
        """
        known: Measure = "area" if bound.percent or bound.value > max(self.scene.width, self.scene.height) else "size"
        measure: Measure = known if bound.measure == "size" else bound.measure
        if measure != "size":
            return [i for i in pool if self.scene.keeps(i, bound, measure)]
        lengths, areas = ([i for i in pool if self.scene.keeps(i, bound, one)] for one in ("length", "area"))
        if lengths != areas:
            self.not_used(f"'{bound.words}' may be a length or an area: say 'longer', or 'in area'")
        return areas

    def _placed(self, region: Region, pool: list[int], count: int) -> list[int]:
        """Keep what lies in a part of the image; the half of it where the third holds fewer than were counted."""
        found: list[int] = []
        for share in dict.fromkeys((region.share, 1 / 2)):
            fewer = len(found)
            found = [i for i in pool if any(self.scene.lies_in(i, place, share) for place in region.places)]
            if len(found) > fewer and share != region.share:
                lie = f"only {fewer} that fit lie" if fewer else "nothing that fits lies"
                self.unmet.append(f"{lie} in the third {region.words}: the half was taken instead")
            if len(found) >= count:
                return found
        if count > 1 and region.places == (("centre",),) and len(pool) >= count > len(found):
            self.unmet.append(f"only {len(found)} that fit lie {region.words}: the {count} closest to it were taken")
            return pool
        return found

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

    def _grouped(self, target: Target, group: Group, pool: Sequence[int], fits: Sequence[int]) -> list[int]:
        """Keep what stands together, counted among all of the pool; a group fits when half of it does."""
        boxes = [self.scene.boxes[index] for index in pool]
        groups = [[pool[k] for k in one] for one in groups_among(boxes, group.kind)]
        groups = [one for one in groups if 2 * len({*one} & {*fits}) >= len(one)]
        noun, wanted = in_number(target.noun or ("thing",), 2), group.count or target.count
        if not groups:
            if fits:
                self.unmet.append(f"no {noun} that fit stand {'in a line' if group.kind == 'line' else 'together'}")
            return []
        if wanted is not None and wanted > 1:
            exact = [one for one in groups if len(one) == wanted]
            if not exact and len(fits) == wanted:
                self.unmet.append(f"the {wanted} {noun} that fit stand apart from each other")
                return list(fits)
            groups = exact or sorted(groups, key=lambda one: abs(len(one) - wanted))[:1]
            if not exact:
                self.unmet.append(f"no group has {wanted} {noun}: one of {len(groups[0])} was taken")
        if not group.one:
            return [index for index in pool if any(index in one for one in groups)]
        return self._one_group(group, groups, noun)

    def _one_group(self, group: Group, groups: list[list[int]], noun: str) -> list[int]:
        """Choose among groups, each taken as the box around it: by what was said, else the largest."""
        around = replace(self.scene, boxes=tuple(bounds([self.scene.boxes[k] for k in one]) for one in groups))
        order = [order for order in group.orders if order.measure in ("area", "place")]
        if not order and len(groups) > 1:
            self.unmet.append(f"{len(groups)} groups of {noun} fit: the one with the most was taken")

        def rule(k: int) -> tuple[float, ...]:
            keys = [
                (-1 if one.largest else 1)
                * (len(groups[k]) if one.measure == "area" else around.distance(k, one.sides))
                for one in order
            ]
            return (*keys, -len(groups[k]), *groups[k])

        ranked = sorted(range(len(groups)), key=rule)
        at = group.rank - 1 if group.rank > 0 else len(ranked) + group.rank
        return groups[ranked[at]] if 0 <= at < len(ranked) else []

    def _related(self, relation: Relation, pool: list[int]) -> list[int]:
        if not self.can_use(relation):
            return pool
        references = self.references(relation)
        if not all(references):
            return []
        if relation.kind == "between":
            return [i for i in pool if self._between(i, references)]
        if relation.bound is not None:
            gaps = {i: [self.scene.gap(i, other) for other in references[0] if other != i] for i in pool}
            return [i for i in pool if gaps[i] and self.scene.fits(min(gaps[i]), relation.bound, "gap")]
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

    def not_used(self, why: str) -> None:
        """Note that something was said that cannot be used here."""
        self.unmet.append(why)
        self.unused.append(why)

    def _reference(self, target: Target, relation: Relation) -> list[int]:
        fits = self.fitting(target, range(len(self.scene.candidates)))
        if not fits:
            self.unmet.append(f"nothing fits '{target.words}', which '{relation.words}' needs")
            return []
        picks = target.orders or target.ranked or target.quantifier in (Quantifier.COUNT, Quantifier.BOTH)
        if picks or any(other.kind in DISTANCES or other.order for other in target.relations):
            return list(pick(target, fits, self).chosen)
        one = target.quantifier is Quantifier.THE
        if one and len(fits) > 1 and relation.kind not in ("near", "beside", "inside", "on", *DISTANCES):
            self.unmet.append(f"{len(fits)} candidates fit '{target.words}' in '{relation.words}': one was taken")
            # a second one is kept, for the candidate that would else be its own reference
            ranked = pick(replace(target, quantifier=Quantifier.ALL), fits, self).chosen
            return list(ranked[:2])
        return fits

    def _holds(self, relation: Relation, index: int, references: list[int], *, every: bool) -> bool:
        if relation.kind == "among":
            return index in references
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
    distances = ordering_relations(target, len(fits))
    if 1 < (target.count or 0) < len(fits) and not (orders or distances or target.ranked or target.step):
        orders = orders_of_parts(target)
    if (target.ranked or target.step) and not orders and not distances:
        orders = (place_order(("left",)),)
        sieve.unmet.append(f"'{target.words}' says no order: counted from the left")
    best, words = ranked(target, orders, fits, sieve)
    wanted = _wanted(target, len(best), bool(words), sieve)
    start = abs(target.rank) - 1
    line = best if target.rank > 0 else best[::-1]
    chosen = line[start :: target.step] if target.step else line[start : start + wanted]
    _account(target, len(best), len(chosen), wanted, sieve)
    return Pick(target, tuple(best), tuple(chosen), words, by_score(best, sieve), sieve.inner.get(id(target)))


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
