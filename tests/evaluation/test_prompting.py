from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation_fakes import HEIGHT, WIDTH, TinyDataset, picture
from fiducial import Frame, Image, Mask, Outcome, Prompts
from fiducial.datasets import Sample
from fiducial.errors import InputError
from fiducial.evaluation import BlindPrompts, TruthPrompts, parse_source
from fiducial.evaluation.prompting import from_old_words


def sample(*masks, **changes):
    values = {"id": "a", "image_path": None, "picture": picture(1), "instruction": "it", "size": (HEIGHT, WIDTH)}
    return Sample(**{**values, "instances": masks, **changes})


SQUARE = Mask.from_box((4, 6, 14, 16), HEIGHT, WIDTH)
BAR = Mask.from_box((20, 2, 22, 22), HEIGHT, WIDTH)


def test_boxes_of_the_truth():
    answer = TruthPrompts()(sample(SQUARE, BAR, labels=("square", "bar")))
    assert answer.outcome is Outcome.FOUND
    assert [prompt.box for prompt in answer.prompts] == [(4, 6, 14, 16), (20, 2, 22, 22)]
    assert [prompt.label for prompt in answer.prompts] == ["square", "bar"]


def test_no_target_and_empty_instances():
    assert TruthPrompts()(sample()).outcome is Outcome.NO_TARGET
    empty = Mask.empty(HEIGHT, WIDTH)
    assert TruthPrompts()(sample(empty)).outcome is Outcome.NO_TARGET
    assert len(TruthPrompts()(sample(empty, BAR)).prompts) == 1


@given(points=st.integers(1, 6), negatives=st.integers(0, 6), seed=st.integers(0, 50))
def test_points_lie_where_they_say(points, negatives, seed):
    ring = Mask.from_box((2, 2, 20, 20), HEIGHT, WIDTH).difference(Mask.from_box((6, 6, 16, 16), HEIGHT, WIDTH))
    [prompt] = TruthPrompts(box=False, points=points, negatives=negatives, seed=seed)(sample(ring)).prompts
    assert prompt.box is None
    assert len(prompt.positive_points) == points
    assert len(prompt.negative_points) == negatives
    assert ring.contains(prompt.positive_points).all()
    if negatives:
        assert not ring.contains(prompt.negative_points).any()
        assert Mask.from_box(ring.box, HEIGHT, WIDTH).contains(prompt.negative_points).all()


def test_a_target_has_no_more_points_than_pixels():
    dot = Mask.from_box((5, 5, 6, 6), HEIGHT, WIDTH)
    [prompt] = TruthPrompts(points=9, negatives=9)(sample(dot)).prompts
    assert prompt.points == ((5.5, 5.5),)


@given(jitter=st.floats(0.01, 1), seed=st.integers(0, 200))
def test_jittered_boxes_stay_on_the_picture_and_within_their_part(jitter, seed):
    edge = Mask.from_box((28, 0, 32, 24), HEIGHT, WIDTH)
    for mask in (SQUARE, BAR, edge):
        [prompt] = TruthPrompts(jitter=jitter, seed=seed)(sample(mask)).prompts
        x1, y1, x2, y2 = prompt.box
        assert 0 <= x1 < x2 <= WIDTH
        assert 0 <= y1 < y2 <= HEIGHT
        assert min(x2 - x1, y2 - y1) >= 1 - 1e-9
        width = mask.box[2] - mask.box[0]
        assert abs(x1 - mask.box[0]) <= jitter * width + 1


def test_draws_depend_on_the_sample_alone():
    source = TruthPrompts(points=3, jitter=0.2, seed=4)
    first = source(sample(SQUARE, BAR)).prompts
    assert first == source(sample(SQUARE, BAR)).prompts
    assert first[0] == source(sample(SQUARE)).prompts[0]
    assert first[0] != source(sample(SQUARE, id="b")).prompts[0]
    assert first[0] != replace(source, seed=5)(sample(SQUARE)).prompts[0]


def test_datasets_with_boxes_only():
    frame = Frame.pixels(WIDTH, HEIGHT)
    boxed = sample(instances=None, boxes=Prompts.from_boxes(frame, [(1, 2, 9, 9)]))
    assert TruthPrompts()(boxed).prompts[0].box == (1, 2, 9, 9)
    with pytest.raises(InputError, match="has boxes only"):
        TruthPrompts(points=1)(boxed)


def test_the_datasets_own_boxes_come_first():
    own = Prompts.from_boxes(Frame.pixels(WIDTH, HEIGHT), [(3, 5, 15, 17)])
    assert TruthPrompts()(sample(SQUARE, boxes=own)).prompts[0].box == (3, 5, 15, 17)
    assert TruthPrompts()(sample(SQUARE, BAR, boxes=own)).prompts[0].box == (4, 6, 14, 16)


def test_blind_prompts_are_the_same_for_every_picture():
    blind = BlindPrompts(box=(0, 0, 0.5, 1))
    assert blind(sample(SQUARE)).prompts == blind(TinyDataset()[3]).prompts
    assert blind(sample(SQUARE)).prompts[0].box == (0, 0, 16, 24)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("truth", TruthPrompts(seed=2)),
        ("Truth?box=true", TruthPrompts(seed=2)),
        ("truth?box=false&points=1", TruthPrompts(box=False, points=1, seed=2)),
        ("truth?points=3&negatives=2&jitter=0.1", TruthPrompts(points=3, negatives=2, jitter=0.1, seed=2)),
        ("truth?jitter=0.1&seed=7", TruthPrompts(jitter=0.1, seed=7)),
        ("truth?jitter=0.123456789", TruthPrompts(jitter=0.123456789, seed=2)),
        ("blind", BlindPrompts()),
        ("blind?box=0,0,1,1", BlindPrompts(box=(0, 0, 1, 1))),
        ("classic", None),
        ("", None),
        (None, None),
    ],
)
def test_sources_by_name(text, source):
    found = parse_source(text, 2)
    assert found == source
    if source is not None:
        assert parse_source(str(found), 2) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("truth:box", "behind a question mark"),
        ("truth?boxes=1", "did you mean 'box'"),
        ("truth?points=many", "whole number"),
        ("truth?jitter", "key=value"),
        ("truth?jitter=2", "at most 1"),
        ("truth?box=false&points=1&jitter=0.1", "no box is given"),
        ("truth?box=false&negatives=2", "a box or at least one point"),
        ("truth?points=-1", "at least 0"),
        ("blind?box=1,2", "4 values"),
        ("blind?box=0.5,0,0.5,1", "x1 < x2"),
        ("blind?box=-1,0,0.5,1", "at least 0"),
    ],
)
def test_sources_that_make_no_sense(text, message):
    with pytest.raises(InputError, match=message):
        parse_source(text)


def test_the_first_point_lies_where_it_is_told():
    ring = Mask.from_box((5, 5, 35, 35), 40, 40).difference(Mask.from_box((10, 10, 30, 30), 40, 40))
    picture = Image(np.zeros((40, 40, 3), np.uint8), name="ring")
    ringed = Sample("ring", None, picture, "the ring", (ring,), (40, 40))
    points = {
        at: TruthPrompts(points=1, at=at)(ringed).prompts[0].points[0] for at in ("deepest", "centroid", "random")
    }
    assert points["centroid"] == (20.0, 20.0)
    assert ring.contains(points["deepest"])
    assert ring.contains(points["random"])


def test_where_the_point_lies_does_not_move_the_box():
    boxes = {
        TruthPrompts(points=1, jitter=0.2, at=at)(sample(SQUARE)).prompts[0].box
        for at in ("deepest", "centroid", "random")
    }
    assert len(boxes) == 1


def test_places_are_read_and_written():
    source = parse_source("truth?points=1&at=random")
    assert str(source) == "truth?points=1&at=random"
    with pytest.raises(InputError, match="'top'"):
        parse_source("truth?points=1&at=top")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("truth:box", "truth"),
        ("truth:points=3,negatives=2", "truth?box=false&points=3&negatives=2"),
        ("truth:box,points,at=random,jitter=0.1,seed=3", "truth?points=1&jitter=0.1&seed=3&at=random"),
        ("blind:0,0,0.5,1", "blind?box=0,0,0.5,1"),
        ("blind", "blind"),
        ("", ""),
    ],
)
def test_what_earlier_versions_call_a_source(old, new):
    assert from_old_words(old) == new
