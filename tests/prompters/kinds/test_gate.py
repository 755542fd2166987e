"""Which names are looked for in a picture, and what is said about the others."""

import numpy as np

from fiducial.images import Image
from fiducial.prompters.detector.reading import ANY_NOUN, PictureKinds
from fiducial.prompters.kinds.gate import ANYWAY, KindGate
from fiducial.prompters.kinds.judge import Judgement, Kind
from fiducial.prompters.kinds.words import KINDS, listed, within

DOMAINS = {"ship": "aerial", "vehicle": "aerial", "tumour": "brain", "thing": ""}
TAUGHT = (Kind("aerial"), Kind("brain"), Kind("photo"), Kind("shapes"))
PICTURES = {one: Image(np.full((8, 8, 3), shade, np.uint8), name=one) for shade, one in enumerate(("air", "head", "?"))}


class Told:
    """Judges pictures by their names."""

    def judge(self, images):
        logits = {"air": (1, -1, -1, -1), "head": (-1, 1, -1, -1), "?": (-1, -1, -1, -1)}
        return [Judgement(TAUGHT, np.float32(logits[image.name])) for image in images]


def gate():
    made = KindGate(DOMAINS)
    made.judge = Told()
    return made


def fitting(*names):
    return gate().fitting([PICTURES[name] for name in names], tuple(DOMAINS))


def test_it_keeps_the_contract():
    assert isinstance(gate(), PictureKinds)


def test_a_name_fits_where_one_of_the_pictures_can_be_of_its_kind():
    assert fitting("air") == ("ship", "vehicle", "thing")
    assert fitting("head") == ("tumour", "thing")
    assert fitting("?") == ("thing",)
    assert fitting("?", "head", "air") == tuple(DOMAINS)


def test_a_picture_of_no_known_kind_may_be_a_drawing():
    made = KindGate({"disc": "shapes", "ship": "aerial"})
    made.judge = Told()
    assert made.fitting([PICTURES["?"]], ("disc", "ship")) == ("disc",)
    assert made.fitting([PICTURES["head"]], ("disc", "ship")) == ()


def test_names_without_a_kind_need_no_judge():
    made = KindGate(DOMAINS, "no such file")
    assert made.fitting([PICTURES["air"]], ("thing",)) == ("thing",)


def test_it_says_what_the_picture_seems_to_be_and_what_can_be_done():
    said = gate().why_not([PICTURES["head"]], ["ship", "vehicle"], ["boats", "car"])
    assert said.startswith("I look for 'boats' and 'car' in aerial pictures alone, and this seems to be an axial")
    assert "In such a picture tumour can be asked for." in said
    assert ANY_NOUN in said
    assert said.endswith(ANYWAY)


def test_a_picture_of_no_kind_is_not_called_one():
    said = gate().why_not([PICTURES["?"]], ["ship", "tumour"], ["ship", "tumour"])
    assert "'tumour' in aerial pictures and in brain scans alone, and this is of no kind that is known" in said
    assert "In such a picture" not in said


def test_kinds_have_words():
    assert all(one.one and one.within.startswith("in ") for one in KINDS.values())
    assert within("aerial") == "in aerial pictures"
    assert listed([]) == ""
