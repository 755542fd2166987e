"""Subjects that a network draws: masks, boxes, what is not there, and the two detectors as one."""

import numpy as np
import pytest

from fiducial.errors import InputError, ModelError
from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.pipeline import Pipeline
from fiducial.prompters.detector import Detection, DetectorPrompter, Reading
from fiducial.prompters.detector.prompter import BY_ITSELF
from fiducial.prompters.detector.reading import Detector, WithinKind
from fiducial.prompters.subjects.drawing import Subject, SubjectDetector
from fiducial.prompters.subjects.joined import JoinedDetector

SUBJECTS = (
    Subject("polyp", "endoscopy"),
    Subject("lung", "xray", apart=True),
    Subject("tumour", "brain", presence=0.9, draws=False),
)
GRID = 16


class Halves:
    """Draws the left half, two stripes, or the upper half, by the vector; a dark picture shows nothing."""

    fingerprint = "halves"

    def __init__(self, wrong=0.0):
        self.counts, self.wrong = [], np.float32(wrong)

    def __call__(self, pictures, vectors):
        self.counts.append(len(pictures))
        assert pictures.dtype == vectors.dtype == np.float32
        logits = np.full((len(pictures), GRID, GRID), -5, np.float32)
        for one, vector in zip(logits, vectors, strict=True):
            if vector[0]:
                one[:, :8] = 5
            elif vector[1]:
                one[:, :4] = one[:, 12:] = 5
            else:
                one[:8] = 5
        return logits + self.wrong, np.where(pictures.mean(axis=(1, 2, 3)) > 0.3, 2.0, -2.0).astype(np.float32)


def detector(engine=None):
    return SubjectDetector(lambda: engine or Halves(), SUBJECTS, np.eye(3), 32)


def picture(shade=200, name="one"):
    return Image(np.full((40, 80, 3), shade, np.uint8), name=name)


def test_a_mask_gives_its_box():
    ((found,),) = detector().detect([picture()], [["polyp"]])
    assert found.name == "polyp"
    assert found.score == pytest.approx(1 / (1 + np.exp(-2)))
    assert found.box == found.mask.box
    assert found.box == pytest.approx((0, 0, 40, 40), abs=2)


def test_things_that_are_apart_are_each_a_thing():
    (found,) = detector().detect([picture()], [["lung"]])
    assert sorted(one.box[0] for one in found) == pytest.approx([0, 60], abs=2)


def test_below_its_threshold_nothing_is_there():
    assert detector().detect([picture(), picture(10)], [["tumour"], ["polyp"]]) == [[], []]


def test_what_does_not_draw_leaves_the_mask_to_a_segmenter():
    subjects = (Subject("tumour", "brain", draws=False),)
    ((found,),) = SubjectDetector(Halves, subjects, np.float32([[0, 0, 1]]), 32).detect([picture()], [["tumour"]])
    assert found.mask is None
    assert found.box == pytest.approx((0, 0, 80, 20), abs=2)


def test_each_subject_of_a_picture_is_drawn_once_and_new_ones_together():
    engine = Halves()
    made = detector(engine)
    made.detect([picture(), picture(name="again")], [["polyp"], ["polyp"]])
    found = made.detect([picture(), picture(90)], [["lung", "polyp"], ["polyp"]])
    assert engine.counts == [1, 2]
    assert [[one.name for one in some] for some in found] == [["lung", "lung", "polyp"], ["polyp"]]


def test_the_network_is_loaded_when_it_is_needed():
    def load():
        raise AssertionError("nothing was asked for")

    assert SubjectDetector(load, SUBJECTS, np.eye(3), 32).detect([picture()], [[]]) == [[]]


def test_what_makes_no_sense_is_refused(tmp_path):
    with pytest.raises(InputError, match="3 subjects need as many vectors, got 2"):
        SubjectDetector(Halves, SUBJECTS, np.eye(2), 32)
    with pytest.raises(InputError, match=r"polyp: presence lies between 0 and 1, got 0"):
        Subject("polyp", "endoscopy", presence=0)
    with pytest.raises(ModelError, match="no finite numbers"):
        detector(Halves(np.nan)).detect([picture()], [["polyp"]])
    with pytest.raises(InputError, match=r"lacks subjects\.safetensors, .*fiducial models .* --export"):
        SubjectDetector.from_pretrained(tmp_path)


class Boxes:
    """A grounder that knows ships, and tumours by boxes."""

    class grounder:  # noqa: N801
        from fiducial.prompters.grounder.weights import Name

        names = (Name("ship", "aerial"), Name("tumour", "brain"))

    def __init__(self):
        self.asked = []

    def detect(self, images, names):
        self.asked.append(names)
        return [[Detection((1.0, 2.0, 3.0, 4.0), 0.7, name) for name in some] for some in names]


def test_two_detectors_are_one_and_a_name_of_both_is_drawn():
    boxes = Boxes()
    joined = JoinedDetector(boxes, detector())
    assert isinstance(joined, Detector)
    assert joined.vocabulary() == ("ship", "tumour", "polyp", "lung")
    assert joined.domains == {"ship": "aerial", "tumour": "brain", "polyp": "endoscopy", "lung": "xray"}
    assert joined.read("lungs").name == "lung"
    assert joined.read("lesion").instead == ("polyp",)
    found = joined.detect([picture(), picture(10)], [["ship", "polyp"], ["tumour"]])
    assert [[one.name for one in some] for some in found] == [["polyp", "ship"], []]
    assert boxes.asked == [[["ship"], []]]


class Cutter:
    """A segmenter that must not be asked."""

    def encode(self, image):
        raise AssertionError("the prompter drew the mask")

    decode = encode


def test_a_pipeline_keeps_the_masks_that_were_drawn():
    pipe = Pipeline(prompter=DetectorPrompter(JoinedDetector(Boxes(), detector())), segmenter=Cutter())
    result = pipe(picture(), "the polyp")
    assert result.outcome is Outcome.FOUND
    (prompt,), (mask,) = result.prompts, result.masks
    assert mask.box == prompt.box
    ((x, y),) = prompt.points
    assert mask.to_dense()[int(y), int(x)]
    assert result.text.endswith(BY_ITSELF)
    both = pipe(picture(), "the lungs")
    assert len(both.masks) == 2
    assert pipe(picture(), "the leftmost lung").mask.box[0] == 0


def test_a_word_means_what_can_be_in_the_picture():
    class Kinds:
        def fitting(self, pictures, names):
            return tuple(name for name in names if name in pictures[0].name)

        def why_not(self, pictures, names, nouns):
            return ""

    class Reader:
        def read(self, noun):
            return Reading(noun, "tumour", 1.0, ("polyp", "skin lesion"))

    def name(kind):
        return WithinKind(Reader(), Kinds(), [picture(name=kind)]).read("lesion").name

    assert [name(kind) for kind in ("polyp", "tumour", "skin lesion", "?")] == [
        "polyp",
        "tumour",
        "skin lesion",
        "tumour",
    ]
    assert name("polyp, skin lesion") == "tumour"
