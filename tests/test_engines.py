"""Networks of our own run by onnxruntime as they do by torch, from weights that lie on the disk once."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import skimage.data
import torch

from fiducial import Image, engines, read_image
from fiducial.cli import main
from fiducial.datasets import open_dataset
from fiducial.engines import GRAPH, OnnxEngine, TorchEngine, fused, runs_on_onnx, threads
from fiducial.errors import InputError, MissingExtraError
from fiducial.geometry import Prompt, Prompts
from fiducial.models import weights_of
from fiducial.prompters.grounder.detecting import NanoDetector
from fiducial.prompters.grounder.network import load_taught
from fiducial.prompters.grounder.weights import load_grounder
from fiducial.segmenters import nano_int8
from fiducial.segmenters.nano import NanoSegmenter, load_engine
from fiducial.segmenters.nano_int8 import INT8
from fiducial.segmenters.nano_sizes import SizeJudge
from fiducial.segmenters.nano_unet import NanoNetwork, Shape, load_network, save_network
from fiducial.training.exporting import export

torch.set_num_threads(1)
ROOT = Path(__file__).parents[1]
NAMES = ("nano-segmenter", "nano-grounder")


def ships():
    return read_image(ROOT / "docs" / "images" / "ships.png")


def drawn():
    (sample,) = open_dataset("scenes:aerial?count=1&seed=5&size=200")
    return sample.image()


def photograph():
    return Image.from_array(np.ascontiguousarray(skimage.data.coffee()[:151, :211]), name="coffee")


@pytest.fixture(scope="module")
def both_ways():
    detectors = (
        NanoDetector(load_taught()[0].running("cpu"), threshold=0.02),
        NanoDetector.from_pretrained(device="cpu", threshold=0.02),
    )
    by_torch = NanoSegmenter(TorchEngine(load_network()[0], "cpu"), judge=SizeJudge.from_pretrained())
    segmenters = by_torch, NanoSegmenter.from_pretrained(device="cpu", bits=32)
    return detectors, segmenters


@pytest.mark.parametrize("make", [ships, drawn, photograph])
def test_boxes_and_masks_are_those_of_torch(make, both_ways):
    image, ((by_torch, detector), segmenters) = make(), both_ways
    names = [detector.vocabulary()[:4]]
    (expected,), (found,) = by_torch.detect([image], names), detector.detect([image], names)
    assert [one.name for one in found] == [one.name for one in expected]
    boxes = np.array([one.box for one in expected]).reshape(-1, 4)
    np.testing.assert_allclose(np.array([one.box for one in found]).reshape(-1, 4), boxes, atol=0.1)
    np.testing.assert_allclose([one.score for one in found], [one.score for one in expected], atol=1e-3)
    middle = (image.width / 4, image.height / 4, image.width / 2, image.height / 2)
    asked = [Prompt(image.frame, box=box) for box in (middle, *map(tuple, boxes[:2].tolist()))]
    asked.append(Prompt(image.frame, points=((image.width / 2, image.height / 2),)))
    before, after = (one.decode(one.encode(image), Prompts(image.frame, tuple(asked))) for one in segmenters)
    assert any(before)
    for one, other in zip(before, after, strict=True):
        assert one.iou(other) >= 0.999 if one else not other
        assert other.score == pytest.approx(one.score, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_and_its_weights_are_a_whole_model_that_any_runtime_opens(name):
    weights = weights_of(name)
    onnx.checker.check_model(str(weights.with_suffix(".onnx")), full_check=True)
    session = onnxruntime.InferenceSession(weights.with_suffix(".onnx"), providers=["CPUExecutionProvider"])
    network = load_network()[0] if name == NAMES[0] else load_taught()[0].network
    (given,) = session.get_inputs()
    inputs = np.random.default_rng(0).normal(size=(3, given.shape[1], 64, 96)).astype(np.float32)
    for one, other in zip(session.run(None, {given.name: inputs}), TorchEngine(network, "cpu")(inputs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", [*NAMES, "nano-kinds"])
def test_weights_lie_in_the_package_once_and_the_graphs_are_those_of_the_code(name, tmp_path, capsys):
    shipped = weights_of(name).with_suffix(".onnx")
    assert shipped.stat().st_size < 100_000
    (tmp_path / f"{name}.safetensors").write_bytes(b"older weights")
    assert main(["models", name, "--export", "--out", str(tmp_path)]) == 0
    paths = (tmp_path / shipped.name, tmp_path / f"{name}{GRAPH}")
    more = [tmp_path / f"{name}{INT8}"] if name == NAMES[0] else []  # see segmenters/test_nano_int8.py
    assert capsys.readouterr().out == "".join(f"wrote {path}\n" for path in (*paths, *more))
    assert (tmp_path / f"{name}.safetensors").read_bytes() == weights_of(name).read_bytes()
    for path in paths:
        made, ours = (onnx.load(one, load_external_data=False) for one in (path, shipped.with_name(path.name)))
        assert [node.op_type for node in made.graph.node] == [node.op_type for node in ours.graph.node]
        assert [one.SerializeToString() for one in made.graph.initializer] == [
            one.SerializeToString() for one in ours.graph.initializer
        ]
        # what takes a runtime its time when it opens a graph is done once, in NumPy
        costly = {"BatchNormalization", "Cast"} & {node.op_type for node in made.graph.node}
        assert bool(costly - {"Cast"}) == (path.suffixes == [".onnx"])


@pytest.mark.parametrize("name", NAMES)
def test_fused_weights_give_what_a_runtime_makes_of_the_whole_model(name):
    weights = weights_of(name)
    session = onnxruntime.InferenceSession(weights.with_suffix(".onnx"), providers=["CPUExecutionProvider"])
    engine = load_engine(name, "cpu", 32) if name == NAMES[0] else load_grounder(name, "cpu").engine
    (given,) = session.get_inputs()
    inputs = np.random.default_rng(0).normal(size=(2, given.shape[1], 64, 96)).astype(np.float32)
    for one, other in zip(engine(inputs), session.run(None, {given.name: inputs}), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("bits", "module", "prepare"), [(32, engines, "fused"), (8, nano_int8, "quantised")])
def test_a_session_reads_no_weights_that_others_hold(bits, module, prepare, monkeypatch):
    given, make = [], getattr(module, prepare)
    monkeypatch.setattr(module, prepare, lambda weights: given.append(make(weights)) or given[0])
    engine = load_engine("nano-segmenter", "cpu", bits)
    inputs = np.random.default_rng(0).normal(size=(1, 7, 32, 32)).astype(np.float32)
    before = engine(inputs)
    for one in given[0].values():
        one.fill(0)
    for one, other in zip(engine(inputs), before, strict=True):
        assert np.array_equal(one, other)


def test_a_norm_goes_into_the_convolution_before_it():
    random = np.random.default_rng(0)
    weights = {
        "a.weight": random.normal(size=(3, 2, 1, 1)).astype(np.float16),
        "a.bias": random.normal(size=3).astype(np.float16),
        **{f"a_norm.{part}": random.uniform(0.5, 1, 3) for part in ("weight", "bias", "running_mean", "running_var")},
        "head.weight": np.ones((4, 3), np.float16),
    }
    found = fused(weights)
    assert {name: (one.dtype, one.shape) for name, one in found.items()} == {
        "a.weight": (np.float32, (3, 2, 1, 1)),
        "a.bias": (np.float32, (3,)),
        "head.weight": (np.float32, (4, 3)),
    }
    given = random.normal(size=2)
    plain = weights["a.weight"][:, :, 0, 0].astype(float) @ given + weights["a.bias"]
    gain, bias, mean, variance = (
        weights[f"a_norm.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    expected = (plain - mean) / np.sqrt(variance + 1e-5) * gain + bias
    np.testing.assert_allclose(found["a.weight"][:, :, 0, 0] @ given + found["a.bias"], expected, rtol=1e-5)
    lonely = {name.replace("a_norm", "b.1"): one for name, one in weights.items()}
    wide = weights | {"a_norm.running_mean": np.ones(4)}
    for broken, norm in ((lonely, "b.1"), (wide, "a_norm")):
        with pytest.raises(InputError, match=f"no convolution that the norm '{norm}' fits"):
            fused(broken)


def test_weights_of_another_make_up_need_a_graph_of_their_own(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(save_network(NanoNetwork(Shape((4, 8), (1, 1), 1))))
    with pytest.raises(InputError, match=rf"make its graph with: fiducial models {path} --export$"):
        load_engine(path, "cpu")
    export(path)
    mask, iou = load_engine(path, "cpu")(np.zeros((2, 7, 32, 32), np.float32))
    assert (mask.shape, iou.shape) == ((2, 32, 32), (2,))


def test_further_weights_of_the_same_make_up_need_no_graph(tmp_path):
    torch.manual_seed(0)
    network = load_network()[0]
    torch.nn.init.constant_(network.head.bias, 30.0)
    path = tmp_path / "mine.safetensors"
    path.write_bytes(save_network(network))
    mask, _ = load_engine(path, "auto")(np.zeros((1, 7, 32, 32), np.float32))
    assert mask.min() > 20


def test_what_is_no_weights_of_these_networks_is_not_exported(tmp_path, capsys):
    (tmp_path / "some.safetensors").write_bytes(b"nothing")
    for name in (tmp_path / "some.safetensors", tmp_path / "none.safetensors", "nano-words", "nano-vlm"):
        assert main(["models", str(name), "--export", "--out", str(tmp_path / "out")]) == 2
        assert str(name) in capsys.readouterr().err
    assert main(["models", "--export"]) == 2
    assert "--export needs a NAME" in capsys.readouterr().err
    assert main(["models", "--out", "here"]) == 2
    assert "--out is for --export" in capsys.readouterr().err


def test_threads_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert threads() >= 1


def test_devices_that_onnxruntime_does_not_have_are_left_to_torch(monkeypatch):
    assert runs_on_onnx("auto")
    assert runs_on_onnx("cpu")
    assert not runs_on_onnx("meta")
    with pytest.raises(InputError, match="'nowhere' cannot be used here"):
        load_engine("nano-segmenter", "nowhere")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"device 'mps' needs packages .* pip install 'fiducial\[models\]'"):
        load_engine("nano-segmenter", "mps")


def test_a_graph_that_is_none_is_named():
    broken = OnnxEngine(b"no graph", {}, "", "cpu")
    for ask in (broken.ready, lambda: broken(np.zeros((1, 7, 32, 32), np.float32))):
        with pytest.raises(InputError, match="does not take these weights"):
            ask()


def test_a_graph_gets_ready_while_other_things_are_done_and_before_a_process_is_forked(monkeypatch):
    go, opened = threading.Event(), []

    def slowly(graph, weights, device, optimise, prepare):
        assert go.wait(60)
        opened.append(device)
        return "a session"

    monkeypatch.setattr(engines, "_session", slowly)
    engine = load_engine("nano-segmenter", "cpu")  # does not wait
    assert not opened
    waiting = threading.Thread(target=engines._Opening.wait_for_all)  # what runs before a fork
    waiting.start()
    assert waiting.is_alive()
    go.set()
    waiting.join()
    assert opened == ["cpu"]
    assert engine.ready() == "a session"
