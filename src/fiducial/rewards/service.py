"""The frozen segmenter behind the rewards: each image is encoded once, all prompts of its completions are cut together.

The published code encodes the image for every completion, and decodes once for every instance.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from fiducial.contracts import Embedding, Segmenter
from fiducial.errors import ModelError
from fiducial.geometry import Mask, Prompts
from fiducial.images import Image
from fiducial.segmenters.remembering import MEMORY_BYTES, RememberingSegmenter

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
    of them (equal prompts of an image are cut once while their masks are kept), and ``failed`` completions.

    Args:
        segmenter: frozen; a :class:`fiducial.segmenters.cache.CachedSegmenter` keeps embeddings on the disk too.
        memory_bytes: bound of the embeddings in memory; those unused for longest go first.
    """

    concurrency = 1

    def __init__(self, segmenter: Segmenter, memory_bytes: int = MEMORY_BYTES) -> None:
        self._segmenter = RememberingSegmenter(segmenter, memory_bytes)
        self.counts = self._segmenter.counts
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
            embedding = self._segmenter.encode(image)
        except ModelError as error:
            return [error] * len(completions)
        return self._decode(embedding, completions)

    def _decode(self, embedding: Embedding, completions: list[Prompts]) -> list[Cut]:
        """Cut all prompts in one call: no prompt influences another's mask."""
        together = Prompts(completions[0].frame, tuple(prompt for prompts in completions for prompt in prompts))
        try:
            masks = iter(self._segmenter.decode(embedding, together))
        except ModelError as error:
            if len(completions) == 1 or error.for_all:
                return [error] * len(completions)
            return [self._decode(embedding, [prompts])[0] for prompts in completions]
        return [tuple(itertools.islice(masks, len(prompts))) for prompts in completions]
