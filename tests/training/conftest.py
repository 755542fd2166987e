from functools import cache

import numpy as np
import pytest

from fiducial.datasets import open_dataset
from fiducial.synthetic.shapes import KINDS
from fiducial.training import decoder_data, segmenter_data
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


@cache
def drawn(spec):
    return list(open_dataset(spec))


@pytest.fixture(scope="module", autouse=True)
def _scenes_are_drawn_once():
    """Drawing them is most of the work, and runs read them again and again."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (decoder_data, segmenter_data):
            patch.setattr(module, "open_dataset", drawn)
        yield
