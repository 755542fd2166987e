"""Drawn scenes and referring expressions: instructions with exact truth, made from a seed or from annotations."""

from fiducial.synthetic.expressions import FAMILIES, NO_TARGET, VERSION, Said, propose, reads_back, say
from fiducial.synthetic.referring import Expression, referring_expressions
from fiducial.synthetic.referring_dataset import ReferringDataset, expression_lines, read_expressions, write_expressions
from fiducial.synthetic.scenes import STYLES, SceneDataset, view_of
from fiducial.synthetic.view import Thing, View

__all__ = [
    "FAMILIES",
    "NO_TARGET",
    "STYLES",
    "VERSION",
    "Expression",
    "ReferringDataset",
    "Said",
    "SceneDataset",
    "Thing",
    "View",
    "expression_lines",
    "propose",
    "read_expressions",
    "reads_back",
    "referring_expressions",
    "say",
    "view_of",
    "write_expressions",
]
