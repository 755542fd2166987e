"""A segmenter that cuts the truth: what refiners do to perfect masks is measured with it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from fiducial.contracts import Embedding
from fiducial.datasets import Sample
from fiducial.errors import InputError
from fiducial.geometry import Mask, Prompts
from fiducial.images import Image


class TrueMasks:
    """Gives the true masks of a sample, in the order of its targets, whatever the prompts look like.

    Args:
        masks: one per prompt that will come; None outside an evaluation, where there is no truth.
    """

    def __init__(self, masks: Sequence[Mask] | None = None) -> None:
        self._masks = masks

    def told(self, sample: Sample) -> TrueMasks:
        """Return the segmenter that knows this sample's truth.

        Raises:
            InputError: the dataset has boxes but no masks.
        """
        if sample.instances is None:
            raise InputError(f"sample {sample.id}: its dataset has boxes but no masks to cut")
        return TrueMasks([mask for mask in sample.instances if mask])

    def encode(self, image: Image) -> Embedding:
        """Keep the image's name and size: nothing is computed."""
        key = hashlib.sha256(f"truth\n{image.digest}".encode()).hexdigest()
        return Embedding(key, image.width, image.height, {}, image)

    def decode(self, embedding: Embedding, prompts: Prompts) -> list[Mask]:
        """Return the true masks.

        Raises:
            InputError: there is no truth here, or not one prompt per true mask.
        """
        if self._masks is None:
            raise InputError("the segmenter 'truth' knows the truth in evaluations only")
        if len(prompts) != len(self._masks):
            raise InputError(
                f"the segmenter 'truth' has {len(self._masks)} masks for {len(prompts)} prompts: use --prompter truth"
            )
        return list(self._masks)
