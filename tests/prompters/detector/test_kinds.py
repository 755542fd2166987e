"""The detector prompter and the kinds of pictures: what is of another kind is not looked for."""

import numpy as np
import pytest

from detector_fakes import KnowingDetector
from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.prompters.classic import ClassicPrompter
from fiducial.prompters.detector import Detection, DetectorPrompter

NAMES = ("ship", "pier", "tumour")
AIR, HEAD = (Image(np.full((60, 80, 3), shade, np.uint8), name=name) for shade, name in ((90, "air"), (30, "head")))
FOUND = [Detection((10.0, 10.0, 30.0, 30.0), 0.9, "ship"), Detection((40.0, 10.0, 70.0, 50.0), 0.8, "tumour")]


class Kinds:
    """Knows that ships and piers are seen from the air, and tumours in heads."""

    def fitting(self, pictures, names):
        seen = {name for one in pictures for name in (("ship", "pier") if one.name == "air" else ("tumour",))}
        return tuple(name for name in names if name in seen)

    def why_not(self, pictures, names, nouns):
        return f"{', '.join(nouns)}: not in {', '.join(one.name for one in pictures)}"


def prompter(**options):
    detector = KnowingDetector({AIR.digest: FOUND, HEAD.digest: FOUND}, NAMES)
    return detector, DetectorPrompter(detector, kinds=Kinds(), **options)


def test_a_picture_of_the_kind_is_looked_at():
    detector, made = prompter()
    (answer,) = made.ask([AIR], ["the ship"])
    assert answer.outcome is Outcome.FOUND
    assert detector.calls == [[("air", ("ship",))]]


@pytest.mark.parametrize(
    ("instruction", "nouns"),
    [
        ("all ships", "ships"),
        ("the tumour left of the pier", "pier"),
        ("all tumours except the ships", "ships"),
        ("the ships and the piers", "ships, piers"),
    ],
)
def test_a_picture_of_another_kind_is_a_failure_that_says_so(instruction, nouns):
    detector, made = prompter(regions=ClassicPrompter())
    (answer,) = made.ask([HEAD], [instruction])
    assert (answer.outcome, answer.text, len(answer.prompts)) == (Outcome.FAILED, f"{nouns}: not in head", 0)
    assert detector.calls == []


def test_pictures_of_a_batch_are_judged_each_by_itself():
    _, made = prompter()
    answers = made.ask([AIR, HEAD, HEAD], ["the ship", "the ship", "the tumour"])
    assert [one.outcome for one in answers] == [Outcome.FOUND, Outcome.FAILED, Outcome.FOUND]


def test_a_phrase_without_a_noun_means_what_can_be_there():
    detector, made = prompter()
    (answer,) = made.ask([HEAD], ["the largest thing"])
    assert [prompt.label for prompt in answer.prompts] == ["tumour"]
    assert detector.calls == [[("head", ("tumour",))]]


def test_where_nothing_can_be_there_a_phrase_without_a_noun_fails_too():
    class Nothing(Kinds):
        def fitting(self, pictures, names):
            return ()

    detector = KnowingDetector({HEAD.digest: FOUND}, NAMES)
    (answer,) = DetectorPrompter(detector, kinds=Nothing()).ask([HEAD], ["the largest thing"])
    assert answer.outcome is Outcome.FAILED
    assert answer.text.endswith("not in head")
    assert detector.calls == []


def test_parts_are_of_the_kind_of_the_whole():
    _, made = prompter()
    of_scan = made.part_of([HEAD])
    assert of_scan.ask([AIR], ["the tumour"])[0].outcome is Outcome.FOUND
    assert of_scan.ask([AIR], ["the ship"])[0].outcome is Outcome.FAILED
    assert made.ask([AIR], ["the tumour"])[0].outcome is Outcome.FAILED


def test_without_kinds_every_picture_may_show_everything():
    detector = KnowingDetector({HEAD.digest: FOUND}, NAMES)
    assert DetectorPrompter(detector).ask([HEAD], ["the ship"])[0].outcome is Outcome.FOUND
