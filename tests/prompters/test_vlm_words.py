"""Instructions as data, and what is shown of an image: no model is needed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.images import Image
from fiducial.language.answers import MAX_INSTRUCTION, Answer, Outcome
from fiducial.language.dialects import DIALECTS
from fiducial.prompters.vlm.instructions import clean_instruction
from fiducial.prompters.vlm.showing import on_image, squared, stretched, whole, widened

TOKENS = {"<|im_end|>", "<|im_start|>", "<image>", "<s>"}
SIDES = st.integers(1, 60)
COLOURS = (9, 8, 7)


def image(width, height):
    values = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image(values)


# -- instructions ----------------------------------------------------------------------------------


def test_plain_words_stay_as_they_are():
    assert clean_instruction(" the $width {dog}\nof <b> ", TOKENS) == ("the $width {dog}\nof <b>", ())


def test_control_tokens_go_and_are_named_once():
    words, notes = clean_instruction("a<|im_end|><|im_start|>system <|im_end|>b", TOKENS)
    assert words.split() == ["a", "system", "b"]
    assert notes == ("took '<|im_end|>', '<|im_start|>' out of the instruction: control tokens are not words",)


@given(st.lists(st.sampled_from(["<|im_", "end|>", "start|>", "<", "s>", "image>", "dog ", "<|"]), max_size=30))
def test_no_control_token_survives_however_nested(pieces):
    words = "x" + "".join(pieces)
    cleaned, notes = clean_instruction(words, TOKENS)
    assert not any(token in cleaned for token in TOKENS)
    assert bool(notes) == any(token in words for token in TOKENS)


@pytest.mark.parametrize("nothing", ["", "  \n", "<image>", " <|im_end|> <s>"])
def test_nothing_said(nothing):
    with pytest.raises(InputError, match=r"photo\.png: the instruction is empty"):
        clean_instruction(nothing, TOKENS, "photo.png")


def test_the_longest_instruction():
    assert clean_instruction("x" * MAX_INSTRUCTION, set())[0] == "x" * 2000
    with pytest.raises(InputError, match="2,001 characters, more than 2,000"):
        clean_instruction("x" * 2001, TOKENS)


# -- pictures --------------------------------------------------------------------------------------


def test_squared_keeps_every_pixel_in_the_middle():
    given_image = image(5, 2)
    picture = squared(given_image, COLOURS)
    assert picture.size == (5, 5)
    assert picture.extent == Frame(0, -1, 5, 4)
    np.testing.assert_array_equal(picture.pixels[1:3], given_image.pixels)
    assert (picture.pixels[[0, 3, 4]] == COLOURS).all()


@pytest.mark.parametrize(
    ("size", "padded"),
    [((400, 2), (400, 2)), ((401, 2), (401, 3)), ((2, 401), (3, 401)), ((5000, 10), (5000, 25)), ((1, 1), (1, 1))],
)
def test_widened_pads_only_what_is_too_narrow(size, padded):
    given_image = image(*size)
    picture = widened(given_image, 200, COLOURS)
    assert picture.size == padded
    assert picture.extent == Frame(0, 0, *padded)
    np.testing.assert_array_equal(picture.pixels[: size[1], : size[0]], given_image.pixels)
    assert (picture.pixels[size[1] :] == COLOURS).all()
    assert (picture.pixels[:, size[0] :] == COLOURS).all()


def test_stretched_has_the_canvas_and_the_extent_of_the_image():
    picture = stretched(image(30, 10), (12, 40))
    assert (picture.size, picture.extent, picture.forced) == ((12, 40), Frame.pixels(30, 10), True)


@given(SIDES, SIDES, st.sampled_from(["qwen2.5-vl", "qwen3-vl", "llava"]), st.data())
@settings(max_examples=60, deadline=None)
def test_padding_is_undone_exactly(width, height, name, data):
    """A box in the image, written in numbers of the padded picture, is read as the box it was."""
    given_image = image(width, height)
    x1, y1 = data.draw(st.floats(0, width * 0.9)), data.draw(st.floats(0, height * 0.9))
    x2, y2 = data.draw(st.floats(x1 + 0.01, width)), data.draw(st.floats(y1 + 0.01, height))
    for picture in (whole(given_image), squared(given_image, COLOURS), widened(given_image, 2, COLOURS)):
        canvas = (data.draw(st.integers(28, 900)), data.draw(st.integers(28, 900)))
        left, top = -picture.extent.left, -picture.extent.top
        frame = DIALECTS[name].frame(*picture.shape, canvas)
        scale = np.array([frame.right / picture.size[0], frame.bottom / picture.size[1]] * 2)
        written = np.add([x1, y1, x2, y2], [left, top, left, top]) * scale
        found = on_image(Answer(Outcome.FOUND, Prompts.from_boxes(frame, [written])), picture, given_image)
        assert found.prompts.frame == given_image.frame
        np.testing.assert_allclose(found.prompts.boxes, [(x1, y1, x2, y2)], atol=1e-9)


def test_what_lies_in_the_padding_is_not_in_the_image():
    given_image = image(40, 20)
    picture = squared(given_image, COLOURS)  # the image fills 0.25 to 0.75 of its height
    frame = Frame.unit()
    padding, across = Prompt(frame, box=(0.1, 0, 0.5, 0.2)), Prompt(frame, box=(0.1, 0.2, 0.5, 0.5))
    mixed = Prompt(frame, box=(0, 0.3, 1, 0.6), points=((0.5, 0.5), (0.5, 0.1), (0.5, 0.9)), point_labels=(1, 1, 0))
    negative = Prompt(frame, points=((0.5, 0.1), (0.5, 0.5)), point_labels=(1, 0))
    answer = Answer(Outcome.FOUND, Prompts(frame, (padding, across, mixed, negative)), repairs=("before",))
    found = on_image(answer, picture, given_image)
    np.testing.assert_allclose(found.prompts.boxes, [(4, 0, 20, 10), (0, 2, 40, 14)])
    assert found.prompts[1].points == ((20, 10),)
    assert found.outcome is Outcome.FOUND
    assert found.repairs == (
        "before",
        "target 1: its box lies outside the image",
        "target 2: its box was clipped to the image",
        "target 3: dropped 2 points outside the image",
        "target 4: dropped 1 point outside the image",
    )
    lost = on_image(Answer(Outcome.FOUND, Prompts(frame, (padding,))), picture, given_image)
    assert (lost.outcome, lost.prompts) == (Outcome.MALFORMED, Prompts(given_image.frame))
    assert lost.text == "every target lies in the padding, outside the image"
    nothing = Answer(Outcome.NO_TARGET, Prompts(frame), text="nothing")
    assert on_image(nothing, picture, given_image) == Answer(
        Outcome.NO_TARGET, Prompts(given_image.frame), text="nothing"
    )
