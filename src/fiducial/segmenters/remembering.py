"""Embeddings and masks kept in memory, so that who moves one coordinate of many waits for one mask."""

from __future__ import annotations

from collections import Counter

from fiducial.cache import LRUCache
from fiducial.contracts import Embedding, Segmenter
from fiducial.errors import ModelError
from fiducial.geometry import Box, Mask, Point, Prompt, Prompts
from fiducial.images import Image

MEMORY_BYTES = 2**30
"""What embeddings kept in memory may take unless another bound is given: some 60 images of SAM 2 at 1024 pixels."""
MASKS = 1024
"""How many masks are kept."""

_Geometry = tuple[Box | None, tuple[Point, ...], tuple[int, ...]]


class RememberingSegmenter:
    """Any segmenter, its embeddings and masks looked up in memory before they are computed.

    Equal prompts of one image are cut once, and those of one call that are not known yet in one call. Masks may be
    kept because no prompt influences another's. ``counts`` says how many images were ``encoded``, how many ``decoded``
    calls there were, and how many prompts were ``cut`` by them.

    Args:
        segmenter: frozen.
        memory_bytes: bound of the embeddings; those unused for longest go first.
        masks: how many masks are kept; those unused for longest go first.
    """

    def __init__(self, segmenter: Segmenter, memory_bytes: int = MEMORY_BYTES, masks: int = MASKS) -> None:
        self.segmenter = segmenter
        self.counts: Counter[str] = Counter()
        self._embeddings = LRUCache[str, Embedding](memory_bytes, embedding_bytes)
        self._masks = LRUCache[tuple[str, _Geometry], Mask](masks)

    def encode(self, image: Image) -> Embedding:
        """Return the embedding of an image, computed once while it is kept."""
        known = self._embeddings.get(image.digest)
        if known is None:
            known = self.segmenter.encode(image)
            self.counts["encoded"] += 1
            self._embeddings.put(image.digest, known)
        return known

    def decode(self, embedding: Embedding, prompts: Prompts) -> list[Mask]:
        """Cut one mask per prompt, in order; only those are cut that are not known."""
        wanted = [geometry_of(prompt) for prompt in prompts]
        found = {one: self._masks.get((embedding.key, one)) for one in wanted}
        missing = {geometry_of(prompt): prompt for prompt in prompts if found[geometry_of(prompt)] is None}
        if missing:
            masks = self.segmenter.decode(embedding, Prompts(prompts.frame, tuple(missing.values())))
            if len(masks) != len(missing):
                raise ModelError(f"the segmenter returned {len(masks)} masks for {len(missing)} prompts")
            self.counts.update(decoded=1, cut=len(masks))
            for one, new in zip(missing, masks, strict=True):
                found[one] = new
                self._masks.put((embedding.key, one), new)
        return [mask for one in wanted if (mask := found[one]) is not None]


def geometry_of(prompt: Prompt) -> _Geometry:
    """Return what a segmenter sees of a prompt: label and score make no difference to its mask."""
    return prompt.box, prompt.points, prompt.labels


def embedding_bytes(embedding: Embedding) -> int:
    """Return what an embedding takes in memory."""
    tensors = sum(int(tensor.nbytes) for tensor in embedding.tensors.values())
    return tensors + (0 if embedding.image is None else int(embedding.image.pixels.nbytes))
