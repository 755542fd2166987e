import json
import pickle

import numpy as np
import PIL.Image
import pytest

from fiducial.config import read_part
from fiducial.errors import InputError, ModelError
from fiducial.geometry import Mask
from fiducial.images import Image
from fiducial.language.dialects import dialect
from fiducial.rewards import RewardFunction, Scorer, truth_column

SHIP = Mask.from_box((10, 10, 40, 40), 60, 80)
DIALECT = dialect("think2seg")


def pixels(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (60, 80, 3)).astype(np.uint8)


def write(*items):
    """Write boxes with two points, of the 80 x 60 image, as Think2Seg does."""
    rows = []
    for x1, y1, x2, y2 in items:
        box = [round(x1 * 10.5), y1 * 14, round(x2 * 10.5), y2 * 14]
        thirds = [[(2 * box[0] + box[2]) // 3, (box[1] + box[3]) // 2], [(box[0] + 2 * box[2]) // 3, box[1] + 30]]
        rows.append({"bbox_2d": box, "positive_points": thirds})
    return f"<think>so</think><answer>```json\n{json.dumps(rows)}\n```</answer>"


REPLIES = [
    write((10, 10, 40, 40)),
    write((12, 8, 38, 44), (50, 10, 70, 30)),
    write((10, 10, 40, 40), (11, 11, 40, 40)),
    write((0, 0, 80, 60)),
    write(),
    "no idea",
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    pytest.importorskip("transformers")
    from tiny.sam import tiny_sam2

    return tiny_sam2(tmp_path_factory.mktemp("sam2"))


class Counting:
    """Counts the encoder passes of a segmenter."""

    def __init__(self, segmenter):
        self.segmenter, self.encoded, self.decoded = segmenter, 0, 0

    def encode(self, image):
        self.encoded += 1
        return self.segmenter.encode(image)

    def decode(self, embedding, prompts):
        self.decoded += 1
        return self.segmenter.decode(embedding, prompts)


def naive(segmenter, image, truth, reply):
    """Score one reply as published: encode for the completion, decode for each instance, join, compare dense arrays."""
    frame = DIALECT.frame(image.width, image.height)
    answer = DIALECT.decode(reply, frame, strict=True)
    united = np.zeros((image.height, image.width), bool)
    kept = []
    rows = sorted(answer.prompts, key=lambda one: -(one.box[2] - one.box[0]) * (one.box[3] - one.box[1]))
    for prompt in rows:
        if all(_iou(prompt.box, other.box) <= 0.5 for other in kept):
            kept.append(prompt)
    if kept:
        embedding = segmenter.encode(image)
        for prompt in kept:
            alone = type(answer.prompts)(frame, (prompt,)).to(image.frame)
            united |= segmenter.decode(embedding, alone)[0].to_dense()
    target = np.logical_or.reduce([np.zeros_like(united), *(mask.to_dense() for mask in truth)])
    if not target.any():
        return float(answer.outcome.value == "no_target")
    return (united & target).sum() / (united | target).sum()


def _iou(a, b):
    shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@pytest.mark.parametrize(("max_prompts", "tolerance"), [(1, 1e-4), (None, 0.01)])
def test_it_equals_encoding_per_completion_and_decoding_per_instance(tiny, max_prompts, tolerance):
    # Batched decoding turns single pixels on some processors; one prompt a batch is the same arithmetic everywhere.
    from fiducial.rewards import MaskService
    from fiducial.segmenters.sam import SamSegmenter

    segmenter = SamSegmenter.from_pretrained(tiny, device="cpu", max_prompts=max_prompts)
    counting = Counting(segmenter)
    judge = Scorer(read_part("reward", "think2seg?strict_format=0&think_format=0"), MaskService(counting))
    for seed, truth in ((0, [SHIP]), (1, [SHIP, Mask.from_box((50, 10, 70, 30), 60, 80)]), (0, []), (1, [SHIP])):
        image = Image(pixels(seed))
        rewards = judge.score(image, truth, REPLIES)
        expected = [naive(segmenter, image, truth, reply) for reply in REPLIES]
        assert [reward.total / 2 for reward in rewards] == pytest.approx(expected, abs=tolerance)
        assert not truth or len({reward.total for reward in rewards}) > 2  # the prompts make a difference
    assert (counting.encoded, counting.decoded) == (2, 2)


def test_a_batch_of_two_images_encodes_each_once_in_memory_and_never_again_from_the_disk(tiny, tmp_path, monkeypatch):
    from fiducial.segmenters.sam import SamSegmenter

    passes = []
    encode = SamSegmenter.encode
    monkeypatch.setattr(SamSegmenter, "encode", lambda self, image: passes.append(image) or encode(self, image))
    config = {
        "name": "think2seg",
        "segmenter": {"name": "sam2", "model": str(tiny), "device": "cpu"},
        "cache": {"folder": tmp_path / "cache"},
    }
    function = RewardFunction(read_part("reward", config))
    images = [PIL.Image.fromarray(pixels(seed)) for seed in (0, 1)]
    columns = {"image": [images[0]] * 6 + [images[1]] * 6, "truth": [truth_column([SHIP])] * 12}
    first = function(["the ship"] * 12, REPLIES * 2, completion_ids=[[1]] * 12, **columns)
    assert len(passes) == 2
    assert len(first) == 12
    assert all(isinstance(total, float) and 0 <= total <= 4 for total in first)
    assert function.counts == {"found": 8, "no_target": 2, "malformed": 2}
    assert [reward.total for reward in function.last] == first
    # Another process: pickled, built anew, and nothing encoded.
    again = pickle.loads(pickle.dumps(function))  # noqa: S301
    assert again.config == function.config
    mixed = list(range(0, 12, 2)) + list(range(1, 12, 2))
    turned = again(
        [""] * 12, [(REPLIES * 2)[k] for k in mixed], **{k: [v[i] for i in mixed] for k, v in columns.items()}
    )
    assert turned == pytest.approx([first[k] for k in mixed], abs=0.05)
    assert len(passes) == 2


@pytest.fixture
def seg_zero():
    return RewardFunction("seg-zero", image_column="images", truth_column="solution")


GOOD = (
    '<think>so</think><answer>{"bbox": [105, 140, 420, 560], "points_1": [262, 350], "points_2": [262, 350]}</answer>'
)


def test_it_takes_what_trainers_and_data_sets_hold(seg_zero, tmp_path):
    PIL.Image.fromarray(pixels()).save(tmp_path / "ship.png")
    images = [
        tmp_path / "ship.png",
        str(tmp_path / "ship.png"),
        pixels(),
        Image(pixels()),
        [PIL.Image.new("P", (80, 60))],
    ]
    code = truth_column([SHIP])
    solutions = [code, json.dumps(code), [SHIP], SHIP, code[0]]
    pieces = [{"type": "text", "text": GOOD[:20]}, {"type": "text", "text": GOOD[20:]}]
    completions = [
        GOOD,
        [{"role": "assistant", "content": GOOD}],
        [{"role": "tool", "content": "x"}, {"role": "assistant", "content": pieces}],
        GOOD,
        GOOD,
    ]
    totals = seg_zero(["?"] * 5, completions, images=images, solution=solutions)
    assert len(set(totals)) == 1
    assert totals[0] >= 4
    assert seg_zero(["?"], [[{"role": "assistant", "content": None}]], images=images[:1], solution=[[]]) == [0.0]
    assert seg_zero([], [], images=[], solution=[]) == []
    assert seg_zero.__name__ == "fiducial_seg-zero"


def test_data_that_cannot_be_meant_is_an_error_that_says_which_column(seg_zero):
    image, code = pixels(), truth_column([SHIP])
    with pytest.raises(InputError, match=r"needs the column 'solution', the data has images, truth"):
        seg_zero(["?"], [GOOD], images=[image], truth=[code])
    with pytest.raises(InputError, match="as many values"):
        seg_zero(["?"], [GOOD], images=[image, image], solution=[code])
    with pytest.raises(InputError, match="one image for each completion, got 2"):
        seg_zero(["?"], [GOOD], images=[[image, image]], solution=[code])
    with pytest.raises(InputError, match="not valid JSON"):
        seg_zero(["?"], [GOOD], images=[image], solution=["the ship"])
    with pytest.raises(InputError, match="list of masks"):
        seg_zero(["?"], [GOOD], images=[image], solution=[None])
    with pytest.raises(InputError, match="does not fit"):
        seg_zero(["?"], [GOOD], images=[image], solution=[truth_column([Mask.empty(5, 5)])])
    with pytest.raises(InputError, match="needs to be a text"):
        seg_zero(["?"], [7], images=[image], solution=[code])


def test_a_model_that_cannot_be_loaded_is_no_outcome(tmp_path):
    """Without weights every reward would be 0: training has to stop."""
    pytest.importorskip("transformers")
    function = RewardFunction(
        read_part("reward", {"name": "think2seg", "segmenter": {"name": "sam2", "model": str(tmp_path / "none")}})
    )
    with pytest.raises((InputError, ModelError)):
        function(["?"], [REPLIES[0]], image=[pixels()], truth=[[]])
