"""Where numbers that do not fit the picture go: what is a slip, what was meant in another frame, what is nothing."""

import pytest

from fiducial.geometry import Frame
from fiducial.language import Outcome
from fiducial.language.dialects import dialect

PIXELS = Frame.pixels(640, 480)


def read(name, reply):
    found = dialect(name)
    return found.decode(reply, found.frame(640, 480, (640, 480)))


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        ([0.5, 0.5, 1.5, 0.9], (320, 240, 640, 432)),  # half the extent past the picture is a slip
        ([0.5, 0.5, 0.9, 1.5], (320, 240, 576, 480)),
        ([-0.5, 0.5, 0.9, 0.9], (0, 240, 576, 432)),
        ([0.5, -0.5, 0.9, 0.9], (320, 0, 576, 432)),
        ([0.5, 0.5, 1.51, 0.9], None),  # more was meant in another frame
        ([0.5, 0.5, 0.9, 1.51], None),
        ([-0.51, 0.5, 0.9, 0.9], None),
        ([0.5, -0.51, 0.9, 0.9], None),
    ],
)
def test_how_far_past_the_picture_is_a_slip(box, kept):
    answer = read("sjtu", f"[{box}]")
    assert [prompt.to(PIXELS).box for prompt in answer.prompts] == ([] if kept is None else [pytest.approx(kept)])
    said = "a box clipped to the frame" if kept else "a box far outside the frame"
    assert any(said in note for note in answer.repairs)


@pytest.mark.parametrize("reply", ["[] [[0.1, 0.2, 0.3]]", '[[], [0.1, 0.2, "x", 0.4]]'])
def test_what_cannot_be_read_beside_an_empty_list_is_not_no_target(reply):
    answer = read("sjtu", reply)
    assert (answer.outcome, len(answer.prompts)) == (Outcome.MALFORMED, 0)
    assert read("sjtu", "[]").outcome is Outcome.NO_TARGET
