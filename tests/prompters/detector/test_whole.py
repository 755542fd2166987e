"""What people add to the name of a thing in a medical picture, and that only names what all such pictures show."""

from __future__ import annotations

import numpy as np
import pytest

from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.language.phrases.parsing import normalise
from fiducial.prompters.detector import Detection, DetectorPrompter
from fiducial.prompters.grounder.vocabulary import Vocabulary

VOCABULARY = Vocabulary.read()
PICTURE = Image(np.zeros((200, 200, 3), np.uint8))
LEFT, RIGHT, MIDDLE = (10.0, 20.0, 60.0, 150.0), (130.0, 20.0, 180.0, 150.0), (50.0, 60.0, 90.0, 95.0)
BOXES = {"lung": (LEFT, RIGHT), "left lung": (RIGHT,), "right lung": (LEFT,)}


class Chart:
    """Reads nouns by the vocabulary, and finds one thing of each name but two lungs."""

    read, names = staticmethod(VOCABULARY.look_up), VOCABULARY.names

    def vocabulary(self):
        return self.names

    def detect(self, images, names):
        return [[Detection(box, 0.9, name) for name in some for box in BOXES.get(name, (MIDDLE,))] for some in names]


class Kind:
    """Takes every picture for one kind."""

    def __init__(self, kind):
        self.kind = kind

    def fitting(self, pictures, names):
        return tuple(name for name in names if VOCABULARY.entry(name).domain == self.kind)

    def why_not(self, pictures, names, nouns):
        return f"{', '.join(nouns)} ({', '.join(names)}): not here"


def asked(kind, instruction):
    return DetectorPrompter(Chart(), kinds=Kind(kind)).ask([PICTURE], [instruction])[0]


SAID = {
    "brain": (
        *("brain tumour in this scan", "the tumor in the MRI", "the glioma", "the tumour in the brain"),
        *("the brain lesion", "the patient's tumour", "the tumour of the patient", "the cerebral tumour", "the mass"),
        *("the tumour in this MR image", "the intracranial tumour", "the tumor in the head", "the tumour region"),
        *("the tumor in this FLAIR slice", "the whole tumour", "is there a tumour?", "any brain mass", "the cancer"),
    ),
    "ultrasound": (
        *("the tumour in the breast", "tumour of the breast", "the nodule", "the lump in the breast", "the mass"),
        *("the lesion in this ultrasound", "the lesion on this scan", "the cancer", "the breast lesion area"),
        *("the tumor in this patient's breast", "the mass in the ultrasound image", "the cyst"),
    ),
    "skin": (
        *("lesion on the skin", "the mole on the skin", "the birthmark on the skin", "the dark spot on the skin"),
        *("the skin cancer", "the pigmented area", "the mole in this photo", "the lesion", "the lesion of the skin"),
    ),
    "endoscopy": (
        *("the polyp in the colon", "polyps in the bowel", "the colonic polyp", "polyp on the colon wall"),
        *("polyp on the wall of the colon", "the polyp in the large intestine", "the lesion in the colon"),
        *("the polyp in this endoscopy image", "the intestinal polyp"),
    ),
    "xray": (
        *("cardiac silhouette", "the heart in the chest x-ray", "the patient's heart", "the heart of this patient"),
        *("the heart in the chest", "the left lung of the patient", "the patient's left lung", "the right lung field"),
        *(
            "the left lung in this chest radiograph",
            "this patient's right lung",
            "the right lung of the patient's chest",
        ),
    ),
}
SENTENCES = [(kind, instruction) for kind, some in SAID.items() for instruction in some]


@pytest.mark.parametrize(("kind", "instruction"), SENTENCES, ids=[instruction for _, instruction in SENTENCES])
def test_the_whole_of_a_picture_plays_no_part(kind, instruction):
    answer = asked(kind, instruction)
    assert answer.outcome is Outcome.FOUND, answer.text
    assert len(answer.prompts) == 1
    side = {True: RIGHT} if "left" in instruction else {True: LEFT} if "right" in instruction else {}
    assert answer.prompts[0].box == side.get(True, MIDDLE)


@pytest.mark.parametrize("instruction", ["both lungs", "the lungs of the patient", "lung fields in this X-ray"])
def test_lungs_are_two(instruction):
    assert [one.box for one in asked("xray", instruction).prompts] == [LEFT, RIGHT]


@pytest.mark.parametrize(
    ("kind", "instruction", "told"),
    [
        ("brain", "the tumour in the left hemisphere", "'hemisphere'"),
        ("brain", "the malignant tumour", "'malignant' is not understood"),
        ("ultrasound", "the malignant tumour", "'malignant' is not understood"),
        ("brain", "the tumour in the breast", "breast tumour (breast lesion): not here"),
        ("brain", "tumour of the breast", "breast tumour (breast lesion): not here"),
        ("ultrasound", "the tumour in the left breast", "'breast'"),
        ("ultrasound", "the glioma in the breast", "'breast'"),
        ("skin", "the skin tumour in the brain", "'brain'"),
        ("xray", "the patient's lung on the left", "'patient' is not understood"),
        ("aerial", "the ship in the skull", "'skull'"),
        ("aerial", "the patient's ship", "'patient' is not understood"),
        ("aerial", "the vehicles on the road", "'road'"),
    ],
)
def test_what_tells_more_is_never_dropped(kind, instruction, told):
    answer = asked(kind, instruction)
    assert answer.outcome is Outcome.FAILED
    assert told in answer.text


def test_a_word_of_several_kinds_is_refused_for_all_of_them():
    told = "lesion (tumour, polyp, breast lesion, skin lesion): not here"
    assert asked("fundus", "the lesion").text == asked("fundus", "the lesion of the patient").text == told


def test_what_is_taken_for_more_is_said():
    assert "'cancer' was taken for any breast lesion" in asked("ultrasound", "the cancer").text
    assert "'melanoma' was taken for any skin lesion" in asked("skin", "the melanoma").text


@pytest.mark.parametrize(
    "said", ["in this chest x-ray", "on the satellite image", "in a FLAIR slice", "of this drawing"]
)
def test_the_picture_itself_is_no_place(said):
    assert normalise(f"the star {said}, please")[0].endswith("the image, please")


@pytest.mark.parametrize(
    "said", ["on the x-ray table", "in the drawing", "on the slice", "in the satellite", "in the ct room"]
)
def test_things_of_such_names_are_places(said):
    assert "image" not in normalise(f"the star {said}")[0]
