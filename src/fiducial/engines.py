"""Engines: what runs a network of our own. Arrays in, arrays out; by onnxruntime, or by torch where that is asked for.

The weights of a network are one safetensors file in half precision, and its graph is a small ONNX file beside it that
takes those weights as its external data: nothing is stored twice, and further weights of the same make-up run with the
graph that is there. ``fiducial models NAME --export`` makes the graph (see :mod:`fiducial.training.exporting`).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fiducial.checkpoints import check_process, first_line, pick_device, tensors_digest
from fiducial.errors import InputError, extra_needed

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[np.float32]
_CUDA = "CUDAExecutionProvider"


class Engine(Protocol):
    """A network that is ready to run."""

    @property
    def fingerprint(self) -> str:
        """Name the weights, for keys of caches."""
        ...

    def __call__(self, inputs: Array) -> tuple[Array, ...]:
        """Compute the outputs of a batch."""
        ...


class OnnxEngine:
    """A graph with its weights, run by onnxruntime; any number of threads may call it.

    It works on as many threads as the process may use cores, or as OMP_NUM_THREADS says, and none of them spins while
    it waits: beside other work, spinning threads cost many times what they gain.

    Args:
        graph: content of the ONNX file.
        weights: what the graph names as its external data, float16.
        fingerprint: names the weights.
        device: ``auto`` (what onnxruntime was built for: CUDA before the CPU), ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        InputError: the graph takes other weights, or the device cannot be used.
    """

    def __init__(
        self, graph: bytes, weights: Mapping[str, NDArray[Any]], fingerprint: str, device: str = "auto"
    ) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as faults

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # what goes wrong is raised
        options.enable_mem_pattern = False  # which keeps as much as each size of picture took
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")  # weights lie apart, so
        self._options = onnxruntime.RunOptions()  # what a call took can go back after it
        self._options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(one)) for one in weights.values()]
        options.add_external_initializers(list(weights), values)
        providers = _providers(device)
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=providers)
        except (faults.Fail, faults.InvalidArgument, faults.InvalidGraph, faults.InvalidProtobuf) as error:
            raise InputError(f"the graph does not take these weights ({first_line(error)[:200]})") from None
        if device.startswith("cuda") and self._session.get_providers()[0] != _CUDA:
            raise InputError(f"device {device!r} cannot be used here: try 'auto' or 'cpu'")
        del values
        _give_back()
        self._input = self._session.get_inputs()[0].name
        self.fingerprint = fingerprint

    def __call__(self, inputs: Array) -> tuple[Array, ...]:
        """Compute the outputs of a batch; an InputError where the process was forked after others computed."""
        check_process(threads())
        return tuple(self._session.run(None, {self._input: inputs}, self._options))


class TorchEngine:
    """A network of torch, put into evaluation mode; training looks at its networks through it.

    Args:
        network: takes one tensor and returns several.
        device: where it is put; default: where it is.
    """

    def __init__(self, network: nn.Module, device: str | None = None) -> None:
        import torch

        where = None if device is None else pick_device(device)
        self.network = network.eval().to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @cached_property
    def fingerprint(self) -> str:
        """Name the weights."""
        return tensors_digest("network", self.network.state_dict())

    def __call__(self, inputs: Array) -> tuple[Array, ...]:
        """Compute the outputs of a batch."""
        import torch

        check_process()
        weight = next(self.network.parameters(), torch.empty(0))
        with torch.inference_mode():
            given = torch.from_numpy(inputs).to(weight.device, weight.dtype, memory_format=torch.channels_last)
            return tuple(one.float().cpu().numpy() for one in self.network(given))


def runs_on_onnx(device: str) -> bool:
    """Say whether a device is one of onnxruntime's here; the others are left to torch."""
    return device in ("auto", "cpu") or (device.partition(":")[0] == "cuda" and _has_cuda())


def torch_engine(load: Callable[[], nn.Module], device: str) -> TorchEngine:
    """Run a network by torch on a device that onnxruntime does not have here.

    Raises:
        MissingExtraError: torch is not installed.
        InputError: no such device, or not on this machine.
    """
    with extra_needed(f"device {device!r}", "models"):
        pick_device(device)
    return TorchEngine(load(), device)


def open_engine(
    model: str | Path, embedded: str, weights: Mapping[str, NDArray[Any]], fingerprint: str, device: str
) -> OnnxEngine:
    """Run the weights of a file by the graph beside it, or else by that of the package's weights of its kind.

    Args:
        model: ``embedded``, or the file.
        embedded: the name of the package's weights.
        weights: those that the graph takes; what holds no floats is left out.
        fingerprint: names the weights.
        device: see :class:`OnnxEngine`.

    Raises:
        InputError: the weights are of another make-up than the graph's.
    """
    beside = Path(model).with_suffix(".onnx")
    packaged = files("fiducial.models").joinpath(f"{embedded}.onnx")
    graph = beside if model != embedded and beside.is_file() else packaged
    floats = {name: one for name, one in weights.items() if one.dtype.kind == "f"}
    try:
        return OnnxEngine(graph.read_bytes(), floats, fingerprint, device)
    except InputError as error:
        remedy = f"make its graph with: fiducial models {model} --export"
        raise InputError(f"{model}: {error}; {remedy}" if model != embedded else f"{model}: {error}") from None


def threads() -> int:
    """Return how many threads a network works on: OMP_NUM_THREADS, or the cores that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def _give_back() -> None:
    """Give the system back what making a graph ready took and freed, which the C library of Linux keeps."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _has_cuda() -> bool:
    import onnxruntime

    return _CUDA in onnxruntime.get_available_providers()


def _providers(device: str) -> list[Any]:
    cpu = "CPUExecutionProvider"
    if device == "cpu" or not _has_cuda():
        return [cpu]
    number = device.partition(":")[2]
    return [(_CUDA, {"device_id": number or "0"}), cpu]
