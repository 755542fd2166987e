"""What texts state of places: sides, parts, the centre, denial, several things, the patient's sides."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fiducial.errors import UnknownNameError
from fiducial.geometry import Frame
from fiducial.language.phrases import lexicon
from fiducial.language.phrases.places import PLACES, where
from fiducial.language.statements import Convention, Count, Place, Size, read_statements, stated_place
from fiducial.language.statements.sizes import VAGUE

POINTS = {
    "The tumour is located at the top right of the image, near the center.": (0.25, 0.25),
    "marked in position top right and near the center": (0.25, 0.25),
    "Position: upper left, close to the middle": (-0.25, 0.25),
    "The lesion is in the upper left region of the breast ultrasound.": (-0.5, 0.5),
    "The polyp is in the center of the image": (0, 0),
    "Top left.": (-0.5, 0.5),
    "located centre left": (-0.5, 0),
    "The north-western part of the picture contains it.": (-0.5, 0.5),
    "The lesion occupies the left-hand third of the scan.": (-0.5, 0),
    "in the bottom right-hand corner": (0.5, -0.5),
    "upper and left part of the picture": (-0.5, 0.5),
    "in the middle of the left edge": (-0.5, 0),
    "There is a lesion slightly left of the centre.": (-0.25, 0),
    "It lies above the middle of the picture.": (0, 0.25),
    "The mass sits just below the center, on the left.": (-0.5, -0.25),
    "a central mass": (0, 0),
    "The object is centred in the image.": (0, 0),
    "Not far from the left edge": (-0.5, 0),
    "The ship facing left is in the upper half.": (0, 0.5),
    "midway between the left and the right, at the top": (0, 0.5),
    "Towards the top you will notice a shadow.": (0, 0.5),
    "left of the midline": (-0.5, 0),
    # the picture's clock, and the sides of reports
    "The polyp arises at nine o'clock.": (-0.5, 0),
    "A nodule of the breast at the 3 o'clock position.": (0.5, 0),
    "Lesion at the 10-o'clock position.": (-0.5, 0.5),
    "It sits at 12 o'clock.": (0, 0.5),
    "A flat polyp from 4 to 5 o'clock": (0.5, -0.5),
    "between eleven and 1 o'clock": (0, 0.5),
    "No polyp at 12 o'clock, but a small one at 6 o'clock.": (0, -0.5),
    "A nodule in the superior part of the image.": (0, 0.5),
    "It is located inferiorly and to the left.": (-0.5, -0.5),
    "The superior right portion": (0.5, 0.5),
    "It lies inferior to the centre.": (0, -0.5),
    # what is denied does not count where something is stated, else the middle of the rest does
    "The tumour is not on the left side, it is on the right.": (0.5, 0),
    "It is on the right rather than the left.": (0.5, 0),
    "Rather than on the left it is on the right.": (0.5, 0),
    "It is more to the left than to the right.": (-0.5, 0),
    "Except for the upper right, there is nothing to be seen.": (0.5, 0.5),
    "The left half is empty; the ship lies in the right half.": (0.5, 0),
    "not in the upper half": (0, -0.5),
    "In the left half there is no tumour.": (0.5, 0),
    "It is neither in the upper half nor on the left.": (0.5, -0.5),
    # several things, and alternatives
    "One in the upper left and one in the upper right.": (0, 0.5),
    "There are two tumours. One is in the upper left and the other in the lower right.": (0, 0),
    "tumours in the left and right halves of the image": (0, 0),
    "It is either at the top left or at the bottom left.": (-0.5, 0),
    "not only in the upper left but also in the lower left": (-0.5, 0),
}
NOWHERE = (
    "Chose the leftmost of 4 ships.",
    "Chose all 3 ships left of the pier.",
    "Chose the closest to the top left corner of 4 ships.",
    "The second ship from the left",
    "It extends from the upper left to the lower right.",
    "It takes up most of the picture.",
    "Is it on the left?",
    "on top of the table",
    "at the right time",
    "Nothing is left.",
    "The lesion is off-center.",
    "The image was taken at 3 o'clock.",
    "It was recorded at 9 o'clock in the morning.",
    "At 2 o'clock, 3 cm from the nipple",
    "The car in 4 hours",
    "It lies superior to the pier.",
    "The quality is inferior.",
    "an image of inferior quality",
    "It moves to the upper left.",
    "It is closest to the upper left.",
    "The left border of the lesion touches the middle.",
    "Its bow is turned, with its stern to the left.",
    "not in the upper left quadrant",
    "",
)


@pytest.mark.parametrize(("text", "point"), POINTS.items())
def test_a_stated_place_is_a_point_of_the_centred_frame(text, point):
    assert stated_place(text) == point


@pytest.mark.parametrize("text", NOWHERE)
def test_texts_that_compare_relate_point_or_deny_state_no_place(text):
    assert stated_place(text) is None


def test_the_words_are_given_as_they_stand_in_the_text():
    text = "It is not on the LEFT, but in the Upper-Right quadrant."
    left, right = read_statements(text)
    assert (left.words, left.negated) == ("LEFT", True)
    assert (right.words, right.negated) == ("Upper-Right quadrant", False)
    assert all(text[one.start : one.start + len(one.words)] == one.words for one in (left, right))


def test_things_that_a_text_tells_apart_have_groups_of_their_own():
    text = "One is in the upper left, close to the centre, and the other at the bottom. The third lies on the right."
    assert [one.group for one in read_statements(text) if isinstance(one, Place)] == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("text", "radiological"),
    [
        ("The right lung is affected.", (-0.5, 0)),
        ("A mass in the left upper lobe.", (0.5, 0.5)),
        ("The left lung is clear. There is a nodule in the right lung.", (-0.5, 0)),
        ("A left-sided effusion", (0.5, 0)),
        ("on the patient's right", (-0.5, 0)),
    ],
)
def test_the_patients_sides_need_a_convention(text, radiological):
    x, y = radiological
    assert stated_place(text) is None
    assert stated_place(text, Convention.RADIOLOGICAL) == (x, y)
    assert stated_place(text, Convention.NEUROLOGICAL) == (-x, y)


def test_a_convention_may_be_given_by_its_name():
    text = "The right lung is affected."
    assert stated_place(text, "neurological") == stated_place(text, Convention.NEUROLOGICAL) == (0.5, 0)
    assert stated_place(text, "radiological") == (-0.5, 0)
    (place,) = read_statements(text)
    assert place.seen("neurological").places == (("right",),)
    for said in (text, "on the left"):
        with pytest.raises(UnknownNameError, match="did you mean 'neurological'"):
            stated_place(said, "neurologic")


def test_the_sides_of_the_picture_are_its_own_whatever_the_convention():
    text = "It is on the right side of the image, in the right lung."
    for convention in (None, Convention.NEUROLOGICAL):
        assert stated_place(text, convention) == (0.5, 0)
    assert [one.patient for one in read_statements(text) if isinstance(one, Place)] == [False, True]


@pytest.mark.parametrize("words", PLACES)
def test_every_place_that_our_answers_name_is_read(words):
    x, y = stated_place(f"Chose the only ship. It lies in the {words} of the picture.")
    sides = {side for word in words.split() for side in lexicon.sides_of(word)}
    assert (x < 0, x > 0, y < 0, y > 0) == tuple(side in sides for side in ("left", "right", "bottom", "top"))


@given(st.floats(0, 100), st.floats(0, 100))
def test_where_something_lies_is_read_back(x, y):
    stated = stated_place(where([(x, y, x, y)], Frame.pixels(100, 100)))
    point = Frame.pixels(100, 100).points_to((x, y), Frame.centred())
    assert all(abs(a - b) <= 0.51 for a, b in zip(stated, point, strict=True))


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("Chose the 2 largest of 3 ships (the smallest of them covers 300 square pixels).", 2, 2),
        ("Chose all 3 ships and the only car on the left; no plane among 5 candidates.", 3, 4),
        ("Chose both ships near the pier and the crane.", 2, 2),
        ("Chose the leftmost of the 2 largest of 5 ships.", 1, 1),
        ("Chose the closest to the top left corner of 4 ships.", 1, 1),
        ("Chose 2 of 4 ships, one in 2 from the first on, leftmost first.", 2, 2),
        ("Chose all 4 ships, leaving out 1 (the leftmost one).", 4, 4),
        ("Chose nothing; no ship among 3 candidates.", 0, 0),
        ("There are three small tumours.", 3, 3),
        ("twenty three ships", 23, 23),
        ("Two tumours: one in the upper left, one in the lower right.", 2, 2),
        ("One is in the upper left and the other in the lower right.", 2, 2),
        ("Two are on the left and one on the right.", 3, 3),
        ("one ship and two cars", 2, 3),
        ("There is a single lesion in the upper left.", 1, 1),
        ("There is no tumour in this image.", 0, 0),
        ("I could not find any naevus.", 0, 0),
        ("This sonogram is free of any lump.", 0, 0),
        ("Three naevi, one in the upper half, one in the lower half and one in the middle.", 3, 3),
        ("Nothing was found.", 0, 0),
        ("at least two polyps", 2, None),
        ("about 10 ships", 7, 13),
        ("Several lesions are seen", 2, None),
    ],
)
def test_counts_are_those_of_what_is_told_or_chosen(text, low, high):
    (count,) = (one for one in read_statements(text) if isinstance(one, Count))
    assert (count.low, count.high) == (low, high)


@pytest.mark.parametrize(
    "text",
    [
        "There are 3 ships. The largest lies on the left.",  # what it picks from
        "slice 3 of 12 shows a tumour of 3 cm",
        "the tumour on both sides",
        "No tumour is visible on the left.",
        "Selected the upper of the two cars.",
        "One of them is on the left.",
    ],
)
def test_other_numbers_are_no_counts(text):
    assert not [one for one in read_statements(text) if isinstance(one, Count)]


@pytest.mark.parametrize(
    "text",
    [
        "There are two lesions: I segmented the one at the top.",
        "Six courts are visible. I marked those at the top.",
        "Two tennis courts are visible, but only the one on the right was asked for.",
        "I could not find a second lesion.",
        "There is no mass effect.",
        "at one o'clock",
    ],
)
def test_what_is_selected_from_is_not_counted(text):
    assert not [one for one in read_statements(text) if isinstance(one, Count)]


def test_sizes_are_shares_of_the_picture_or_square_pixels():
    text = "It covers about a third of the image, then fills 25% of the frame; it covers 300 square pixels. It is tiny."
    third, quarter, pixels, tiny = (one for one in read_statements(text) if isinstance(one, Size))
    assert third.low < 1 / 3 < third.high
    assert quarter.low < 1 / 4 < quarter.high
    assert (pixels.low, pixels.high, pixels.pixels) == (300, 300, True)
    assert (tiny.low, tiny.high) == VAGUE["tiny"]
    assert [one.words for one in (third, pixels)] == ["covers about a third", "covers 300 square pixels"]
    none = "Chose the 2 small ships. It covers half of the left lung, as large as the liver, a large part of it."
    assert not [one for one in read_statements(none) if isinstance(one, Size)]


_WORDS = "left right upper lower centre of the image not no near on in and or one other lung but is , . ; ( ) from to"


@given(st.lists(st.sampled_from([*_WORDS.split(), *string.ascii_letters, "\n", "İ", "é"])).map(" ".join))
@example("left of " * 3)
def test_any_text_can_be_read(text):
    for one in read_statements(text):
        assert text[one.start : one.start + len(one.words)] == one.words
    point = stated_place(text, Convention.RADIOLOGICAL)
    assert point is None or max(map(abs, point)) <= 0.5
