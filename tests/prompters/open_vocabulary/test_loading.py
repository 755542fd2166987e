"""Folders of detectors: what is found in them, and what is said when something is not."""

import json
import shutil
import sys

import pytest

from fiducial.errors import HubError, InputError, ModelError, UnknownNameError
from fiducial.prompters.open_vocabulary.base import load
from fiducial.prompters.open_vocabulary.grounding_dino import GroundingDinoDetector
from fiducial.prompters.open_vocabulary.owlv2 import Owlv2Detector


@pytest.fixture
def folder(dino_folder, tmp_path):
    """A copy to break."""
    return shutil.copytree(dino_folder, tmp_path / "model")


def open_(model, **options):
    return load(model, "grounding-dino", **{"device": "cpu", "local_files_only": True, **options})


def test_a_model_is_loaded_for_evaluation_without_torchvision(dino_folder):
    found = open_(dino_folder)
    assert not found.model.training
    assert found.source == str(dino_folder)
    assert found.batch_size(None) == 1
    assert found.batch_size(7) == 7
    ids, mask = found.padded([(5, 6, 7), (8,)])
    assert (ids.tolist(), mask.tolist()) == ([[5, 6, 7], [8, 0, 0]], [[1, 1, 1], [1, 0, 0]])
    assert "torchvision" not in sys.modules


def test_another_kind_of_model_is_refused(dino_folder, owl_folder):
    with pytest.raises(UnknownNameError, match=r"unknown kind of detector in .*: 'owlv2': .*known: grounding-dino"):
        GroundingDinoDetector.from_pretrained(owl_folder, device="cpu")
    with pytest.raises(UnknownNameError, match=r"'grounding-dino': .*known: owlv2"):
        Owlv2Detector.from_pretrained(dino_folder, device="cpu")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dtype": "int8"}, "dtype 'int8' is not one of auto, float32, bfloat16, float16"),
        ({"device": "abacus"}, "device 'abacus' cannot be used here"),
    ],
)
def test_unknown_devices_and_dtypes(dino_folder, options, said):
    with pytest.raises(InputError, match=said):
        open_(dino_folder, **options)


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("model.safetensors", r"lacks model\.safetensors"),
        ("preprocessor_config.json", r"lacks preprocessor_config\.json"),
    ],
)
def test_a_folder_that_lacks_files_names_them(folder, gone, named):
    (folder / gone).unlink()
    with pytest.raises(HubError, match=named):
        open_(folder)


def test_a_checkpoint_that_does_not_fit_its_config(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "decoder_layers": 3}))
    with pytest.raises(ModelError, match="does not fit a GroundingDinoForObjectDetection"):
        open_(folder)


def test_weights_that_cannot_be_read(folder):
    (folder / "model.safetensors").write_bytes(b"\x00" * 16)
    with pytest.raises(ModelError, match="its weights cannot be read"):
        open_(folder)


def test_a_hub_that_is_out_of_reach(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(HubError, match="IDEA-Research/grounding-dino-tiny: not on this machine"):
        open_("IDEA-Research/grounding-dino-tiny")


def test_a_device_without_room(dino_folder, monkeypatch):
    def full(self, device):
        raise RuntimeError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr("transformers.GroundingDinoForObjectDetection.to", full)
    with pytest.raises(ModelError, match=r"the model does not fit cpu \(CUDA out of memory\.\): try device='cpu'"):
        open_(dino_folder)
