"""Spatial phrases: what people say of places and picks, parsed and resolved among candidates."""

from fiducial.language.phrases.nouns import same_noun
from fiducial.language.phrases.parsing import parse_instruction
from fiducial.language.phrases.request import Order, Quantifier, Request, Target, Trait
from fiducial.language.phrases.resolving import Resolution, resolve

__all__ = [
    "Order",
    "Quantifier",
    "Request",
    "Resolution",
    "Target",
    "Trait",
    "parse_instruction",
    "resolve",
    "same_noun",
]
