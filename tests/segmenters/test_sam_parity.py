"""Our preprocessing and decoding against transformers' own processor, and SAM-HQ against its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fiducial.geometry import Prompt, Prompts
from fiducial.images import Image
from fiducial.segmenters import SamSegmenter
from tiny import sam as tiny

torch.set_num_threads(1)


@pytest.mark.parametrize(("width", "height"), [(130, 90), (61, 97), (64, 64), (40, 30)])
def test_sam_equals_the_processor_of_transformers(width: int, height: int) -> None:
    from transformers import SamImageProcessorPil, SamProcessor

    rng = np.random.default_rng(width)
    image = Image(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    model = tiny.sam_model()
    pad_size = {"height": tiny.SIZE, "width": tiny.SIZE}
    processor = SamProcessor(SamImageProcessorPil(size={"longest_edge": tiny.SIZE}, pad_size=pad_size))
    box, point = np.array([5.0, 8.0, 30.0, 26.0]), np.array([12.0, 15.0])
    segmenter = SamSegmenter(model)
    shown_width, shown_height = segmenter.preprocessing.shown(width, height)
    # The processor takes coordinates for pixel numbers; ours are half a canvas pixel further.
    half = np.array([width / shown_width, height / shown_height]) / 2
    inputs = processor(
        image.pixels,
        input_boxes=[[(box - np.tile(half, 2)).tolist()]],
        input_points=[[[(point - half).tolist()]]],
        input_labels=[[[1]]],
        return_tensors="pt",
    )
    np.testing.assert_allclose(segmenter.preprocessing(image), inputs["pixel_values"][0], atol=1e-5)
    assert tuple(inputs["reshaped_input_sizes"][0]) == (shown_height, shown_width)

    with torch.inference_mode():
        out = model(
            pixel_values=inputs["pixel_values"].float(),
            input_boxes=inputs["input_boxes"].float(),
            input_points=inputs["input_points"].float(),
            input_labels=inputs["input_labels"],
            multimask_output=False,
        )
    theirs = processor.post_process_masks(
        out.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"], pad_size=pad_size
    )[0][0, 0].numpy()

    prompt = Prompt(image.frame, box=tuple(box), points=(tuple(point),))
    seen: list[torch.Tensor] = []
    handle = model.register_forward_hook(lambda _module, _given, answer: seen.append(answer.pred_masks))
    (mask,) = segmenter.decode(segmenter.encode(image), Prompts(image.frame, (prompt,)))
    handle.remove()
    torch.testing.assert_close(seen[-1], out.pred_masks, rtol=1e-4, atol=1e-4)
    assert mask.score == pytest.approx(float(out.iou_scores[0, 0, 0].clamp(0, 1)), abs=1e-4)
    assert 0.1 < theirs.mean() < 0.9
    # They interpolate twice, by way of the canvas, and we once: the same where the image is the canvas.
    agreement = (mask.to_dense() == theirs).mean()
    assert agreement > (0.999 if (width, height) == (64, 64) else 0.94)


def test_sam_hq_without_its_own_token_is_sam_with_one_token_more() -> None:
    """SAM's decoder takes the high-quality token as if it were a prompt: the attention is the same."""
    from transformers import SamConfig, SamModel

    hq = tiny.sam_hq_model()
    with torch.no_grad():
        for parameter in hq.mask_decoder.hq_mask_mlp.proj_out.parameters():
            parameter.zero_()
    settings = hq.config.to_dict()
    sam = SamModel(
        SamConfig(
            **{
                name: {key: value for key, value in settings[name].items() if key != "model_type"}
                for name in ("vision_config", "prompt_encoder_config", "mask_decoder_config")
            }
        )
    ).eval()
    report = sam.load_state_dict(hq.state_dict(), strict=False)
    assert not report.missing_keys

    image = torch.randn(1, 32, 8, 8, generator=torch.Generator().manual_seed(1))
    features = {"image": image, "early": torch.randn(1, 8, 8, 24)}
    prompts = {
        "input_boxes": torch.tensor([[[4.0, 5.0, 30.0, 40.0], [20.0, 9.0, 60.0, 30.0]]]),
        "input_points": torch.tensor([[[[9.0, 9.0]], [[30.0, 20.0]]]]),
        "input_labels": torch.tensor([[[1], [0]]]),
    }
    family = SamSegmenter(hq).family
    with torch.inference_mode():
        sparse, dense = sam.prompt_encoder(
            *(prompts.get(f"input_{name}") for name in ("points", "labels", "boxes")), None
        )
        token = hq.mask_decoder.hq_token.weight.expand(1, 2, 1, -1)
        for several in (False, True):
            masks, scores = family.decode(hq, features, prompts, several)
            expected, expected_scores = sam.mask_decoder(
                image_embeddings=image,
                image_positional_embeddings=sam.get_image_wide_positional_embeddings(),
                sparse_prompt_embeddings=torch.cat([token, sparse], dim=2),
                dense_prompt_embeddings=dense,
                multimask_output=several,
            )
            torch.testing.assert_close(masks, expected[0], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(scores, expected_scores[0], rtol=1e-4, atol=1e-4)


def test_the_high_quality_mask_is_added_to_every_mask() -> None:
    hq = tiny.sam_hq_model()
    segmenter = SamSegmenter(hq)
    features = {"image": torch.randn(1, 32, 8, 8), "early": torch.randn(1, 8, 8, 24)}
    prompts = {"input_boxes": torch.tensor([[[4.0, 5.0, 30.0, 40.0]]])}
    with torch.inference_mode():
        whole, _ = segmenter.family.decode(hq, features, prompts, True)
        last = hq.mask_decoder.hq_mask_mlp.proj_out
        weight, bias = last.weight.clone(), last.bias.clone()
        last.weight.zero_(), last.bias.zero_()
        plain, _ = segmenter.family.decode(hq, features, prompts, True)
        last.weight.copy_(weight), last.bias.copy_(bias)
    added = whole - plain
    torch.testing.assert_close(added[:, 0], added[:, 1], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(added[:, 0], added[:, 2], rtol=1e-3, atol=1e-3)
    assert added.abs().mean() > 0.01
