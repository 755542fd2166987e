"""Embeddings of pictures, computed once and kept on the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from fiducial.contracts import Embedding
from fiducial.segmenters.cache import CachedSegmenter
from fiducial.segmenters.sam import SamSegmenter
from fiducial.training.decoder.pictures import Picture

_ENCODING = ("vision_encoder.", "mask_decoder.conv_s0.", "mask_decoder.conv_s1.", "no_memory_embedding")
"""Where names of weights begin that shape an embedding: SAM 2 runs two layers of its decoder when it encodes."""


def encodes(name: str) -> bool:
    """Say whether a weight of this name shapes embeddings, and so may not be trained on kept ones.

    Example:
        >>> encodes("mask_decoder.conv_s0.weight"), encodes("mask_decoder.iou_token.weight")
        (True, False)
    """
    return name.startswith(_ENCODING)


def encoder_fingerprint(model: Any) -> str:
    """Name the weights that shape embeddings: SHA-256 of those alone, so that training does not change it."""
    digest = hashlib.sha256(f"encoder of {type(model).__name__}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        if encodes(name):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


class Embeddings:
    """Embeddings by picture.

    In memory is only what is worked on: a key per picture, and the embedding that is asked for.

    Args:
        segmenter: computes them; its fingerprint is that of the encoder alone.
        folder: where they are kept.
    """

    def __init__(self, segmenter: SamSegmenter, folder: str | Path) -> None:
        self.segmenter = CachedSegmenter(segmenter, folder, max_bytes=None)
        self._key_of = segmenter.embedding_key
        self._keys: dict[Picture, str] = {}

    def prepare(self, pictures: Iterable[Picture], tell: Callable[[int], None] = lambda done: None) -> int:
        """Compute what is not kept yet.

        Args:
            pictures: the pictures that will be asked for.
            tell: called with the number of pictures done after each that had to be computed.

        Returns:
            How many were computed.
        """
        computed = 0
        for done, picture in enumerate(pictures, start=1):
            image = picture.image()
            key = self._key_of(image)
            self._keys[picture] = key
            if key not in self.segmenter.cache:
                self.segmenter.encode(image)
                computed += 1
                tell(done)
        return computed

    def __getitem__(self, picture: Picture) -> Embedding:
        """Return the embedding of a picture, from the disk when it is there."""
        key = self._keys.get(picture)
        kept = None if key is None else self.segmenter.cache.get(key)
        return self.segmenter.encode(picture.image()) if kept is None else kept
