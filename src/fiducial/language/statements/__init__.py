"""Statements: what the text of an answer says of where things lie, how many there are and how large they are."""

from fiducial.language.statements.reading import point_of, read_statements, stated_place
from fiducial.language.statements.statement import Convention, Count, Place, Size, Statement, as_convention

__all__ = [
    "Convention",
    "Count",
    "Place",
    "Size",
    "Statement",
    "as_convention",
    "point_of",
    "read_statements",
    "stated_place",
]
