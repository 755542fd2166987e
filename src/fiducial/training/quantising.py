"""The nano segmenter's graph in eight bits: how far its activations reach is measured, and written into the graph.

Kernels are int8 with a scale per channel, activations uint8 with a scale and a zero point per layer, sums int32 (Jacob
et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018). The
kernels are no part of the graph: they are made of the weights when it is opened, by
:func:`fiducial.segmenters.nano_int8.quantised`.

Between layers the channels of a place lie side by side, (N, H, W, C), as onnxruntime's kernels for eight bits want
them: so nothing is left to be rewritten when the graph is opened, which would take longer than one crop gains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fiducial.engines import Array, OnnxEngine
from fiducial.geometry import Prompt, Prompts
from fiducial.segmenters.configs import NanoConfig
from fiducial.segmenters.nano import NanoSegmenter
from fiducial.segmenters.nano_int8 import SINGLE
from fiducial.synthetic.scenes import SceneDataset

STYLES, SCENES, OBJECTS = ("aerial", "shapes", "phantom"), 4, 4
"""Drawn scenes by which activations are measured: their looks, the scenes of each, the objects of a scene."""
BEYOND = 0.1
"""Part of the crops whose activations may reach further, at either end, than what is kept of a layer."""
_TOP = 255
_LEAST = 1e-4  # the smallest scale, so that whole numbers can hold a bias where a layer gives nothing but zeros
_OURS = "com.microsoft"

Ranges = Mapping[str, tuple[float, float]]
"""Least and greatest number of a tensor of the graph, by its name."""


class _Shown:
    """An engine that keeps what it is shown."""

    def __init__(self, engine: OnnxEngine) -> None:
        self._engine, self.fingerprint = engine, engine.fingerprint
        self.crops: list[Array] = []

    def __call__(self, *inputs: Array) -> tuple[Array, ...]:
        self.crops.append(inputs[0])
        return self._engine(*inputs)


def drawn_crops(engine: OnnxEngine) -> Array:
    """Cut objects of drawn scenes by boxes and by points, and again from the masks found.

    Returns:
        What the network was shown, (N, 7, S, S) float32.
    """
    shown = _Shown(engine)
    segmenter = NanoSegmenter(shown, NanoConfig(enough=1))
    for sample in chain(*(SceneDataset(style, SCENES, seed=0) for style in STYLES)):
        masks = [mask for mask in sample.instances or () if mask][:OBJECTS]
        asked = [Prompt(sample.frame, box=mask.box) for mask in masks]
        asked += [Prompt(sample.frame, points=(place,)) for mask in masks[:1] if (place := mask.inner_point())]
        segmenter.decode(segmenter.encode(sample.image()), Prompts(sample.frame, tuple(asked)))
    return np.concatenate(shown.crops)


def ranges(graph: bytes, weights: Mapping[str, NDArray[Any]], crops: Array) -> Ranges:
    """Measure how far what the layers of a graph give reaches, without the :data:`BEYOND` furthest crops.

    Args:
        graph: content of the graph in single precision.
        weights: those that it takes.
        crops: (N, 7, S, S) float32.
    """
    model = onnx.load_from_string(graph)
    names = [node.output[0] for node in model.graph.node if node.op_type in ("Conv", "Relu", "Add")]
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    engine = OnnxEngine(model.SerializeToString(), weights, "", "cpu", optimise=False)
    reached = np.array([[(values.min(), values.max()) for values in engine(crop[None])] for crop in crops])
    low, high = np.quantile(reached[..., 0], BEYOND, axis=0), np.quantile(reached[..., 1], 1 - BEYOND, axis=0)
    return dict(zip(names, zip(low.tolist(), high.tolist(), strict=True), strict=True))


def eight_bits(graph: Any, weights: Mapping[str, NDArray[Any]], reached: Ranges) -> Any:
    """Rewrite a graph in single precision, whose weights are of no account, to one in eight bits without weights.

    Args:
        graph: the ONNX model, which is changed.
        weights: those that the new graph is to take, as :func:`fiducial.segmenters.nano_int8.quantised` gives them.
        reached: how far the layers of the graph reach.
    """
    work = _Rewriting(graph.graph, {name: one.shape for name, one in weights.items()}, reached)
    nodes = [*work.biases(), *work.nodes]
    needed = {one.name for one in graph.graph.output}
    kept = []
    for node in reversed(nodes):  # what was for replaced nodes alone is left out
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    del graph.graph.node[:], graph.graph.initializer[:]
    graph.graph.node.extend(reversed(kept))
    graph.graph.initializer.extend(numpy_helper.from_array(one, name) for name, one in work.constants.items())
    graph.opset_import.append(helper.make_opsetid(_OURS, 1))
    return graph


class _Bytes(NamedTuple):
    """A tensor in eight bits, (N, H, W, C) uint8, and what it stands for: names in the graph."""

    values: str
    scale: str
    zero: str


class _Rewriting:
    """Goes through a graph's nodes in order, and puts nodes of eight bits in their place where there are such.

    A tensor is there in single precision, (N, C, H, W), or in eight bits, or both: what a node asks for and is not
    there is made of the other.
    """

    def __init__(self, graph: Any, shapes: Mapping[str, tuple[int, ...]], reached: Ranges) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self._shapes, self._reached = shapes, reached
        self._bytes: dict[str, _Bytes] = {}
        self._single: set[str] = set()  # the tensors in eight bits that are there in single precision as well
        self._taken: dict[str, str] = {}  # by a convolution with a bias: the scale of what it takes
        self._picture = graph.input[0].name
        users: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                users.setdefault(name, []).append(node)
        for node in graph.node:
            if node.output[0] in self._bytes:  # a ReLU that went into the node before it
                continue
            after = users.get(node.output[0], [])
            bounded = after[0].output[0] if [one.op_type for one in after] == ["Relu"] else node.output[0]
            if not self._replace(node, bounded):
                self._keep(node)

    def biases(self) -> Iterable[Any]:
        """Yield nodes that make whole numbers of all biases at once, as each takes a while when a graph is opened."""
        layers = list(self._taken)
        sizes = [self._shapes[f"{layer}.bias"][0] for layer in layers]
        taken = np.concatenate(
            [np.full(size, self.constants[self._taken[one]]) for one, size in zip(layers, sizes, strict=True)]
        )
        for name, part in (("biases", "bias"), ("scales", "scale")):
            yield helper.make_node("Concat", [f"{layer}.{part}" for layer in layers], [name], axis=0)
        yield helper.make_node("Mul", ["scales", self._constant("taken", taken)], ["units"])
        yield helper.make_node("Div", ["biases", "units"], ["parts"])
        yield helper.make_node("Round", ["parts"], ["rounded"])
        yield helper.make_node("Cast", ["rounded"], ["whole"], to=TensorProto.INT32)
        ends = self._constant("sizes", np.array(sizes, np.int64))
        yield helper.make_node("Split", ["whole", ends], [f"{layer}.whole" for layer in layers], axis=0)

    def _replace(self, node: Any, bounded: str) -> bool:
        """Put a node of eight bits in place of a node; say whether there is one.

        ``bounded`` is what it gives, or what the ReLU after it does: zero is the least there, and so cuts off.
        """
        if node.op_type == "Conv" and node.input[1] == "stem.weight":  # see nano_int8.on_pixels
            how: dict[str, Any] = {"kernel_shape": [6, 6], "strides": [2, 2], "pads": [2, 2, 2, 2]}
            self.nodes.append(helper.make_node("Conv", [self._picture, *node.input[1:]], node.output, **how))
            return True
        if node.op_type == "Conv" and (layer := node.input[1].removesuffix(".weight")) not in SINGLE:
            self._convolution(node, layer, bounded)
            return True
        if not all(name in self._bytes for name in node.input[: 2 if node.op_type == "Add" else 1]):
            return False
        if node.op_type == "Add":
            both = [part for name in node.input for part in self._bytes[name]]
            self._add("QLinearAdd", both, self._own(bounded), bounded, domain=_OURS)
        elif node.op_type == "MaxPool":
            self._same("NhwcMaxPool", node, [], domain=_OURS)
        elif node.op_type == "Resize":  # our networks double
            self._same("Resize", node, ["", self._constant("twice", np.array([1, 2, 2, 1], np.float32))])
        else:
            return False
        return True

    def _convolution(self, node: Any, layer: str, out: str) -> None:
        taken = self._in_bytes(node.input[0])
        channels = self._shapes[node.input[1]][0]
        zeros = self._constant(f"zeros.{channels}", np.zeros(channels, np.int8))
        inputs = [*taken, node.input[1], f"{layer}.scale", zeros]
        own = self._own(out)
        bias = []
        if len(node.input) > 2:
            self._taken[layer] = taken.scale
            bias.append(f"{layer}.whole")
        made = _attributes(node) | {"channels_last": 1, "domain": _OURS}
        self._add("QLinearConv", inputs, own, out, bias, **made)

    def _add(
        self, kind: str, inputs: list[str], own: tuple[str, str], out: str, more: Iterable[str] = (), **how: Any
    ) -> None:
        """Add a node that gives a tensor in eight bits, with a scale and a zero point of its own."""
        self._bytes[out] = _Bytes(f"{out}.bytes", *own)
        self.nodes.append(helper.make_node(kind, [*inputs, *own, *more], [f"{out}.bytes"], **how))

    def _same(self, kind: str, node: Any, more: list[str], **how: Any) -> None:
        """Add a node that gives some of the numbers that it takes."""
        taken, out = self._bytes[node.input[0]], node.output[0]
        self._bytes[out] = taken._replace(values=f"{out}.bytes")
        self.nodes.append(helper.make_node(kind, [taken.values, *more], [f"{out}.bytes"], **_attributes(node), **how))

    def _keep(self, node: Any) -> None:
        """Keep a node in single precision."""
        for name in node.input:
            if name in self._bytes and name not in self._single:
                values, scale, zero = self._bytes[name]
                self.nodes.append(helper.make_node("Transpose", [values], [f"{name}.planes"], perm=[0, 3, 1, 2]))
                self.nodes.append(helper.make_node("DequantizeLinear", [f"{name}.planes", scale, zero], [name]))
                self._single.add(name)
        self.nodes.append(node)

    def _in_bytes(self, name: str) -> _Bytes:
        if name not in self._bytes:
            own = self._own(name)
            self.nodes.append(helper.make_node("QuantizeLinear", [name, *own], [f"{name}.planes"]))
            self.nodes.append(helper.make_node("Transpose", [f"{name}.planes"], [f"{name}.bytes"], perm=[0, 2, 3, 1]))
            self._bytes[name] = _Bytes(f"{name}.bytes", *own)
            self._single.add(name)
        return self._bytes[name]

    def _own(self, name: str) -> tuple[str, str]:
        """Return the scale and the zero point by which a tensor's reach fits into a byte."""
        low, high = min(self._reached[name][0], 0.0), max(self._reached[name][1], 0.0)
        scale = max((high - low) / _TOP, _LEAST)
        zero = np.array(round(-low / scale), np.uint8)
        return self._constant(f"{name}.scale", np.array(scale, np.float32)), self._constant(f"{name}.zero", zero)

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants[name] = value
        return name


def _attributes(node: Any) -> dict[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}
