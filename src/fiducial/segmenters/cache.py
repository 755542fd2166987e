"""Embeddings kept, in memory or on disk, so that no image is encoded twice.

An entry is found by its key, which names image content, weights, preprocessing and dtype, so an entry
never goes stale: another image or another model has another key. Entries are immutable.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fiducial.contracts import Embedding, Segmenter
from fiducial.errors import InputError
from fiducial.geometry import Mask, Prompts
from fiducial.images import Image

logger = logging.getLogger(__name__)

_FORMAT = "fiducial-embedding-1"
_PLAIN_KEY = re.compile(r"[0-9a-f]{16,128}")


@runtime_checkable
class EmbeddingCache(Protocol):
    """A place that keeps embeddings."""

    def get(self, key: str) -> Embedding | None:
        """Return the entry of a key, without its image, or None."""
        ...

    def put(self, embedding: Embedding) -> None:
        """Keep an embedding under its key."""
        ...


@runtime_checkable
class KeyedSegmenter(Segmenter, Protocol):
    """A segmenter that can name an embedding before it computes it."""

    def embedding_key(self, image: Image) -> str:
        """Return the key of what ``encode`` returns for this image."""
        ...


class MemoryCache:
    """Keeps the most recently used embeddings, up to so many bytes of tensors.

    Args:
        max_bytes: most bytes of all entries together. A single embedding that is larger is not kept.

    Raises:
        InputError: no room at all.
    """

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 1:
            raise InputError(f"a memory cache needs room for at least one byte, got {max_bytes}")
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._entries: OrderedDict[str, Embedding] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> Embedding | None:
        """Return the entry of a key, without its image, or None."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, embedding: Embedding) -> None:
        """Keep an embedding, and let those go that were not used for longest."""
        size = embedding_bytes(embedding)
        with self._lock:
            if embedding.key in self._entries or size > self.max_bytes:
                return
            self._entries[embedding.key] = replace(embedding, image=None)
            self.nbytes += size
            while self.nbytes > self.max_bytes:
                _, oldest = self._entries.popitem(last=False)
                self.nbytes -= embedding_bytes(oldest)

    def __len__(self) -> int:
        return len(self._entries)


class DiskCache:
    """Keeps embeddings as safetensors files, one per key.

    Files are written beside their place, flushed to the disk and renamed, so that a crash leaves no
    half entry, and each states the SHA-256 of its numbers. An entry that is broken or states another
    key is reported as a warning and removed; the caller then computes it again. A disk that
    cannot be written is reported too and costs time, not the run.

    Args:
        folder: where the files go; made when missing.
        max_bytes: most bytes of all files together (the least recently used go first), or None.

    Raises:
        InputError: no room at all, or the folder is a file or cannot be made.
    """

    def __init__(self, folder: str | Path, max_bytes: int | None = None) -> None:
        if max_bytes is not None and max_bytes < 1:
            raise InputError(f"a disk cache needs room for at least one byte, got {max_bytes}")
        self.folder = Path(folder).expanduser()
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder}: cannot be a folder for embeddings ({error})") from error

    def get(self, key: str) -> Embedding | None:
        """Return the entry of a key, its tensors on the CPU and without its image, or None."""
        path = self.path(key)
        try:
            embedding = _from_bytes(path.read_bytes(), key)
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("%s: the cached embedding cannot be read (%s); it is computed again", path, error)
            return None
        except ValueError as error:
            logger.warning("%s: the cached embedding is broken (%s); it is computed again", path, error)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):  # reading counts as use when room runs out
            os.utime(path)
        return embedding

    def put(self, embedding: Embedding) -> None:
        """Write an embedding, and let files go that were not used for longest."""
        path = self.path(embedding.key)
        payload = _to_bytes(embedding)
        if path.exists() or (self.max_bytes is not None and len(payload) > self.max_bytes):
            return
        try:
            _write(path, payload)
            self._make_room()
        except OSError as error:
            logger.warning("%s: the embedding cannot be kept (%s)", path, error)

    def path(self, key: str) -> Path:
        """Return the file of a key; a key that is no plain hexadecimal number is hashed first."""
        name = key if _PLAIN_KEY.fullmatch(key) else hashlib.sha256(key.encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.safetensors"

    def _make_room(self) -> None:
        if self.max_bytes is None:
            return
        with self._lock:
            files = [(path.stat(), path) for path in self.folder.glob("??/*.safetensors")]
            files.sort(key=lambda item: item[0].st_mtime_ns)
            total = sum(state.st_size for state, _ in files)
            for state, path in files:
                if total <= self.max_bytes:
                    return
                path.unlink(missing_ok=True)
                total -= state.st_size


class CachedSegmenter:
    """A segmenter that looks its embeddings up before it computes them.

    The caches are asked in order; what a later one has is put into the earlier ones. Threads that ask
    for the same image at the same time wait for one computation.

    Args:
        segmenter: any segmenter that can name its embeddings.
        caches: where to look, the fastest first.

    Raises:
        InputError: the segmenter has no ``embedding_key``.

    Example:
        ``CachedSegmenter(sam, MemoryCache(2 * 2**30), DiskCache("~/.cache/fiducial/embeddings"))``
    """

    def __init__(self, segmenter: KeyedSegmenter, *caches: EmbeddingCache) -> None:
        if not isinstance(segmenter, KeyedSegmenter):
            raise InputError(
                f"{type(segmenter).__name__} has no embedding_key(image), so its embeddings cannot be kept"
            )
        self.segmenter = segmenter
        self.caches = caches
        self._lock = threading.Lock()
        self._at_work: dict[str, list[Any]] = {}

    def embedding_key(self, image: Image) -> str:
        """Return the key of what :meth:`encode` returns for this image."""
        return self.segmenter.embedding_key(image)

    def encode(self, image: Image) -> Embedding:
        """Return the embedding from the first cache that has it, or compute it and keep it in all."""
        key = self.segmenter.embedding_key(image)
        with self._alone(key):
            for level, cache in enumerate(self.caches):
                found = cache.get(key)
                if found is not None:
                    self._keep(found, self.caches[:level])
                    return replace(found, image=image)
            embedding = self.segmenter.encode(image)
            self._keep(embedding, self.caches)
            return replace(embedding, image=image)

    def decode(self, embedding: Embedding, prompts: Prompts) -> list[Mask]:
        """Cut one mask per prompt, as the segmenter does."""
        return self.segmenter.decode(embedding, prompts)

    def _keep(self, embedding: Embedding, caches: tuple[EmbeddingCache, ...]) -> None:
        for cache in caches:
            cache.put(embedding)

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Let one thread at a time work on a key; different keys do not wait for each other."""
        with self._lock:
            entry = self._at_work.setdefault(key, [threading.Lock(), 0])
            entry[1] += 1
        try:
            with entry[0]:
                yield
        finally:
            with self._lock:
                entry[1] -= 1
                if not entry[1]:
                    del self._at_work[key]


def embedding_bytes(embedding: Embedding) -> int:
    """Return the bytes that an embedding's tensors take, its image not counted."""
    return sum(int(tensor.nbytes) for tensor in embedding.tensors.values())


def _write(path: Path, payload: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _to_bytes(embedding: Embedding) -> bytes:
    arrays = all(isinstance(tensor, np.ndarray) for tensor in embedding.tensors.values())
    meta = {
        "format": _FORMAT,
        "key": embedding.key,
        "width": str(embedding.width),
        "height": str(embedding.height),
        "kind": "numpy" if arrays else "torch",
    }
    if arrays:
        from safetensors.numpy import save as save_arrays

        tensors: dict[str, Any] = {name: np.ascontiguousarray(value) for name, value in embedding.tensors.items()}
        return save_arrays(tensors, {**meta, "sha256": _digest(tensors)})
    from safetensors.torch import save as save_tensors

    tensors = {name: value.detach().cpu().contiguous() for name, value in embedding.tensors.items()}
    return save_tensors(tensors, {**meta, "sha256": _digest(tensors)})


def _from_bytes(payload: bytes, key: str) -> Embedding:
    """Read an entry.

    Raises:
        ValueError: cut off, changed, of another format or of another key.
    """
    from safetensors import SafetensorError

    try:
        meta = _metadata(payload)
        if meta.get("format") != _FORMAT or meta.get("key") != key:
            raise ValueError("it states another format or key")
        if meta["kind"] == "numpy":
            from safetensors.numpy import load as load_arrays

            tensors: dict[str, Any] = load_arrays(payload)
        else:
            from safetensors.torch import load as load_tensors

            tensors = load_tensors(payload)
        if _digest(tensors) != meta["sha256"]:
            raise ValueError("its numbers do not have the checksum that it states")
        return Embedding(key, int(meta["width"]), int(meta["height"]), tensors)
    except (SafetensorError, KeyError) as error:
        raise ValueError(str(error)) from error


def _metadata(payload: bytes) -> dict[str, str]:
    """Read the metadata that safetensors puts first: eight bytes of length, then JSON."""
    import json

    length = int.from_bytes(payload[:8], "little")
    if length > len(payload) - 8:
        raise ValueError("the file is cut off")
    header = json.loads(payload[8 : 8 + length])
    meta = header.get("__metadata__") if isinstance(header, dict) else None
    return meta if isinstance(meta, dict) else {}


def _digest(tensors: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        if not isinstance(tensor, np.ndarray):
            import torch

            tensor = tensor.flatten().view(torch.uint8).numpy()
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()
