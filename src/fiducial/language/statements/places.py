"""Places in an answer's text: sides, parts and corners of the picture, the centre, and the patient's sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fiducial.language.phrases.lexicon import EDGES, NUMBERS, OPPOSITE, SIDE_OF
from fiducial.language.phrases.nouns import word_set
from fiducial.language.phrases.tokens import DIRECTED
from fiducial.language.statements.words import (
    ANATOMY,
    BE,
    BODILY,
    CENTRED,
    LOCATING,
    PART_NOUNS,
    PICTURES,
    STOPS,
    Word,
    at,
    sides_in,
)

_FILLERS = word_set(
    "the a an its his her their this that these very far extreme slightly just somewhat mostly mainly roughly more "
    "approximately predominantly entire whole quite nearly outer inner directly exact exactly almost image's "
    "picture's image picture rather well clearly towards toward immediate lot bit little only just"
)
_PREPOSITIONS = word_set("in on at to toward towards near within inside into onto along around through by across about")
_NEAR = word_set("near around toward towards about by")
_NEXT = word_set("close closer next adjacent near")
_FURTHEST = word_set("closest nearest furthest farthest")
_AFTER = word_set(
    "and or but near close with of in on at to where which that who is are was were than rather instead not from as "
    "around towards toward within adjacent while whereas next by for just slightly without along shows show contains "
    "contain has have there it they this you we i nor just only also being touching covering reaching inside"
)
"""Words that may follow a side that stands for a part of the picture; any other is a noun that it describes."""
_TURNED = word_set("points point faces face looks lead leads heads head turns turn moves move pointed turned")
"""Verbs after which "to the left" is a direction; "look at the left" is none."""
_DETERMINERS = word_set("the a an this that its their his her whole entire given medical same current input")
_POSSESSIVES = word_set("its their his her whose")
_SIDED = word_set("sided")
_CROSSING = word_set("on in at to from touches touching crosses crossing reaches reaching meets extends extending")
"""What goes on from the thing in "left of the building on the right" and "the left border of the mass touches ..."."""
_CLOCK = word_set("o'clock oclock")
_HOURS = tuple(
    tuple(side for side in (up, across) if side)
    for up, across in (
        *(("top", ""), ("top", "right"), ("top", "right"), ("", "right"), ("bottom", "right"), ("bottom", "right")),
        *(("bottom", ""), ("bottom", "left"), ("bottom", "left"), ("", "left"), ("top", "left"), ("top", "left")),
    )
)
"""The sides of the picture at twelve, one, two, ... o'clock."""
_TIMES = word_set("am pm morning afternoon evening night sharp")
_TAKEN = word_set("taken acquired recorded captured photographed dated timed")
_RANGE = word_set("to and or")
_RELATED = {"above": "top", "over": "top", "below": "bottom", "under": "bottom", "beneath": "bottom"}
_JOINTS = word_set(", / and or but not than nor neither either")
"""What may lead to a side that goes on from another: "in the upper or lower left"."""


@dataclass(frozen=True, slots=True)
class Found:
    """A place as it stands in a sentence: words from ``start`` to ``end`` (not included), and what they say."""

    start: int
    end: int
    places: tuple[tuple[str, ...], ...]
    near: bool = False
    patient: bool = False


def places_in(words: Sequence[Word]) -> Iterator[Found]:
    """Yield the places that the words of one sentence state, in order, denied or not."""
    index, last = 0, -1
    opened = ""
    while index < len(words):
        if _both_sides(words, index):
            yield from (Found(index, index + 2, ((side,),)) for side in ("left", "right"))
            last = index = index + 2
            continue
        found = _beyond_centre(words, index) or _clock(words, index)
        sides, end = _run(words, index)
        if found is None and sides:
            led = _before(words, index)[0]
            if led == "between" or _from(words, index):
                opened, index = led, end
                continue
            # "from the left to the right" tells a direction, "between the left and the right" the middle
            if (opened, led) not in (("from", "to"), ("between", "and")):
                found = _read(words, index, end, sides, joined=last)
            opened = ""
        if found is not None:
            yield found
            last = index = found.end
        else:
            index = max(end, index + 1)


def _run(words: Sequence[Word], start: int) -> tuple[tuple[str, ...], int]:
    """Return the sides that stand together from a word on, and where they end."""
    sides: list[str] = []
    index = start
    while index < len(words):
        text = words[index].text
        named = sides_in(text)
        if named:
            if any(OPPOSITE.get(side) in sides for side in named):
                break
            sides += [side for side in named if side not in sides]
        elif sides and text == "hand" and at(words, index - 1) in SIDE_OF:
            pass
        elif not (len(sides) == 1 and text in ("and", "/") and _joins(words, index + 1, sides[0])):
            break
        index += 1
    return tuple(sides), index


def _joins(words: Sequence[Word], index: int, side: str) -> bool:
    """Say whether an "and" goes on with one side of the other axis, and no more: "upper and left"."""
    other = sides_in(at(words, index))
    across = {side, *other} & {"left", "right"} and {side, *other} & {"top", "bottom"}
    return len(other) == 1 and bool(across) and not sides_in(at(words, index + 1))


def _before(words: Sequence[Word], start: int) -> tuple[str, int]:
    """Return the word before a place that is no filler, and where it stands."""
    index = start - 1
    while index >= 0 and words[index].text in _FILLERS and words[index].text not in _NEAR:
        index -= 1
    return at(words, index), index


def _from(words: Sequence[Word], start: int) -> bool:
    text, index = _before(words, start)
    return text == "from" and at(words, index - 1) not in ("away", "far")


def _read(words: Sequence[Word], start: int, end: int, sides: tuple[str, ...], *, joined: int) -> Found | None:
    """Decide whether sides state a place in the picture or of the patient, by the words around them."""
    before, index = _before(words, start)
    if _is_of_a_thing(words, start, index, sides):
        return None
    if at(words, end) in _SIDED or before == "patient's" or before.startswith("anatomical"):
        return Found(start, end + (at(words, end) in _SIDED), (sides,), patient=True)
    tail = end
    while at(words, tail) in PART_NOUNS:
        tail += 1
    if any(word.text in EDGES for word in words[end:tail]):
        sides = (*sides, "edge")
    following = _noun_after(words, tail)
    if following == "midline":
        return Found(start, _past_centre(words, tail), (sides,))
    if following == "centre":
        return Found(start, _past_centre(words, tail), (sides,), near=True)
    if following == "patient" or (tail == end and _anatomical(words, end)):
        return Found(start, tail, (sides,), patient=True)
    # "the middle of the left half": the half says it
    if following == "thing" or (following == "side" and sides == ("centre",)):
        return None
    part = tail > end or following == "picture"
    if not part and not _stands_for_a_part(words, start, end, sides, joined):
        return None
    return Found(start, tail, (sides,), near=sides == ("centre",) and _is_near(words, index))


def _is_of_a_thing(words: Sequence[Word], start: int, index: int, sides: tuple[str, ...]) -> bool:
    """Say whether sides are those of a thing, "its centre", or a direction."""
    own = sides == ("centre",) and at(words, start - 1) in _POSSESSIVES
    return own or _is_direction(words, index) or at(words, start - 1) in DIRECTED


def _stands_for_a_part(words: Sequence[Word], start: int, end: int, sides: tuple[str, ...], joined: int) -> bool:
    """Say whether sides without a noun of their own are a part of the picture: "on the left", "located top left"."""
    before, index = _before(words, start)
    first, after = at(words, start), at(words, end)
    if after and after not in STOPS and after not in _AFTER | LOCATING and not sides_in(after):
        # they describe a noun: "the upper left lesion" has a place in the picture, "the left ship" only among ships
        pair = len(sides) > 1 or (sides == ("centre",) and before in ("a", "an", ""))
        return (pair and first != "middle" and not first.endswith("most")) or first == "central"
    if first.endswith("most") and after == "of":
        return False
    if first in BODILY and (after == "to" or (before in BE and end - start == 1)):
        return False  # beside another thing; "the quality is inferior" tells no place at all
    if before in _PREPOSITIONS or before in ("from", "off", "for"):
        return at(words, start - 1) != "on" or sides != ("top",)
    single = len(sides) == 1 and sides[0] in ("left", "right")
    if before in LOCATING or (before in BE and not single):
        return True
    if before in _JOINTS and 0 <= joined <= index + 1:
        return True
    return index < 0 or ((before in STOPS or before in _JOINTS) and (len(sides) > 1 or before in (":", "--")))


def _is_direction(words: Sequence[Word], index: int) -> bool:
    """Say whether what leads to a side compares or points: "closest to", "facing", "second from"."""
    led = at(words, index)
    said = [led, at(words, index - 1)] if led in _PREPOSITIONS or led == "from" else [led]
    turned = said[-1] in _TURNED and led not in ("at", "in", "on", "near")
    if led == "to" and at(words, index - 2) in _POSSESSIVES:  # "with its bow to the left"
        return True
    return turned or any(text in _FURTHEST or text in DIRECTED for text in said)


def _is_near(words: Sequence[Word], index: int) -> bool:
    led, before = at(words, index), at(words, index - 1)
    return led in _NEAR or (led in ("to", "by") and before in _NEXT) or (led == "from" and before == "far")


def _noun_after(words: Sequence[Word], index: int) -> str:
    """Say what "of ..." after a place names: the picture, its centre, a side of it, the patient, a thing or nothing."""
    if at(words, index) not in ("of", "from"):
        return ""
    inside = at(words, index) == "of"
    body = False
    for text in (word.text for word in words[index + 1 : index + 7]):
        sides = sides_in(text)
        if text == "midline":
            return text
        if sides == ("centre",):
            return "centre"
        if sides:
            return "side"
        if text in PICTURES:
            return "picture"
        if text in STOPS or text in _CROSSING or text in ("and", "is", "are", "near"):
            break
        body = body or text in ANATOMY  # "of the breast ultrasound" is a picture
    return "patient" if body else "thing" if inside else ""


def _past_centre(words: Sequence[Word], index: int) -> int:
    while at(words, index) != "midline" and sides_in(at(words, index)) != ("centre",):
        index += 1
    return index + 1


def _clock(words: Sequence[Word], index: int) -> Found | None:
    """Read "at nine o'clock" and "from 2 to 4 o'clock" on the picture's clock, whose twelve is at the top."""
    first = _hour(words, index)
    if first is None:
        return None
    place = index + 1 + (at(words, index + 1) in _CLOCK)
    last = _hour(words, place + (at(words, place) in _RANGE))
    if last is not None:
        end = place + 1 + (at(words, place) in _RANGE)
    else:
        last, end = first, index + 1
    if at(words, end) not in _CLOCK:
        return None
    end += 1 + (at(words, end + 1) in ("position", "positions"))
    near = {word.text for word in words[max(0, index - 4) : index]}
    after = {word.text for word in words[end : end + 8]}
    if near & _TAKEN or at(words, end) in _TIMES or "nipple" in after or _is_direction(words, _before(words, index)[1]):
        return None
    hours = [first] if first == last else [(first + step) % 12 for step in range((last - first) % 12 + 1)]
    return Found(index, end, tuple(dict.fromkeys(_HOURS[hour] for hour in hours)))


def _hour(words: Sequence[Word], index: int) -> int | None:
    """Return an hour from 0, which is twelve."""
    text = at(words, index)
    hour = int(text) if text.isascii() and text.isdigit() and len(text) < 3 else NUMBERS.get(text, 0)
    return hour % 12 if 1 <= hour <= 12 and text not in ("couple", "dozen") else None


def _anatomical(words: Sequence[Word], index: int) -> bool:
    """Say whether a part of a body follows, at most two words on."""
    for text in (word.text for word in words[index : index + 3]):
        if text in ANATOMY:
            return True
        if text in STOPS or text in _AFTER:
            return False
    return False


def _both_sides(words: Sequence[Word], index: int) -> bool:
    """Say whether "on both sides" or "on either side" stands here: on the left, and on the right."""
    if at(words, index) not in ("both", "either", "opposite") or at(words, index + 1) not in ("sides", "side"):
        return False
    return _noun_after(words, index + 2) in ("", "picture") and _before(words, index)[0] in _PREPOSITIONS


def _beyond_centre(words: Sequence[Word], index: int) -> Found | None:
    """Read "above the centre", "superior to the centre", "off-centre" and "centred in the picture"."""
    text = at(words, index)
    if text in CENTRED:
        after = at(words, index + 1)
        rest = {word.text for word in words[index + 1 : index + 6]}
        inside = after in ("in", "within", "on", "at") and rest & PICTURES and not any(map(sides_in, rest))
        if not after or after in STOPS or after in ("horizontally", "vertically", "and") or inside:
            return Found(index, index + 1, (("centre",),))
        return None
    bodily = text in BODILY and at(words, index + 1) == "to"
    if text not in _RELATED and not bodily:
        return None
    end = index + 1 + bodily
    while at(words, end) in _DETERMINERS or at(words, end) in PICTURES or at(words, end) in _FILLERS:
        end += 1
    named = at(words, end) == "midline" or sides_in(at(words, end)) == ("centre",)
    if not named or _noun_after(words, end + 1) == "thing" or at(words, end + 1) in PART_NOUNS - {"line"}:
        return None
    return Found(index, end + 1, ((BODILY[text] if bodily else _RELATED[text],),), near=not bodily)
