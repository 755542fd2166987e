from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from fiducial.errors import FrameError, GeometryError, InputError
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.language import Outcome
from fiducial.metrics import POLICIES, SampleScore, outline_measures, policy, resize_mask, score_sample
from fiducial.metrics.scoring import source_pixels
from metrics.strategies import dense_masks, dense_pairs, scores

OURS = policy("fiducial")
FOUND = Outcome.FOUND
every_policy = st.sampled_from(list(POLICIES.values()))
TARGET, NOTHING = Mask.from_box((2, 2, 6, 6), 8, 8), Mask.empty(8, 8)


@given(dense_pairs())
def test_counts_match_dense_arrays(pair):
    truth, prediction = pair
    score = score_sample(OURS, Mask.from_dense(truth), Mask.from_dense(prediction), FOUND)
    shared, union = int((truth & prediction).sum()), int((truth | prediction).sum())
    assert (score.intersection, score.truth_area, score.predicted_area) == (shared, truth.sum(), prediction.sum())
    assert (score.cum_intersection, score.cum_union) == (shared, union)
    assert score.iou == (shared / union if union else 1.0)
    assert score.dice == (2 * shared / (truth.sum() + prediction.sum()) if union else 1.0)


@given(dense_pairs(), st.integers(2, 4))
def test_scores_are_symmetric_and_do_not_mind_flips_or_scale(pair, factor):
    def measured(one, two):
        score = score_sample(OURS, Mask.from_dense(one), Mask.from_dense(two), FOUND)
        assert score.iou <= score.dice <= 1
        return pytest.approx([score.iou, score.dice, score.box_iou, score.box_giou, score.box_diou, score.box_ciou])

    one, two = pair
    expected = measured(one, two).expected
    block = np.ones((factor, factor), dtype=bool)
    for changed in ((two, one), (one[::-1], two[::-1]), (one.T, two.T), (np.kron(one, block), np.kron(two, block))):
        assert expected == measured(*changed)


@given(dense_pairs(), dense_masks(), every_policy)
def test_ignored_pixels_can_be_anything(pair, ignore, rules):
    truth, prediction = pair
    ignore = np.resize(ignore, truth.shape)
    if rules.ignored_pixels == "foreground":
        expected = score_sample(rules, Mask.from_dense(truth | ignore), Mask.from_dense(prediction), FOUND)
    else:
        expected = score_sample(rules, Mask.from_dense(truth & ~ignore), Mask.from_dense(prediction & ~ignore), FOUND)
    for noise in (False, True):
        told = truth & ~ignore if not noise else truth | ignore
        if rules.ignored_pixels == "foreground":
            told = truth
        guess = prediction if rules.ignored_pixels == "foreground" else prediction ^ (ignore & noise)
        found = score_sample(rules, *map(Mask.from_dense, (told, guess)), FOUND, ignore=Mask.from_dense(ignore))
        assert (found.iou, found.dice, found.truth_area) == (expected.iou, expected.dice, expected.truth_area)


@given(st.data())
def test_every_policy_keeps_the_ranges_and_json_gives_scores_back(data):
    rules = data.draw(every_policy)
    score = data.draw(scores(rules))
    assert 0 <= score.iou <= score.dice <= 1
    assert 0 <= score.cum_intersection <= score.cum_union or score.cum_union == 0 == score.cum_intersection
    assert score.box_giou <= score.box_iou + 1e-12
    assert score.box_ciou - 1e-12 <= score.box_diou <= score.box_iou + 1e-12
    assert (score.mixed_ciou is None) == (rules.name != "sjtu")
    assert SampleScore.from_json(json.loads(json.dumps(score.as_json()))) == score


def test_further_keys_do_not_matter_and_missing_ones_are_named():
    values = score_sample(OURS, TARGET, TARGET, FOUND).as_json()
    assert SampleScore.from_json({**values, "id": "a"}) == SampleScore.from_json(values)
    with pytest.raises(InputError, match="lacks iou, box_iou"):
        SampleScore.from_json({key: value for key, value in values.items() if key not in ("iou", "box_iou")})
    with pytest.raises(InputError, match="'lost' is not a valid Outcome"):
        SampleScore.from_json({**values, "outcome": "lost"})


def test_a_found_answer_without_a_mask_is_missing():
    score = score_sample(OURS, TARGET, None, FOUND)
    assert not score.read
    assert (score.iou, score.cum_union, score.box_giou) == (0, 16, -1)
    assert not score_sample(policy("sjtu"), TARGET, None, FOUND).counted
    assert score_sample(policy("sjtu"), TARGET, NOTHING, FOUND).counted
    # Boxes without a mask can be read, but SJTU's set is that of masks.
    boxes_only = {"predicted_boxes": [[2, 2, 6, 6]]}
    assert not score_sample(policy("sjtu"), TARGET, None, FOUND, **boxes_only).counted
    assert score_sample(OURS, TARGET, None, FOUND, **boxes_only).box_iou == 1


def test_boxes_given_go_before_those_of_masks():
    score = score_sample(OURS, TARGET, TARGET, FOUND, predicted_boxes=[[2, 2, 6, 4]])
    assert (score.iou, score.box_iou) == (1, 0.5)
    frame = TARGET.frame
    points = Prompts(frame, (Prompt(frame, points=((3, 3),)),))
    assert score_sample(OURS, TARGET, TARGET, FOUND, predicted_boxes=points).box_iou == 1
    prompts = Prompts.from_boxes(frame, [[2, 2, 6, 4]])
    assert score_sample(OURS, TARGET, TARGET, FOUND, truth_boxes=prompts).box_iou == 0.5
    with pytest.raises(FrameError, match="the boxes are in frame"):
        score_sample(OURS, TARGET, TARGET, FOUND, predicted_boxes=prompts.to(Frame.unit()))


def test_visionreasoner_takes_the_box_of_a_mask_up_to_its_last_pixel():
    truth, rules = Mask.from_box((0, 0, 4, 4), 8, 8), policy("visionreasoner")
    assert score_sample(rules, truth, truth, FOUND, predicted_boxes=[[0, 0, 3, 3]]).box_iou == 1
    assert score_sample(rules, truth, truth, FOUND).box_iou == 1
    assert score_sample(
        rules, truth, truth, FOUND, truth_boxes=[[0, 0, 4, 4]], predicted_boxes=[[0, 0, 3, 3]]
    ).box_iou == (9 / 16)
    assert score_sample(OURS, truth, truth, FOUND, predicted_boxes=[[0, 0, 3, 3]]).box_iou == 9 / 16


def test_truth_of_boxes_only_leaves_masks_out():
    score = score_sample(OURS, None, None, FOUND, truth_boxes=[[0, 0, 4, 4]], predicted_boxes=[[0, 0, 4, 2]])
    assert (score.iou, score.dice, score.truth_area, score.cum_union, score.in_precision) == (
        None,
        None,
        None,
        0,
        False,
    )
    assert (score.box_iou, score.has_target, score.presence_right) == (0.5, True, True)
    none = score_sample(OURS, None, None, Outcome.NO_TARGET, truth_boxes=[])
    assert (none.box_iou, none.has_target, none.presence_right) == (1, False, True)
    masked = score_sample(OURS, None, TARGET, FOUND, truth_boxes=[[2, 2, 6, 6]], boundaries=True)
    assert (masked.iou, masked.box_iou, masked.boundary_f) == (None, 1, None)
    sjtu = score_sample(policy("sjtu"), None, TARGET, FOUND, truth_boxes=[[2, 2, 6, 6]])
    assert (sjtu.box_iou, sjtu.mixed_ciou) == (1, None)


def test_canvases_may_differ_only_where_the_policy_resizes():
    small, large = Mask.from_box((1, 1, 3, 3), 4, 4), Mask.from_box((2, 2, 6, 6), 8, 8)
    with pytest.raises(GeometryError, match="masks of 8 x 8 and 4 x 4 do not share a canvas"):
        score_sample(OURS, large, small, FOUND)
    for name in ("rmsin", "think2seg", "sjtu", "prs-med"):
        score = score_sample(policy(name), large, small, FOUND)
        assert (score.iou, score.box_iou) == (1, 1)
    assert score_sample(policy("prs-med"), large, small, FOUND).truth_area == 16


def test_distances_keep_the_unit_of_the_original_image():
    one, two = Mask.from_box((0, 0, 2, 8), 8, 8), Mask.from_box((4, 0, 6, 8), 8, 8)
    assert outline_measures(one, two, 3, (0.5, 0.5)) == (pytest.approx(0.5), 2)
    assert score_sample(OURS, one, two, FOUND, boundaries=True, spacing=(0.5, 0.5)).hausdorff95 == 2
    resized = score_sample(policy("rmsin"), one, two, FOUND, boundaries=True, spacing=(0.5, 0.5))
    assert resized.hausdorff95 == pytest.approx(2, abs=0.01)


def test_boundaries_of_empty_masks_follow_the_policy():
    def measured(name, truth, prediction, outcome=FOUND):
        score = score_sample(policy(name), truth, prediction, outcome, boundaries=True)
        return score.boundary_f, score.hausdorff95

    assert measured("fiducial", NOTHING, NOTHING) == (1, 0)
    assert measured("rmsin", NOTHING, NOTHING) == (0, None)
    assert measured("fiducial", NOTHING, None, Outcome.MALFORMED) == (0, None)
    assert measured("fiducial", TARGET, NOTHING) == measured("fiducial", NOTHING, TARGET) == (0, None)
    assert score_sample(OURS, TARGET, TARGET, FOUND).boundary_f is None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: score_sample(OURS, None, TARGET, FOUND), InputError, "needs truth_boxes"),
        (lambda: score_sample(OURS, TARGET, TARGET, Outcome.NO_TARGET), InputError, "'no_target' cannot come with"),
        (
            lambda: score_sample(OURS, TARGET, None, Outcome.MALFORMED, predicted_boxes=[[0, 0, 1, 1]]),
            InputError,
            "'malformed' cannot come with a mask or boxes",
        ),
        (
            lambda: score_sample(OURS, TARGET, TARGET, FOUND, ignore=Mask.empty(4, 4)),
            GeometryError,
            "an ignore region of 4 x 4 does not fit a truth of 8 x 8",
        ),
    ],
)
def test_what_cannot_be_counted_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@given(dense_pairs())
def test_shared_pixels_are_counted_without_building_them(pair):
    one, two = map(Mask.from_dense, pair)
    assert one.shared_area(two) == two.shared_area(one) == one.intersection(two).area


# -- resizing -----------------------------------------------------------------------------------

side = st.integers(1, 40)


@given(dense_masks(), side, side)
def test_both_rules_give_the_pixels_that_their_library_gives(dense, height, width):
    theirs = cv2.resize(dense.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    assert np.array_equal(resize_mask(Mask.from_dense(dense), height, width, "opencv").to_dense(), theirs)
    theirs = np.array(Image.fromarray(dense.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST))
    assert np.array_equal(resize_mask(Mask.from_dense(dense), height, width, "pillow").to_dense(), theirs)


@given(st.integers(1, 3000), st.sampled_from([480, 512, 840]))
@example(640, 480)  # positions fall on edges here, and rounding decides
@example(375, 840)
@example(800, 480)
def test_the_sizes_of_papers_agree_with_the_libraries(old, new):
    ramp = np.arange(old, dtype=np.float32)[None].repeat(2, axis=0)
    assert np.array_equal(
        source_pixels(old, new, "opencv"), cv2.resize(ramp, (new, 2), interpolation=cv2.INTER_NEAREST)[0]
    )
    assert np.array_equal(
        source_pixels(old, new, "pillow"), np.array(Image.fromarray(ramp).resize((new, 2), Image.Resampling.NEAREST))[0]
    )


def test_the_rules_differ_by_half_a_pixel():
    assert source_pixels(4, 2, "pillow").tolist() == [1, 3]
    assert source_pixels(4, 2, "opencv").tolist() == [0, 2]


@given(dense_masks(), st.integers(1, 5), st.sampled_from(["pillow", "opencv"]))
def test_whole_multiples_keep_every_ratio(dense, factor, rule):
    mask = Mask.from_dense(dense, score=0.5)
    large = resize_mask(mask, mask.height * factor, mask.width * factor, rule)
    assert large.area == mask.area * factor**2
    assert large.score == 0.5
    assert resize_mask(large, mask.height, mask.width, rule) == mask


def test_the_same_size_gives_the_same_mask():
    mask = Mask.from_box((0, 0, 1, 1), 3, 4)
    assert resize_mask(mask, 3, 4) is mask


def test_memory_follows_the_runs():
    huge = resize_mask(Mask.from_box((10, 10, 20, 20), 50_000, 50_000), 25_000, 25_000)
    assert (huge.area, huge.box) == (25, (5.0, 5.0, 10.0, 10.0))


def test_what_is_no_size_is_refused():
    with pytest.raises(GeometryError, match="positive size, got 0 x 4"):
        resize_mask(Mask.from_box((0, 0, 1, 1), 2, 2), 0, 4)
