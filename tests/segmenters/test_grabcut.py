from __future__ import annotations

import numpy as np
import pytest

from fiducial.contracts import Embedding, Segmenter
from fiducial.errors import FrameError, InputError
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.segmenters.grabcut import WORKING, GrabCutSegmenter

GREEN, BLUE = (40, 120, 50), (30, 60, 220)


def scene(width: int = 200, height: int = 160, seed: int = 0, radius: float = 35) -> tuple[Image, Mask]:
    """A blue disc of noise, its centre at (90, 70), on green noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width] + 0.5
    disc = np.hypot(columns - 90, rows - 70) < radius
    pixels = np.where(disc[..., None], BLUE, GREEN) + rng.integers(-20, 21, (height, width, 3))
    return Image(np.clip(pixels, 0, 255).astype(np.uint8)), Mask.from_dense(disc)


def cut(image: Image, *prompts: Prompt) -> list[Mask]:
    segmenter = GrabCutSegmenter()
    return segmenter.decode(segmenter.encode(image), Prompts(image.frame, prompts))


def test_a_box_around_an_object_gives_the_object() -> None:
    image, disc = scene()
    for box in ((53, 33, 127, 107), (55, 35, 125, 105), (50.5, 30.25, 131.75, 108)):
        (mask,) = cut(image, Prompt(image.frame, box=box))
        assert mask.iou(disc) > 0.93
        assert mask.score is not None
        assert mask.score > 0.9


def test_it_is_a_deterministic_segmenter_without_influence_between_prompts() -> None:
    assert isinstance(GrabCutSegmenter(), Segmenter)
    image, _ = scene()
    prompts = [Prompt(image.frame, box=(53 + i, 33, 127, 107), points=((90, 70),)) for i in range(3)]
    together = cut(image, *prompts)
    assert together == cut(image, *prompts)
    assert together == [cut(image, prompt)[0] for prompt in prompts]
    assert [m.score for m in together] == [cut(image, prompt)[0].score for prompt in prompts]


def test_colours_are_not_swapped() -> None:
    """Red and blue get different cuts of a scene in which only blue stands out."""
    image, disc = scene()
    swapped = Image(np.ascontiguousarray(image.pixels[..., ::-1]))
    prompt = Prompt(image.frame, box=(53, 33, 127, 107))
    assert cut(swapped, prompt)[0].iou(disc) > 0.9
    from fiducial.segmenters.grabcut import _cut_out

    crop = _cut_out(image, prompt, (53, 33, 127, 107))
    assert crop is not None
    middle = crop.colours[crop.shape[0] // 2, crop.shape[1] // 2].astype(int)
    assert np.abs(middle - np.array(BLUE[::-1])).max() < 40


def test_points_decide() -> None:
    image, _ = scene()
    small, disc = scene(radius=13)
    (mask,) = cut(small, Prompt(small.frame, points=((90, 70),)))
    assert mask.iou(disc) > 0.85
    assert mask.score is not None
    box = (40, 20, 140, 120)
    inside, outside = (44, 24), (90, 60)
    (plain,) = cut(image, Prompt(image.frame, box=box))
    (more,) = cut(image, Prompt(image.frame, box=box, points=(inside,)))
    (less,) = cut(image, Prompt(image.frame, box=box, points=(outside,), point_labels=(0,)))
    assert not plain.contains(inside)
    assert more.contains(inside)
    assert plain.contains(outside)
    assert not less.contains(outside)


def test_background_wins_where_both_claim_a_pixel() -> None:
    image, _ = scene()
    both = ((90, 70), (90, 70))
    (mask,) = cut(image, Prompt(image.frame, box=(53, 33, 127, 107), points=both, point_labels=(1, 0)))
    assert not mask.contains((90, 70))
    (nothing,) = cut(image, Prompt(image.frame, points=both, point_labels=(1, 0)))
    assert not nothing.contains((90, 70))


def test_what_cannot_be_cut_is_given_back_without_a_score() -> None:
    flat = Image(np.full((60, 80, 3), 77, dtype=np.uint8))
    for box in ((10, 10, 50, 40), (0, 0, 80, 60), (20, 20, 22, 50), (-30, -30, 20, 20)):
        (mask,) = cut(flat, Prompt(flat.frame, box=box))
        assert mask == Mask.from_box(box, 60, 80)
        assert mask.score is None
    image, _ = scene()
    (small,) = cut(image, Prompt(image.frame, box=(90, 70, 92, 72)))
    assert small == Mask.from_box((90, 70, 92, 72), image.height, image.width)
    assert small.score is None
    (disc,) = cut(flat, Prompt(flat.frame, points=((40, 30),)))
    assert disc.score is None
    assert disc.contains((40, 30))
    assert disc.area < 200


def test_a_collapsed_cut_gives_the_box_back() -> None:
    image, _ = scene()
    box = (53, 33, 127, 107)
    against = tuple((x, y) for x in range(54, 127, 2) for y in range(34, 107, 2))
    (mask,) = cut(image, Prompt(image.frame, box=box, points=against, point_labels=(0,) * len(against)))
    assert mask == Mask.from_box(box, image.height, image.width)
    assert mask.score is None


def test_a_failing_cut_gives_the_box_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    def fail(*_: object) -> None:
        raise cv2.error("no cut")

    monkeypatch.setattr(cv2, "grabCut", fail)
    image, _ = scene()
    (mask,) = cut(image, Prompt(image.frame, box=(53, 33, 127, 107)))
    assert mask == Mask.from_box((53, 33, 127, 107), image.height, image.width)
    assert mask.score is None


def test_prompts_that_say_nothing_give_empty_masks() -> None:
    image, _ = scene()
    beside = Prompt(image.frame, box=(-50, -50, -10, -10))
    negative = Prompt(image.frame, points=((5, 5),), point_labels=(0,))
    far = Prompt(image.frame, points=((5000, 5000),))
    for mask in cut(image, beside, negative, far):
        assert not mask
        assert mask.score is None
        assert (mask.height, mask.width) == (image.height, image.width)


def test_a_box_as_large_as_the_image_is_cut() -> None:
    image, disc = scene(150, 150, radius=60)
    (mask,) = cut(image, Prompt(image.frame, box=(0, 0, 150, 150)))
    assert mask.score is not None
    assert mask.iou(disc) > 0.8


def test_a_cut_that_keeps_everything_has_no_score() -> None:
    image, _ = scene(150, 150, radius=10)
    (mask,) = cut(image, Prompt(image.frame, box=(0, 0, 150, 150)))
    assert (mask.area, mask.score) == (150 * 150, None)


def test_points_that_collapse_give_their_discs_back() -> None:
    image, _ = scene()
    (mask,) = cut(image, Prompt(image.frame, points=((5, 150),)))
    assert mask.score is None
    assert mask.contains((5, 150))
    assert mask.area < 100


def test_every_size_is_cut_at_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    sizes: list[int] = []
    original = cv2.grabCut
    monkeypatch.setattr(cv2, "grabCut", lambda img, *rest: (sizes.append(max(img.shape)), original(img, *rest))[1])
    rng = np.random.default_rng(0)
    big = rng.integers(0, 60, (2000, 3000, 3), dtype=np.uint8)
    big[400:1600, 500:2500] += 150
    image = Image(big)
    (large,) = cut(image, Prompt(image.frame, box=(480, 380, 2520, 1620)))
    assert large.iou(Mask.from_box((500, 400, 2500, 1600), 2000, 3000)) > 0.95
    cut(image, Prompt(image.frame, box=(490, 390, 530, 430)))
    assert max(sizes) <= WORKING[1]
    assert min(sizes) >= WORKING[0]


def test_keys_and_mistakes() -> None:
    image, _ = scene()
    segmenter = GrabCutSegmenter()
    embedding = segmenter.encode(image)
    assert embedding.image is image
    assert embedding.key == segmenter.encode(image).key != segmenter.encode(scene(seed=1)[0]).key
    with pytest.raises(FrameError):
        segmenter.decode(embedding, Prompts.from_boxes(Frame.unit(), [(0, 0, 1, 1)]))
    with pytest.raises(InputError, match="holds no image"):
        segmenter.decode(Embedding("key", 200, 160, {}), Prompts(image.frame))


def test_a_box_between_pixel_centres_gives_the_pixel_under_it():
    image = Image(np.zeros((20, 30, 3), np.uint8), name="p")
    segmenter = GrabCutSegmenter()
    (mask,) = segmenter.decode(segmenter.encode(image), Prompts.from_boxes(image.frame, [(3.6, 4.6, 4.3, 5.3)]))
    assert mask == Mask.from_box((3, 4, 4, 5), 20, 30)
