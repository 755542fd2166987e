"""Referring expressions: instructions with exact truth, made from instance annotations."""

from fiducial.datasets.referring.expressions import FAMILIES, NO_TARGET, VERSION, Said, propose, reads_back, say
from fiducial.datasets.referring.files import ReferringDataset, expression_lines, read_expressions
from fiducial.datasets.referring.making import Expression, referring_expressions
from fiducial.datasets.referring.view import Thing, View

__all__ = [
    "FAMILIES",
    "NO_TARGET",
    "VERSION",
    "Expression",
    "ReferringDataset",
    "Said",
    "Thing",
    "View",
    "expression_lines",
    "propose",
    "read_expressions",
    "reads_back",
    "referring_expressions",
    "say",
]
