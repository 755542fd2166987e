"""Vocabulary: how people call what datasets label, and what is better left unsaid.

Labels are written for machines ("ground_track_field"); instructions are for people ("the running track").
"""

from __future__ import annotations

import re

from fiducial.language.phrases.nouns import head_index, plural, word_set

_SPOKEN = {
    "aeroplane": "airplane",
    "baseballfield": "baseball field",
    "basketballcourt": "basketball court",
    "diningtable": "dining table",
    "expressway service area": "service area",
    "expressway toll station": "toll station",
    "golffield": "golf course",
    "ground track field": "running track",
    "groundtrackfield": "running track",
    "hair drier": "hair dryer",
    "large vehicle": "large vehicle",
    "motorbike": "motorcycle",
    "plane": "airplane",
    "pottedplant": "potted plant",
    "remote": "remote control",
    "soccer ball field": "soccer field",
    "sports ball": "ball",
    "storagetank": "storage tank",
    "tenniscourt": "tennis court",
    "trainstation": "train station",
    "tv": "TV",
    "tvmonitor": "TV",
}

UNCOUNTABLE = frozenset(
    {"skis", "scissors", "broccoli", "pants", "jeans", "glasses", "sunglasses", "grass", "water", "sky", "road", "sand"}
)
"""What comes in pairs or heaps: "the two leftmost scissors" is not said."""

_PEOPLE = word_set("person man woman child boy girl baby player rider pedestrian")
UNCOLOURED = _PEOPLE | {
    *("apple", "banana", "bear", "broccoli", "cake", "carrot", "donut", "elephant", "giraffe", "hot dog", "orange"),
    *("pizza", "sandwich", "sheep", "tie", "zebra"),
    *("airport", "baseball diamond", "baseball field", "bridge", "dam", "golf course", "harbor", "harbour", "overpass"),
    *("roundabout", "running track", "service area", "soccer field", "stadium", "toll station", "train station"),
}
"""What people do not tell apart by its colour, or what has the same one always."""
UNSIZED = _PEOPLE
"""What is not called large or small by how much of the picture it covers."""

_CONFUSABLE = (
    ("car", "truck", "bus", "van", "vehicle", "large vehicle", "small vehicle", "train"),
    ("bicycle", "motorcycle"),
    ("chair", "couch", "bench", "sofa", "bed"),
    ("dining table", "desk", "table", "bench"),
    ("cup", "bowl", "bottle", "wine glass", "vase", "potted plant"),
    ("fork", "knife", "spoon", "scissors", "toothbrush"),
    ("horse", "cow", "sheep", "dog", "bear", "cat"),
    ("elephant", "cow"),
    ("backpack", "handbag", "suitcase"),
    ("TV", "laptop", "cell phone", "remote control", "mouse", "keyboard", "microwave"),
    ("microwave", "oven", "toaster", "refrigerator"),
    ("banana", "apple", "orange", "carrot", "broccoli"),
    ("cake", "donut", "sandwich", "pizza", "hot dog"),
    ("sink", "toilet", "bowl"),
    ("skis", "snowboard", "surfboard", "skateboard"),
    ("baseball bat", "tennis racket", "baseball glove"),
    ("ball", "frisbee"),
    ("book", "laptop"),
    ("boat", "ship", "surfboard"),
    ("ship", "harbor", "harbour"),
    ("airplane", "helicopter", "airport"),
    ("tennis court", "basketball court", "soccer field", "running track", "baseball field"),
    ("running track", "soccer field", "stadium", "baseball diamond"),
    ("bridge", "overpass", "dam", "harbor", "harbour"),
    ("person", "baseball glove", "tie", "skis", "snowboard", "surfboard", "skateboard"),
    ("square", "bar"),
    ("disc", "ring"),
)
_OFTEN_UNLISTED = frozenset(
    {"vehicle", "small vehicle", "large vehicle", "car", "person", "book", "bridge", "overpass", "bottle", "cup"}
)
"""What pictures often hold and annotators often left out: its absence is never claimed."""


def spoken(label: str) -> str:
    """Return how people call what a label names, in the singular.

    Example:
        >>> [spoken(label) for label in ("storage_tank", "ground_track_field", "tv", "Swimming-Pool")]
        ['storage tank', 'running track', 'TV', 'swimming pool']
    """
    words = " ".join(re.split(r"[\s_-]+", label.strip())).lower()
    return _SPOKEN.get(words, words)


def many(name: str) -> str:
    """Return the plural of a spoken name.

    Example:
        >>> many("storage tank"), many("person"), many("bottle of water")
        ('storage tanks', 'people', 'bottles of water')
    """
    words = tuple(name.split())
    at = head_index(words)
    return " ".join(plural(word) if index == at else word for index, word in enumerate(words))


def some(name: str, count: int) -> str:
    """Return a spoken name in the number that ``count`` things need."""
    return name if count == 1 else many(name)


def confusable(name: str, present: frozenset[str]) -> bool:
    """Say whether a thing that is not annotated might be seen all the same, beside the spoken names that are."""
    if name in _OFTEN_UNLISTED or name in present:
        return True
    return any(name in group and not present.isdisjoint(group) for group in _CONFUSABLE)
