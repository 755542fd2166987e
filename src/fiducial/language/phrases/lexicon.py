"""Words and their meaning: numbers, superlatives, sides, relations."""

from __future__ import annotations

import re

from fiducial.language.phrases.nouns import word_set
from fiducial.language.phrases.request import Order

_UNITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ODD_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}


def _counted() -> dict[str, int]:
    """Return the numerals from one to ninety-nine, with a space inside."""
    names = {name: number for number, name in enumerate((*_UNITS, *_TEENS), 1)}
    for tens, name in enumerate(_TENS, 2):
        names |= {name: 10 * tens} | {f"{name} {unit}": 10 * tens + k for k, unit in enumerate(_UNITS, 1)}
    return names


def _ordinal(numeral: str) -> str:
    *tens, last = numeral.split()
    named = _ODD_ORDINALS.get(last) or (last.removesuffix("ve") + "f" if last.endswith("ve") else last)
    named = named.removesuffix("y") + "ie" if named.endswith("y") else named
    return " ".join([*tens, named if last in _ODD_ORDINALS else f"{named}th"])


NUMBERS = {"no": 0, "zero": 0} | _counted() | {"single": 1, "couple": 2, "dozen": 12}

ORDINALS = {_ordinal(name): number for name, number in _counted().items()} | {
    **{"last": -1, "final": -1, "penultimate": -2},
    **{"next to last": -2, "last but one": -2, "second last": -2},
}

FRACTIONS = {"half": 1 / 2, "third": 1 / 3, "quarter": 1 / 4, "two thirds": 2 / 3, "three quarters": 3 / 4}

LINES = {"row": ("top", "bottom"), "column": ("left", "right")}
"""Lines that things stand in: the side of the first of them, and that of the last."""

GROUPS = {
    **dict.fromkeys(("group", "cluster", "bunch", "collection", "gathering", "clump"), ("cluster", None)),
    **{"pair": ("cluster", 2), "trio": ("cluster", 3), "line": ("line", None), "string": ("line", None)},
    **dict.fromkeys(LINES, ("line", None)),
}
"""Nouns for things that stand together: how, and how many."""
PAIRED = word_set(
    "scissor glass sunglass pant jean trouser short tight shoe boot sock glove ski headphone earphone binocular goggle "
    "plier tong tweezer legging pajama pyjama"
)
"""Things of which a pair is one."""

OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}

_TINTS = {
    **{"cyan": "blue", "turquoise": "blue", "teal": "blue", "golden": "yellow", "silver": "grey", "silvery": "grey"},
    **{"violet": "purple", "magenta": "pink", "crimson": "red", "scarlet": "red", "maroon": "red"},
    **{"bluish": "blue", "blueish": "blue", "reddish": "red", "purplish": "purple", "purpleish": "purple"},
    **{"whitish": "white", "whiteish": "white", "orangish": "orange", "orangeish": "orange", "gray": "grey"},
}

_SIDES = {
    "left": ("left", "west"),
    "right": ("right", "east"),
    "top": ("top", "upper", "north", "up", "above"),
    "bottom": ("bottom", "lower", "south", "down", "below"),
    "centre": ("centre", "center", "middle", "mid", "central", "centrally"),
}
SIDE_OF = {word: side for side, words in _SIDES.items() for word in words}
"""The side that a word names."""
_TAKEN = (
    "aerial|satellite|drone|medical|chest|brain|breast|skin|head|axial|flair|mri?|ct|x ray|ultrasound|endoscop(?:y|ic)"
)
_TAKEN += "|colonoscopy|derm(?:o|ato)scop(?:y|ic)|given"
PICTURES = re.compile(
    rf"\b(in|of|on|from|within|inside) (?:(?:the|this|that|an?) (?:whole |entire )?(?:(?:{_TAKEN}) )*"
    rf"(?:images?|pictures?|photo(?:graph)?s?|scan|mri|ct|x ?ray|radiograph|ultrasound|sonogram)"
    rf"|(?:the|this|that|an?) (?:(?:{_TAKEN}) )+(?:slice|view|frame)|this (?:slice|drawing|sketch))"
    r"(?=$|,| (?:and|or|but|except|without|please|that|which|is|are|on|in|at|to|near|next|with)(?![^ ,]))"
)
"""Words for the picture itself, by how it was taken: "in this chest X-ray" says no more than "in the image"."""
IMAGE_NOUNS = word_set("image picture photo photograph scene screen view frame canvas")
"""What a picture is called."""

PLACE_NOUNS = word_set(
    "corner corners half halves side sides part third quarter quadrant edge edges border borders boundary margin "
    "area section end region portion most point sector zone direction"
)
"""Nouns that, with a side, name a part of the image rather than a thing in it."""

CLOTHES = word_set(
    "shirt jacket coat dress hat cap suit sweater jersey uniform skirt shorts pants jeans trousers tie tee hoodie "
    "short pant jean trouser vest helmet sunglass shoe boot glove scarf costume outfit overall"
)
"""What people are in without lying in it: the boxes of candidates cannot tell."""

HALVES = frozenset(("half", "halves", "quarter", "quadrant"))
EDGES = frozenset(("edge", "edges", "border", "borders", "boundary", "margin"))
NEAR_EDGES = frozenset(("near", "close", "nearby", "toward", "towards", "below", "above", "by"))
"""Words before an edge that leave some way to it."""
CORNERS = frozenset(("corner", "corners"))

_RELATIONS = {
    "on": ("on top of", "on", "onto"),
    "beside": ("next to", "adjacent to", "beside", "alongside", "along", "by", "touching"),
    "near": ("close to", "near", "near to", "nearby", "in the vicinity of", "at"),
    "above": ("above", "over"),
    "below": ("below", "under", "underneath", "beneath"),
    "inside": ("in the inside of", "in the interior of", "inside", "inside of", "within", "into", "in"),
    "between": ("between",),
    "larger": ("larger than", "bigger than", "greater than"),
    "smaller": ("smaller than",),
    "with": ("with",),
}
RELATIONS = {words: kind for kind, said in _RELATIONS.items() for words in said}
"""What a word of place says of a thing and its reference."""

_EMPTY = word_set("and to on at the of side")
SIDE_RELATIONS = {"left": "left_of", "right": "right_of", "top": "above", "bottom": "below"}

_ISOLATION = ("isolation", True, "most isolated")
_MEASURES = {
    (
        "large",
        "larg",
        "big",
        "bigg",
        "great",
        "huge",
        "giant",
        "sizable",
        "sizeable",
        "massive",
        "enormous",
        "gigantic",
        "expansive",
        "vast",
    ): ("area", True, "largest"),
    ("small", "little", "tiny", "tini", "littl", "compact", "mini", "minuscule", "petite"): ("area", False, "smallest"),
    ("long", "elongated"): ("length", True, "longest"),
    ("short",): ("length", False, "shortest"),
    ("round", "circular"): ("roundness", True, "roundest"),
    ("bright", "light", "pale"): ("brightness", True, "brightest"),
    ("dark", "shadowed", "shadowy", "shaded", "dimly lit"): ("brightness", False, "darkest"),
    ("tall",): ("height", True, "tallest"),
    ("wide", "wid", "broad"): ("width", True, "widest"),
    ("narrow",): ("width", False, "narrowest"),
    ("isolated", "solitary", "lone", "lonely", "loneli", "alone", "apart", "itself", "themselves", "own"): _ISOLATION,
}
_COLOURED = re.compile(r"(?:ly)? (?:colou?red|toned|hued|tinted)$")
_BY_STEM = {stem: meaning for stems, meaning in _MEASURES.items() for stem in stems}
_MOST = {"left": "leftmost", "right": "rightmost", "top": "topmost", "bottom": "bottommost"}


def sides_of(words: str) -> tuple[str, ...]:
    """Return the sides that a direction names, with or without "-ern" and "-most": "north east", top and right."""
    text = words.replace("ern", " ").replace("most", " ").replace("hand", " ")
    for vertical in ("north", "south"):
        text = text.replace(vertical, f"{vertical} ")
    return tuple(dict.fromkeys(SIDE_OF[word] for word in text.split() if word in SIDE_OF))


def place_order(sides: tuple[str, ...], *, closest: bool = True) -> Order:
    """Return the superlative of a place: ``("left",)`` gives leftmost, two sides a corner; or of what is furthest."""
    if "edge" in sides and len(sides) == 2:  # the right edge is as far as the right
        sides = tuple(side for side in sides if side != "edge")
    if len(sides) == 1 and sides[0] in _MOST:
        side = sides[0] if closest else OPPOSITE[sides[0]]
        return Order("place", False, _MOST[side], (side,))
    named = " ".join(sorted(sides, key=("top", "bottom", "centre", "left", "right", "edge", "corner").index))
    corner = " corner" if len(sides) > 1 and not {"centre", "corner", "edge"} & {*sides} else ""
    return Order("place", not closest, f"{'closest to' if closest else 'furthest from'} the {named}{corner}", sides)


def superlative(words: str) -> Order:
    """Return what a superlative or comparative sorts by: "biggest", "smaller", "left most", "most round"."""
    if words == "outermost":
        return place_order(("edge",))
    if words in ("innermost", "most central"):
        return place_order(("centre",))
    sides = sides_of({"highest": "top", "lowest": "bottom"}.get(words.split()[0], words))
    if sides:
        return place_order(sides)
    words = _COLOURED.sub("", words)
    if words.split()[-1] in ("alone", "apart", "itself", "themselves", "own"):
        words = words.split()[-1]
    if words in _BY_STEM:
        return Order(*_BY_STEM[words])
    kind, _, stem = words.rpartition(" ")
    for ending in ("est", "er", ""):
        known = _BY_STEM.get(stem.removesuffix(ending)) if stem.endswith(ending) else None
        if known is not None:
            measure, largest, name = known
            return Order(measure, not largest, f"least {stem}") if kind == "least" else Order(measure, largest, name)
    raise KeyError(words)


def number_of(words: str) -> int:
    """Return the number that a numeral names: "two", "12", "a couple of"."""
    name = words.removeprefix("a ").removesuffix(" of")
    return NUMBERS[name] if name in NUMBERS else int(name)


def ordinal_of(words: str) -> int:
    """Return the rank that an ordinal names: 1 for the first, -1 for the last, -2 for the one before it."""
    if words in ORDINALS:
        return ORDINALS[words]
    if words.endswith("last"):  # "third to last"
        return -ordinal_of(words.split()[0])
    return max(1, int(words[:-2]))


def ordinal_name(rank: int) -> str:
    """Return the ordinal in words for a rank from 1 to 99, in figures beyond."""
    return next((name for name, number in ORDINALS.items() if number == rank), f"{rank}th")


def colour_of(words: str) -> str:
    """Return the basic colour term that a word of colour stands for: "gray", "cyan coloured", "reddish"."""
    word = words.split()[0]
    return _TINTS.get(word) or _TINTS.get(word.removesuffix("ish")) or word.removesuffix("ish")


def relation_kinds(words: str) -> tuple[str, ...]:
    """Return what words of place say of a thing and its reference: one relation, or the two of "above and left of".

    Example:
        >>> relation_kinds("next to"), relation_kinds("below and to the right of"), relation_kinds("with regard to")
        (('beside',), ('below', 'right_of'), ())
    """
    if words in RELATIONS:
        return (RELATIONS[words],)
    said = [*words.split()] if " and " in words else []
    kinds = [RELATIONS.get(word) or SIDE_RELATIONS.get(SIDE_OF.get(word, "")) for word in said if word not in _EMPTY]
    return tuple(dict.fromkeys(kind for kind in kinds if kind))


def fraction_of(words: str) -> float | None:
    """Return the share that a fraction names ("half of", "a third", "two thirds of"); "most of" names none."""
    return FRACTIONS.get(words.removesuffix(" of").removeprefix("a ").removeprefix("one "))
