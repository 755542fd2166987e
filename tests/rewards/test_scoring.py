import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import BoxSegmenter
from fiducial.config import read_part
from fiducial.errors import InputError, ModelError, UnknownNameError
from fiducial.geometry import Frame, Mask, Prompts
from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.rewards import MaskService, Scorer, Shown

WIDTH, HEIGHT = 84, 42  # a tenth and a twentieth of the square canvas: 10 and 20 of its pixels to one of the image's


def picture(seed=0):
    return Image(np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8))


def mask(*box):
    return Mask.from_box(box, HEIGHT, WIDTH)


def item(*box):
    """Write a box of the image as Think2Seg does, with its two points."""
    x1, y1, x2, y2 = box[0] * 10, box[1] * 20, box[2] * 10, box[3] * 20
    middle = [(x1 + x2) // 2, (y1 + y2) // 2]
    return {"bbox_2d": [x1, y1, x2, y2], "positive_points": [middle, middle]}


def think2seg(*items):
    return f"<think>so it is</think>\n<answer>\n```json\n{json.dumps(items)}\n```\n</answer>"


def scorer(text="think2seg", segmenter=None):
    config = read_part("reward", text)
    return Scorer(config, MaskService(segmenter or BoxSegmenter()) if hasattr(config, "segmenter") else None)


SHIP = (10, 10, 30, 30)
HALF = (10, 10, 30, 20)


def test_think2seg_adds_what_was_published():
    judge = scorer()
    assert judge.best == 4.0
    replies = [
        think2seg(item(*SHIP)),
        think2seg(item(*HALF)),
        think2seg(item(10, 10, 30, 20), item(10, 20, 30, 30)),  # two halves are united
        think2seg(),  # an empty list where something is meant
        think2seg(item(*SHIP)).replace("```json", "```"),  # breaks the form: no mask, yet the tags are there
        think2seg(item(*SHIP), item(10, 10, 30, 28)),  # a duplicate is suppressed
        think2seg(item(*SHIP), {"bbox_2d": [0, 0, 1, 1]}),  # one bad item spoils all
        "no idea",
        "",
    ]
    rewards = judge.score(picture(), [mask(*SHIP)], replies)
    assert [reward.total for reward in rewards] == pytest.approx([4, 3, 4, 2, 1, 4, 1, 0, 0])
    assert dict(rewards[1].parts) == pytest.approx({"mask_iou": 1.0, "strict_format": 1.0, "think_format": 1.0})
    assert [reward.outcome.value for reward in rewards[2:5]] == ["found", "no_target", "malformed"]
    assert [len(reward.masks) for reward in rewards] == [1, 1, 2, 0, 0, 1, 0, 0, 0]
    assert "fence" in rewards[4].text


def test_where_nothing_is_meant_only_an_empty_list_is_right():
    replies = [think2seg(), think2seg(item(*SHIP)), "no idea"]
    for truth in ([], [Mask.empty(HEIGHT, WIDTH)]):
        assert [reward.total for reward in scorer().score(picture(), truth, replies)] == [4.0, 2.0, 0.0]


def test_the_order_of_items_and_of_replies_changes_nothing():
    truth = [mask(*SHIP), mask(50, 5, 70, 25)]
    one, other = item(12, 12, 30, 30), item(50, 5, 60, 25)
    replies = [think2seg(one, other), think2seg(other, one), think2seg(one), "no idea"]
    found = [reward.total for reward in scorer().score(picture(), truth, replies)]
    assert found[0] == found[1] > found[2] > found[3] == 0
    turned = scorer().score(picture(), truth[::-1], replies[::-1])
    assert [reward.total for reward in turned][::-1] == found
    alone = [scorer().score(picture(), truth, [reply])[0].total for reply in replies]
    assert alone == found


def test_mask_only_reads_what_breaks_the_form_and_pays_a_little_for_it():
    good = json.dumps([{"bbox_2d": [10, 10, 30, 30], "label": "ship"}])
    judge = scorer("mask-only?canvas=84,42&non_repeat=0.5")
    cut_off = good[:-1] + ', {"bbox_2d": [1, 2'
    thrice = json.dumps([{"bbox_2d": [10, 10, 30, 30], "label": "ship"}] * 3)
    rewards = judge.score(picture(), [mask(*SHIP)], [good, "Here it is: " + good, cut_off, thrice, "none"])
    assert [reward.total for reward in rewards] == pytest.approx([1.6, 1.5, 1.5, 1.1, 0.5])
    assert [reward.outcome for reward in rewards[1:3]] == [Outcome.FOUND, Outcome.TRUNCATED]


def test_what_a_model_was_shown_padded_is_read_in_the_numbers_of_the_padded_picture():
    judge = scorer("mask-only?dialect=llava")
    shown = Shown.of(Frame(0, -21, 84, 63), Frame.unit(), (WIDTH, HEIGHT))  # in the middle of a square of 84
    assert shown.image == Frame(0, 0.25, 1, 0.75)

    def reply(x1, y1, x2, y2):  # a box in pixels of the image, in fractions of the square
        return str([round(value / 84, 4) for value in (x1, y1 + 21, x2, y2 + 21)])

    replies = [reply(0, 10, 21, 31), reply(0, -21, 21, 31), reply(0, -20, 21, -5)]
    rewards = judge.score(picture(), [mask(0, 10, 21, 31)], replies, shown)
    assert [reward.parts["mask_iou"] for reward in rewards] == pytest.approx([1, 21 / 31, 0], abs=0.05)
    assert [reward.outcome.value for reward in rewards] == ["found", "found", "malformed"]
    assert rewards[1].prompts.boxes[0] == pytest.approx((0, 0, 21, 31), abs=0.01)  # clipped to the image
    assert judge.score(picture(), [mask(0, 10, 21, 31)], replies[:1])[0].parts["mask_iou"] < 0.9


def test_visionreasoner_gives_seven_for_all_and_less_for_less():
    judge = scorer("visionreasoner")
    truth = [mask(*SHIP), mask(50, 5, 70, 25)]
    perfect = [
        {"bbox_2d": [500, 100, 700, 500], "point_2d": [600, 300]},
        {"bbox_2d": [100, 200, 300, 600], "point_2d": [200, 400]},
    ]

    def reply(items, thinking="compared"):
        return f"<think>{thinking}</think><answer>{json.dumps(items)}</answer>"

    replies = [
        reply(perfect),
        reply(perfect[:1]),  # one of two: accuracy 3 / 2
        reply(perfect, "It is. It is. It is."),
        reply([perfect[0], {"bbox_2d": perfect[1]["bbox_2d"]}]),  # no point: half of an item's form, and no point right
        "no idea",
        reply([]),
    ]
    rewards = judge.score(picture(), truth, replies)
    assert judge.best == 7.0
    assert [reward.total for reward in rewards] == pytest.approx([7, 5.5, 6, 6, 1, 4])
    assert judge.score(picture(), [], [reply([])])[0].total == 7.0


def test_seg_zero_gives_five_for_a_box_and_both_points():
    judge = scorer("seg-zero")

    def reply(**changes):
        answer = {"bbox": [100, 200, 300, 600], "points_1": [200, 300], "points_2": [200, 500]} | changes
        return f"<think>compared</think><answer>{json.dumps(answer)}</answer>"

    # The image is squashed: a square of 20 pixels is 200 x 400 here, its deepest point in the middle.
    truth = [mask(*SHIP)]
    rewards = judge.score(
        picture(),
        truth,
        [reply(), reply(bbox=[100, 200, 300, 700]), reply(points_1=[90, 300]), reply(points_3=[1, 1])],
    )
    assert judge.best == 5.0
    assert [reward.parts["think_format"] for reward in rewards] == [1.0] * 4
    assert [reward.parts["box_iou"] for reward in rewards] == [1.0, 1.0, 1.0, 0.0]
    assert [reward.parts["box_distance"] for reward in rewards] == [1.0, 0.0, 1.0, 0.0]
    assert rewards[2].parts["point_distance"] == 0.0  # outside its own box
    assert rewards[3].total == 1.0  # a key too many breaks the form: only the tags are right


WRITTEN = [
    think2seg(item(*SHIP), item(50, 5, 70, 25)),
    think2seg(),
    '<think>so. so. so.</think><answer>[{"bbox_2d": [1, 2, 300, 400], "point_2d": [9, 9]}]</answer>',
    '<think>so</think><answer>{"bbox": [1, 2, 300, 400], "points_1": [9, 9], "points_2": [20, 20]}</answer>',
    '```json\n[{"bbox_2d": [10, 10, 30, 30], "label": "ship"}, {"point_2d": [5, 5]}]\n```',
]


@st.composite
def spoilt(draw):
    """A good reply of some dialect, of which a piece is left out, doubled or replaced."""
    text = draw(st.sampled_from(WRITTEN))
    start, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
    return text[:start] + draw(st.sampled_from(["", text[start:end] * 2, "-9e99", '"', "]"])) + text[end:]


@settings(max_examples=40)
@given(
    st.sampled_from(["think2seg", "visionreasoner", "seg-zero", "mask-only?no_target=1&non_repeat=1&canvas=84,42"]),
    st.lists(st.one_of(st.sampled_from(WRITTEN), spoilt()), min_size=1, max_size=4),
    st.booleans(),
)
def test_whatever_is_written_each_reply_gets_what_it_gets_alone(name, replies, meant):
    truth = [mask(*SHIP)] if meant else []
    judge = scorer(name)
    together = judge.score(picture(), truth, replies)
    for reply, reward in zip(replies, together, strict=True):
        (alone,) = judge.score(picture(), truth, [reply])
        assert (alone.total, alone.outcome, dict(alone.parts)) == (reward.total, reward.outcome, dict(reward.parts))
        assert 0.0 <= reward.total <= judge.best + 1e-9
        assert reward.total == pytest.approx(sum(reward.parts.values()))
        assert all(0.0 <= part <= judge.weights[name] for name, part in reward.parts.items())


class Failing(BoxSegmenter):
    """Fails on calls that hold a narrow box, or always, or while encoding; counts its calls."""

    def __init__(self, always=False, for_all=False, encode=None):
        super().__init__(encode)
        self.always, self.for_all, self.calls = always, for_all, 0

    def decode(self, embedding, prompts):
        self.calls += 1
        if self.always or any(prompt.box[2] - prompt.box[0] < 3 for prompt in prompts):
            error = ModelError("out of memory")
            error.for_all = self.for_all
            raise error
        return super().decode(embedding, prompts)


def test_a_completion_on_which_the_segmenter_fails_spoils_no_other():
    segmenter = Failing()
    judge = scorer(segmenter=segmenter)
    replies = [think2seg(item(*SHIP)), think2seg(item(10, 10, 12, 30)), think2seg(), "no idea"]
    rewards = judge.score(picture(), [mask(*SHIP)], replies)
    assert [reward.total for reward in rewards] == [4.0, 0.0, 2.0, 0.0]
    assert [reward.outcome.value for reward in rewards] == ["found", "failed", "no_target", "malformed"]
    assert set(rewards[1].parts.values()) == {0.0}
    assert "out of memory" in rewards[1].text
    assert judge.service.counts["failed"] == 1
    assert segmenter.calls == 3  # together, then each of the two alone


@pytest.mark.parametrize(
    ("segmenter", "calls"),
    [(Failing(encode=ModelError("no weights")), 0), (Failing(always=True, for_all=True), 1), (Failing(always=True), 3)],
)
def test_a_segmenter_that_always_fails_is_an_outcome(segmenter, calls):
    judge = scorer(segmenter=segmenter)
    rewards = judge.score(picture(), [], [think2seg(item(*SHIP)), think2seg(), think2seg(item(*HALF))])
    assert [reward.outcome.value for reward in rewards] == ["failed", "no_target", "failed"]
    assert [reward.total for reward in rewards] == [0.0, 4.0, 0.0]
    assert judge.service.counts["failed"] == 2
    assert segmenter.calls == calls


def test_a_segmenter_that_returns_too_few_masks_has_failed():
    segmenter = BoxSegmenter()
    segmenter.decode = lambda embedding, prompts: []
    (reward,) = scorer(segmenter=segmenter).score(picture(), [], [think2seg(item(*SHIP))])
    assert (reward.outcome, reward.total) == (Outcome.FAILED, 0.0)


def test_each_image_is_encoded_once_and_equal_prompts_are_cut_once():
    segmenter = BoxSegmenter()
    judge = scorer(segmenter=segmenter)
    replies = [think2seg(item(*SHIP)), think2seg(item(*SHIP), item(50, 5, 70, 25)), think2seg(item(*SHIP))]
    for seed in (0, 1, 0, 1):
        judge.score(picture(seed), [mask(*SHIP)], replies)
    assert len(segmenter.encoded) == 2
    assert judge.service.counts == {"prompts": 16, "cut": 4, "encoded": 2, "decoded": 2, "failed": 0}


def test_threads_with_one_image_wait_for_one_encoding():
    segmenter = BoxSegmenter()
    service = MaskService(segmenter)
    image = picture()
    prompts = [Prompts.from_boxes(image.frame, [SHIP, HALF])]
    with ThreadPoolExecutor(4) as pool:
        cuts = list(pool.map(lambda _: service.cut(image, prompts), range(8)))
    assert cuts == [[(mask(*SHIP), mask(*HALF))]] * 8
    assert len(segmenter.encoded) == 1
    assert service.counts["decoded"] == 1


def test_no_image_is_encoded_for_nothing():
    segmenter = BoxSegmenter()
    scorer(segmenter=segmenter).score(picture(), [], [think2seg(), "no idea"])
    assert scorer(segmenter=segmenter).score(picture(), [], []) == []
    assert segmenter.encoded == []


def test_embeddings_past_the_bound_go():
    segmenter = BoxSegmenter()
    service = MaskService(segmenter, memory_bytes=40)  # one embedding of 32 bytes
    prompts = Prompts.from_boxes(picture().frame, [SHIP])
    for seed in (0, 0, 1, 0):
        service.cut(picture(seed), [prompts])
    assert len(segmenter.encoded) == 3


def test_what_goes_together_is_checked_before_a_model_loads():
    with pytest.raises(UnknownNameError, match="think2seg"):
        read_part("reward", "think2seg?dialect=think2seq")
    with pytest.raises(InputError, match="at least 0"):
        read_part("reward", "think2seg?mask_iou=-1")
    with pytest.raises(InputError, match="dialect 'sjtu' can earn think_format: set think_format=0"):
        read_part("reward", "think2seg?dialect=sjtu")
    assert read_part("reward", "think2seg?dialect=sjtu&think_format=0").dialect == "sjtu"
    with pytest.raises(InputError, match="no part with a weight"):
        scorer("mask-only?mask_iou=0&strict_format=0")
    with pytest.raises(InputError, match="MaskService"):
        Scorer(read_part("reward", "think2seg"))
    with pytest.raises(InputError, match="true mask is 5 x 5"):
        scorer().score(picture(), [Mask.empty(5, 5)], [])


def test_importing_the_room_loads_no_framework():
    code = (
        "import sys, fiducial.rewards as r; from fiducial.config import build, read_part;"
        "from fiducial.language.dialects import dialect as D;"
        "r.strict_format('[]', D('gemini'), D('gemini').frame(4, 4));"
        "build(read_part('reward', 'seg-zero')); read_part('reward', 'think2seg');"
        "print(sorted({'torch', 'transformers', 'trl', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
