"""The nano segmenter in eight bits cuts what it cuts in single precision, from the same weights."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional

from fiducial.config import read_part
from fiducial.datasets import open_dataset
from fiducial.engines import fused
from fiducial.errors import InputError
from fiducial.geometry import Prompt, Prompts
from fiducial.models import weights_of
from fiducial.segmenters.nano import NanoSegmenter, load_engine
from fiducial.segmenters.nano_crops import SIZE, Crop, network_input
from fiducial.segmenters.nano_int8 import INT8, LEVELS, MADE_OF, SINGLE, on_pixels, quantised
from fiducial.segmenters.nano_unet import NanoNetwork, Shape, save_network
from fiducial.training.exporting import export

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def both():
    return [NanoSegmenter.from_pretrained(device="cpu", bits=bits) for bits in (32, 8)]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("own") / "mine.safetensors"
    path.write_bytes(save_network(NanoNetwork(Shape((4, 8), (1, 1), 1))))
    export(path)
    return path


def crops(count):
    (sample,) = open_dataset("scenes:aerial?count=1&seed=5&size=200")
    boxes = [(16 * step, 40, 16 * step + 60, 110) for step in range(count)]
    windows = [(Crop.around(box), box) for box in boxes]
    pixels = sample.image().pixels
    return np.stack([network_input(crop.cut(pixels, SIZE), crop.box(box, SIZE)) for crop, box in windows])


@pytest.mark.parametrize("style", ["aerial", "shapes", "phantom"])
def test_masks_are_those_of_single_precision(style, both):
    agreed = []
    for sample in open_dataset(f"scenes:{style}?count=4&seed=77&size=256"):
        masks = [mask for mask in sample.instances or () if mask]
        asked = [Prompt(sample.frame, box=mask.box) for mask in masks]
        asked += [Prompt(sample.frame, points=(mask.inner_point(),)) for mask in masks[:1]]
        found = [one.decode(one.encode(sample.image()), Prompts(sample.frame, tuple(asked))) for one in both]
        for one, other in zip(*found, strict=True):
            agreed.append(one.iou(other))
            assert other.score == pytest.approx(one.score, abs=0.1)
    assert np.mean(agreed) >= 0.97
    assert min(agreed) >= 0.9


def test_a_batch_gives_what_its_crops_give_alone(both):
    engine, inputs = both[1].engine, crops(3)
    masks, trusts = engine(inputs)
    alone = [engine(one[None]) for one in inputs]
    for mask, trust, (one, expected) in zip(masks, trusts, alone, strict=True):
        assert np.mean((mask > 0) == (one[0] > 0)) >= 0.999
        assert trust == pytest.approx(expected[0], abs=0.05)


def test_threads_do_not_meet(both):
    engine, inputs = both[1].engine, crops(4)
    expected = [engine(one[None])[0] > 0 for one in inputs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: engine(inputs[number % 4][None])[0] > 0, range(16)))
    for number, mask in enumerate(found):
        assert np.mean(mask == expected[number % 4]) >= 0.999


def test_kernels_are_rounded_by_the_channels_of_their_output():
    random = np.random.default_rng(0)
    weights = {
        "stem.weight": random.normal(size=(3, 8, 3, 3)).astype(np.float16),
        "lateral.0.weight": random.normal(size=(4, 3, 1, 1)).astype(np.float16),
        "context.weight": random.normal(size=(4, 4)).astype(np.float16),
    }
    weights["lateral.0.weight"][1] *= 50
    weights["lateral.0.weight"][2] = 0
    found, single = quantised(weights), fused(weights)
    whole, scale = found["lateral.0.weight"], found["lateral.0.scale"]
    assert (whole.dtype, scale.dtype) == (np.int8, np.float32)
    assert np.abs(whole).max(axis=(1, 2, 3)).tolist() == [LEVELS, LEVELS, 0, LEVELS]
    wrong = np.abs(whole * scale[:, None, None, None] - single["lateral.0.weight"])
    assert (wrong <= 0.501 * scale[:, None, None, None]).all()
    assert (scale > 0).all()
    np.testing.assert_allclose(found["context.weight"], single["context.weight"])
    np.testing.assert_allclose(found["stem.weight"], on_pixels(single["stem.weight"]))


def test_a_kernel_on_blocks_is_one_on_pixels():
    torch.manual_seed(0)
    pictures, kernel = torch.randn(2, 3, 12, 16), torch.randn(5, 12, 3, 3)
    blocks = functional.conv2d(functional.pixel_unshuffle(pictures, 2), kernel, padding=1)
    pixels = functional.conv2d(pictures, torch.from_numpy(on_pixels(kernel.numpy())), stride=2, padding=2)
    np.testing.assert_allclose(pixels, blocks, rtol=1e-4, atol=1e-4)


def test_the_graph_that_ships_is_that_of_the_code_and_holds_no_weights(tmp_path):
    shipped = weights_of("nano-segmenter").with_suffix(INT8)
    assert shipped.stat().st_size < 100_000
    notes = onnx.load(shipped, load_external_data=False).metadata_props
    of_these = hashlib.sha256(weights_of("nano-segmenter").read_bytes()).hexdigest()
    assert [(one.key, one.value) for one in notes] == [(MADE_OF, of_these)]
    *_, path = export("nano-segmenter", tmp_path)
    assert path.name == shipped.name
    made, ours = (onnx.load(one, load_external_data=False).graph for one in (path, shipped))
    assert [node.op_type for node in made.node] == [node.op_type for node in ours.node]
    single = [node.input[1].rpartition(".")[0] for node in made.node if node.op_type == "Conv"]
    assert tuple(single) == SINGLE
    for one, other in zip(made.initializer, ours.initializer, strict=True):
        assert (one.name, one.data_type, one.dims) == (other.name, other.data_type, other.dims)
        if one.data_location == onnx.TensorProto.EXTERNAL:
            assert one.external_data == other.external_data
        else:  # what torch and onnxruntime of another version measure differs a little
            values = [onnx.numpy_helper.to_array(each).astype(float) for each in (one, other)]
            np.testing.assert_allclose(*values, rtol=0.02, atol=2 if one.name.endswith(".zero") else 1e-6)


def test_weights_of_ones_own_need_a_graph_of_their_own(small, tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(weights_of("nano-segmenter").read_bytes())  # of the package's make-up, too
    remedy = rf"; make it with: fiducial models {path} --export$"
    with pytest.raises(InputError, match=rf"no graph in eight bits beside these weights \(mine\.int8\.onnx\){remedy}"):
        load_engine(path, "auto", 8)
    assert load_engine(path, "auto").fingerprint == load_engine(path, "auto", 32).fingerprint
    path.with_suffix(INT8).write_bytes(small.with_suffix(INT8).read_bytes())
    for bits in (8, None):  # no bits: 8 where there is a graph
        with pytest.raises(InputError, match=rf"does not take these weights \(.*\){remedy}"):
            load_engine(path, "auto", bits)


def test_a_graph_of_weights_that_are_no_longer_there_is_refused(small, tmp_path):
    path = tmp_path / "mine.safetensors"
    path.with_suffix(INT8).write_bytes(small.with_suffix(INT8).read_bytes())
    path.write_bytes(small.read_bytes())
    assert load_engine(path, "auto").fingerprint == load_engine(path, "cpu", 8).fingerprint
    torch.manual_seed(1)
    path.write_bytes(save_network(NanoNetwork(Shape((4, 8), (1, 1), 1))))
    with pytest.raises(InputError, match=r"is of others \(mine\.int8\.onnx\); make it with: fiducial models"):
        load_engine(path, "auto")


def test_weights_of_another_make_up_run_by_their_graph(small):
    inputs = crops(2)
    (single, _), (whole, trusts) = (load_engine(small, "cpu", bits)(inputs) for bits in (32, 8))
    assert whole.shape == single.shape
    assert trusts.shape == (2,)
    assert np.abs(whole - single).max() <= 0.05 * np.abs(single).max()


def test_keys_name_the_bits(both):
    (sample,) = open_dataset("scenes:aerial?count=1&seed=5&size=200")
    assert len({one.encode(sample.image()).key for one in both}) == 2


def test_other_devices_and_other_bits_are_refused():
    with pytest.raises(InputError, match="bits=8 is for the CPU alone, and device is 'cuda'"):
        NanoSegmenter.from_pretrained(device="cuda", bits=8)
    with pytest.raises(InputError, match="bits"):
        read_part("segmenter", "nano?bits=4")
