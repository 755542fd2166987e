"""What detectors share: folders, descriptions, and detections from scores and boxes."""

import json
import shutil
import sys

import numpy as np
import pytest

from fiducial.errors import HubError, InputError, ModelError, UnknownNameError
from fiducial.geometry import Frame
from fiducial.images import Image
from fiducial.prompters.detector import DetectorPrompter
from fiducial.prompters.detector.reading import Detection
from fiducial.prompters.model_configs import GroundingDinoConfig, Owlv2Config
from fiducial.prompters.open_vocabulary.base import best_first, load, pixel_boxes, select, unit_of
from fiducial.prompters.open_vocabulary.grounding_dino import GroundingDinoDetector
from fiducial.prompters.open_vocabulary.owlv2 import Owlv2Detector


@pytest.fixture
def folder(dino_folder, tmp_path):
    """A copy to break."""
    return shutil.copytree(dino_folder, tmp_path / "model")


def open_(model, **options):
    config = GroundingDinoConfig(**{"model": model, "device": "cpu", "local_files_only": True, **options})
    return load(config, "grounding-dino")


def test_a_model_is_loaded_for_evaluation_without_torchvision(dino_folder):
    found = open_(dino_folder)
    assert not found.model.training
    assert found.source == str(dino_folder)
    for asked, size in ((None, 1), (7, 7)):
        config = GroundingDinoConfig(model=str(dino_folder), batch_size=asked)
        assert GroundingDinoDetector(found, config).batch_size == size
    ids, mask = found.padded([(5, 6, 7), (8,)])
    assert (ids.tolist(), mask.tolist()) == ([[5, 6, 7], [8, 0, 0]], [[1, 1, 1], [1, 0, 0]])
    assert "torchvision" not in sys.modules


def test_another_kind_of_model_is_refused(dino_folder, owl_folder):
    with pytest.raises(UnknownNameError, match=r"unknown kind of detector in .*: 'owlv2': .*known: grounding-dino"):
        GroundingDinoDetector.from_pretrained(owl_folder, device="cpu")
    with pytest.raises(UnknownNameError, match=r"'grounding-dino': .*known: owlv2"):
        Owlv2Detector.from_pretrained(dino_folder, device="cpu")


def test_unknown_devices(dino_folder):
    with pytest.raises(InputError, match="device 'abacus' cannot be used here"):
        open_(dino_folder, device="abacus")


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


WIDE = Image(np.zeros((100, 200, 3), np.uint8), name="wide")


def test_unit_boxes_become_pixels_of_the_image():
    boxes = pixel_boxes([[0.5, 0.5, 0.5, 0.2], [0.0, 1.0, 0.2, 0.2]], Frame.unit(), WIDE)
    assert boxes == pytest.approx(np.array([[50, 40, 150, 60], [0, 90, 20, 100]]))


def test_boxes_of_a_padded_square():
    """The image fills the upper half of the square: y runs twice as fast as in the image's own unit."""
    frame = unit_of(WIDE, 200, 200)
    assert (frame.right, frame.bottom) == (1.0, 0.5)
    boxes = pixel_boxes([[0.25, 0.25, 0.2, 0.2], [0.5, 0.5, 0.1, 0.2], [0.5, 0.8, 0.2, 0.2]], frame, WIDE)
    assert boxes == pytest.approx(np.array([[30, 30, 70, 70], [90, 80, 110, 100], [80, 100, 120, 100]]))


BOXES = np.array(
    [[10, 10, 50, 50], [12, 10, 50, 50], [100, 20, 140, 60], [100, 20, 140, 60], [80, 100, 120, 100]], float
)
SCORES = np.array([[0.4, 0.9], [0.6, 0.1], [0.25, 0.2], [0.1, 0.24], [0.9, 0.9]])


def chosen(**options):
    options = {"threshold": 0.25, "suppress": None, "what": "model, wide", **options}
    return [(d.name, d.score, d.box) for d in select(SCORES, BOXES, ["cat", "dog"], **options)]


def test_all_at_or_above_the_threshold_best_first_name_by_name():
    assert chosen() == [
        ("cat", 0.6, (12, 10, 50, 50)),
        ("cat", 0.4, (10, 10, 50, 50)),
        ("cat", 0.25, (100, 20, 140, 60)),
        ("dog", 0.9, (10, 10, 50, 50)),  # the cat's worse box is the dog's best: a thing may fit two names
    ]


def test_suppression_is_a_names_own():
    assert [name for name, _, _ in chosen(suppress=0.9)] == ["cat", "cat", "dog"]
    assert [name for name, _, _ in chosen(suppress=0.96)] == ["cat", "cat", "cat", "dog"]
    # Without suppression even two boxes in one place stay.
    assert len(chosen(threshold=0.0)) == 8
    assert len(chosen(threshold=0.0, suppress=0.7)) == 4


def test_nothing_is_found_without_boxes_or_above_the_best():
    assert chosen(threshold=0.95) == []
    assert select(np.zeros((0, 1)), np.zeros((0, 4)), ["cat"], threshold=0, suppress=0.5, what="") == []


@pytest.mark.parametrize(("scores", "corner"), [([[np.nan]], 5), ([[0.5]], np.nan), ([[0.5]], np.inf)])
def test_numbers_that_are_not_finite_are_the_models_failure(scores, corner):
    with pytest.raises(ModelError, match=r"tiny, wide: the detector returned numbers that are not finite"):
        select(np.array(scores), np.array([[0, 0, corner, 5]]), ["cat"], threshold=0, suppress=None, what="tiny, wide")


def test_best_first_keeps_the_order_of_equals():
    found = [Detection((0, 0, 1, 1), score, name) for score, name in [(0.2, "a"), (0.9, "b"), (0.2, "c"), (0.9, "d")]]
    assert [detection.name for detection in best_first(found)] == ["b", "d", "a", "c"]


def detector_of(config):
    prompter = config.build()
    assert isinstance(prompter, DetectorPrompter)
    return prompter.detector


def test_grounding_dino_gets_its_options(dino_folder):
    config = GroundingDinoConfig(model=dino_folder, device="cpu", box_threshold=0.4, suppress=None, batch_size=3)
    assert detector_of(config).config is config
    assert detector_of(config).batch_size == 3
    usual = GroundingDinoConfig()
    assert (usual.box_threshold, usual.text_threshold, usual.suppress, usual.batch_size) == (0.25, 0.25, 0.7, None)


def test_owlv2_gets_its_options(owl_folder):
    config = Owlv2Config(model=owl_folder, device="cpu", threshold=0.3, template="{}", dtype="bfloat16")
    assert detector_of(config).config is config
    assert detector_of(config).batch_size == 1
    usual = Owlv2Config()
    assert (usual.threshold, usual.suppress, usual.template) == (0.1, 0.5, "a photo of a {}")


@pytest.mark.parametrize("config", [GroundingDinoConfig, Owlv2Config])
@pytest.mark.parametrize(
    ("option", "value"), [("suppress", 3), ("batch_size", 0), ("dtype", "int8"), ("batch_size", 1.5), ("suppress", -1)]
)
def test_options_out_of_their_range(config, option, value):
    with pytest.raises(InputError, match=option):
        config(**{option: value})


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (GroundingDinoConfig, {"box_threshold": 1.5}),
        (GroundingDinoConfig, {"text_threshold": -1}),
        (Owlv2Config, {"threshold": 1.5}),
        (Owlv2Config, {"threshold": float("nan")}),
    ],
)
def test_thresholds_lie_in_0_to_1(config, options):
    with pytest.raises(InputError, match="threshold"):
        config(**options)


@pytest.mark.parametrize("template", ["a ship", "{} and {}", ""])
def test_a_template_needs_one_place_for_the_name(template):
    with pytest.raises(InputError, match="one place"):
        Owlv2Config(template=template)
