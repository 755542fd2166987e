"""No target: phrases that name nothing in the picture, and that nobody would stretch to name something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fiducial.datasets.referring.colouring import coloured_so
from fiducial.datasets.referring.ordering import place_line
from fiducial.datasets.referring.places import PARTS, inside
from fiducial.datasets.referring.proposals import Proposal, one_of
from fiducial.datasets.referring.relations import beside
from fiducial.datasets.referring.view import View
from fiducial.datasets.referring.vocabulary import UNCOLOURED, UNCOUNTABLE, confusable, many
from fiducial.language.candidates import COLOURS

_PLAIN_COLOURS = tuple(colour for colour in COLOURS if colour not in ("grey", "brown"))
_HIGH_ORDINALS = {3: "third", 4: "fourth", 5: "fifth"}


def absent_classes(view: View, vocabulary: Sequence[str], rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the airplane" where there is none.

    Args:
        view: the picture.
        vocabulary: spoken names that the dataset annotates; those that fit this kind of picture first do best.
        rng: chooses between wordings.
    """
    for name in vocabulary:
        if name not in UNCOUNTABLE and not confusable(name, view.names):
            words = one_of(rng, (f"the {name}", f"the {name}", f"all {many(name)}", f"the largest {name}"))
            yield Proposal(words, "no_target_class", ())


def absent_properties(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the purple ship", "the ship in the top left" and "the fourth ship from the left" where there is none."""
    for name, group in view.groups.items():
        for colour in _PLAIN_COLOURS if name not in UNCOLOURED else ():
            if coloured_so(view, group, colour) == ():
                yield Proposal(f"the {colour} {name}", "no_target_property", (), coloured=True)
        for part in PARTS:
            if inside(view, group, part) == ():
                yield Proposal(f"the {name} {one_of(rng, part.wordings)}", "no_target_property", ())
        number = len(group)
        if number + 1 in _HIGH_ORDINALS and all(place_line(view, group, "left").first(k) for k in range(1, number)):
            side = one_of(rng, ("left", "right"))
            words = f"the {_HIGH_ORDINALS[number + 1]} {name} from the {side}"
            yield Proposal(words, "no_target_property", ())
        for other, references in view.groups.items():
            for direction, words in (("left", "to the left of"), ("right", "to the right of"), ("above", "above")):
                if other != name and len(references) == 1 and beside(view, group, references[0], direction) == ():
                    yield Proposal(f"the {name} {words} the {other}", "no_target_property", ())
