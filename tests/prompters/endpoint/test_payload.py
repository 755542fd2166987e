"""Sizes at which pictures are sent, and the frames that follow from them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.geometry import Prompts
from fiducial.images import Image
from fiducial.language.dialects import DIALECTS, dialect, think2seg
from fiducial.prompters.endpoint.payload import Showing, control_words, messages
from fiducial.prompters.vlm.showing import on_image

QWEN = dialect("qwen2.5-vl")
SIDES = st.integers(1, 400)


@given(st.sampled_from(["qwen2.5-vl", "qwen2-vl", "qwen3-vl"]), st.integers(1, 20_000), st.integers(1, 20_000))
def test_a_server_leaves_alone_what_it_is_sent(name, width, height):
    """Whatever the image, the size that is sent is one that the server's own rule maps to itself."""
    spoken = dialect(name)
    # As the picture is padded before it is sized, so are these sides.
    least = -(-max(width, height) // 100)
    width, height = max(width, least), max(height, least)
    shown = Showing(spoken).size(width, height)
    assert spoken.sizing.size(*shown) == shown
    assert all(side % spoken.sizing.factor == 0 for side in shown)
    assert spoken.sizing.min_pixels <= shown[0] * shown[1] <= 1280 * spoken.sizing.factor**2


@settings(max_examples=60)
@given(SIDES, SIDES, st.sampled_from(sorted(DIALECTS)), st.data())
def test_boxes_written_on_what_is_sent_come_back(width, height, name, data):
    """Whoever writes a box in the frame of the picture that was sent is understood, to a step of the dialect."""
    image = Image(np.zeros((height, width, 3), np.uint8))
    spoken = DIALECTS[name]
    showing = Showing(spoken)
    picture = showing.picture(image)
    frame = spoken.frame(*picture.shape, picture.size)
    x = sorted(data.draw(st.tuples(st.floats(0, width), st.floats(0, width)).filter(lambda p: abs(p[0] - p[1]) > 0.5)))
    y = sorted(
        data.draw(st.tuples(st.floats(0, height), st.floats(0, height)).filter(lambda p: abs(p[0] - p[1]) > 0.5))
    )
    wanted = (x[0], y[0], x[1], y[1])
    boxes = Prompts.from_boxes(picture.extent, [wanted]).to(frame)
    answer = spoken.decode("[" + ", ".join(map(str, boxes[0].box)) + "]", frame)
    if name in ("sjtu", "llava"):
        back = on_image(answer, picture, image)
        assert back.prompts[0].box == pytest.approx(wanted, abs=0.01)
    assert on_image(answer, picture, image).prompts.frame == image.frame
    assert boxes.to(picture.extent)[0].box == pytest.approx(wanted, abs=1e-6)


def test_small_pictures_of_fractions_stay_as_they_are():
    image = Image(np.zeros((30, 40, 3), np.uint8))
    picture = Showing(dialect("sjtu")).picture(image)
    assert picture.pixels is image.pixels
    assert picture.extent == image.frame


def test_large_pictures_are_made_smaller():
    assert Showing(dialect("sjtu")).size(4000, 3000) == (1156, 867)
    assert Showing(QWEN).size(4000, 3000) == (1148, 840)
    assert Showing(QWEN, max_pixels=4 * 10**6).size(4000, 3000) == (2296, 1708)
    assert Showing(dialect("sjtu"), max_pixels=1).size(4000, 3) == (36, 1)
    assert Showing(QWEN, min_pixels=10**6, max_pixels=2 * 10**6).size(28, 28) == (1008, 1008)
    # A least area above the default greatest one lifts that.
    assert Showing(QWEN, min_pixels=2000 * 2000).size(2800, 2800)[0] >= 2000


def test_a_square_is_that_of_the_dialect():
    assert Showing(dialect("visionreasoner")).canvas == (840, 840)
    assert Showing(think2seg(side=896)).canvas == (896, 896)
    assert Showing(dialect("sjtu"), (512, 512)).size(100, 50) == (512, 512)
    assert Showing(dialect("sjtu"), (511, 33)).size(100, 50) == (511, 33)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((dialect("think2seg"), (512, 500)), "would resize one of 512 x 500 to multiples of 28 or 32"),
        ((think2seg(side=850),), "would resize one of 850 x 850"),
        ((QWEN, (5,)), r"a canvas is \(width, height\)"),
        ((QWEN, (True, 5)), r"a canvas is \(width, height\)"),
        ((QWEN, None, 0), "at least 1"),
        ((QWEN, None, None, 1.5), "at least 1"),
        ((QWEN, None, 900, 800), "min_pixels <= max_pixels, got 900 and 800"),
    ],
)
def test_sizes_that_make_no_sense(arguments, said):
    with pytest.raises(InputError, match=said):
        Showing(*arguments)


def test_limits_that_leave_no_size():
    with pytest.raises(InputError, match=r"1000 x 20 pixels has no size between .*: raise max_pixels"):
        Showing(QWEN, min_pixels=3136, max_pixels=3136).size(1000, 20)


def test_messages():
    (turn,) = messages("", "words", "data:x")
    assert turn["content"][0] == {"type": "image_url", "image_url": {"url": "data:x"}}
    assert turn["content"][1] == {"type": "text", "text": "words"}
    assert messages("system words", "words", "data:x")[0] == {"role": "system", "content": "system words"}


@pytest.mark.parametrize(
    "token",
    [
        "<|im_end|>",
        "<|vision_start|>",
        "<s>",
        "</s>",
        "<image>",
        "<IMG_CONTEXT>",
        "<end_of_turn>",
        "[/INST]",
        "<｜User｜>",
    ],
)
def test_control_words(token):
    assert control_words(f"the dog{token}") == {token}


@pytest.mark.parametrize("text", ["the dog", "a < b and c > d", "[3] boats", "<ship>", "x |> y"])
def test_plain_words_are_none(text):
    assert control_words(text) == frozenset()
