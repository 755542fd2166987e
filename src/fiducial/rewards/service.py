"""The frozen segmenter behind the rewards: each image is encoded once, all prompts of its completions are cut together.

The published code encodes the image for every completion, and decodes once for every instance.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from fiducial.cache import LRUCache
from fiducial.contracts import Embedding, Segmenter
from fiducial.errors import ModelError
from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.segmenters.remembering import MEMORY_BYTES, embedding_bytes, geometry_of

Cut = tuple[Mask, ...] | ModelError
"""The masks of one completion, or why the segmenter could not cut them."""


class MaskSource(Protocol):
    """Cuts masks for many completions of one image at a time: here, or behind HTTP; any number of threads may use it.

    ``counts`` says what it did: ``prompts`` asked for and ``failed`` completions at least.
    """

    counts: Counter[str]

    @property
    def concurrency(self) -> int:
        """How many threads that ask at once gain something."""

    def cut(self, image: Image, completions: Sequence[Prompts]) -> list[Cut]:
        """Cut one mask per prompt of each completion, in pixels of the image; one entry per completion, in order."""


class MaskService:
    """Cuts masks for many completions of one image at a time; any number of threads may use it.

    ``counts`` says what it did: ``encoded`` images, ``decoded`` calls of the segmenter, ``prompts`` asked for, ``cut``
    of them (equal prompts are cut once), and ``failed`` completions.

    Args:
        segmenter: frozen; a :class:`fiducial.segmenters.cache.CachedSegmenter` keeps embeddings on the disk too.
        memory_bytes: bound of the embeddings in memory; those unused for longest go first.
    """

    concurrency = 1

    def __init__(self, segmenter: Segmenter, memory_bytes: int = MEMORY_BYTES) -> None:
        self.segmenter = segmenter
        self.counts: Counter[str] = Counter()
        self._embeddings = LRUCache[str, Embedding](memory_bytes, embedding_bytes)
        self._lock = threading.Lock()  # two threads with one image: the second waits instead of encoding again

    def cut(self, image: Image, completions: Sequence[Prompts]) -> list[Cut]:
        """Cut one mask per prompt of each completion.

        Args:
            image: the image that they are about.
            completions: the prompts of each completion, in pixels of the image.

        Returns:
            One entry per completion, in order: its masks, ``()`` where it has no prompts; or the ModelError with which
            the segmenter failed. Where it fails on all prompts together, each completion is tried alone, so that one
            that is too much for it does not spoil the others.
        """
        for prompts in completions:
            image.frame.require(prompts.frame, "the prompts of a completion")
        asked = [index for index, prompts in enumerate(completions) if len(prompts)]
        found: list[Cut] = [()] * len(completions)
        with self._lock:
            self.counts["prompts"] += sum(map(len, completions))
            if asked:
                for index, cut in zip(asked, self._cut(image, [completions[index] for index in asked]), strict=True):
                    found[index] = cut
            self.counts["failed"] += sum(isinstance(cut, ModelError) for cut in found)
        return found

    def _cut(self, image: Image, completions: list[Prompts]) -> list[Cut]:
        try:
            embedding = self._embedding(image)
        except ModelError as error:
            return [error] * len(completions)
        return self._decode(embedding, completions)

    def _embedding(self, image: Image) -> Embedding:
        known = self._embeddings.get(image.digest)
        if known is None:
            known = self.segmenter.encode(image)
            self.counts["encoded"] += 1
            self._embeddings.put(image.digest, known)
        return known

    def _decode(self, embedding: Embedding, completions: list[Prompts]) -> list[Cut]:
        """Cut each distinct prompt once, in one call: no prompt influences another's mask."""
        distinct: dict[tuple[object, ...], Prompt] = {}
        for prompts in completions:
            for prompt in prompts:
                distinct.setdefault(geometry_of(prompt), prompt)
        try:
            masks = self.segmenter.decode(embedding, Prompts(completions[0].frame, tuple(distinct.values())))
            self.counts["decoded"] += 1
            if len(masks) != len(distinct):
                raise ModelError(f"the segmenter returned {len(masks)} masks for {len(distinct)} prompts")
        except ModelError as error:
            if len(completions) == 1 or error.for_all:
                return [error] * len(completions)
            return [self._decode(embedding, [prompts])[0] for prompts in completions]
        self.counts["cut"] += len(masks)
        by_geometry = dict(zip(distinct, masks, strict=True))
        return [tuple(by_geometry[geometry_of(prompt)] for prompt in prompts) for prompts in completions]
