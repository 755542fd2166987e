from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fiducial.contracts import Segmenter
from fiducial.errors import FrameError, InputError, ModelError, UnknownNameError
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.images import Image
from fiducial.segmenters.sam import SamSegmenter, batches
from fiducial.segmenters.sam_configs import SamConfig
from fiducial.segmenters.sam_models import FAMILIES, MODEL_TYPES, family_of
from tiny import sam as tiny

torch.set_num_threads(1)

NAMES = sorted(tiny.BUILDERS)


def picture(width: int = 130, height: int = 90, seed: int = 0) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    rows, columns = np.arange(height) * 5 // height, np.arange(width) * 7 // width
    return Image(np.ascontiguousarray(coarse[rows][:, columns]))


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    return tiny.BUILDERS[request.param]()


@pytest.fixture(scope="module")
def segmenter(model: torch.nn.Module) -> SamSegmenter:
    return SamSegmenter(model)


def mixed(frame: Frame) -> Prompts:
    return Prompts(
        frame,
        (
            Prompt(frame, box=(10, 10, 60, 70)),
            Prompt(frame, points=((20, 30),)),
            Prompt(frame, box=(30, 5, 100, 70)),
            Prompt(frame, points=((50, 40), (90, 20)), point_labels=(1, 0)),
            Prompt(frame, box=(10, 10, 60, 70), points=((20, 30),)),
            Prompt(frame, box=(40, 40, 120, 85)),
            Prompt(frame, box=(3, 3, 50, 50), points=((20, 30), (44, 9), (7, 7)), point_labels=(1, 0, 1)),
            Prompt(frame, points=((120, 80),), point_labels=(0,)),
            Prompt(frame, points=((-5, 30),)),
        ),
    )


@pytest.mark.parametrize("multimask", ["single", "best"])
def test_a_prompt_gets_the_mask_that_it_gets_alone(model: torch.nn.Module, multimask: str) -> None:
    segmenter = SamSegmenter(model, SamConfig(multimask=multimask))
    embedding = segmenter.encode(picture())
    prompts = mixed(picture().frame)
    together = segmenter.decode(embedding, prompts)
    backwards = segmenter.decode(embedding, prompts[::-1])[::-1]
    alone = [segmenter.decode(embedding, prompts[index : index + 1])[0] for index in range(len(prompts))]
    tiny.assert_alike(together, alone)
    tiny.assert_alike(backwards, alone)
    assert {(mask.height, mask.width) for mask in together} == {(90, 130)}
    assert len(set(together)) > 4, "prompts that all give one mask prove nothing"


def test_many_prompts_do_not_influence_each_other(segmenter: SamSegmenter) -> None:
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 60, (40, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 30, (40, 2))], axis=1)
    frame = picture().frame
    embedding = segmenter.encode(picture())
    together = segmenter.decode(embedding, Prompts.from_boxes(frame, boxes))
    chosen = [0, 7, 31, 32, 39]  # on both sides of where batches end
    for place in chosen:
        alone = segmenter.decode(embedding, Prompts.from_boxes(frame, boxes[place : place + 1]))
        tiny.assert_alike(alone, [together[place]])


def test_a_decoder_call_takes_all_prompts_of_a_signature(
    model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    decoder = model.mask_decoder.iou_prediction_head
    handle = decoder.register_forward_hook(lambda _module, given, _out: sizes.append(given[0].shape[-2]))
    frame = picture().frame
    prompts = Prompts.from_boxes(frame, [(i, 0, i + 20, 30) for i in range(10)])
    segmenter = SamSegmenter(model, SamConfig(max_prompts=32))
    embedding = segmenter.encode(picture())
    whole = segmenter.decode(embedding, prompts)
    assert sizes == [10]
    sizes.clear()
    tiny.assert_alike(SamSegmenter(model, SamConfig(max_prompts=4)).decode(embedding, prompts), whole)
    handle.remove()
    assert sizes == [4, 4, 2]


def test_no_prompts_no_masks(segmenter: SamSegmenter) -> None:
    embedding = segmenter.encode(picture())
    assert segmenter.decode(embedding, Prompts(picture().frame)) == []


def test_it_is_a_segmenter_and_deterministic(segmenter: SamSegmenter) -> None:
    assert isinstance(segmenter, Segmenter)
    first, second = (segmenter.encode(picture()) for _ in range(2))
    assert first.key == second.key
    for name in first.tensors:
        torch.testing.assert_close(first.tensors[name], second.tensors[name])
    prompts = mixed(picture().frame)
    one, two = segmenter.decode(first, prompts), segmenter.decode(second, prompts)
    tiny.assert_alike(one, two)
    assert all(0 <= mask.score <= 1 for mask in one)


def test_decoding_never_changes_an_embedding(segmenter: SamSegmenter) -> None:
    def checksum() -> dict[str, str]:
        return {
            name: hashlib.sha256(tensor.numpy().tobytes()).hexdigest() for name, tensor in embedding.tensors.items()
        }

    embedding = segmenter.encode(picture())
    before = checksum()
    for _ in range(2):
        segmenter.decode(embedding, mixed(picture().frame))
    assert checksum() == before


def test_best_takes_the_highest_predicted_iou(model: torch.nn.Module) -> None:
    image = picture()
    prompts = mixed(image.frame)
    best = SamSegmenter(model, SamConfig(multimask="best"))
    embedding = best.encode(image)
    shown = best.preprocessing.frame(image.width, image.height)
    box = torch.tensor(np.array(prompts[0].to(shown).box) - 0.5, dtype=torch.float32)[None, None]
    with torch.inference_mode():
        _, scores = best.family.decode(model, embedding.tensors, {"input_boxes": box}, True)
    assert scores.shape == (1, 3)
    (mask,) = best.decode(embedding, prompts[:1])
    assert mask.score == pytest.approx(float(scores.max().clamp(0, 1)), abs=1e-5)


def test_the_vision_tower_agrees_with_transformers(model: torch.nn.Module, segmenter: SamSegmenter) -> None:
    pixels = torch.from_numpy(segmenter.preprocessing(picture()))[None]
    mine = list(segmenter.encode(picture()).tensors.values())
    if segmenter.family.name == "sam3_tracker":
        # With its fourth level taken away, transformers adds the embedding where it belongs.
        model = tiny.sam3_tracker_model(scale_factors=[4.0, 2.0, 1.0])
        mine = list(SamSegmenter(model).encode(picture()).tensors.values())
    with torch.inference_mode():
        theirs = model.get_image_embeddings(pixels)
    flat = [theirs] if torch.is_tensor(theirs) else [x for e in theirs for x in (e if isinstance(e, list) else [e])]
    assert len(flat) == len(mine)
    for a, b in zip(flat, mine, strict=True):
        torch.testing.assert_close(a, b)


def test_nothing_remembered_is_added_to_the_third_level_of_sam3() -> None:
    model = tiny.sam3_tracker_model()
    before = SamSegmenter(model).encode(picture()).tensors["image"]
    with torch.no_grad():
        model.no_memory_embedding += 1
    after = SamSegmenter(model).encode(picture()).tensors["image"]
    torch.testing.assert_close(after, before + 1)


def test_half_precision_is_the_towers_only(model: torch.nn.Module) -> None:
    exact = SamSegmenter(model).encode(picture())
    keys = {exact.key}
    model.vision_encoder.to(torch.bfloat16)
    try:
        half = SamSegmenter(model)
        embedding = half.encode(picture())
        keys.add(embedding.key)
        for name, tensor in embedding.tensors.items():
            assert tensor.dtype == torch.float32
            scale = exact.tensors[name].abs().max()
            assert (tensor - exact.tensors[name]).abs().mean() < 0.05 * scale
        assert len(half.decode(embedding, mixed(picture().frame))) == 9
    finally:
        model.vision_encoder.to(torch.float32)
    assert len(keys) == 2


def test_keys_name_image_weights_preprocessing_and_dtype() -> None:
    base = SamSegmenter(tiny.sam2_model())
    image = picture()
    other_image = base.embedding_key(picture(seed=1))
    other_weights = SamSegmenter(tiny.sam2_model(seed=1)).embedding_key(image)
    resized = SamSegmenter(tiny.sam2_model())
    resized.preprocessing = replace(resized.preprocessing, mean=(0.5, 0.5, 0.5))
    keys = {base.embedding_key(image), other_image, other_weights, resized.embedding_key(image)}
    assert len(keys) == 4
    assert base.embedding_key(Image(image.pixels, name="another name")) == base.encode(image).key
    assert SamSegmenter(tiny.sam2_model()).embedding_key(image) == base.embedding_key(image)
    named = SamSegmenter(tiny.sam2_model(), fingerprint="mine")
    assert named.fingerprint == "mine"
    assert named.embedding_key(image) not in keys


def test_points_reach_the_model_at_their_place() -> None:
    """A point in the middle of the image gets the position code of the middle of the canvas."""
    model = tiny.sam_model()
    seen: list[torch.Tensor] = []
    encoding = model.prompt_encoder.shared_embedding
    handle = encoding.register_forward_pre_hook(lambda _module, given: seen.append(given[0].clone()))
    image = picture(128, 128)
    segmenter = SamSegmenter(model)
    embedding = segmenter.encode(image)
    prompts = Prompts(image.frame, (Prompt(image.frame, box=(0, 0, 128, 128), points=((64, 32),)),))
    seen.clear()
    segmenter.decode(embedding, prompts)
    handle.remove()
    points, boxes = seen[-2:]
    assert points.tolist() == [[[[32.0, 16.0]]]]
    assert boxes.tolist() == [[[[0.0, 0.0], [64.0, 64.0]]]]


def test_mistakes_are_named(segmenter: SamSegmenter) -> None:
    embedding = segmenter.encode(picture())
    with pytest.raises(FrameError, match="the prompts are in"):
        segmenter.decode(embedding, Prompts.from_boxes(Frame.unit(), [(0, 0, 1, 1)]))
    with pytest.raises(InputError, match="decode it with the segmenter that encoded it"):
        segmenter.decode(replace(embedding, tensors={"other": torch.zeros(1)}), mixed(picture().frame))


def test_numbers_that_are_not_finite_are_an_error() -> None:
    model = tiny.sam2_model()
    with torch.no_grad():
        model.mask_decoder.upscale_conv2.bias.fill_(float("nan"))
    segmenter = SamSegmenter(model)
    with pytest.raises(ModelError, match="not finite"):
        segmenter.decode(segmenter.encode(picture()), mixed(picture().frame)[:1])


def test_every_model_type_has_a_family() -> None:
    assert set(MODEL_TYPES.values()) == set(FAMILIES)
    assert family_of("sam2_video").model_class == "Sam2Model"
    with pytest.raises(UnknownNameError, match="did you mean 'sam2'"):
        family_of("sam22")


def test_images_smaller_and_larger_than_the_canvas(segmenter: SamSegmenter) -> None:
    for width, height in ((1, 1), (3, 200), (300, 40), (64, 64)):
        image = picture(width, height)
        prompts = Prompts.from_boxes(image.frame, [(0, 0, width, height)])
        (mask,) = segmenter.decode(segmenter.encode(image), prompts)
        assert (mask.width, mask.height) == (width, height)


FRAME = Frame.pixels(100, 100)


@given(
    kinds=st.lists(st.tuples(st.booleans(), st.integers(0, 3)).filter(any), max_size=30),
    maximum=st.integers(1, 8),
)
def test_every_prompt_is_in_one_batch_of_its_like(kinds: list[tuple[bool, int]], maximum: int) -> None:
    prompts = Prompts(
        FRAME,
        tuple(
            Prompt(
                FRAME,
                box=(place, 0, place + 1, 1) if box else None,
                points=tuple((place, k) for k in range(count)),
                point_labels=tuple(k % 2 for k in range(count)),
            )
            for place, (box, count) in enumerate(kinds)
        ),
    )
    found = list(batches(prompts, maximum))
    assert sorted(place for batch in found for place in batch.indices) == list(range(len(kinds)))
    for batch in found:
        assert 1 <= len(batch) <= maximum
        (kind,) = {kinds[place] for place in batch.indices}
        assert (batch.boxes is not None, 0 if batch.points is None else batch.points.shape[1]) == kind
        for row, place in enumerate(batch.indices):
            if batch.boxes is not None:
                assert tuple(batch.boxes[row]) == prompts[place].box
            if batch.points is not None and batch.labels is not None:
                assert tuple(map(tuple, batch.points[row])) == prompts[place].points
                assert tuple(batch.labels[row]) == prompts[place].labels
                assert batch.labels.dtype == np.int64


def test_as_few_batches_as_there_are_signatures() -> None:
    prompts = Prompts(FRAME, tuple(Prompt(FRAME, box=(0, 0, 1, 1), points=((1, 1),) * (i % 2)) for i in range(10)))
    assert [batch.indices for batch in batches(prompts, 32)] == [(0, 2, 4, 6, 8), (1, 3, 5, 7, 9)]
    assert [len(batch) for batch in batches(prompts, 3)] == [3, 2, 3, 2]


def test_an_impossible_maximum() -> None:
    with pytest.raises(InputError, match="at least one prompt, got 0"):
        list(batches(Prompts(FRAME), 0))
