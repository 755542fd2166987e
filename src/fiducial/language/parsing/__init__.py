"""A bounded, tolerant reader of replies: never evaluates, never raises, time linear in the length."""

from fiducial.language.parsing.items import Collector, Item
from fiducial.language.parsing.limits import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_LABEL,
    MAX_NOTES,
    MAX_NUMBER,
    MAX_POINTS,
    MAX_WORDS,
)
from fiducial.language.parsing.notes import Notes
from fiducial.language.parsing.placing import Placer
from fiducial.language.parsing.reader import Document, Value, read_values
from fiducial.language.parsing.reading import Reading, read_json_like, to_answer
from fiducial.language.parsing.replies import Reply, split_reply

__all__ = [
    "MAX_CHARACTERS",
    "MAX_DEPTH",
    "MAX_ITEMS",
    "MAX_LABEL",
    "MAX_NOTES",
    "MAX_NUMBER",
    "MAX_POINTS",
    "MAX_WORDS",
    "Collector",
    "Document",
    "Item",
    "Notes",
    "Placer",
    "Reading",
    "Reply",
    "Value",
    "read_json_like",
    "read_values",
    "split_reply",
    "to_answer",
]
