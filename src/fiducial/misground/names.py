"""Names of structures: from the labels of a scan to words in a sentence, and what a name gives away."""

from __future__ import annotations

import re
from functools import cache

_WORDS = {
    "autochthon": "autochthonous back muscle",
    "iliopsoas": "iliopsoas muscle",
    "gluteus_maximus": "gluteus maximus muscle",
    "gluteus_medius": "gluteus medius muscle",
    "gluteus_minimus": "gluteus minimus muscle",
    "iliac_vena": "common iliac vein",
    "iliac_artery": "common iliac artery",
    "brachiocephalic_vein": "brachiocephalic vein",
    "hip": "hip bone",
    "portal_vein_and_splenic_vein": "portal and splenic vein",
    "vertebrae": "vertebral bodies",
    "lung_upper_lobe": "upper lobe of the lung",
    "lung_middle_lobe": "middle lobe of the lung",
    "lung_lower_lobe": "lower lobe of the lung",
}
"""What some labels of TotalSegmentator are called in words, without the side."""
_SIDED = re.compile(r"^(?P<stem>.+?)_(?P<side>left|right)(?:_(?P<number>\d+))?$")
_LEADING = re.compile(r"^(?P<side>left|right)_(?P<stem>.+)$")
_VERTEBRA = re.compile(r"^vertebrae?_(?P<level>[CTLS]\d+)$", re.IGNORECASE)
_PLURAL = frozenset({"vertebral bodies", "intervertebral discs", "costal cartilages"})
_MIDLINE = re.compile(
    r"^(spinal_cord|sacrum|vertebrae?(_[A-Z]\d+)?|intervertebral_discs|spine|spinal_canal)$", re.IGNORECASE
)


@cache
def readable(name: str) -> str:
    """Return a label's name as words, without an article.

    Example:
        >>> readable("kidney_left"), readable("rib_right_11"), readable("vertebrae_L5")
        ('left kidney', 'right rib 11', 'vertebra L5')
        >>> readable("lung_upper_lobe_left")
        'upper lobe of the left lung'
    """
    key = name.strip().replace(" ", "_")
    if vertebra := _VERTEBRA.match(key):
        return f"vertebra {vertebra['level'].upper()}"
    found = _SIDED.match(key) or _LEADING.match(key)
    if found is None:
        return _WORDS.get(key.lower(), key.replace("_", " "))
    stem, side = _WORDS.get(found["stem"].lower(), found["stem"].replace("_", " ")), found["side"]
    number = found.groupdict().get("number")
    part, of, whole = stem.partition(" of the ")
    words = f"{part}{of}{side} {whole}" if of else f"{side} {stem}"
    return f"{words} {number}" if number else words


def with_article(name: str) -> str:
    """Return a label's name as it stands in a sentence.

    Example:
        >>> with_article("kidney_left"), with_article("vertebrae_L5")
        ('the left kidney', 'vertebra L5')
    """
    words = readable(name)
    return words if words.startswith("vertebra ") or re.search(r"\brib \d+$", words) else f"the {words}"


def is_plural(name: str) -> bool:
    """Tell whether a verb beside the name stands in the plural."""
    return readable(name) in _PLURAL


@cache
def side_of(name: str) -> str:
    """Return the side that a name gives away: ``left``, ``right``, or "".

    Example:
        >>> side_of("kidney_left"), side_of("liver")
        ('left', '')
    """
    found = re.search(r"(?:^|[_\s])(left|right)(?:$|[_\s])", name.lower())
    return found[1] if found else ""


def is_midline(name: str) -> bool:
    """Tell whether a structure lies in the body's middle plane, which it then shows."""
    return _MIDLINE.match(name.strip().replace(" ", "_")) is not None
