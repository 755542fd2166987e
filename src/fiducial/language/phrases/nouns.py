"""Nouns: singular and plural, and whether a label is what was said."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


_PAIRS = (
    "people person, men man, women woman, children child, feet foot, teeth tooth, mice mouse, geese goose, leaves "
    "leaf, knives knife, wolves wolf, shelves shelf, loaves loaf, halves half, wives wife, lives life, thieves "
    "thief, calves calf, scarves scarf, oxen ox, nuclei nucleus, naevi naevus, nevi nevus, fungi fungus, "
    "cacti cactus, bacteria bacterium, potatoes potato, tomatoes tomato, heroes hero, cattle cow, cookies cookie, "
    "movies movie, zombies zombie, hoodies hoodie, brownies brownie, smoothies smoothie, "
    "collies collie, ties tie, pies pie, axes axe"
)
_IRREGULAR: dict[str, str] = dict(pair.split() for pair in _PAIRS.split(","))
_PLURAL = {one: many for many, one in _IRREGULAR.items() if many != "cattle"}
_SINGULAR_S = word_set(
    "bus gas lens glass grass class dress cross boss moss brass canvas atlas chess iris tennis virus cactus walrus "
    "octopus campus nucleus fungus hippopotamus platypus stylus abacus kiss mass pass truss albatross news mattress "
    "compass harness fortress hourglass waitress trellis pancreas thymus uterus oesophagus esophagus meniscus"
)
_UNCHANGED = word_set("sheep fish deer aircraft spacecraft hovercraft moose series species salmon bison")


def singular(word: str) -> str:
    """Return the singular of an English noun in lower case, by rule and a short list.

    Example:
        >>> [singular(word) for word in ("ships", "boxes", "people", "bus", "leaves", "cherries")]
        ['ship', 'box', 'person', 'bus', 'leaf', 'cherry']
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _SINGULAR_S or word in _UNCHANGED or not word.endswith("s") or len(word) < 3:
        return word
    if word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("es") and word[:-2] in _SINGULAR_S:
        return word[:-2]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    return word[:-1]


def plural(word: str) -> str:
    """Return the plural of an English noun in lower case; a plural stays as it is.

    Example:
        >>> [plural(word) for word in ("ship", "box", "person", "cherry", "ships", "naevus")]
        ['ships', 'boxes', 'people', 'cherries', 'ships', 'naevi']
    """
    if is_plural(word) or word in _UNCHANGED:
        return word
    if word in _PLURAL:
        return _PLURAL[word]
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return word[:-1] + "ies"
    return word + "s"


def is_plural(word: str) -> bool:
    """Say whether a noun in lower case is a plural; nouns with one form for both are not."""
    return singular(word) != word


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, split at spaces, hyphens, underscores and other marks."""
    plain = unicodedata.normalize("NFKC", name).casefold().replace("'s", "").replace("\u2019s", "")
    return tuple(re.findall(r"[^\W_]+", plain))


def stem(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return words with their head in the singular, so that "cargo ships" equals "cargo ship"."""
    at = head_index(words)
    return tuple(singular(word) if index == at else word for index, word in enumerate(words))


@lru_cache(maxsize=4096)
def name_stem(name: str) -> tuple[str, ...]:
    """Return the words of a name with its head in the singular."""
    return stem(words_of(name))


def head_index(words: tuple[str, ...]) -> int:
    """Return where the head of a noun is: its last word, or the one before "of" ("bottle of water")."""
    return words.index("of") - 1 if "of" in words[1:] else len(words) - 1


def same_noun(noun: str, label: str | None) -> bool:
    """Say whether a label is what a noun names; no label fits no noun.

    Case, number, hyphens and underscores do not matter. A label may say more than the noun in front
    of the same head: "ship" fits ``cargo_ship``, but "cargo ship" does not fit ``ship``.

    Example:
        >>> same_noun("Ships", "cargo_ship"), same_noun("cargo ship", "ship"), same_noun("ship", "ship wreck")
        (True, False, False)
    """
    if not label:
        return False
    said, called = name_stem(noun), name_stem(label)
    if not said or not called:
        return False
    if "of" in called and "of" not in said:
        called = called[: called.index("of")]
    return called[-len(said) :] == said or "".join(called) == "".join(said)


def in_number(words: tuple[str, ...], count: int) -> str:
    """Return a noun as text, in the singular for one and in the plural else."""
    at = head_index(words)
    change = singular if count == 1 else plural
    return " ".join(change(word) if index == at else word for index, word in enumerate(words))
