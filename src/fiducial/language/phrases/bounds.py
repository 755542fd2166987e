"""Bounds: sizes and distances in pixels or percent, such as "longer than 50 pixels" and "within 10% of the pier"."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from fiducial.language.phrases import lexicon

Measure = Literal["length", "width", "height", "area", "size", "gap"]
"""What is measured: a box's longer side, its width or height, an area, the gap between two boxes; ``size`` leaves open
whether length or area is meant."""

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_SIGNS = {
    **dict.fromkeys(
        ("more than", "over", "exceeding", "longer than", "wider than", "broader than", "taller than"), ">"
    ),
    **dict.fromkeys(("larger than", "bigger than", "greater than", "further than"), ">"),
    **dict.fromkeys(("less than", "under", "fewer than", "shorter than", "narrower than", "smaller than"), "<"),
    **dict.fromkeys(("at least", "no less than", "not less than"), ">="),
    **dict.fromkeys(("at most", "up to", "no more than", "not more than", "within"), "<="),
}
_OPPOSITE = {">": "<=", "<": ">="}
_MEASURES: Mapping[str, Measure] = {
    **dict.fromkeys(("long", "longer", "shorter", "length"), "length"),
    **dict.fromkeys(("wide", "wider", "broader", "narrower", "width"), "width"),
    **dict.fromkeys(("tall", "high", "taller", "height"), "height"),
    **dict.fromkeys(("area", "covering", "occupying", "taking"), "area"),
}
_HEAD = r"(?:(?:(?:with|having) an?|whose) \w+ (?:of |is |that is )?|covering |occupying |taking up )?"
_SAID = re.compile(
    rf"(?P<head>{_HEAD})(?P<sign>(?:(?:no|not) )?(?:{'|'.join(sorted(_SIGNS, key=len, reverse=True))})) "
    r"(?P<number>[0-9]+(?:\.[0-9]+)?|[a-z]+(?: [a-z]+)?) (?P<square>square )?(?P<unit>pixels?|percent)(?P<tail>.*)"
)

_RANGE = re.compile(rf"({_HEAD})between (.+?) and (.+?) ((?:square )?(?:pixels?|percent).*)")


@dataclass(frozen=True, slots=True)
class Bound:
    """A size or a distance that is compared with a number.

    Args:
        measure: what is measured.
        sign: ``>``, ``>=``, ``<`` or ``<=``.
        value: from 0, in pixels (an area in square pixels) or percent.
        percent: of the image: of its width for a width, of its height for a height, of its longer side for a length
            or a gap, of its area for an area.
        words: as said, such as ``"longer than 50 pixels"``.
    """

    measure: Measure
    sign: str
    value: float
    percent: bool
    words: str

    def holds(self, measured: float, measure: Measure, width: float, height: float) -> bool:
        """Say whether a measure in pixels, or square pixels, of something in an image of that size keeps to it."""
        whole = {"width": width, "height": height, "area": width * height}.get(measure, max(width, height))
        return _COMPARE[self.sign](measured, self.value * whole / 100 if self.percent else self.value)


def read_bounds(words: str) -> list[Bound]:
    """Return the bounds that words name: two for "between 20 and 50 pixels long", none where a number is none."""
    range_of = _RANGE.fullmatch(words)
    if range_of is None:
        found = read_bound(words)
        return [found] if found else []
    head, low, high, rest = range_of.groups()
    unit = re.sub(r" ?(?:pixels|percent)$", "", low)
    ends = [read_bound(f"{head}at least {unit} {rest}"), read_bound(f"{head}at most {high} {rest}")]
    return [replace(one, words=words) for one in ends if one is not None] if all(ends) else []


def read_bound(words: str, *, gap: bool = False) -> Bound | None:
    """Return the bound that words such as "at least 50 pixels long" name; None where the number is none.

    Example:
        >>> bound = read_bound("no longer than 10 percent")
        >>> bound.measure, bound.sign, bound.value, bound.percent
        ('length', '<=', 10.0, True)
    """
    found = _SAID.fullmatch(words)
    if found is None:
        return None
    sign = found["sign"]
    negated = sign not in _SIGNS and sign.startswith(("no ", "not "))
    sign = sign.split(" ", 1)[1] if negated else sign
    number = found["number"]
    value = float(number) if number[0].isdigit() else float(lexicon.NUMBERS.get(number, -1))
    if sign not in _SIGNS or value < 0:
        return None
    compare = _OPPOSITE[_SIGNS[sign]] if negated else _SIGNS[sign]
    said = (*found["head"].split(), *found["tail"].split(), *sign.split())
    named = [_MEASURES[word] for word in said if word in _MEASURES]
    measure: Measure = "gap" if gap else "area" if found["square"] else named[0] if named else "size"
    return Bound(measure, compare, value, found["unit"] == "percent", words)
