import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import InputError, ModelError
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.rewards.wire import RemoteCutError, read_completions, read_cuts, write_completions, write_cuts
from reward_server import HEIGHT, WIDTH, completions, picture

FRAME = Frame.pixels(WIDTH, HEIGHT)
x_values, y_values = st.floats(-WIDTH, 2 * WIDTH), st.floats(-HEIGHT, 2 * HEIGHT)
corners = st.tuples(x_values, y_values, x_values, y_values).map(
    lambda box: (min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3]))
)
boxes = st.none() | corners.filter(lambda box: box[0] < box[2] and box[1] < box[3])
spots = st.lists(st.tuples(st.tuples(x_values, y_values), st.integers(0, 1)), max_size=3)


@st.composite
def groups(draw):
    rows = draw(st.lists(st.lists(st.tuples(boxes, spots), max_size=3), max_size=4))
    made = []
    for row in rows:
        kept = [(box, points) for box, points in row if box or points]
        items = (Prompt(FRAME, box, tuple(p for p, _ in points), tuple(k for _, k in points)) for box, points in kept)
        made.append(Prompts(FRAME, tuple(items)))
    return made


@given(groups())
def test_prompts_come_back_to_the_last_bit(given_groups):
    assert read_completions(write_completions(given_groups), FRAME) == given_groups


def test_labels_and_scores_of_prompts_stay_with_the_trainer():
    sent = write_completions(completions())
    assert b"ship" not in sent
    assert read_completions(sent, FRAME)[5][1].label is None


@given(st.lists(st.lists(st.tuples(boxes, st.none() | st.floats(0, 1)), max_size=3), max_size=3))
def test_masks_and_scores_come_back_and_so_do_failures(rows):
    cuts = [
        tuple(Mask.from_box(box or (0, 0, 0.4, 0.4), HEIGHT, WIDTH).with_score(score) for box, score in row)
        for row in rows
    ]
    asked = [Prompts.from_boxes(FRAME, [(0, 0, 1, 1)] * len(row)) for row in rows]
    found = read_cuts(write_cuts(cuts), picture(), asked)
    assert found == cuts
    assert [[mask.score for mask in cut] for cut in found] == [[mask.score for mask in cut] for cut in cuts]


def test_failures_say_whether_they_meet_everybody():
    asked = [Prompts.from_boxes(FRAME, [(0, 0, 1, 1)]), Prompts.from_boxes(FRAME, [(0, 0, 1, 1)])]
    found = read_cuts(
        write_cuts([ModelError("too much"), RemoteCutError("no weights", for_all=True)]), picture(), asked
    )
    assert [(type(cut), str(cut), cut.for_all) for cut in found] == [
        (RemoteCutError, "too much", False),
        (RemoteCutError, "no weights", True),
    ]


def test_a_score_that_is_no_number_is_none():
    masks = (Mask.empty(HEIGHT, WIDTH).with_score(math.nan),)
    asked = [Prompts.from_boxes(FRAME, [(0, 0, 1, 1)])]
    assert read_cuts(write_cuts([masks]), picture(), asked)[0][0].score is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 5000, "nested too deeply"),
        (b"[]", "an object is expected"),
        (b"{}", "needs completions alone, got nothing"),
        (b'{"completions": [], "truth": []}', "needs completions alone, got 'completions', 'truth'"),
        (b'{"completions": {}}', "completions: a list is expected, got dict"),
        (b'{"completions": [7]}', "completion 0: a list is expected, got int"),
        (b'{"completions": [[7]]}', "completion 0, prompt 0: an object is expected"),
        (b'{"completions": [[{}]]}', "needs a box or at least one point"),
        (b'{"completions": [[], [{"box": [0, 0, 9, 9], "mask": 1}]]}', "completion 1, prompt 0: knows box, points"),
        (b'{"completions": [[{"box": [0, 0, 9]}]]}', "box needs 4 finite numbers"),
        (b'{"completions": [[{"box": [9, 0, 0, 9]}]]}', "x1 < x2"),
        (b'{"completions": [[{"box": "0099"}]]}', "box: a list is expected, got str"),
        (b'{"completions": [[{"box": ["0", 0, 9, 9]}]]}', "numbers are expected"),
        (b'{"completions": [[{"box": [false, 0, 9, 9]}]]}', "numbers are expected"),
        (b'{"completions": [[{"box": [0, 0, NaN, 9]}]]}', "finite"),
        (b'{"completions": [[{"box": [0, 0, 9, 1' + b"0" * 400 + b"]}]]}", "a number of 401 digits"),
        (b'{"completions": [[{"box": [0, 0, 161, 9]}]]}', "too far outside 80 x 60"),
        (b'{"completions": [[{"points": [[3, -61]]}]]}', "too far outside 80 x 60"),
        (b'{"completions": [[{"points": [[3, 3]], "point_labels": [2]}]]}', "point labels are 1"),
        (b'{"completions": [[{"points": [[3, 3]], "point_labels": [1, 1]}]]}', "1 points but 2"),
        (b'{"completions": [[{"points": [3, 3]}]]}', "a point: a list is expected"),
    ],
)
def test_what_is_no_request_is_refused_with_the_place(body, message):
    with pytest.raises(InputError, match=message):
        read_completions(body, FRAME)


def test_prompts_are_counted_before_they_are_read():
    body = json.dumps({"completions": [["no prompt"] * 2, ["no prompt"] * 2]}).encode()
    with pytest.raises(InputError, match="4 prompts in one request are more than the limit of 3"):
        read_completions(body, FRAME, max_prompts=3)


CODE = Mask.from_box((0, 0, 9, 9), HEIGHT, WIDTH).to_coco()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({}, "a list is expected"),
        ({"completions": []}, "0 entries for 1 completions"),
        ({"completions": ["masks"]}, "an object is expected"),
        ({"completions": [{"masks": []}]}, "0 masks for 1 prompts"),
        ({"completions": [{"masks": [[1, 2, 3, 4]]}]}, "a mask: an object is expected"),
        ({"completions": [{"masks": [Mask.empty(5, 5).to_coco()]}]}, "does not fit"),
        ({"completions": [{"masks": [{**CODE, "counts": "~"}]}]}, "outside its 64 letters"),
        ({"completions": [{"masks": [{**CODE, "score": "good"}]}]}, "numbers are expected"),
        ({"completions": [{"error": 7}]}, "a list is expected"),
    ],
)
def test_what_is_no_answer_is_refused(answer, message):
    with pytest.raises(InputError, match=message):
        read_cuts(json.dumps(answer).encode(), picture(), [Prompts.from_boxes(FRAME, [(0, 0, 9, 9)])])
