"""The nano segmenter in eight bits: how its weights are rounded, and the engine that runs them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.checkpoints import read_network
from fiducial.engines import Array, OnnxEngine, fused
from fiducial.errors import InputError
from fiducial.segmenters.configs import EMBEDDED

INT8 = ".int8.onnx"
"""Suffix of the graph in eight bits, beside the weights of which it was made."""
MADE_OF = "weights"
"""What the graph calls the SHA-256 of the file of these weights."""
LEVELS = 64
"""Weights are whole numbers of -64 to 64, which is seven bits. A processor with AVX2 and without VNNI adds two products
of an activation (0 to 255) and a weight in sixteen bits: 2 x 255 x 64 fits into them, 2 x 255 x 127 does not."""
SINGLE = ("stem", "head")
"""Convolutions in single precision: what the first one takes has no bounds, and the last one draws the mask's edge."""
_LEAST = np.float32(1e-6)
"""The smallest scale of weights, so that the bias of a channel whose weights are zero is still a whole number."""


def quantised(weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Round kernels to whole numbers, with one scale per channel of their output.

    Args:
        weights: those of the network by name, as its file holds them.

    Returns:
        What :func:`fiducial.engines.fused` makes of them, where each kernel ``NAME.weight`` (O, I, h, w) but those of
        :data:`SINGLE` is int8 in -64..64, and ``NAME.scale`` (O,) float32 is what it is to be multiplied by; the
        kernel of the stem is that :func:`on_pixels`.
    """
    found: dict[str, NDArray[Any]] = {}
    for name, one in fused(weights).items():
        layer, _, part = name.rpartition(".")
        if part != "weight" or one.ndim != 4 or layer in SINGLE:
            found[name] = on_pixels(one) if name == "stem.weight" else one
            continue
        rows = one.reshape(len(one), -1)
        scale = np.maximum(np.maximum(rows.max(axis=1), -rows.min(axis=1)) / LEVELS, _LEAST)
        found[name] = np.rint(rows / scale[:, None]).astype(np.int8).reshape(one.shape)
        found[f"{layer}.scale"] = scale
    return found


def on_pixels(kernel: Array) -> Array:
    """Turn a kernel (O, 4 C, 3, 3) on blocks of 2 x 2 pixels into the same one on pixels, (O, C, 6, 6), in steps of 2.

    The blocks are those of torch's ``pixel_unshuffle``, which takes onnxruntime longer than the convolution itself.
    """
    outputs, channels = kernel.shape[0], kernel.shape[1] // 4
    blocks = kernel.reshape(outputs, channels, 2, 2, 3, 3)
    return np.ascontiguousarray(blocks.transpose(0, 1, 4, 2, 5, 3).reshape(outputs, channels, 6, 6))


def int8_graph(model: str | Path) -> Traversable:
    """Return where the graph in eight bits of some weights lies, or would."""
    if model == EMBEDDED:
        return files("fiducial.models").joinpath(f"{EMBEDDED}{INT8}")
    return Path(model).with_suffix(INT8)


def open_int8(model: str | Path) -> OnnxEngine:
    """Run weights in eight bits on the CPU, by the graph beside them.

    The graph holds how far the activations of its own weights reach, so that it fits no others.

    Raises:
        InputError: no such weights, or no graph beside them that takes them.
    """
    weights, digest = read_network(model, EMBEDDED, lambda tensors, header: tensors, framework="numpy")
    graph = int8_graph(model)
    remedy = f"make it with: fiducial models {model} --export"
    if not graph.is_file():
        raise InputError(f"{model}: there is no graph in eight bits beside these weights ({graph.name}); {remedy}")
    engine = OnnxEngine(graph.read_bytes(), weights, f"{digest}-int8", "cpu", prepare=quantised)
    if model == EMBEDDED:  # which fit, and need not be waited for
        return engine
    try:
        notes = engine.ready().get_modelmeta().custom_metadata_map
    except InputError as error:
        raise InputError(f"{model}: {error}; {remedy}") from None
    if notes.get(MADE_OF) != digest:
        raise InputError(f"{model}: the graph in eight bits beside these weights is of others ({graph.name}); {remedy}")
    return engine
