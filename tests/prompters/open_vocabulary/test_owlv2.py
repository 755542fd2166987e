"""OWLv2: the whole way with tiny random weights, and golden cases with hand-made outputs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fiducial.errors import InputError, ModelError
from fiducial.images import Image
from fiducial.prompters.detector.reading import Detection, Detector, Reading
from fiducial.prompters.model_configs import Owlv2Config
from fiducial.prompters.open_vocabulary.owlv2 import Owlv2Detector

RANDOM = np.random.default_rng(0)
WIDE = Image(RANDOM.integers(0, 256, (60, 90, 3), dtype=np.uint8), name="wide")
TALL = Image(RANDOM.integers(0, 256, (130, 50, 3), dtype=np.uint8), name="tall")
ALL = {"threshold": 0.0, "suppress": None}


@pytest.fixture(scope="module")
def detector(owl_folder):
    return Owlv2Detector.from_pretrained(owl_folder, device="cpu", local_files_only=True, **ALL)


def near(found, expected, abs=1e-5):
    assert [one.name for one in found] == [one.name for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.score == pytest.approx(other.score, abs=abs)
        assert one.box == pytest.approx(other.box, abs=1000 * abs)


def test_it_is_a_detector_of_any_noun(detector):
    assert isinstance(detector, Detector)
    assert detector.vocabulary() == ()
    assert detector.read("Storage  Tanks") == Reading("Storage  Tanks", "storage tanks", 1.0)


@pytest.mark.parametrize("image", [WIDE, TALL])
def test_it_finds_what_transformers_finds(detector, owl_folder, image):
    """Texts and pictures encoded apart give what the whole model gives, padding and all."""
    from transformers import Owlv2ImageProcessorPil, Owlv2Processor

    processor = Owlv2Processor(Owlv2ImageProcessorPil.from_pretrained(owl_folder), detector.loaded.tokenizer)
    names = ["ship", "water tank"]
    texts = [[f"a photo of a {name}" for name in names]]
    inputs = processor(images=image.pixels, text=texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        outputs = detector.loaded.model(**inputs)
    limits = torch.tensor([image.width, image.height] * 2)
    rows = []
    for place, name in enumerate(names):
        alone = type(outputs)(logits=outputs.logits[..., [place]], pred_boxes=outputs.pred_boxes)
        (expected,) = processor.post_process_grounded_object_detection(
            alone, threshold=0.0, target_sizes=[(image.height, image.width)]
        )
        boxes = expected["boxes"].clamp(min=0).minimum(limits).tolist()
        rows += [
            Detection(tuple(box), score, name)
            for box, score in zip(boxes, expected["scores"].tolist(), strict=True)
            if box[0] < box[2] and box[1] < box[3]
        ]
    (found,) = detector.detect([image], [names])
    assert len(found) > 0
    near(found, sorted(rows, key=lambda one: -one.score))


def test_what_is_found_depends_on_no_neighbour(detector, owl_folder):
    together = Owlv2Detector.from_pretrained(owl_folder, device="cpu", batch_size=2, **ALL)
    images = [WIDE, TALL, WIDE, TALL]
    names = [["ship", "water tank"], [], ["cat", "ship", "cat"], ["a very long tank"]]
    found = together.detect(images, names)
    assert [{one.name for one in own} for own in found] == [set(asked) for asked in names]
    for image, asked, own in zip(images, names, found, strict=True):
        near(own, detector.detect([image], [asked])[0])


def test_texts_are_encoded_once_and_pictures_without_names_never(owl_folder, monkeypatch):
    detector = Owlv2Detector.from_pretrained(owl_folder, device="cpu", template="the {}", batch_size=2, **ALL)
    model, seen = detector.loaded.model, []
    texts, pictures = model.owlv2.get_text_features, model.image_embedder
    monkeypatch.setattr(
        model.owlv2,
        "get_text_features",
        lambda input_ids, attention_mask: seen.append(input_ids) or texts(input_ids, attention_mask),
    )
    monkeypatch.setattr(
        model, "image_embedder", lambda pixel_values: seen.append(pixel_values) or pictures(pixel_values)
    )
    detector.detect([WIDE, TALL, WIDE, WIDE], [["cat", "dog"], [], ["dog"], ["cat", "cat"]])
    assert [tuple(given.shape) for given in seen] == [(2, 8), (2, 3, 48, 48), (1, 3, 48, 48)]
    assert detector.loaded.tokenizer.decode(seen[0][0], skip_special_tokens=True).strip() == "the cat"
    seen.clear()
    assert detector.detect([], []) == []
    assert detector.detect([WIDE], [[]]) == [[]]
    assert seen == []


def test_three_hundred_names(detector):
    names = [f"n{number}" for number in range(300)]
    (found,) = detector.detect([WIDE], [names])
    assert {one.name for one in found} == set(names)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_keeps_boxes_fine(detector, owl_folder, monkeypatch, dtype):
    """In 16 bits a coordinate would move in steps of four thousandths of the picture."""
    half = Owlv2Detector.from_pretrained(owl_folder, device="cpu", dtype=dtype, **ALL)
    model, seen = half.loaded.model, []
    predict = model.box_predictor
    monkeypatch.setattr(model, "box_predictor", lambda *given: seen.append(predict(*given)) or seen[-1])
    (found,) = half.detect([WIDE], [["ship"]])
    (boxes,) = seen
    assert boxes.dtype == torch.float32
    assert (boxes != boxes.to(half.loaded.dtype).float()).float().mean() > 0.9
    (expected,) = detector.detect([WIDE], [["ship"]])
    assert found[0].score == pytest.approx(expected[0].score, abs=0.02)
    assert found[0].score != expected[0].score  # the towers did run in 16 bits


# -- hand-made outputs ------------------------------------------------------------------------------


def scripted(detector, monkeypatch, logits, boxes, **options):
    model = detector.loaded.model
    monkeypatch.setattr(model, "class_predictor", lambda patches, queries: (torch.tensor(logits)[None], None))
    monkeypatch.setattr(model, "box_predictor", lambda patches, features: torch.tensor(boxes)[None])
    return Owlv2Detector(detector.loaded, Owlv2Config(**options))


def logit(fraction):
    return float(np.log(fraction / (1 - fraction)))


def test_boxes_are_fractions_of_the_padded_square(detector, monkeypatch):
    """A 200 x 100 picture fills the upper half of its square."""
    logits = [[logit(0.9)], [logit(0.6)], [logit(0.5)], [logit(0.09)]]
    boxes = [[0.25, 0.25, 0.2, 0.2], [0.5, 0.5, 0.1, 0.2], [0.5, 0.8, 0.2, 0.2], [0.5, 0.25, 1.0, 0.5]]
    made = scripted(detector, monkeypatch, logits, boxes)
    (wide,) = made.detect([Image(np.zeros((100, 200, 3), np.uint8))], [["ship"]])
    assert [one.box for one in wide] == [pytest.approx((30, 30, 70, 70)), pytest.approx((90, 80, 110, 100))]
    assert [one.score for one in wide] == pytest.approx([0.9, 0.6])
    (tall,) = made.detect([Image(np.zeros((200, 100, 3), np.uint8))], [["ship"]])
    assert [one.box for one in tall] == [
        pytest.approx((30, 30, 70, 70)),
        pytest.approx((90, 80, 100, 120)),
        pytest.approx((80, 140, 100, 180)),
    ]


def test_huge_pictures_are_averaged_first(detector, monkeypatch):
    """401 x 190 pixels in blocks of 4 are 101 x 48 blocks: a square of 404 pixels."""
    made = scripted(detector, monkeypatch, [[logit(0.9)], [logit(0.8)]], [[0.25, 0.25, 0.2, 0.2], [0.9, 0.4, 0.2, 0.2]])
    seen = []
    original = detector.loaded.images
    pixels = np.zeros((190, 401, 3), np.uint8)
    pixels[:4, 4:8] = [[[0, 40, 80], [20, 60, 100], [0, 40, 80], [20, 60, 100]]]
    made.loaded = replace(made.loaded, images=lambda given, **options: seen.append(given) or original(given, **options))
    (found,) = made.detect([Image(pixels)], [["ship"]])
    assert seen[0][0].shape == (48, 101, 3)
    assert seen[0][0][0, :3].tolist() == [[0, 0, 0], [10, 50, 90], [0, 0, 0]]
    assert found[0].box == pytest.approx((0.15 * 404, 0.15 * 404, 0.35 * 404, 0.35 * 404))
    assert found[1].box == pytest.approx((0.8 * 404, 0.3 * 404, 401, 190))


def test_a_thing_found_by_several_patches_is_one_detection(detector, monkeypatch):
    logits = [[logit(0.5), logit(0.3)], [logit(0.8), logit(0.05)], [logit(0.4), logit(0.2)]]
    boxes = [[0.4, 0.4, 0.2, 0.2], [0.41, 0.4, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]]
    made = scripted(detector, monkeypatch, logits, boxes)
    (found,) = made.detect([Image(np.zeros((100, 100, 3), np.uint8))], [["ship", "boat"]])
    assert [(one.name, round(one.score, 4)) for one in found] == [
        ("ship", 0.8),
        ("ship", 0.4),
        ("boat", 0.3),
        ("boat", 0.2),
    ]


def test_failures_of_the_model(detector, monkeypatch):
    made = scripted(detector, monkeypatch, [[float("nan")]], [[0.1, 0.1, 0.1, 0.1]])
    with pytest.raises(ModelError, match="wide: the detector returned numbers that are not finite"):
        made.detect([WIDE], [["ship"]])

    def out_of_memory(pixel_values):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(detector.loaded.model, "image_embedder", out_of_memory)
    with pytest.raises(ModelError, match=r"wide and tall: out of memory on cpu .* try batch_size=1"):
        Owlv2Detector(detector.loaded, Owlv2Config(batch_size=2)).detect([WIDE, TALL], [["ship"], ["ship"]])


# -- words and options ------------------------------------------------------------------------------


@pytest.mark.parametrize("noun", ["", "  ", "?!", "x" * 40])
def test_nouns_that_the_model_cannot_read(detector, noun):
    assert detector.read(noun) == Reading(noun, None, 0.0)
    with pytest.raises(InputError, match=r"makes a text of|has nothing to look for"):
        detector.detect([WIDE], [["ship", noun]])


def test_as_many_lists_of_names_as_images(detector):
    with pytest.raises(InputError, match="1 images need as many lists of names, got 0"):
        detector.detect([WIDE], [])
