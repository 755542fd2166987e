"""Embeddings kept on the disk, so that no image is encoded twice, not even by another process or run.

An entry never goes stale: its key names image content, weights, preprocessing and dtype.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from fiducial.cache import TensorFiles
from fiducial.contracts import Embedding, Segmenter
from fiducial.geometry import Mask, Prompts
from fiducial.images import Image
from fiducial.segmenters.configs import MAX_BYTES

_FORMAT = "fiducial-embedding-1"


class DiskCache(TensorFiles):
    """Keeps embeddings in a folder, as :class:`fiducial.cache.TensorFiles` keeps tensors."""

    def __init__(self, folder: str | Path, max_bytes: int | None = MAX_BYTES) -> None:
        super().__init__(folder, _FORMAT, max_bytes)

    def get(self, key: str) -> Embedding | None:
        """Return the entry of a key, its tensors on the CPU and without its image, or None."""
        found = self.read(key)
        if found is None:
            return None
        tensors, notes = found
        return Embedding(key, int(notes["width"]), int(notes["height"]), tensors)

    def put(self, embedding: Embedding) -> None:
        """Write an embedding, and let files go that were not used for longest."""
        size = {"width": str(embedding.width), "height": str(embedding.height)}
        self.write(embedding.key, embedding.tensors, size)


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
