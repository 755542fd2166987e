"""Texts against masks: which words are contradicted and by how much, and a blind test with swapped sides."""

from __future__ import annotations

import json
from itertools import chain

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fiducial.errors import UnknownNameError
from fiducial.geometry import Mask
from fiducial.language.statements import Convention
from fiducial.metrics import Verdict, check_consistency
from metrics.blind_texts import Told, of_prs_med, of_scenes, swapped, written

AGREED, CONTRADICTED, NOTHING = Verdict.AGREED, Verdict.CONTRADICTED, Verdict.NOTHING_STATED


def box(x1: float, y1: float, x2: float, y2: float) -> Mask:
    """Return a box in hundredths of a picture of 200 x 200 pixels."""
    return Mask.from_box((2 * x1, 2 * y1, 2 * x2, 2 * y2), height=200, width=200)


LEFT, RIGHT, TOP_RIGHT, LOW_LEFT, MIDDLE = (
    box(10, 40, 30, 60),
    box(70, 40, 90, 60),
    box(70, 10, 90, 30),
    box(10, 70, 30, 90),
    box(44, 44, 58, 58),
)


@pytest.mark.parametrize(
    ("text", "masks", "verdict"),
    [
        ("It lies on the left.", [LEFT], AGREED),
        ("It lies on the left.", [RIGHT], CONTRADICTED),
        ("It lies in the left half.", [MIDDLE], AGREED),  # a little over the middle line
        ("It lies in the upper left.", [TOP_RIGHT], CONTRADICTED),
        ("It is in the centre.", [MIDDLE], AGREED),
        ("It is in the centre.", [box(52, 40, 66, 62)], AGREED),
        ("It is in the centre.", [TOP_RIGHT], CONTRADICTED),
        ("It is in the centre.", [box(45, 45, 95, 95)], AGREED),  # its box holds the picture's centre
        ("It is near the centre.", [box(56, 56, 66, 62)], AGREED),
        ("It is near the centre.", [TOP_RIGHT], CONTRADICTED),
        ("It is at the right edge.", [RIGHT], AGREED),
        ("It is at the right edge.", [box(55, 40, 65, 60)], CONTRADICTED),
        # denied
        ("It is not on the left.", [RIGHT], AGREED),
        ("It is not on the left.", [LEFT], CONTRADICTED),
        ("There is nothing on the left.", [RIGHT, LEFT], CONTRADICTED),
        ("It is not in the centre.", [MIDDLE], CONTRADICTED),
        # several
        ("One is on the left and one on the right.", [LEFT, RIGHT], AGREED),
        ("One is on the left and one on the right.", [LEFT, LOW_LEFT], CONTRADICTED),
        ("One is on the left and one on the right.", [LEFT.union(RIGHT)], AGREED),
        ("They lie on the left.", [LEFT, LOW_LEFT], AGREED),
        ("They lie on the left.", [LEFT, RIGHT], CONTRADICTED),
        ("The larger one lies on the left.", [LEFT, RIGHT], AGREED),
        ("It is on the left or on the right.", [RIGHT], AGREED),
        ("It is on the left or on the right.", [box(45, 10, 55, 20)], AGREED),
        ("It is visible on both sides.", [box(5, 40, 95, 60)], AGREED),
        # of opposite sides of which nothing says what lies there, one holds
        ("A label is printed in the upper left corner; the mass is at the lower right.", [box(70, 70, 90, 90)], AGREED),
        ("The image is cut off at the left. The lesion is on the right.", [RIGHT], AGREED),
        ("The image is cut off at the left. The lesion is on the right.", [RIGHT, TOP_RIGHT], CONTRADICTED),
        ("The pier is at the bottom left, the ship at the lower right.", [TOP_RIGHT], CONTRADICTED),
        ("One is on the left and one on the right.", [LEFT], CONTRADICTED),
        ("Compared with the right side, the left side has a clear mass.", [LEFT], AGREED),
        ("No other lesion is seen besides the one at the left.", [LEFT], AGREED),
        ("The car left of the house on the right side.", [RIGHT], AGREED),
        ("A polyp at nine o'clock.", [LEFT], AGREED),
        ("A polyp at nine o'clock.", [RIGHT], CONTRADICTED),
        ("A polyp from 2 to 4 o'clock.", [RIGHT], AGREED),
        # counts
        ("Chose all 3 ships.", [LEFT, RIGHT, MIDDLE], AGREED),
        ("Chose all 3 ships.", [LEFT, RIGHT], CONTRADICTED),
        ("Chose both ships and the only car.", [LEFT, RIGHT], AGREED),  # two phrases may choose the same thing
        ("Chose both ships and the only car.", [LEFT], CONTRADICTED),
        ("There are two tumours.", [LEFT.union(RIGHT)], AGREED),
        ("There are two tumours.", [LEFT], CONTRADICTED),
        ("There is a single lesion.", [LEFT.union(RIGHT)], AGREED),  # one mask, in two pieces
        ("There are at least two tumours.", [LEFT, RIGHT, MIDDLE], AGREED),
        ("There is no tumour in this image.", [], AGREED),
        ("There is no tumour in this image.", [LEFT], CONTRADICTED),
        ("The tumour lies on the left.", [], CONTRADICTED),
        ("The tumour lies on the left.", [Mask.empty(200, 200)], CONTRADICTED),
        # sizes
        ("It takes up most of the picture.", [box(5, 5, 95, 95)], AGREED),
        ("It takes up most of the picture.", [MIDDLE], CONTRADICTED),
        ("It covers about a third of the image.", [box(0, 0, 100, 40)], AGREED),
        ("It covers about a third of the image.", [LEFT], CONTRADICTED),
        ("It covers 1600 square pixels.", [LEFT], AGREED),
        ("It covers 90 square pixels.", [LEFT], CONTRADICTED),
        ("A small lesion.", [LEFT], AGREED),
        ("A small lesion.", [box(5, 5, 95, 95)], CONTRADICTED),
        # nothing that can be checked
        ("", [LEFT], NOTHING),
        ("Chose it.", [LEFT], NOTHING),
        ("The ship left of the pier.", [RIGHT], NOTHING),
        ("The right lung is affected.", [LEFT], NOTHING),
    ],
)
def test_what_is_stated_is_held_against_the_masks(text, masks, verdict):
    assert check_consistency(text, masks).verdict is verdict


def test_a_contradiction_says_which_words_and_by_how_much():
    found = check_consistency("A lesion in the upper LEFT part.", [TOP_RIGHT])
    (finding,) = found.contradictions
    assert finding.off == pytest.approx(0.25)  # from the middle line and a twentieth of the width to 0.8 of it
    assert found.text == "contradicted: 'upper LEFT part': the mask lies 25 % of the picture too far right"
    assert json.loads(json.dumps(found.as_json()))["findings"][0] == {
        "kind": "place",
        "words": "upper LEFT part",
        "start": 16,
        "negated": False,
        "holds": False,
        "off": 0.25,
        "reason": "the mask lies 25 % of the picture too far right",
    }
    assert check_consistency("Chose all 3 ships.", [LEFT]).contradictions[0].off == 2


def test_the_patients_sides_are_told_as_unread_without_a_convention():
    text = "The right lung is affected."
    assert check_consistency(text, [LEFT]).unread == ("right",)
    assert check_consistency(text, [LEFT], Convention.RADIOLOGICAL).verdict is AGREED
    assert check_consistency(text, [LEFT], Convention.NEUROLOGICAL).verdict is CONTRADICTED
    assert check_consistency(text, [LEFT], "neurological").verdict is CONTRADICTED
    with pytest.raises(UnknownNameError, match="convention"):
        check_consistency("", [LEFT], "radio")


@given(st.integers(5, 195), st.integers(5, 195), st.sampled_from(["left", "right", "upper half", "lower half"]))
@example(100, 100, "left")
def test_a_text_and_its_swap_never_both_contradict_and_both_agree_only_at_the_middle(x, y, side):
    mask = Mask.from_box((x - 4, y - 4, x + 4, y + 4), height=200, width=200)
    told, other = (check_consistency(f"It lies in the {words}.", [mask]) for words in (side, swapped(side)))
    across = x if side in ("left", "right") else y
    assert not (told.contradictions and other.contradictions)
    assert bool(told.contradictions or other.contradictions) == (abs(across - 100) > 10)


@given(st.text(max_size=60), st.booleans())
def test_any_text_has_a_verdict(text, empty):
    found = check_consistency(text, [] if empty else [LEFT])
    assert all(np.isfinite(one.off) and one.off >= 0 for one in found.findings)
    assert bool(found.contradictions) == (found.verdict is CONTRADICTED)


# -- the blind test -----------------------------------------------------------------------------------

TEXTS = 300


@pytest.fixture(scope="module")
def texts() -> list[Told]:
    """300 true texts: all that were written by hand, 44 said over drawn scenes, PRS-Med's sentences for the rest."""
    hand, scenes = list(written()), list(of_scenes(7, shapes=40, aerial=4))
    return list(chain(hand, scenes, of_prs_med(TEXTS - len(hand) - len(scenes), seed=7)))


def test_swapped_sides_are_found_and_true_texts_are_not_accused(texts):
    order = np.random.default_rng(5).permutation(len(texts))
    able = [k for k in order if texts[k].swaps]
    swap = set(able[: TEXTS // 2])
    assert (len(texts), len(swap)) == (TEXTS, TEXTS // 2)
    found = {
        k: check_consistency(swapped(one.text) if k in swap else one.text, one.masks, one.convention).verdict
        for k, one in enumerate(texts)
    }
    caught = sum(found[k] is CONTRADICTED for k in swap)
    accused = sum(found[k] is CONTRADICTED for k in found if k not in swap)
    assert caught >= 0.95 * len(swap)
    assert accused <= 0.02 * (TEXTS - len(swap))


def test_each_kind_of_text_is_read(texts):
    """Every text both ways, by its origin: one kind may not hide behind another."""
    for origin in {one.origin for one in texts}:
        mine = [one for one in texts if one.origin == origin]
        able = [one for one in mine if one.swaps]
        accused = [one.text for one in mine if check_consistency(one.text, one.masks, one.convention).contradictions]
        missed = [
            one.text
            for one in able
            if not check_consistency(swapped(one.text), one.masks, one.convention).contradictions
        ]
        assert len(accused) <= 0.02 * len(mine), accused
        assert len(missed) <= 0.05 * len(able), missed
        assert len(able) >= 0.4 * len(mine)


def test_the_swap_itself():
    assert swapped("Upper-left, north-east; the rightmost, in the southwestern part") == (
        "Lower-right, south-west; the leftmost, in the northeastern part"
    )
