"""What was computed once, kept up to a limit: values in memory, tensors on the disk for the next process or run."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

from fiducial.checkpoints import safetensors_metadata, tensors_digest
from fiducial.errors import InputError
from fiducial.files import make_folder, read_whole, write_atomically

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_PLAIN_KEY = re.compile(r"[0-9a-f]{16,128}")
_ABANDONED = 3600.0
"""Seconds after which a half-written file belongs to a process that died."""


class LRUCache(Generic[K, V]):
    """Keeps the most recently used values; any number of threads may use it.

    Args:
        max_size: most size of all values together; a single value that is larger is not kept.
        size_of: size of a value. Default: 1 each, so that ``max_size`` counts values.

    Example:
        >>> cache = LRUCache[str, int](2)
        >>> for name, value in (("a", 1), ("b", 2), ("c", 3)):
        ...     cache.put(name, value)
        >>> cache.get("a"), cache.get("b"), len(cache)
        (None, 2, 2)
    """

    def __init__(self, max_size: int, size_of: Callable[[V], int] = lambda value: 1) -> None:
        self.max_size = max_size
        self.size = 0
        self._size_of = size_of
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """Return the value of a key, or None."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep a value in place of an older one of the same key; let those go that were not used for longest."""
        size = self._size_of(value)
        if size > self.max_size:
            return
        with self._lock:
            if key in self._values:
                self.size -= self._size_of(self._values.pop(key))
            self._values[key] = value
            self.size += size
            while self.size > self.max_size:
                self.size -= self._size_of(self._values.popitem(last=False)[1])

    def __len__(self) -> int:
        return len(self._values)


# -- on the disk ----------------------------------------------------------------------------------


class TensorFiles:
    """Keeps tensors as safetensors files, one per key; any number of processes may share a folder.

    Files appear whole or not at all, and each states the SHA-256 of its numbers. An entry that is broken or states
    another key or format is reported as a warning and removed; the caller then computes it again. A disk that cannot
    be written is reported too and costs time, not the run. The folder is made when missing.

    Args:
        folder: where the files are.
        form: names what the entries are, and in which version.
        max_bytes: bound of all files together (the least recently used go first); None sets none.

    Raises:
        InputError: the folder is a file or cannot be made.
    """

    def __init__(self, folder: str | Path, form: str, max_bytes: int | None = None) -> None:
        self.folder = make_folder(Path(folder).expanduser())
        self.form, self.max_bytes = form, max_bytes

    def __contains__(self, key: str) -> bool:
        return self.path(key).exists()

    def read(self, key: str) -> tuple[dict[str, Any], dict[str, str]] | None:
        """Return the tensors of a key, on the CPU or as arrays, and what was noted about them; or None."""
        path = self.path(key)
        try:
            found = _from_bytes(read_whole(path), self.form, key)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, InputError) as error:
            fault = "is broken" if isinstance(error, ValueError) else "cannot be read"
            logger.warning("%s: the file of the cache %s (%s); it is computed again", path, fault, error)
            if isinstance(error, ValueError):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            return None
        _touch(path)
        return found

    def write(self, key: str, tensors: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> None:
        """Write tensors, all of torch or all of NumPy, and let files go that were not used for longest."""
        path = self.path(key)
        payload = _to_bytes(self.form, key, tensors, notes or {})
        if path.exists() or (self.max_bytes is not None and len(payload) > self.max_bytes):
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, payload)
        except (OSError, InputError) as error:
            logger.warning("%s: what was computed cannot be kept (%s)", path, error)
            return
        _touch(path)
        self._make_room(path)

    def path(self, key: str) -> Path:
        """Return the file of a key; a key that is no plain hexadecimal number is hashed first."""
        name = key if _PLAIN_KEY.fullmatch(key) else hashlib.sha256(key.encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.safetensors"

    def _make_room(self, newest: Path) -> None:
        """Remove the least recently used files until the rest fits; another process may remove some meanwhile."""
        if self.max_bytes is None:
            return
        files = []
        for path in self.folder.glob("??/*"):
            with contextlib.suppress(OSError):
                state = path.stat()
                if path.suffix == ".part" and time.time() - state.st_mtime > _ABANDONED:
                    path.unlink()
                elif path.suffix == ".safetensors":
                    files.append((path == newest, state.st_mtime_ns, path, state.st_size))
        total = sum(size for *_, size in files)
        for _, _, path, size in sorted(files):
            if total <= self.max_bytes:
                return
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                total -= size


def _touch(path: Path) -> None:
    """Note that a file was used now, more finely than the kernel's own clock of files."""
    now = time.time_ns()
    with contextlib.suppress(OSError):
        os.utime(path, ns=(now, now))


def _to_bytes(form: str, key: str, tensors: Mapping[str, Any], notes: Mapping[str, str]) -> bytes:
    on_torch = any(hasattr(tensor, "detach") for tensor in tensors.values())
    kind = "torch" if on_torch else "numpy"
    if on_torch:
        plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    else:
        import numpy as np

        plain = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    meta = {**notes, "format": form, "key": key, "kind": kind, "sha256": tensors_digest("", plain)}
    return bytes(import_module(f"safetensors.{kind}").save(plain, meta))


def _from_bytes(payload: bytes, form: str, key: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Read an entry; ValueError when it is cut off, changed, of another format or of another key."""
    from safetensors import SafetensorError

    try:
        meta = safetensors_metadata(payload)
        if meta.get("format") != form or meta.get("key") != key:
            raise ValueError("it states another format or key")
        tensors = import_module("safetensors.numpy" if meta["kind"] == "numpy" else "safetensors.torch").load(payload)
        if tensors_digest("", tensors) != meta["sha256"]:
            raise ValueError("its numbers do not have the checksum that it states")
        return tensors, meta
    except (SafetensorError, AttributeError, LookupError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
