"""Graphs of our own networks, made of their code and of a weights file; none of them holds weights.

- **For any runtime** (``NAME.onnx``): it names the weights of the safetensors file beside it, in half precision, as its
  external data, and casts them to single precision when it is loaded. Both files together are a whole ONNX model.
- **For us** (``NAME.fused.onnx``): what :class:`fiducial.engines.OnnxEngine` runs. It takes the weights as
  :func:`fiducial.engines.fused` makes them of the same file, so that less is left to be done whenever it is opened.
- **For us, in eight bits** (``NAME.int8.onnx``, of the nano segmenter): see :mod:`fiducial.training.quantising`.

The weights lie on the disk once, and further weights of the same make-up run with the same graphs.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from fiducial.checkpoints import network_file, read_network, safetensors_header
from fiducial.engines import EPSILON, GRAPH, OnnxEngine, normalised_by
from fiducial.errors import InputError
from fiducial.files import make_folder, write_atomically
from fiducial.models import weights_of
from fiducial.prompters.grounder.network import load_taught
from fiducial.prompters.grounder.weights import NETWORK, VECTORS
from fiducial.prompters.kinds.judge import SIDE
from fiducial.prompters.kinds.network import load_kinds
from fiducial.prompters.subjects import drawing
from fiducial.segmenters.configs import EMBEDDED
from fiducial.segmenters.nano_crops import CHANNELS
from fiducial.segmenters.nano_int8 import INT8, MADE_OF, quantised
from fiducial.segmenters.nano_unet import load_network
from fiducial.training.quantising import drawn_crops, eight_bits, ranges

OPSET = 17
"""Version of ONNX's operators, of 2022: nothing newer is needed."""
_SINGLE = ".single"
Axes = Mapping[str, dict[int, str]]


def export(model: str | Path, folder: str | Path | None = None) -> tuple[Path, ...]:
    """Write the graphs of weights, and the weights beside them where they lie elsewhere.

    Args:
        model: the name of the package's weights, a safetensors file of the nano segmenter, grounder or judge, or the
            folder of a joint model, of which the visual half gets a graph and the subjects their vectors.
        folder: where the files go, made when missing; default: that of the weights.

    Returns:
        The ONNX files: for any runtime, for us, and for us in eight bits where there is such a graph.

    Raises:
        InputError: weights of none of these networks, or not in half precision.
    """
    weights = weights_of(str(model)) or Path(model)
    if weights.is_dir():
        return _subjects(weights, folder)
    try:
        data = weights.read_bytes()
        header, start = safetensors_header(data)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{model}: no weights of the nano segmenter, grounder or judge can be read ({error})"
        ) from None
    prefix = NETWORK if VECTORS in header else ""
    make = _grounder if prefix else _judge if "verdict.weight" in header else _segmenter
    thin = _without_weights(make(weights, _as_it_is), prefix, header, start, weights.name)
    ours = _to_be_given(make(weights, _fused), prefix)
    whole = [_in_eight_bits(weights, ours)] if make is _segmenter else []
    where = weights.parent if folder is None else make_folder(Path(folder))
    if where.resolve() != weights.parent.resolve():
        write_atomically(where / weights.name, data)
    return (
        write_atomically(where / f"{weights.stem}.onnx", thin),
        write_atomically(where / f"{weights.stem}{GRAPH}", ours),
        *(write_atomically(where / f"{weights.stem}{INT8}", one) for one in whole),
    )


def _segmenter(weights: Path, prepare: Callable[[nn.Module], nn.Module]) -> Any:
    network, _ = load_network(weights)
    example = torch.zeros(2, CHANNELS, network.shape.multiple, 2 * network.shape.multiple)
    crops, count = {0: "count", 2: "height", 3: "width"}, {0: "count"}
    axes = {"crops": crops, "mask": {0: "count", 1: "height", 2: "width"}, "iou": count}
    return _traced(prepare(network), example, axes)


def _in_eight_bits(weights: Path, ours: bytes) -> bytes:
    """Return the segmenter's graph in eight bits; ``ours`` is that in single precision, which takes weights."""
    read, digest = read_network(weights, EMBEDDED, lambda tensors, header: tensors, framework="numpy")
    floats = {name: one for name, one in read.items() if one.dtype.kind == "f"}
    crops = drawn_crops(OnnxEngine(ours, floats, "", "cpu"))
    taken = dict(sorted(quantised(floats).items()))  # in the same order every time
    graph = eight_bits(_segmenter(weights, _fused), taken, ranges(ours, floats, crops))
    graph.metadata_props.add(key=MADE_OF, value=digest)
    return _taking(graph, taken)


def _grounder(weights: Path, prepare: Callable[[nn.Module], nn.Module]) -> Any:
    network = load_taught(weights)[0].network
    example = torch.zeros(2, 3, network.shape.multiple, 2 * network.shape.multiple)
    places = {0: "count", 2: "rows", 3: "columns"}
    axes = {"pictures": {0: "count", 2: "height", 3: "width"}, "places": places, "sides": places}
    return _traced(prepare(network), example, axes)


def _as_it_is(network: nn.Module) -> nn.Module:
    return network


def _fused(network: nn.Module) -> nn.Module:
    """Take the norms out of a network and give the convolutions before them a bias; the numbers are of no account."""
    for name, norm in list(network.named_modules()):
        if isinstance(norm, nn.BatchNorm2d):
            if norm.eps != EPSILON:
                raise InputError(f"{name} adds {norm.eps} to the variance, and {EPSILON} is what is put in")
            convolution = network.get_submodule(normalised_by(name))
            if convolution.bias is None:
                convolution.bias = nn.Parameter(torch.zeros(norm.num_features))
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, nn.Identity())
    return network


def _judge(weights: Path, prepare: Callable[[nn.Module], nn.Module]) -> Any:
    network, _ = load_kinds(weights)
    return _traced(prepare(network), torch.zeros(2, 3, SIDE, SIDE), {"pictures": {0: "count"}, "kinds": {0: "count"}})


def _subjects(model: Path, folder: str | Path | None) -> tuple[Path, Path]:
    """Write the graphs of a joint model's visual half, and the vectors of its subjects, into its folder."""
    if folder is not None and Path(folder).resolve() != model.resolve():
        raise InputError(f"{model}: the graphs of a joint model lie in its own folder: leave --out away")
    from fiducial.reasoner.model import check_folder  # which loads much
    from fiducial.reasoner.visual import ask_all

    check_folder(model)
    half, subjects, vectors = ask_all(model)
    data = (model / drawing.WEIGHTS).read_bytes()
    header, start = safetensors_header(data)
    example = torch.zeros(2, 3, half.size, half.size), torch.zeros(2, vectors.shape[1])
    axes = {name: {0: "count"} for name in ("pictures", "prompts", "masks", "presence")}
    thin = _without_weights(_traced(deepcopy(half), example, axes), "", header, start, drawing.WEIGHTS)
    ours = _to_be_given(_traced(_fused(half), example, axes), "")
    notes = {"subjects": [asdict(one) for one in subjects]}
    write_atomically(model / drawing.SUBJECTS, network_file({}, notes, {drawing.VECTORS: torch.from_numpy(vectors)}))
    return write_atomically(model / "visual.onnx", thin), write_atomically(model / drawing.GRAPH, ours)


def _traced(network: nn.Module, example: torch.Tensor | tuple[torch.Tensor, ...], axes: Axes) -> Any:
    """Return the graph of a network in evaluation mode, its weights under their own names.

    ``axes`` are the inputs and the outputs, in order, with those of their axes that have any length.
    """
    content: Any = io.BytesIO()  # torch.onnx takes files, its types say names
    given = example if isinstance(example, tuple) else (example,)
    names = list(axes)
    random = torch.Generator().manual_seed(0)
    for weight in network.state_dict().values():  # equal ones would be put together: what they are is of no account
        if weight.is_floating_point():
            weight.uniform_(0.5, 1.5, generator=random)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # tracing is the exporter's older way; it keeps names and needs no more packages
        torch.onnx.export(
            network.eval(), given, content, dynamo=False, opset_version=OPSET, do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE, input_names=names[: len(given)],
            output_names=names[len(given) :], dynamic_axes=axes,
        )  # fmt: skip
    return onnx.load_from_string(content.getvalue())


def _without_weights(graph: Any, prefix: str, header: Mapping[str, Any], start: int, location: str) -> bytes:
    """Replace the weights of a graph by where they lie in a safetensors file; ``prefix`` stands before their names."""
    thin, casts, single = [], [], {}
    for weight in graph.graph.initializer:
        name = prefix + weight.name
        if name not in header:  # a constant of the code, no weight
            thin.append(weight)
            continue
        if header[name]["dtype"] != "F16":
            raise InputError(f"{location}: {name} is {header[name]['dtype']}; weights are kept in half precision, F16")
        first, last = header[name]["data_offsets"]
        place = {"location": location, "offset": start + first, "length": last - first}
        one = TensorProto(name=name, data_type=TensorProto.FLOAT16, dims=list(weight.dims))
        one.data_location = TensorProto.EXTERNAL
        for key, value in place.items():
            one.external_data.add(key=key, value=str(value))
        thin.append(one)
        single[weight.name] = name + _SINGLE
        casts.append(helper.make_node("Cast", [name], [name + _SINGLE], to=TensorProto.FLOAT))
    nodes = list(graph.graph.node)
    for node in nodes:
        node.input[:] = [single.get(given, given) for given in node.input]
    del graph.graph.node[:], graph.graph.initializer[:]
    graph.graph.node.extend([*casts, *nodes])
    graph.graph.initializer.extend(thin)
    return _signed(graph)


def _to_be_given(graph: Any, prefix: str) -> bytes:
    """Replace the weights of a graph by their names, under which they are given in single precision."""
    weights = {weight.name: numpy_helper.to_array(weight) for weight in graph.graph.initializer}
    del graph.graph.initializer[:]
    for node in graph.graph.node:
        node.input[:] = [prefix + given if given in weights else given for given in node.input]
    return _taking(graph, {prefix + name: one for name, one in weights.items()})


def _taking(graph: Any, weights: Mapping[str, NDArray[Any]]) -> bytes:
    """Let a graph take weights of these names, shapes and dtypes."""
    offset = 0
    for name, weight in weights.items():
        kind = helper.np_dtype_to_tensor_dtype(weight.dtype)
        one = TensorProto(name=name, data_type=kind, dims=list(weight.shape))
        one.data_location = TensorProto.EXTERNAL
        for key, value in {"location": "given", "offset": offset, "length": weight.nbytes}.items():
            one.external_data.add(key=key, value=str(value))
        graph.graph.initializer.append(one)
        offset += weight.nbytes
    return _signed(graph)


def _signed(graph: Any) -> bytes:
    graph.producer_name, graph.producer_version = "fiducial", ""
    return bytes(graph.SerializeToString())
