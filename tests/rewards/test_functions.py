import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.language import Answer, Outcome
from fiducial.language.dialects import dialect
from fiducial.rewards import functions as fn

THINK2SEG = dialect("think2seg")
CANVAS = THINK2SEG.frame(640, 480)
ITEM = {"bbox_2d": [10, 20, 110, 120], "positive_points": [[50, 60], [70, 80]]}


def reply(*items, fence=True, thinking="one ship"):
    body = json.dumps(list(items))
    body = f"```json\n{body}\n```" if fence else body
    return f"<think>{thinking}</think>\n<answer>\n{body}\n</answer>"


# -- text -------------------------------------------------------------------------------------------------

TAGS = ["<think>", "</think>", "<answer>", "</answer>", " ", "\n", "a", "[]", "<"]


@given(st.lists(st.sampled_from(TAGS), max_size=12).map("".join))
def test_the_think_format_is_the_published_pattern(text):
    published = re.fullmatch(r"<think>.*?</think>\s*<answer>.*?</answer>", text, re.DOTALL)
    assert fn.think_format(text) == float(published is not None)


def test_the_think_format_of_a_long_hostile_text_is_found_out_quickly():
    assert fn.think_format("<think>" + "</think><answer>" * 200_000) == 0.0
    assert fn.think_format("<think>" + "</think>  " * 200_000 + "</answer>") == 0.0


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (reply(ITEM), 1),
        (reply(), 1),  # an empty list says that there is no target
        (reply({"positive_points": [[50, 60], [70, 80]]}), 1),  # a box is not needed
        (reply(ITEM, fence=False), 0),
        (reply(ITEM | {"positive_points": [[50, 60]]}), 0),
        (reply(ITEM | {"positive_points": [[50, 60]] * 3}), 0),
        (reply({"bbox_2d": [10, 20, 110, 120]}), 0),  # points are needed even where there is a box
        (reply(ITEM | {"negative_points": []}), 0),  # the key itself must be absent
        (reply(ITEM | {"bbox_2d": [10, 20, 110]}), 0),
        (reply(ITEM, {"bbox_2d": [1, 2, 3, 4]}), 0),  # one bad item spoils all
        (reply(ITEM).replace("<think>", ""), 0),
        ("", 0),
    ],
)
def test_think2seg_holds_its_form_as_published(text, right):
    assert fn.strict_format(text, THINK2SEG, CANVAS) == right


@given(st.text(max_size=200))
def test_no_text_raises(text):
    assert fn.think_format(text) in (0.0, 1.0)
    assert fn.strict_format(text, THINK2SEG, CANVAS) in (0.0, 1.0)
    assert 0.0 <= fn.item_format(text) <= 1.0
    assert fn.non_repeat(text) in (0.0, 1.0)


def test_items_are_averaged():
    box, point = {"bbox_2d": [1, 2, 3, 4]}, {"point_2d": [2, 3]}
    assert fn.item_format(f"<answer>{json.dumps([box | point, point, {}, 7])}</answer>") == pytest.approx(1.5 / 4)
    assert fn.item_format(json.dumps([box | point])) == 1.0  # the tags are another part's business
    assert fn.item_format("<answer>[]</answer>") == 1.0
    assert fn.item_format('<answer>{"bbox_2d": [1, 2, 3, 4]}</answer>') == 0.0
    assert fn.item_format('<answer>[{"bbox_2d": [1, 2, 3, true], "point_2d": [1, "2"]}]</answer>') == 0.0
    assert fn.item_format("[" * 100_000) == 0.0
    assert fn.item_format('[{"point_2d": [1, 1e999]}]') == 0.0


def test_from_two_repeated_sentences_on_there_is_nothing():
    assert fn.non_repeat("A ship lies there. A pier. A ship lies there.") == 1.0
    assert (
        fn.non_repeat("A ship lies there.  a SHIP lies there! A ship lies there.\nA pier.") == 1.0
    )  # one and one other
    assert fn.non_repeat("A ship. A pier. A ship. A pier.") == 0.0
    assert fn.non_repeat("<think>x</think><answer>" + "Same. " * 9 + "</answer>") == 1.0  # an answer is no prose
    assert fn.non_repeat("... ... ... 1. 1. 1.") == 1.0


def test_repeated_boxes_count_where_prompts_are_given():
    boxes = Prompts.from_boxes(Frame.unit(), [(0.1, 0.1, 0.2, 0.2)] * 3)
    assert fn.non_repeat("A ship.", boxes[:2]) == 1.0
    assert fn.non_repeat("A ship.", boxes) == 0.0
    assert fn.non_repeat("A ship.", boxes, max_repeats=2) == 1.0


# -- masks ------------------------------------------------------------------------------------------------

squares = st.builds(
    lambda x, y, w, h: Mask.from_box((x, y, x + w, y + h), 24, 24),
    *[st.integers(0, 20)] * 2,
    *[st.integers(0, 12)] * 2,
)


@given(st.lists(squares, max_size=4), st.lists(squares, max_size=4), st.randoms())
def test_mask_iou_is_that_of_the_unions_in_any_order(predicted, truth, random):
    dense = [np.zeros((24, 24), bool), np.zeros((24, 24), bool)]
    for union, masks in zip(dense, (predicted, truth), strict=True):
        for mask in masks:
            union |= mask.to_dense()
    found = fn.mask_iou(predicted, truth)
    shuffled = random.sample(predicted, len(predicted)), random.sample(truth, len(truth))
    assert found == fn.mask_iou(*shuffled)
    if dense[1].any():
        expected = (dense[0] & dense[1]).sum() / (dense[0] | dense[1]).sum()
        assert found == pytest.approx(expected, abs=1e-12)
    else:
        assert found == float(not predicted)
    assert 0.0 <= found <= 1.0


def test_right_emptiness_is_full_and_wrong_emptiness_nothing():
    ship, nothing = Mask.from_box((0, 0, 4, 4), 8, 8), Mask.empty(8, 8)
    assert fn.mask_iou([], []) == fn.mask_iou([], [nothing]) == 1.0
    assert fn.mask_iou([nothing], []) == 0.0  # the list is not empty, though its mask is
    assert fn.mask_iou(None, []) == fn.mask_iou(None, [ship]) == fn.mask_iou([], [ship]) == 0.0


def test_saying_that_there_is_no_target_is_right_or_wrong():
    frame = Frame.pixels(8, 8)
    ship, found = Mask.from_box((0, 0, 4, 4), 8, 8), Prompts.from_boxes(frame, [(0, 0, 4, 4)])
    cases = [
        (Answer(Outcome.NO_TARGET, Prompts(frame)), 0, 1),
        (Answer(Outcome.FOUND, found), 1, 0),
        (Answer(Outcome.TRUNCATED, found), 1, 0),
        (Answer(Outcome.TRUNCATED, Prompts(frame)), 0, 0),
        (Answer(Outcome.MALFORMED, Prompts(frame)), 0, 0),
    ]
    for answer, with_target, without in cases:
        assert (fn.no_target(answer, [ship]), fn.no_target(answer, [])) == (with_target, without)


def test_the_smaller_of_two_duplicates_goes_and_points_stay():
    frame = Frame.pixels(100, 100)
    small, large, far = (Prompt(frame, box) for box in [(10, 10, 29, 30), (10, 10, 30, 30), (60, 60, 80, 80)])
    points = Prompt(frame, points=((15, 15),))
    assert fn.suppress_duplicates(Prompts(frame, (small, points, far, large))).items == (points, far, large)
    half = Prompt(frame, (10, 10, 30, 20))
    assert fn.suppress_duplicates(Prompts(frame, (half, large))).items == (half, large)  # 0.5 is not above 0.5
    assert fn.suppress_duplicates(Prompts(frame)).items == ()


# -- boxes and points -------------------------------------------------------------------------------------


def targets(*boxes, frame=CANVAS, shift=(0, 0)):
    rows = [(box, ((box[0] + box[2]) / 2 + shift[0], (box[1] + box[3]) / 2 + shift[1])) for box in boxes]
    return Prompts(frame, tuple(Prompt(frame, box, (point,)) for box, point in rows))


A, B, C = (100, 100, 300, 300), (400, 400, 600, 600), (10, 500, 60, 560)


def test_targets_are_matched_whatever_their_order_and_one_too_many_costs():
    truth = targets(A, B)
    assert fn.box_iou(targets(B, A), truth) == fn.box_distance(targets(B, A), truth) == 1.0
    assert fn.point_distance(targets(B, A), truth) == 1.0
    assert fn.box_iou(targets(B, A, C), truth) == pytest.approx(2 / 3)
    assert fn.box_iou(targets(A), truth) == 0.5
    assert fn.box_iou(targets(A, A), truth) == 0.5  # a true target is found once


def test_limits_are_not_reached_by_what_equals_them():
    truth = targets(A)
    assert fn.box_distance(targets((110, 110, 310, 310)), truth) == 0.0
    assert fn.box_distance(targets((109, 109, 309, 309)), truth) == 1.0
    assert fn.point_distance(targets(A, shift=(30, 0)), truth) == 0.0
    assert fn.point_distance(targets(A, shift=(29, 0)), truth) == 1.0
    assert fn.point_distance(targets(A, shift=(29, 0)), truth, limit=29) == 0.0
    assert fn.box_iou(targets((100, 100, 300, 200)), truth) == 0.0  # exactly 0.5


def test_a_longer_box_by_the_last_pixel_changes_the_overlap():
    one, other = targets((0, 0, 4, 10)), targets((2, 0, 6, 10))
    assert fn.box_iou(one, other, threshold=0.4) == 0.0  # 2 of 6
    assert fn.box_iou(one, other, threshold=0.4, pixel_inclusive=True) == 1.0  # 3 of 7


def test_points_have_to_lie_in_their_own_box_and_two_are_paired_at_their_best():
    def pair(*points, box=A):
        return Prompts(CANVAS, (Prompt(CANVAS, box, points),))

    truth = pair((150, 150), (250, 250))
    assert fn.point_distance(pair((255, 250), (150, 155)), truth, limit=100) == 1.0
    assert fn.point_distance(pair((255, 250), (150, 155)), truth, limit=5) == 0.0
    assert fn.point_distance(pair((255, 250), (150, 155), box=(100, 100, 200, 200)), truth, limit=100) == 0.0
    assert fn.point_distance(pair((150, 150)), truth, limit=100) == 0.0  # one point instead of two
    assert fn.point_distance(Prompts(CANVAS, (Prompt(CANVAS, points=((150, 150), (250, 250))),)), truth) == 0.0


def test_nothing_and_what_cannot_be_read():
    nothing, truth = Prompts(CANVAS), targets(A)
    for measure in (fn.box_iou, fn.box_distance, fn.point_distance):
        assert measure(nothing, nothing) == 1.0
        assert measure(nothing, truth) == measure(truth, nothing) == measure(None, truth) == measure(None, nothing) == 0
    assert set(fn.matched_accuracy(nothing, nothing).values()) == {1.0}
    assert set(fn.matched_accuracy(None, nothing).values()) == {0.0}
    assert set(fn.matched_accuracy(None, truth).values()) == {0.0}


corner = st.integers(0, 60)
some_boxes = st.lists(
    st.builds(lambda x, y, w, h: (x, y, x + w, y + h), corner, corner, *[st.integers(1, 40)] * 2), max_size=5
)


@given(some_boxes, some_boxes, st.randoms())
def test_the_matching_is_bounded_symmetric_in_order_and_no_better_than_each_alone(predicted, truth, random):
    found = fn.matched_accuracy(targets(*predicted), targets(*truth))
    mixed = [targets(*random.sample(boxes, len(boxes))) for boxes in (predicted, truth)]
    assert found == fn.matched_accuracy(*mixed)
    alone = {
        "box_iou": fn.box_iou(targets(*predicted), targets(*truth)),
        "box_distance": fn.box_distance(targets(*predicted), targets(*truth)),
        "point_distance": fn.point_distance(targets(*predicted), targets(*truth)),
    }
    for name, value in found.items():
        assert 0.0 <= value <= alone[name] <= 1.0
    assert sum(found.values()) >= max(alone.values())


def test_the_perfect_answer_has_full_accuracy():
    masks = [Mask.from_box(box, 480, 640) for box in (A, (400, 300, 600, 460))] + [Mask.empty(480, 640)]
    for points, limit in ((1, 30), (2, 100)):
        said = fn.true_prompts(masks, CANVAS, points)
        assert [len(prompt.points) for prompt in said] == [points, points]
        assert fn.matched_accuracy(said, said, max_point_distance=limit) == dict.fromkeys(
            ("box_iou", "box_distance", "point_distance"), 1.0
        )


def test_circles_lie_inside_beside_one_another_largest_first():
    dense = np.zeros((60, 100), bool)
    rows, columns = np.indices(dense.shape)
    dense |= (rows - 30) ** 2 + (columns - 30) ** 2 < 20**2
    dense |= (rows - 30) ** 2 + (columns - 75) ** 2 < 12**2
    (prompt,) = fn.true_prompts([Mask.from_dense(dense)], Frame.pixels(100, 60), 2)
    (x1, y1), (x2, y2) = prompt.points
    assert max(abs(x1 - 30.5), abs(y1 - 30.5)) <= 1.5
    assert max(abs(x2 - 75.5), abs(y2 - 30.5)) <= 1.5


def test_a_pixel_has_room_for_one_circle():
    (prompt,) = fn.true_prompts([Mask.from_box((3, 4, 4, 5), 8, 8)], Frame.pixels(8, 8), 2)
    assert prompt.points == ((3.5, 4.5), (3.5, 4.5))
