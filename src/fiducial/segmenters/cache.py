"""Embeddings kept on the disk, so that no image is encoded twice, not even by another process or run.

An entry never goes stale: its key names image content, weights, preprocessing and dtype.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import threading
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np

from fiducial.checkpoints import safetensors_metadata, tensors_digest
from fiducial.contracts import Embedding, Segmenter
from fiducial.errors import InputError
from fiducial.files import make_folder, write_atomically
from fiducial.geometry import Mask, Prompts
from fiducial.images import Image
from fiducial.segmenters.configs import MAX_BYTES

logger = logging.getLogger(__name__)

_FORMAT = "fiducial-embedding-1"
_PLAIN_KEY = re.compile(r"[0-9a-f]{16,128}")
_ABANDONED = 3600.0
"""Seconds after which a half-written file belongs to a process that died."""


class DiskCache:
    """Keeps embeddings as safetensors files, one per key; any number of processes may share a folder.

    Files appear whole or not at all, and each states the SHA-256 of its numbers. An entry that is broken or states
    another key is reported as a warning and removed; the caller then computes it again. A disk that cannot be
    written is reported too and costs time, not the run. The folder is made when missing; ``max_bytes`` bounds all files
    together (the least recently used go first), None does not.

    Raises:
        InputError: the folder is a file or cannot be made.
    """

    def __init__(self, folder: str | Path, max_bytes: int | None = MAX_BYTES) -> None:
        self.folder = make_folder(Path(folder).expanduser())
        self.max_bytes = max_bytes

    def __contains__(self, key: str) -> bool:
        return self.path(key).exists()

    def get(self, key: str) -> Embedding | None:
        """Return the entry of a key, its tensors on the CPU and without its image, or None."""
        path = self.path(key)
        try:
            embedding = _from_bytes(path.read_bytes(), key)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            fault = "is broken" if isinstance(error, ValueError) else "cannot be read"
            logger.warning("%s: the cached embedding %s (%s); it is computed again", path, fault, error)
            if isinstance(error, ValueError):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            return None
        _touch(path)
        return embedding

    def put(self, embedding: Embedding) -> None:
        """Write an embedding, and let files go that were not used for longest."""
        path = self.path(embedding.key)
        payload = _to_bytes(embedding)
        if path.exists() or (self.max_bytes is not None and len(payload) > self.max_bytes):
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, payload)
        except (OSError, InputError) as error:
            logger.warning("%s: the embedding cannot be kept (%s)", path, error)
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


class CachedSegmenter:
    """Any segmenter, its embeddings looked up on the disk before they are computed.

    Segmenters that cannot name an embedding beforehand (``embedding_key(image)``) compute nothing worth keeping:
    GrabCut and nano work on pixels. They pass through. Threads that ask for one image at the same time wait for one
    computation. Folder and bound are those of :class:`DiskCache`.

    Example:
        ``CachedSegmenter(SamSegmenter.from_pretrained("facebook/sam-vit-base"), "~/.cache/fiducial/embeddings")``
    """

    def __init__(self, segmenter: Segmenter, folder: str | Path, max_bytes: int | None = MAX_BYTES) -> None:
        self.segmenter = segmenter
        self.cache = DiskCache(folder, max_bytes)
        # A lock per key would have to be counted and thrown away; two keys that share one only wait.
        self._locks = [threading.Lock() for _ in range(64)]

    def encode(self, image: Image) -> Embedding:
        """Return the embedding of an image from the disk, or compute it and keep it."""
        name_of = getattr(self.segmenter, "embedding_key", None)
        if name_of is None:
            return self.segmenter.encode(image)
        key: str = name_of(image)
        with self._locks[hash(key) % len(self._locks)]:
            found = self.cache.get(key)
            if found is None:
                found = self.segmenter.encode(image)
                self.cache.put(found)
        return replace(found, image=image)

    def decode(self, embedding: Embedding, prompts: Prompts) -> list[Mask]:
        """Cut one mask per prompt, as the segmenter does."""
        return self.segmenter.decode(embedding, prompts)


def _touch(path: Path) -> None:
    """Note that a file was used now, more finely than the kernel's own clock of files."""
    now = time.time_ns()
    with contextlib.suppress(OSError):
        os.utime(path, ns=(now, now))


def _to_bytes(embedding: Embedding) -> bytes:
    arrays = all(isinstance(tensor, np.ndarray) for tensor in embedding.tensors.values())
    kind = "numpy" if arrays else "torch"
    tensors = {
        name: np.ascontiguousarray(value) if arrays else value.detach().cpu().contiguous()
        for name, value in embedding.tensors.items()
    }
    meta = {"format": _FORMAT, "key": embedding.key, "width": str(embedding.width), "height": str(embedding.height)}
    meta |= {"kind": kind, "sha256": tensors_digest("", tensors)}
    return bytes(import_module(f"safetensors.{kind}").save(tensors, meta))


def _from_bytes(payload: bytes, key: str) -> Embedding:
    """Read an entry; ValueError when it is cut off, changed, of another format or of another key."""
    from safetensors import SafetensorError

    try:
        meta = safetensors_metadata(payload)
        if meta.get("format") != _FORMAT or meta.get("key") != key:
            raise ValueError("it states another format or key")
        tensors = import_module("safetensors.numpy" if meta["kind"] == "numpy" else "safetensors.torch").load(payload)
        if tensors_digest("", tensors) != meta["sha256"]:
            raise ValueError("its numbers do not have the checksum that it states")
        return Embedding(key, int(meta["width"]), int(meta["height"]), tensors)
    except (SafetensorError, KeyError) as error:
        raise ValueError(str(error)) from error
