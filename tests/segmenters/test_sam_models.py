"""Loading; preprocessing and decoding against transformers' own processor, and SAM-HQ against its definition."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fiducial.checkpoints import pick_device, pick_dtype
from fiducial.errors import HubError, InputError, ModelError, UnknownNameError
from fiducial.geometry import Prompt, Prompts
from fiducial.images import Image
from fiducial.segmenters.sam import SamSegmenter
from fiducial.segmenters.sam_configs import SamConfig
from fiducial.segmenters.sam_models import load_model
from tiny import sam as tiny

torch.set_num_threads(1)

IMAGE = Image(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
PROMPTS = Prompts.from_boxes(IMAGE.frame, [(5, 5, 40, 30), (20, 1, 55, 39)])


@pytest.mark.parametrize("name", sorted(tiny.BUILDERS))
def test_a_saved_model_comes_back(name: str, tmp_path: Path) -> None:
    folder = getattr(tiny, f"tiny_{name}")(tmp_path / name)
    loaded = SamSegmenter.from_pretrained(str(folder), device="cpu", multimask="best")
    built = SamSegmenter(tiny.BUILDERS[name](), SamConfig(multimask="best"))
    assert loaded.family.name == name
    tiny.assert_alike(loaded.decode(loaded.encode(IMAGE), PROMPTS), built.decode(built.encode(IMAGE), PROMPTS))


def test_a_video_checkpoint_of_sam2_gives_its_image_model(tmp_path: Path) -> None:
    folder = tiny.tiny_sam2_video(tmp_path)
    model, family = load_model(folder)
    assert (type(model).__name__, family.name) == ("Sam2Model", "sam2")
    source = tiny.sam2_video_model().state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, source[name]), name


def test_a_video_checkpoint_of_sam3_gives_its_tracker(tmp_path: Path) -> None:
    folder = tiny.tiny_sam3_video(tmp_path)
    model, family = load_model(str(folder))
    assert (type(model).__name__, family.name) == ("Sam3TrackerModel", "sam3_tracker")
    source = tiny.sam3_video_model().state_dict()
    for name, tensor in model.state_dict().items():
        home = name.replace("vision_encoder.neck.", "tracker_neck.")
        home = home.replace("vision_encoder.backbone.", "detector_model.vision_encoder.backbone.")
        assert torch.equal(tensor, source[home if home in source else f"tracker_model.{name}"]), name


def test_half_precision_is_asked_for_by_name(tmp_path: Path) -> None:
    segmenter = SamSegmenter.from_pretrained(tiny.tiny_sam(tmp_path), device="cpu", dtype="bfloat16")
    assert next(segmenter.model.vision_encoder.parameters()).dtype == torch.bfloat16
    assert segmenter.model.mask_decoder.iou_token.weight.dtype == torch.float32
    assert len(segmenter.decode(segmenter.encode(IMAGE), PROMPTS)) == 2


def test_what_is_not_on_the_hub_nor_here(tmp_path: Path) -> None:
    with pytest.raises(HubError) as error:
        SamSegmenter.from_pretrained("facebook/sam-nowhere", hub_cache=tmp_path, local_files_only=True)
    said = str(error.value)
    for part in (
        "config.json, model.safetensors (or model.safetensors.index.json)",
        str(tmp_path / "models--facebook--sam-nowhere"),
        "'classic'",
    ):
        assert part in said
    with pytest.raises(InputError, match="no such folder, and no id of the hub"):
        SamSegmenter.from_pretrained("not an id!", hub_cache=tmp_path, local_files_only=True)


def test_folders_that_hold_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_model(tmp_path / "missing")
    with pytest.raises(InputError, match="no such folder"):
        load_model("./missing")
    with pytest.raises(InputError, match=r"no model is in this folder, as it has no config\.json"):
        load_model(str(tmp_path))
    folder = tiny.tiny_sam(tmp_path / "sam")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(HubError, match=r"lacks model.safetensors"):
        load_model(folder)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": {"a": "model-00001-of-00001.safetensors"}})
    )
    with pytest.raises(HubError, match="cannot be read"):
        load_model(folder)


def test_a_model_that_is_no_sam(tmp_path: Path) -> None:
    folder = tiny.tiny_sam(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(UnknownNameError, match="unknown segmenter model_type 'bert'"):
        load_model(folder)


def test_random_weights_never_stand_in_for_missing_ones(tmp_path: Path) -> None:
    folder, other = tiny.tiny_sam(tmp_path / "sam"), tiny.tiny_sam2(tmp_path / "sam2")
    shutil.copy(other / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"does not fit a SamModel: [0-9]+ weights are missing"):
        load_model(folder)


def test_devices_and_dtypes() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert isinstance(pick_device("auto"), torch.device)
    with pytest.raises(InputError, match="device 'toaster' cannot be used here"):
        pick_device("toaster")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="device 'cuda' cannot be used here"):
            pick_device("cuda")
    assert pick_dtype("auto") == torch.float32
    assert pick_dtype("float16") == torch.float16
    with pytest.raises(InputError, match="'int8' is not one of auto, float32, bfloat16, float16"):
        pick_dtype("int8")


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
