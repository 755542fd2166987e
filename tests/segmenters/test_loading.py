from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fiducial.checkpoints import pick_device
from fiducial.errors import HubError, InputError, ModelError, UnknownNameError
from fiducial.geometry import Prompts
from fiducial.images import Image
from fiducial.segmenters import SamSegmenter
from fiducial.segmenters.loading import load_model, pick_dtype
from tiny import sam as tiny

torch.set_num_threads(1)

IMAGE = Image(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
PROMPTS = Prompts.from_boxes(IMAGE.frame, [(5, 5, 40, 30), (20, 1, 55, 39)])


@pytest.mark.parametrize("name", sorted(tiny.BUILDERS))
def test_a_saved_model_comes_back(name: str, tmp_path: Path) -> None:
    folder = getattr(tiny, f"tiny_{name}")(tmp_path / name)
    loaded = SamSegmenter.from_pretrained(str(folder), device="cpu", multimask="best")
    built = SamSegmenter(tiny.BUILDERS[name](), multimask="best")
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
        SamSegmenter.from_pretrained("facebook/sam-nowhere", cache=tmp_path, local_files_only=True)
    said = str(error.value)
    for part in (
        "config.json, model.safetensors (or model.safetensors.index.json)",
        str(tmp_path / "models--facebook--sam-nowhere"),
        "'classic'",
    ):
        assert part in said
    with pytest.raises(InputError, match="no such folder, and no id of the hub"):
        SamSegmenter.from_pretrained("not an id!", cache=tmp_path, local_files_only=True)


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
