"""Grounding DINO as a detector, and its captions."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import InputError, ModelError
from fiducial.images import Image
from fiducial.prompters.detector.reading import Detection, Detector, Reading
from fiducial.prompters.model_configs import GroundingDinoConfig
from fiducial.prompters.open_vocabulary.base import Loaded
from fiducial.prompters.open_vocabulary.grounding_dino import (
    MAX_ASPECT,
    Caption,
    GroundingDinoDetector,
    Marks,
    Span,
    captions,
    name_scores,
)

RANDOM = np.random.default_rng(0)
WIDE = Image(RANDOM.integers(0, 256, (60, 90, 3), dtype=np.uint8), name="wide")
OTHER = Image(RANDOM.integers(0, 256, (60, 90, 3), dtype=np.uint8), name="other")
TALL = Image(RANDOM.integers(0, 256, (80, 50, 3), dtype=np.uint8), name="tall")
ALL = {"box_threshold": 0.0, "text_threshold": 0.0, "suppress": None}


@pytest.fixture(scope="module")
def detector(dino_folder):
    return GroundingDinoDetector.from_pretrained(dino_folder, device="cpu", local_files_only=True, **ALL)


def near(found, expected):
    assert [one.name for one in found] == [one.name for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)
        assert one.box == pytest.approx(other.box, abs=1e-3)


# -- the whole way ----------------------------------------------------------------------------------


def test_it_is_a_detector_of_any_noun(detector):
    assert isinstance(detector, Detector)
    assert detector.vocabulary() == ()


def test_captions_are_tokenised_as_the_model_was_trained(detector, monkeypatch):
    """Names tokenised one by one give what the tokenizer makes of the caption as a whole."""
    seen = spy(detector, monkeypatch)
    detector.detect([WIDE], [["storage tank", "airplanes", "a-ship"]])
    whole = detector.loaded.tokenizer("storage tank . airplanes . a-ship .")["input_ids"]
    assert seen[0]["input_ids"].tolist() == [whole]
    assert seen[0]["pixel_values"].shape == (1, 3, 64, 96)


def test_one_name_alone_is_what_transformers_finds(detector, dino_folder):
    from transformers import GroundingDinoImageProcessorPil, GroundingDinoProcessor

    tokenizer = detector.loaded.tokenizer
    processor = GroundingDinoProcessor(GroundingDinoImageProcessorPil.from_pretrained(dino_folder), tokenizer)
    inputs = processor(images=WIDE.pixels, text=[["ship"]], return_tensors="pt")
    with torch.inference_mode():
        outputs = detector.loaded.model(**inputs)
        outputs.logits[..., [0, 2, 3]] = -torch.inf  # the marks, which transformers counts too
    (expected,) = processor.post_process_grounded_object_detection(
        outputs, inputs["input_ids"], threshold=0.0, target_sizes=[(60, 90)]
    )
    order = expected["scores"].argsort(descending=True, stable=True)
    boxes = expected["boxes"][order].clamp(min=0).minimum(torch.tensor([90.0, 60, 90, 60]))
    rows = [
        Detection(tuple(box), score, "ship")
        for box, score in zip(boxes.tolist(), expected["scores"][order].tolist(), strict=True)
        if box[0] < box[2] and box[1] < box[3]
    ]
    (found,) = detector.detect([WIDE], [["ship"]])
    assert len(found) >= 8
    near(found, rows)


def test_what_is_found_depends_on_no_neighbour(detector, dino_folder):
    """Other sizes, other captions, other batches: nobody notices."""
    together = GroundingDinoDetector.from_pretrained(dino_folder, device="cpu", batch_size=3, **ALL)
    images = [WIDE, TALL, OTHER, WIDE, TALL]
    names = [["ship", "water tank"], ["cat"], ["storage tank", "water tank", "remote control"], [], ["dog", "cat"]]
    found = together.detect(images, names)
    assert [len(own) > 0 for own in found] == [True, True, True, False, True]
    for image, asked, own in zip(images, names, found, strict=True):
        assert {one.name for one in own} == set(asked)
        assert [one.score for one in own] == sorted((one.score for one in own), reverse=True)
        near(own, detector.detect([image], [asked])[0])


def test_boxes_lie_inside_the_image(detector):
    for image, own in zip([WIDE, TALL], detector.detect([WIDE, TALL], [["ship"], ["cat"]]), strict=True):
        for x1, y1, x2, y2 in (one.box for one in own):
            assert 0 <= x1 < x2 <= image.width
            assert 0 <= y1 < y2 <= image.height


def test_a_name_asked_twice_is_found_once(detector):
    near(detector.detect([WIDE], [["cat", "cat"]])[0], detector.detect([WIDE], [["cat"]])[0])


def test_nothing_asked_nothing_run(detector, monkeypatch):
    seen = spy(detector, monkeypatch)
    assert detector.detect([], []) == []
    assert detector.detect([WIDE, TALL], [[], ()]) == [[], []]
    assert seen == []


def test_three_hundred_names_go_into_several_captions(detector, monkeypatch):
    seen = spy(detector, monkeypatch)
    names = [f"n{number}" for number in range(300)]
    (found,) = detector.detect([WIDE], [names])
    assert {one.name for one in found} == set(names)
    # Two tokens a name, and 62 of 64 to spend: 31 names a caption.
    assert [call["input_ids"].shape for call in seen] == [(1, 64)] * 9 + [(1, 44)]
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_pictures_of_one_size_share_a_run(dino_folder, monkeypatch):
    detector = GroundingDinoDetector.from_pretrained(dino_folder, device="cpu", batch_size=2)
    seen = spy(detector, monkeypatch)
    detector.detect([WIDE, TALL, OTHER, WIDE], [["cat"], ["cat"], ["water tank"], ["dog"]])
    assert [(call["pixel_values"].shape[0], call["input_ids"].shape[1]) for call in seen] == [(2, 5), (1, 4), (1, 4)]
    assert all(call["pixel_mask"].all() for call in seen)
    assert seen[0]["attention_mask"].tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_finds_boxes_of_the_same_image(detector, dino_folder, dtype):
    half = GroundingDinoDetector.from_pretrained(dino_folder, device="cpu", dtype=dtype, **ALL)
    weight = next(half.loaded.model.parameters())
    assert weight.dtype == torch.float32
    (found,) = half.detect([WIDE], [["ship", "cat"]])
    (expected,) = detector.detect([WIDE], [["ship", "cat"]])
    assert found[0].score == pytest.approx(expected[0].score, abs=0.02)
    assert len(found) == pytest.approx(len(expected), abs=4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_keeps_boxes_fine(dino_folder, monkeypatch, dtype):
    """In 16 bits a coordinate would move in steps of four thousandths of the picture."""
    half = GroundingDinoDetector.from_pretrained(dino_folder, device="cpu", dtype=dtype, **ALL)
    model, seen = half.loaded.model, []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda **inputs: seen.append(forward(**inputs)) or seen[-1])
    half.detect([WIDE], [["ship"]])
    boxes = seen[0].pred_boxes
    assert boxes.dtype == torch.float32
    assert (boxes != boxes.to(half.loaded.dtype).float()).float().mean() > 0.9


def spy(detector, monkeypatch):
    """Keep what the model is given."""
    seen = []

    def forward(**inputs):
        seen.append(inputs)
        return original(**inputs)

    original = detector.loaded.model.forward
    monkeypatch.setattr(detector.loaded.model, "forward", forward)
    return seen


# -- words ------------------------------------------------------------------------------------------


def test_nouns_are_taken_as_they_are(detector):
    assert detector.read("Storage  Tanks") == Reading("Storage  Tanks", "storage tanks", 1.0)
    assert detector.read("remote ...?") == Reading("remote ...?", "remote ...?", 1.0)


@pytest.mark.parametrize("noun", ["", "  ", "?", "...", "[SEP]", "\u732b", " ".join(["cat"] * 62)])
def test_nouns_that_the_model_cannot_know(detector, noun):
    assert detector.read(noun) == Reading(noun, None, 0.0)
    with pytest.raises(InputError, match="tokens that the model knows, and a name needs 1 to 61"):
        detector.detect([WIDE], [["ship", noun]])


def test_marks_inside_a_name_cannot_cut_it(detector, monkeypatch):
    seen = spy(detector, monkeypatch)
    (found,) = detector.detect([WIDE], [["cat. dog?", "ship [SEP] tank"]])
    whole = detector.loaded.tokenizer("cat dog . ship tank .")["input_ids"]
    assert seen[0]["input_ids"].tolist() == [whole]
    assert {one.name for one in found} == {"cat. dog?", "ship [SEP] tank"}


# -- hand-made outputs ------------------------------------------------------------------------------


class Scripted:
    """A model that says what it is told."""

    def __init__(self, logits=None, boxes=None, fails=None):
        self.config = SimpleNamespace(max_text_len=64)
        self.logits, self.boxes, self.fails = logits, boxes, fails

    def parameters(self):
        return iter([torch.zeros(1)])

    def __call__(self, pixel_values, **_):
        if self.fails is not None:
            raise self.fails
        return SimpleNamespace(logits=torch.tensor(self.logits)[None], pred_boxes=torch.tensor(self.boxes)[None])


def scripted(detector, *, logits=None, boxes=None, fails=None, **options):
    own = detector.loaded
    return GroundingDinoDetector(
        Loaded(Scripted(logits, boxes, fails), own.images, own.tokenizer, "scripted"),
        GroundingDinoConfig(**{**ALL, **options}),
    )


def token_logits(*rows):
    """Write fractions at token places; everywhere else the model is sure that there is nothing."""
    logits = np.full((len(rows), 64), -30.0, dtype=np.float32)
    for row, said in enumerate(rows):
        for place, fraction in said.items():
            logits[row, place] = np.log(fraction / (1 - fraction))
    return logits


# [CLS] storage tank . water tank . cat . [SEP]
NAMES = ["storage tank", "water tank", "cat"]
LOGITS = token_logits({1: 0.2, 2: 0.6, 5: 0.28}, {4: 0.3, 5: 0.2}, {7: 0.5, 3: 0.99}, {1: 0.24, 4: 0.24, 7: 0.24})
BOXES = [[0.5, 0.5, 0.2, 0.4], [0.1, 0.1, 0.2, 0.2], [0.9, 0.5, 0.4, 1.0], [0.5, 0.5, 1.0, 1.0]]


def test_thresholds_and_frames(detector):
    square = Image(np.zeros((100, 200, 3), np.uint8))
    loose = scripted(detector, logits=LOGITS, boxes=BOXES, box_threshold=0.25, text_threshold=0.25)
    (found,) = loose.detect([square], [NAMES])
    assert [(one.name, round(one.score, 5)) for one in found] == [
        ("storage tank", 0.6),
        ("cat", 0.5),
        ("water tank", 0.3),
        ("water tank", 0.28),
    ]
    assert found[0].box == found[3].box == pytest.approx((80, 30, 120, 70))
    assert found[1].box == pytest.approx((140, 0, 200, 100))  # cut at the image's edge
    assert found[2].box == pytest.approx((0, 0, 40, 20))
    # 0.3 as the best name of a query is too little now, 0.28 beside a 0.6 is not.
    strict = scripted(detector, logits=LOGITS, boxes=BOXES, box_threshold=0.4, text_threshold=0.25)
    assert [one.name for one in strict.detect([square], [NAMES])[0]] == ["storage tank", "cat", "water tank"]
    words = scripted(detector, logits=LOGITS, boxes=BOXES, box_threshold=0.25, text_threshold=0.4)
    assert [one.name for one in words.detect([square], [NAMES])[0]] == ["storage tank", "cat"]


def test_what_lies_on_top_of_its_like_is_suppressed(detector):
    logits = token_logits({1: 0.6}, {1: 0.9}, {1: 0.5})
    boxes = [[0.5, 0.5, 0.4, 0.4], [0.5, 0.5, 0.4, 0.44], [0.2, 0.2, 0.2, 0.2]]
    (found,) = scripted(detector, logits=logits, boxes=boxes, suppress=0.7).detect([WIDE], [["cat"]])
    assert [round(one.score, 5) for one in found] == [0.9, 0.5]
    (every,) = scripted(detector, logits=logits, boxes=boxes).detect([WIDE], [["cat"]])
    assert len(every) == 3


@pytest.mark.parametrize(("width", "height"), [(960, 20), (20, 960)])
def test_an_elongated_picture_gets_a_margin(detector, width, height):
    """Boxes are fractions of what is shown, 960 x 60 here, of which the picture fills a third."""
    image = Image(np.zeros((height, width, 3), np.uint8))
    narrow = scripted(detector, logits=token_logits({1: 0.9}, {1: 0.8}), boxes=[[0.5, 0.5, 1, 1], [0.5, 0.1, 0.5, 0.1]])
    if height > width:
        narrow.loaded.model.boxes = [[0.5, 0.5, 1, 1], [0.1, 0.5, 0.1, 0.5]]
    (found,) = narrow.detect([image], [["cat"]])
    assert found[0].box == pytest.approx((0, 0, width, height))
    thin, long = (3, 9), (240, 720)
    x, y = (long, thin) if width > height else (thin, long)
    assert found[1].box == pytest.approx((x[0], y[0], x[1], y[1]), abs=1e-4)
    assert MAX_ASPECT == 960 // 60


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory.\nTried"), r"wide: out of memory on cpu \(CUDA out of memory\.\)"),
        (MemoryError(), r"out of memory on cpu \(MemoryError\): try batch_size=1"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out of memory on cpu .*: try batch_size=1"),
        (IndexError("index out of range in self"), "scripted, wide: the detector failed on cpu"),
        (RuntimeError("index k out of range"), r"scripted, wide: the detector failed on cpu \(index k out of range\)"),
    ],
)
def test_a_failure_of_the_model_says_what_and_where(detector, failure, said):
    with pytest.raises(ModelError, match=said):
        scripted(detector, fails=failure).detect([WIDE], [["cat"]])


@pytest.mark.parametrize(("logit", "side"), [(float("nan"), 0.2), (0.0, float("nan"))])
def test_numbers_that_are_not_finite(detector, logit, side):
    logits = np.full((1, 64), logit, dtype=np.float32)
    model = scripted(detector, logits=logits, boxes=[[0.5, 0.5, side, 0.2]], box_threshold=0.9)
    with pytest.raises(ModelError, match=r"scripted, wide: .* not finite"):
        model.detect([WIDE], [["cat"]])


# -- options ----------------------------------------------------------------------------------------


def test_as_many_lists_of_names_as_images(detector):
    with pytest.raises(InputError, match="2 images need as many lists of names, got 1"):
        detector.detect([WIDE, TALL], [["cat"]])


MARKS = Marks(start=101, between=1012, end=102)


def test_two_names_that_share_a_word():
    (caption,) = captions({"storage tank": [7, 8], "water tank": [9, 8]}, MARKS, 256)
    assert caption.tokens == (101, 7, 8, 1012, 9, 8, 1012, 102)
    assert caption.spans == (Span("storage tank", 1, 3), Span("water tank", 4, 6))
    assert caption.names == ("storage tank", "water tank")


def test_no_names_make_no_caption():
    assert captions({}, MARKS, 256) == []


def test_a_name_that_does_not_fit_goes_into_the_next_caption_whole():
    found = captions({"a": [1, 1], "b": [2, 2, 2], "c": [3]}, MARKS, 8)
    assert [caption.tokens for caption in found] == [(101, 1, 1, 1012, 102), (101, 2, 2, 2, 1012, 3, 1012, 102)]
    assert [caption.spans for caption in found] == [(Span("a", 1, 3),), (Span("b", 1, 4), Span("c", 5, 6))]


def test_three_hundred_names():
    found = captions({f"name {number}": [5, 6, number] for number in range(300)}, MARKS, 256)
    # Four tokens a name and two around them: 63 names a caption.
    assert [len(caption.spans) for caption in found] == [63, 63, 63, 63, 48]
    assert [len(caption.tokens) for caption in found] == [254] * 4 + [194]


@pytest.mark.parametrize(("tokens", "said"), [([], "has 0 tokens"), ([1] * 6, "has 6 tokens .* needs 1 to 5")])
def test_names_that_fit_no_caption(tokens, said):
    with pytest.raises(InputError, match=said):
        captions({"ship": [1], "odd": tokens}, MARKS, 8)
    assert len(captions({"odd": [1] * 5}, MARKS, 8)[0].tokens) == 8


@given(st.lists(st.lists(st.integers(2000, 3000), min_size=1, max_size=9), max_size=40), st.integers(12, 40))
def test_every_name_is_written_once_whole_and_in_order(words, limit):
    tokens = {f"name {number}": own for number, own in enumerate(words)}
    found = captions(tokens, MARKS, limit)
    assert [name for caption in found for name in caption.names] == list(tokens)
    for caption in found:
        assert (caption.tokens[0], caption.tokens[-1]) == (101, 102)
        assert len(caption.tokens) <= limit
        assert sum(token == 1012 for token in caption.tokens) == len(caption.spans)
        for span in caption.spans:
            assert list(caption.tokens[span.start : span.stop]) == tokens[span.name]
            assert caption.tokens[span.stop] == 1012
    for first, second in pairwise(found):  # the next name really had no room
        assert len(first.tokens) + len(tokens[second.names[0]]) + 1 > limit


def logit(fraction):
    return np.log(fraction / (1 - fraction))


def test_scores_come_from_a_names_own_tokens_alone():
    """The case in which reading tokens back would have said "cat dog"."""
    caption = Caption((101, 11, 1012, 12, 13, 1012, 102), (Span("cat", 1, 2), Span("hot dog", 3, 5)))
    logits = np.full((3, 9), -np.inf, dtype=np.float32)
    logits[0, [1, 3, 4]] = logit(0.9), logit(0.2), logit(0.6)  # both: each with its own score
    logits[1, [0, 2, 5, 6]] = 9  # marks and the end count for nothing
    logits[2, [7, 8]] = 9  # and neither does what stands beyond the caption
    scores = name_scores(logits, caption)
    assert scores == pytest.approx(np.array([[0.9, 0.6], [0, 0], [0, 0]]), abs=1e-6)


def test_a_shared_word_scores_each_time_where_it_stands():
    (caption,) = captions({"storage tank": [7, 8], "water tank": [9, 8]}, MARKS, 256)
    logits = np.full((1, 8), -5.0)
    logits[0, 5] = logit(0.8)  # the tank of "water tank"
    assert name_scores(logits, caption)[0] == pytest.approx([1 / (1 + np.exp(5)), 0.8])


def test_a_logit_that_is_no_number_stays_visible():
    caption = Caption((101, 11, 12, 1012, 102), (Span("cat", 1, 3),))
    assert np.isnan(name_scores(np.array([[0, 1, np.nan, 0, 0]]), caption)).all()
