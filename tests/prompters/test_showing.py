"""What is shown of an image, at which size it is sent, and the frames that follow from that."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.images import Image
from fiducial.language.answers import Answer, Outcome
from fiducial.language.dialects import DIALECTS, dialect, think2seg
from fiducial.prompters.showing import ServerSizing, on_image, squared, stretched, whole, widened, without_duplicates

QWEN = dialect("qwen2.5-vl")
SIDES = st.integers(1, 400)
COLOURS = (9, 8, 7)


def image(width, height):
    values = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image(values)


@given(st.sampled_from(["qwen2.5-vl", "qwen2-vl", "qwen3-vl"]), st.integers(1, 20_000), st.integers(1, 20_000))
def test_a_server_leaves_alone_what_it_is_sent(name, width, height):
    """Whatever the image, the size that is sent is one that the server's own rule maps to itself."""
    spoken = dialect(name)
    # As the picture is padded before it is sized, so are these sides.
    least = -(-max(width, height) // 100)
    width, height = max(width, least), max(height, least)
    shown = ServerSizing(spoken).size(width, height)
    assert spoken.sizing.size(*shown) == shown
    assert all(side % spoken.sizing.factor == 0 for side in shown)
    assert spoken.sizing.min_pixels <= shown[0] * shown[1] <= 1280 * spoken.sizing.factor**2


@given(SIDES, SIDES, st.sampled_from(sorted(DIALECTS)), st.data())
def test_boxes_written_on_what_is_sent_come_back(width, height, name, data):
    """Whoever writes a box in the frame of the picture that was sent is understood, to a step of the dialect."""
    image = Image(np.zeros((height, width, 3), np.uint8))
    spoken = DIALECTS[name]
    showing = ServerSizing(spoken)
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
    picture = ServerSizing(dialect("sjtu")).picture(image)
    assert picture.pixels is image.pixels
    assert picture.extent == image.frame


def test_large_pictures_are_made_smaller():
    assert ServerSizing(dialect("sjtu")).size(4000, 3000) == (1156, 867)
    assert ServerSizing(QWEN).size(4000, 3000) == (1148, 840)
    assert ServerSizing(QWEN, max_pixels=4 * 10**6).size(4000, 3000) == (2296, 1708)
    assert ServerSizing(dialect("sjtu"), max_pixels=1).size(4000, 3) == (36, 1)
    assert ServerSizing(QWEN, min_pixels=10**6, max_pixels=2 * 10**6).size(28, 28) == (1008, 1008)
    # A least area above the default greatest one lifts that.
    assert ServerSizing(QWEN, min_pixels=2000 * 2000).size(2800, 2800)[0] >= 2000


def test_a_square_is_that_of_the_dialect():
    assert ServerSizing(dialect("visionreasoner")).canvas == (840, 840)
    assert ServerSizing(think2seg(side=896)).canvas == (896, 896)
    assert ServerSizing(dialect("sjtu"), (512, 512)).size(100, 50) == (512, 512)
    assert ServerSizing(dialect("sjtu"), (511, 33)).size(100, 50) == (511, 33)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((dialect("think2seg"), (512, 500)), "would resize one of 512 x 500 to multiples of 28 or 32"),
        ((think2seg(side=850),), "would resize one of 850 x 850"),
        ((QWEN, None, 900, 800), "min_pixels <= max_pixels, got 900 and 800"),
    ],
)
def test_sizes_that_make_no_sense(arguments, said):
    with pytest.raises(InputError, match=said):
        ServerSizing(*arguments)


def test_limits_that_leave_no_size():
    with pytest.raises(InputError, match=r"1000 x 20 pixels has no size between .*: raise max_pixels"):
        ServerSizing(QWEN, min_pixels=3136, max_pixels=3136).size(1000, 20)


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
    picture = stretched(whole(image(30, 10)), (12, 40))
    assert (picture.size, picture.extent, picture.forced) == ((12, 40), Frame.pixels(30, 10), True)


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(["qwen2.5-vl", "qwen3-vl", "llava"]), st.data())
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


# -- duplicates ------------------------------------------------------------------------------------


def test_boxes_that_overlap_a_larger_one_are_dropped_whatever_their_order():
    frame = Frame.canvas(840, 840)
    half, whole_box, apart, edge = (0, 0, 100, 51), (0, 0, 100, 100), (300, 0, 400, 100), (0, 0, 50, 100)
    point = Prompt(frame, points=((5, 5),))
    boxed = [Prompt(frame, box=box) for box in (whole_box, apart, edge)]
    given_prompts = [Prompt(frame, box=half, label="a"), point, *boxed]
    answer = Answer(Outcome.FOUND, Prompts(frame, tuple(given_prompts)), raw="as written", repairs=("before",))
    kept = without_duplicates(answer, 0.5)
    # IoU 0.51 goes, IoU 0.5 stays; what stays keeps its order, and a point has no box to compare.
    assert list(kept.prompts) == given_prompts[1:]
    assert kept.repairs == ("before", "dropped 1 of 4 boxes that overlap a larger one by more than 0.5 IoU")
    assert (kept.outcome, kept.raw) == (Outcome.FOUND, "as written")
    assert without_duplicates(answer, 1.0) is answer
    assert without_duplicates(kept, 0.5) is kept


def test_a_box_that_was_dropped_drops_no_other():
    frame = Frame.canvas(840, 840)
    boxes = [(0, 0, 100, 100), (0, 0, 100, 60), (0, 0, 100, 35)]
    kept = without_duplicates(Answer(Outcome.FOUND, Prompts.from_boxes(frame, boxes)), 0.5)
    assert [prompt.box for prompt in kept.prompts] == [boxes[0], boxes[2]]


def test_a_server_takes_sides_of_200_to_1_and_no_more():
    assert ServerSizing(dialect("qwen2.5-vl"), (5600, 28)).size(9, 9) == (5600, 28)
    with pytest.raises(InputError, match="sides up to 1 : 200"):
        ServerSizing(dialect("qwen2.5-vl"), (5628, 28)).size(9, 9)
