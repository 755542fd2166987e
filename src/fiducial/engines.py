"""Engines: what runs a network of our own. Arrays in, arrays out; by onnxruntime, or by torch where that is asked for.

The weights of a network are one safetensors file in half precision, and its graph is a small ONNX file beside it that
takes those weights: nothing is stored twice, and further weights of the same make-up run with the graph that is there.
``fiducial models NAME --export`` makes the graph (see :mod:`fiducial.training.exporting`). The graph that runs here has
no normalisation of its own: each is put into the weights of the convolution before it (:func:`fused`), which takes an
eighth off the time that getting a graph ready takes.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fiducial.checkpoints import check_process, first_line, pick_device, tensors_digest
from fiducial.errors import InputError, extra_needed

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[np.float32]
Prepare = Callable[[Mapping[str, NDArray[Any]]], Mapping[str, NDArray[Any]]]
"""Makes what a graph takes of the weights of a file."""
GRAPH = ".fused.onnx"
"""Suffix of the graphs that run here, beside the weights."""
EPSILON = 1e-5
"""What is added to the variance by every normalisation of our networks; torch's default."""
_CUDA = "CUDAExecutionProvider"


class Engine(Protocol):
    """A network that is ready to run."""

    @property
    def fingerprint(self) -> str:
        """Name the weights, for keys of caches."""
        ...

    def __call__(self, *inputs: Array) -> tuple[Array, ...]:
        """Compute the outputs of a batch."""
        ...


class OnnxEngine:
    """A graph with its weights, run by onnxruntime; any number of threads may call it.

    It works on as many threads as the process may use cores, or as OMP_NUM_THREADS says, and none of them spins while
    it waits: beside other work, spinning threads cost many times what they gain. Making the graph ready takes a while
    without holding up Python, so it goes on in a thread of its own; the first call waits for it.

    Args:
        graph: content of the ONNX file.
        weights: those of the network, float16 or float32; what holds no floats is left out.
        fingerprint: names the weights.
        device: ``auto`` (what onnxruntime was built for: CUDA before the CPU), ``cpu``, ``cuda`` or ``cuda:1``.
        optimise: have onnxruntime rewrite the graph first, which for a small network takes longer than it gains.
        prepare: makes what the graph takes of the weights; default: :func:`fused`.

    Raises:
        InputError: the graph takes other weights, or the device cannot be used; from :meth:`ready` or the first call.
    """

    def __init__(
        self,
        graph: bytes,
        weights: Mapping[str, NDArray[Any]],
        fingerprint: str,
        device: str = "auto",
        *,
        optimise: bool = True,
        prepare: Prepare | None = None,
    ) -> None:
        import onnxruntime

        self.fingerprint = fingerprint
        self._options = onnxruntime.RunOptions()  # what a call took can go back after it
        self._options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        own = {name: one for name, one in weights.items() if one.dtype.kind == "f"}
        self._opening = _Opening(lambda: _session(graph, own, device, optimise, prepare or fused))

    def ready(self) -> Any:
        """Wait until the graph is ready; returns onnxruntime's session."""
        return self._opening.result()

    def __call__(self, *inputs: Array) -> tuple[Array, ...]:
        """Compute the outputs of a batch; an InputError where the process was forked after others computed."""
        check_process(threads())
        session = self.ready()
        names = [one.name for one in session.get_inputs()]
        return tuple(session.run(None, dict(zip(names, inputs, strict=True)), self._options))


class _Opening:
    """Work that was begun in a thread of its own; what it raised is raised for whoever asks for the result.

    It is done one after the other, as each takes several times the memory that it leaves behind.
    """

    _begun: ClassVar[weakref.WeakSet[_Opening]] = weakref.WeakSet()
    _turn: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work: Callable[[], Any] | None = work
        self._error: Exception | None = None
        self._result: Any = None
        self._thread = threading.Thread(target=self._run, name="fiducial-opening")
        self._begun.add(self)
        self._thread.start()

    def _run(self) -> None:
        work, self._work = self._work, None  # which holds what it works on
        try:
            with self._turn:
                self._result = work() if work is not None else None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised again
            self._error = error

    def result(self) -> Any:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result

    @classmethod
    def wait_for_all(cls) -> None:
        for one in list(cls._begun):
            one._thread.join()


if hasattr(os, "register_at_fork"):  # a forked process has no threads but the one that forked
    os.register_at_fork(before=_Opening.wait_for_all)


def _session(graph: bytes, weights: dict[str, NDArray[Any]], device: str, optimise: bool, prepare: Prepare) -> Any:
    """Make a graph ready; the weights are taken out of the dictionary, so that they need not stay beside the copies."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as faults

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what goes wrong is raised
    options.enable_mem_pattern = False  # which keeps as much as each size of picture took
    # Weights lie apart, so that what a call took can go back after it.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    taken = prepare(weights)
    weights.clear()
    # They are copied while the graph is opened, and the arrays can go then: so C's AddExternalInitializers promises.
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(one) for one in taken.values()]
    options.add_external_initializers(list(taken), values)
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=_providers(device))
    except (faults.Fail, faults.InvalidArgument, faults.InvalidGraph, faults.InvalidProtobuf) as error:
        raise InputError(f"the graph does not take these weights ({first_line(error)[:200]})") from None
    if device.startswith("cuda") and session.get_providers()[0] != _CUDA:
        raise InputError(f"device {device!r} cannot be used here: try 'auto' or 'cpu'")
    del values, taken, options
    _give_back()
    return session


class TorchEngine:
    """A network of torch, put into evaluation mode; training looks at its networks through it.

    Args:
        network: takes tensors, pictures first, and returns several.
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

    def __call__(self, *inputs: Array) -> tuple[Array, ...]:
        """Compute the outputs of a batch."""
        import torch

        check_process()
        weight = next(self.network.parameters(), torch.empty(0))
        with torch.inference_mode():
            given = [torch.from_numpy(one).to(weight.device, weight.dtype) for one in inputs]
            pictures = [one.contiguous(memory_format=torch.channels_last) if one.ndim == 4 else one for one in given]
            return tuple(one.float().cpu().numpy() for one in self.network(*pictures))


def runs_on_onnx(device: str) -> bool:
    """Say whether a device is one of onnxruntime's here; the others are left to torch."""
    return device in ("auto", "cpu") or (device.partition(":")[0] == "cuda" and _has_cuda())


def runs_on_cpu(device: str) -> bool:
    """Say whether a device is the CPU by onnxruntime: ``auto`` is where it has no CUDA."""
    return device == "cpu" or (device == "auto" and not _has_cuda())


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
    model: str | Path,
    embedded: str,
    weights: Mapping[str, NDArray[Any]],
    fingerprint: str,
    device: str,
    *,
    optimise: bool = True,
) -> OnnxEngine:
    """Run the weights of a file by the graph beside it, or else by that of the package's weights of its kind.

    Args:
        model: ``embedded``, or the file.
        embedded: the name of the package's weights.
        weights: those that the graph takes.
        fingerprint: names the weights.
        device: see :class:`OnnxEngine`.
        optimise: see there.

    Raises:
        InputError: the weights are of another make-up than the graph's.
    """
    beside = Path(model).with_suffix(GRAPH)
    packaged = files("fiducial.models").joinpath(f"{embedded}{GRAPH}")
    graph = beside if model != embedded and beside.is_file() else packaged
    engine = OnnxEngine(graph.read_bytes(), weights, fingerprint, device, optimise=optimise)
    if model == embedded and device in ("auto", "cpu"):  # nothing that somebody gave can be wrong
        return engine
    try:
        engine.ready()
        return engine
    except InputError as error:
        remedy = f"make its graph with: fiducial models {model} --export"
        raise InputError(f"{model}: {error}; {remedy}" if model != embedded else f"{model}: {error}") from None


def fused(weights: Mapping[str, NDArray[Any]]) -> dict[str, Array]:
    """Put batch normalisations into the convolutions before them, in single precision.

    With a norm's weight g, bias b, mean m and variance v, a convolution's weight W becomes W g / sqrt(v + epsilon), and
    its bias (B - m) g / sqrt(v + epsilon) + b, channel by channel of its output.

    Args:
        weights: arrays of any floats by their names in the network's state. ``X_norm`` follows the convolution ``X``,
            and in a sequence ``X.1`` follows ``X.0``.

    Returns:
        The weights without norms, C-contiguous float32.

    Raises:
        InputError: a norm without a convolution before it, or of another number of channels.
    """
    norms = [name.removesuffix(".running_var") for name in weights if name.endswith(".running_var")]
    found = {name: one for name, one in weights.items() if name.rpartition(".")[0] not in norms}
    parts = ("weight", "bias", "running_mean", "running_var")
    for norm in norms:
        try:
            gain, bias, mean, variance = (weights[f"{norm}.{part}"].astype(np.float32) for part in parts)
            with np.errstate(invalid="ignore", divide="ignore"):  # no finite numbers are found where they come out
                gain /= np.sqrt(variance + np.float32(EPSILON))
            weight, shift = (f"{normalised_by(norm)}.{part}" for part in ("weight", "bias"))
            channels = gain.reshape(-1, *[1] * (found[weight].ndim - 1))
            found[weight] = np.multiply(found[weight], channels, dtype=np.float32)
            found[shift] = (found.get(shift, np.float32(0)) - mean) * gain + bias
        except (LookupError, ValueError) as error:
            raise InputError(f"no convolution that the norm {norm!r} fits ({first_line(error)})") from None
    return {name: np.ascontiguousarray(one, np.float32) for name, one in found.items()}


def normalised_by(norm: str) -> str:
    """Return the name of the module whose output a norm takes.

    Example:
        >>> normalised_by("down.0.first_norm"), normalised_by("sides.0.1")
        ('down.0.first', 'sides.0.0')
    """
    if norm.endswith("_norm"):
        return norm.removesuffix("_norm")
    parent, _, place = norm.rpartition(".")
    return f"{parent}.{int(place) - 1}"


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
