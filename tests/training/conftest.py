import numpy as np
import pytest

from fiducial.synthetic.shapes import KINDS
from fiducial.training.grounder_data import Lexicon


def stand_in(phrases):
    """Give every phrase its own direction, the same at each call."""
    found = [np.random.default_rng(list(phrase.encode())).normal(size=8) for phrase in phrases]
    return np.array([one / np.linalg.norm(one) for one in found], np.float32)


@pytest.fixture(scope="session")
def lexicon():
    names = (*KINDS, "tumour")
    domains = dict.fromkeys(KINDS, "shapes") | {"tumour": "brain"}
    return Lexicon.of({name: (name, f"{name} thing") for name in names}, domains, stand_in)
