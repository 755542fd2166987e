"""Checkpoints: weights in a folder of this machine or on the hub, and the device and dtype that run them."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from fiducial.errors import FiducialError, HubError, InputError, ModelError
from fiducial.files import parse_json, read_whole
from fiducial.models import weights_of

if TYPE_CHECKING:
    import torch

Needed = Sequence[tuple[str, ...]]
"""The files of a checkpoint: one of each row is enough, the customary one first."""

CONFIG = ("config.json",)
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")

MAX_HEADER = 4 * 2**20
"""Bytes of the header of a safetensors file that are read."""
MAX_WEIGHTS = 512 * 2**20
"""Bytes of the largest file of a network of our own."""
SIZES = ("shape", "hidden_size", "layers")
"""Keys of a header by which a network is built."""

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
"""The dtypes that the options of models name."""
T = TypeVar("T")
_computed: list[int] = []  # the process in which a model computed first, and on how many threads


def pick_device(device: str) -> torch.device:
    """Turn ``"auto"`` into the accelerator of this machine, or its CPU; other names are taken as they are.

    Raises:
        InputError: no such device, or not on this machine.
    """
    import torch

    if device == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return torch.device("cpu") if found is None else found
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device {device!r} cannot be used here ({error}): try 'auto' or 'cpu'") from None


def pick_dtype(dtype: str) -> torch.dtype:
    """Turn a dtype's name into the dtype; ``"auto"`` is float32, in which segmenters and detectors are published.

    Raises:
        InputError: a name that is none of :data:`Dtype`.
    """
    import torch

    if dtype not in get_args(Dtype):
        raise InputError(f"dtype {dtype!r} is not one of {', '.join(get_args(Dtype))}")
    found: torch.dtype = getattr(torch, "float32" if dtype == "auto" else dtype)
    return found


def check_process(threads: int | None = None) -> None:
    """Refuse to compute where the threads of a model are those of a process that this one was forked from.

    They are not here, and what waits for them waits for ever. It is called wherever a model computes.

    Args:
        threads: on how many it computes; default: torch's.

    Raises:
        InputError: a model has computed before this process was forked, on more than one thread.
    """
    if not _computed:
        if threads is None:
            import torch

            threads = torch.get_num_threads()
        _computed[:] = [os.getpid(), threads]
    process, threads = _computed
    if process != os.getpid() and threads > 1:
        raise InputError(
            "a model has computed before this process was forked, and its threads did not come along: start processes "
            "by multiprocessing.get_context('spawn'), fork before the first picture, or set OMP_NUM_THREADS=1"
        )


def tensors_digest(kind: str, tensors: Mapping[str, Any]) -> str:
    """Name tensors or arrays by their content: SHA-256 of ``kind`` and of their names, shapes, dtypes and bytes."""
    digest = hashlib.sha256(kind.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        if hasattr(tensor, "detach"):
            import torch

            tensor = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def safetensors_metadata(data: bytes) -> dict[str, str]:
    """Return the metadata in the content of a safetensors file; ValueError as :func:`safetensors_header`."""
    metadata = safetensors_header(data)[0].get("__metadata__")
    return metadata if isinstance(metadata, dict) else {}


def safetensors_header(data: bytes) -> tuple[dict[str, Any], int]:
    """Return what the content of a safetensors file begins with, and the byte from which the numbers lie.

    Such a file is eight bytes of length, then JSON (each tensor's ``dtype``, ``shape`` and ``data_offsets`` by name,
    and ``__metadata__``), then the numbers.

    Raises:
        ValueError: it is no such file, or is cut off in its header.
    """
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= min(len(data) - 8, MAX_HEADER):
        raise ValueError("no safetensors header")
    try:
        header = parse_json(data[8 : 8 + length], "its header")
    except InputError as error:
        raise ValueError(str(error)) from None
    return (header if isinstance(header, dict) else {}), 8 + length


def read_network(
    model: str | Path,
    embedded: str,
    build: Callable[[dict[str, Any], dict[str, Any]], T],
    *,
    framework: Literal["torch", "numpy"] = "torch",
) -> tuple[T, str]:
    """Build a network of our own from the weights that come with the package, or from a safetensors file.

    Args:
        model: ``embedded``, or the file.
        embedded: the name of the package's weights.
        build: makes it of the tensors by name and of what the header holds, JSON values by name. Torch's floats come in
            single precision, and modules are built without storage: load their weights with ``assign=True``.
        framework: what the tensors are; NumPy's arrays come as they are stored.

    Returns:
        What ``build`` made, and the SHA-256 of the file.

    Raises:
        InputError: no such file, weights that ``build`` cannot take or that are not finite, or a header that describes
            more than the file holds; the last is found out before anything is allocated.
    """
    from safetensors import SafetensorError

    packaged = files("fiducial.models").joinpath(f"{embedded}.safetensors")
    try:
        data = packaged.read_bytes() if model == embedded else read_whole(Path(model), MAX_WEIGHTS)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise InputError(f"{model}: the weights cannot be read ({getattr(error, 'strerror', None) or error})") from None
    try:
        told = safetensors_metadata(data).items()
        header = {key: parse_json(value, key) for key, value in told if key != "format"}  # which says whose they are
        tensors = import_module(f"safetensors.{framework}").load(data)
        check_finite(tensors)
        _check_sizes(header, tensors)
        if framework == "numpy":
            made = build(tensors, header)
        else:
            tensors = {name: one.float() if one.is_floating_point() else one for name, one in tensors.items()}
            with _no_larger_than(tensors):
                made = build(dict(tensors), header)
    except (SafetensorError, InputError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError,
            RuntimeError, MemoryError) as error:  # fmt: skip
        reason = " ".join((str(error) or type(error).__name__).split())[:200]
        raise InputError(f"{model}: holds no weights of the {embedded.replace('-', ' ')} ({reason})") from None
    return made, hashlib.sha256(data).hexdigest()


def check_finite(tensors: Mapping[str, Any]) -> None:
    """Refuse tensors or arrays that single precision cannot hold; ValueError."""
    import numpy as np

    for name, tensor in tensors.items():
        if hasattr(tensor, "detach"):
            sound = not tensor.is_floating_point() or bool(tensor.detach().float().isfinite().all())
        elif tensor.dtype == np.float16:  # by the bits of the exponent: NumPy takes ten times as long to look at halves
            sound = bool(((tensor.view(np.uint16) & 0x7C00) != 0x7C00).all())
        else:
            with np.errstate(over="ignore"):
                sound = tensor.dtype.kind != "f" or bool(np.isfinite(tensor.astype(np.float32)).all())
        if not sound:
            raise ValueError(f"{name} holds numbers that are not finite")


def _check_sizes(header: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
    """Refuse a header whose sizes no tensor of the file can have, before as much as a list of them is made."""
    most = max([len(tensors), *(side for one in tensors.values() for side in one.shape)])

    def check(value: Any) -> None:
        if isinstance(value, (list, dict)):
            for part in value.values() if isinstance(value, dict) else value:
                check(part)
        elif isinstance(value, (int, float)) and not (0 <= value <= most and value % 1 == 0):
            raise ValueError(f"its header describes more than it holds: {value:g}")

    for key in SIZES:
        check(header.get(key))


@contextmanager
def _no_larger_than(tensors: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Let modules be built without storage, and of no more parameters than there are tensors; ValueError otherwise.

    The parameters get their storage by ``load_state_dict(..., assign=True)``.
    """
    import torch
    from torch.nn.modules.module import register_module_parameter_registration_hook

    here, count, room = threading.get_ident(), len(tensors), sum(one.numel() for one in tensors.values())
    built: list[torch.nn.Module] = []

    def registered(module: torch.nn.Module, name: str, parameter: torch.Tensor | None) -> None:
        nonlocal count, room
        if threading.get_ident() == here and parameter is not None and parameter.is_meta:
            built.append(module)
            count, room = count - 1, room - parameter.numel()
            if count < 0 or room < 0:
                raise ValueError("its header describes more than it holds")

    hook = register_module_parameter_registration_hook(registered)
    try:
        with torch.device("meta"):
            yield
    finally:
        hook.remove()
    if any(one.is_meta for module in built for one in module.parameters(recurse=False)):
        raise RuntimeError("the weights were not assigned")


def network_file(
    weights: Mapping[str, torch.Tensor], header: Mapping[str, Any], exact: Mapping[str, torch.Tensor] | None = None
) -> bytes:
    """Return the content of a weights file: floats in half precision but for the ``exact``, JSON values as header."""
    import torch
    from safetensors.torch import save

    halves = {name: one.to(torch.float16) if one.is_floating_point() else one for name, one in weights.items()}
    tensors = {name: one.detach().cpu().contiguous() for name, one in {**halves, **(exact or {})}.items()}
    return save(tensors, {key: json.dumps(value) for key, value in header.items()})


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its class where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def locate(model: str | Path, needed: Needed) -> str:
    """Return the folder or the hub's id, checking a folder before transformers does.

    Raises:
        InputError: no such folder, or a folder without a model.
        HubError: a folder that lacks some of the files.
    """
    text = os.fspath(model)
    embedded = weights_of(text)
    folder = embedded if embedded is not None and embedded.is_dir() else Path(text).expanduser()
    if not folder.is_dir():
        looks_local = isinstance(model, Path) or text.startswith((".", "~", os.sep)) or text.count("/") != 1
        if looks_local:
            raise InputError(f"{text}: no such folder, and no id of the hub (such as 'facebook/sam2.1-hiera-small')")
        return text
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no model is in this folder, as it has no config.json")
    if missing := _missing(needed, lambda name: (folder / name).is_file()):
        raise HubError(f"{folder}: the folder lacks {', '.join(missing)}")
    return str(folder)


@contextmanager
def loading(
    source: str, needed: Needed, *, cache: str | Path | None = None, revision: str | None = None
) -> Iterator[None]:
    """Name what is wrong where transformers reads the files of a checkpoint, whose source :func:`locate` returned.

    Raises:
        HubError: files cannot be read, or are neither here nor to be had.
        InputError: the source is no id of the hub at all.
        ModelError: the weights are broken.
    """
    from safetensors import SafetensorError

    try:
        yield
    except OSError as error:
        raise _not_loaded(source, needed, error, cache, revision) from error
    except SafetensorError as error:
        raise ModelError(f"{source}: its weights cannot be read ({error}): fetch the files again") from error


def _not_loaded(
    source: str, needed: Needed, error: OSError, cache: str | Path | None, revision: str | None
) -> FiducialError:
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if Path(source).is_dir():
        return HubError(f"{source}: the folder's files cannot be read ({error})")
    folder = Path(constants.HF_HUB_CACHE if cache is None else cache)

    def cached(name: str) -> bool:
        return isinstance(try_to_load_from_cache(source, name, cache_dir=folder, revision=revision), str)

    try:
        missing = _missing(needed, cached)
    except HFValidationError:
        return InputError(f"{source!r} is neither a local folder nor an id of the hub")
    reason, lost = first_line(error), ", ".join(missing) or "a file"
    place = folder / f"models--{source.replace('/', '--')}"
    return HubError(
        f"{source}: not on this machine, and the hub did not send it ({reason}): {lost}. It would go to {place}. "
        "Without a connection, give a local folder that holds such files (NAME:FOLDER), or use the recipe 'classic', "
        "which needs no weights"
    )


def check_complete(source: str, model_class: str, report: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that leaves weights of its model random; ``report`` is transformers' loading information.

    Raises:
        ModelError: weights are missing or of another shape.
    """
    broken = [*report["missing_keys"], *(key[0] for key in report["mismatched_keys"])]
    if broken:
        raise ModelError(
            f"{source}: the checkpoint does not fit a {model_class}: {len(broken)} weights are missing or "
            f"of another shape, such as {', '.join(sorted(broken)[:3])}"
        )


def _missing(needed: Needed, has: Callable[[str], bool]) -> list[str]:
    rows = [row for row in needed if not any(map(has, row))]
    return [row[0] + (f" (or {' or '.join(row[1:])})" if row[1:] else "") for row in rows]
