"""Words about maps: lengths in metres as the resolver's plane has them, and what windows cannot answer one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fiducial.errors import InputError
from fiducial.language.phrases.lexicon import NUMBERS
from fiducial.language.phrases.request import Quantifier, Request, Target
from fiducial.rasters.ground import Ground

_METRES = {
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1000.0),
    **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeter", "centimeters"), 0.01),
    **dict.fromkeys(("ft", "foot", "feet"), 0.3048),
    **dict.fromkeys(("yd", "yard", "yards"), 0.9144),
    **dict.fromkeys(("mile", "miles"), 1609.344),
}
_SQUARE_METRES = {
    **dict.fromkeys(("ha", "hectare", "hectares"), 10_000.0),
    **dict.fromkeys(("m2", "m²", "sqm"), 1.0),
    **dict.fromkeys(("km2", "km²"), 1e6),
    **dict.fromkeys(("acre", "acres"), 4046.8564224),
}
_PIXELS = ("px", "pixel", "pixels")
_UNITS = sorted((*_METRES, *_SQUARE_METRES, *_PIXELS), key=len, reverse=True)
_WORDS = "|".join(sorted((word.replace(" ", "[ -]") for word in NUMBERS), key=len, reverse=True))
_LENGTH = re.compile(
    rf"(?<![\w.])(?P<number>\d[\d,]*(?:\.\d+)?|{_WORDS})[ -]?(?P<square>(?:square|sq\.?) )?(?P<unit>{'|'.join(_UNITS)})"
    r"(?![\w²])",
    re.IGNORECASE,
)
_COMPASS_OF = {
    "leftmost": "westernmost",
    "rightmost": "easternmost",
    "topmost": "northernmost",
    "bottommost": "southernmost",
    "square pixels": "m2",
    " pixels": " m",
}
"""What the resolver says of its plane, and what is said of a map."""
_COMPASS = re.compile(r"\b(?:north|south|east|west)\w*", re.IGNORECASE)


def to_scene(instruction: str, ground: Ground) -> str:
    """Say an instruction in the units of the scene, which the grammar calls pixels.

    Args:
        instruction: as the user said it; lengths and areas may be in metres, kilometres, feet, hectares and so on.
        ground: under the grid.

    Raises:
        InputError: metres, or north, of a map of which nobody knows where it lies.

    Example:
        >>> from affine import Affine
        >>> from pyproj import CRS
        >>> ground = Ground(Affine(0.5, 0, 5e5, 0, -0.5, 5.8e6), CRS("EPSG:32633"), (100, 100))
        >>> to_scene("tanks within 0.2 km of the pier, larger than 300 m2", ground)
        'tanks within 200 pixels of the pier, larger than 300 square pixels'
    """
    if ground.crs is None:
        strange = [found[0] for found in _LENGTH.finditer(instruction) if found["unit"].lower() not in _PIXELS]
        if said := [*strange, *_COMPASS.findall(instruction)]:
            raise InputError(
                f"{said[0]!r}: where the map lies on the ground is not known, so neither metres nor north are: say its "
                "coordinate reference system by --crs, or ask in pixels, left and right"
            )
        return instruction
    return _LENGTH.sub(lambda found: _said(found, ground), instruction)


def _said(found: re.Match[str], ground: Ground) -> str:
    said, unit = found["number"].lower().replace("-", " "), found["unit"].lower()
    number = float(said.replace(",", "")) if said[0].isdigit() else float(NUMBERS[said])
    square = bool(found["square"]) or unit in _SQUARE_METRES
    metres = ground.pixel_area**0.5 if unit in _PIXELS else _METRES.get(unit, 1.0)
    value = number * _SQUARE_METRES.get(unit, metres**2 if square else metres)
    return f"{value:.3f}".rstrip("0").rstrip(".") + (" square pixels" if square else " pixels")


def from_scene(text: str, ground: Ground) -> str:
    """Say what the resolver says in the units of the map."""
    text = text.replace("of the picture", "of the map")
    if ground.crs is None:
        return text
    for said, meant in _COMPASS_OF.items():
        text = text.replace(said, meant)
    return text


def needs_whole(request: Request) -> list[str]:
    """Return the phrases of a request that only the whole map can answer: counts, orders, places and relations.

    Example:
        >>> from fiducial.language.phrases import parse_instruction
        >>> needs_whole(parse_instruction("the two largest ships")), needs_whole(parse_instruction("all red cars"))
        (['the two largest ships'], [])
    """
    return [target.words or request.text for target in (*request.targets, *request.exclusions) if _is_relative(target)]


def _is_relative(target: Target) -> bool:
    placed = target.orders or target.regions or target.relations or target.lines or target.of or target.bounds
    counted = target.count is not None or target.ranked or target.step or target.share is not None
    compared = target.group is not None or any(trait.order.measure != "brightness" for trait in target.traits)
    one = target.quantifier is not Quantifier.ALL and bool(target.noun) and not target.unknown
    return bool(placed or counted or compared or one or any(map(_is_relative, _barred(target))))


def _barred(target: Target) -> Iterator[Target]:
    for other in target.barred:
        # "non-red" is said without a number, and bars all that are
        yield Target(orders=other.orders, regions=other.regions, relations=other.relations, traits=other.traits)
