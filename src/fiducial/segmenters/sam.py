"""The SAM families as a segmenter: SAM, SAM-HQ, SAM 2 and the tracker of SAM 3."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fiducial.checkpoints import check_process, first_line, pick_device, pick_dtype, tensors_digest
from fiducial.contracts import Embedding
from fiducial.errors import InputError, ModelError
from fiducial.geometry import Frame, Mask, Prompts
from fiducial.images import Image
from fiducial.segmenters.canvas import Upsampler
from fiducial.segmenters.sam_configs import SamConfig
from fiducial.segmenters.sam_models import Family, decoder_dtype, family_of, load_model

MAX_PROMPTS = 32
"""Most prompts in one decoder call on an accelerator: at 1024 pixels each takes about 40 MB while it is decoded."""
MAX_PROMPTS_CPU = 4
"""Most prompts in one decoder call on a CPU: larger batches leave its caches and take longer for each prompt."""


class SamSegmenter:
    """Cuts masks with a model of the SAM families.

    Prompts are decoded together, those with equally many points, with or without a box (:func:`batches` says why), and
    none influences another: the mask of a prompt is the one it gets alone.

    Args:
        model: a loaded ``SamModel``, ``SamHQModel``, ``Sam2Model`` or ``Sam3TrackerModel`` of transformers.
            It is put into evaluation mode and must not be changed afterwards.
        config: how many masks it proposes and how many prompts it takes at once; what says how to load is not used.
        family: its family; default: by the model's config.
        fingerprint: names the model's weights in cache keys; default: the SHA-256 of all weights,
            computed when the first image is encoded.
    """

    def __init__(
        self,
        model: Any,
        config: SamConfig | None = None,
        *,
        family: Family | None = None,
        fingerprint: str | None = None,
    ) -> None:
        config = SamConfig() if config is None else config
        self.family = family_of(model.config.model_type) if family is None else family
        self.model = model.eval()
        self.multimask = config.multimask
        usual = MAX_PROMPTS_CPU if self._vision.device.type == "cpu" else MAX_PROMPTS
        self.max_prompts = config.max_prompts or usual
        self.preprocessing = self.family.preprocessing(model)
        if fingerprint is not None:
            self.fingerprint = fingerprint

    @classmethod
    def from_config(cls, config: SamConfig) -> SamSegmenter:
        """Load a model by the ``model_type`` of its own config, whatever the name; only safetensors are read."""
        device, dtype = pick_device(config.device), pick_dtype(config.dtype)
        here, revision = config.local_files_only, config.revision
        model, family = load_model(config.model, cache=config.hub_cache, local_files_only=here, revision=revision)
        model.vision_encoder.to(dtype)
        return cls(model.to(device), config, family=family)

    @classmethod
    def from_pretrained(cls, model: str | Path, **options: Any) -> SamSegmenter:
        """Load a local folder or an id of the hub; the options are those of :class:`SamConfig`."""
        # A path stays recognisable as one when it is written as text.
        text = os.path.join(os.curdir, model) if isinstance(model, Path) else model
        return cls.from_config(SamConfig(model=text, **options))

    @cached_property
    def fingerprint(self) -> str:
        """What names the model's weights in cache keys."""
        return tensors_digest(type(self.model).__name__, self.model.state_dict())

    def embedding_key(self, image: Image) -> str:
        """Name what :meth:`encode` returns for an image: SHA-256 of pixels, weights, preprocessing and dtypes."""
        dtypes = f"{self._vision.dtype}-{decoder_dtype(self.model)}"
        parts = (image.digest, self.family.name, self.fingerprint, str(self.preprocessing), dtypes)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def encode(self, image: Image) -> Embedding:
        """Run the vision tower; the result is kept on the model's device."""
        pixels = torch.from_numpy(self.preprocessing(image))[None]
        with torch.inference_mode(), _failures_named(image.name):
            tensors = self.family.encode(self.model, pixels.to(self._vision.device, self._vision.dtype))
        return Embedding(self.embedding_key(image), image.width, image.height, tensors)

    def decode(self, embedding: Embedding, prompts: Prompts) -> list[Mask]:
        """Cut one mask per prompt, at the size of the original image.

        Args:
            embedding: what :meth:`encode` of this segmenter returned, on whatever device it is kept.
            prompts: in pixels of the original image; points and boxes may lie partly outside.

        Returns:
            One mask per prompt, in order; ``score`` is the predicted IoU, clipped to 0..1.
        """
        Frame.pixels(embedding.width, embedding.height).require(prompts.frame, "the prompts")
        shown = self.preprocessing.frame(embedding.width, embedding.height)
        features = self._features(embedding)
        upsampler: Upsampler | None = None
        masks: dict[int, Mask] = {}
        for batch in batches(prompts.to(shown), self.max_prompts):
            logits, scores = self._decode(features, batch)
            if upsampler is None:
                grid, size = (int(logits.shape[1]), int(logits.shape[2])), self.preprocessing.size
                upsampler = Upsampler(embedding.width, embedding.height, shown=shown, size=size, grid=grid)
            for index, logit, score in zip(batch.indices, logits, scores, strict=True):
                masks[index] = upsampler.mask(logit, float(score))
        return [masks[index] for index in range(len(prompts))]

    def _decode(self, features: Mapping[str, Tensor], batch: PromptBatch) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return (N, h, w) float32 logits and (N,) predicted IoU in 0..1."""
        with torch.inference_mode(), _failures_named(f"{len(batch)} prompts"):
            arguments = prompt_arguments(batch, self._vision.device)
            logits, scores = self.family.decode(self.model, features, arguments, self.multimask == "best")
            best = scores.float().argmax(dim=1)
            every = torch.arange(len(batch), device=best.device)
            logits, scores = logits[every, best].float(), scores[every, best].float().clamp(0, 1)
            return logits.cpu().numpy(), scores.cpu().numpy()

    def _features(self, embedding: Embedding) -> dict[str, Tensor]:
        """Bring an embedding to the model's device, as it may come from a cache."""
        needed = {"sam": {"image"}, "sam_hq": {"image", "early"}}.get(self.family.name, {"image", "middle", "fine"})
        if set(embedding.tensors) != needed:
            raise InputError(
                f"this embedding holds {sorted(embedding.tensors)}, but {self.family.name} needs {sorted(needed)}: "
                "decode it with the segmenter that encoded it"
            )
        device, dtype = self._vision.device, decoder_dtype(self.model)
        return {name: tensor.to(device, dtype) for name, tensor in embedding.tensors.items()}

    @property
    def _vision(self) -> Tensor:
        """Any weight of the vision tower: it knows the device and the dtype that pixels need."""
        weight: Tensor = next(self.model.vision_encoder.parameters())
        return weight


@contextmanager
def _failures_named(what: str) -> Iterator[None]:
    """Turn what the model's runtime raises into a ModelError that says what to do."""
    check_process()
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        hint = "try a smaller max_prompts, dtype='bfloat16', or another device"
        raise ModelError(f"{what}: the segmenter failed ({first_line(error)}): {hint}") from error


def prompt_arguments(batch: PromptBatch, device: torch.device) -> dict[str, Tensor]:
    """Write a batch as the models take it: one image, N prompts.

    The prompt encoder takes coordinates for pixel numbers and adds half a pixel to get to the pixel's centre; ours are
    continuous, so half a pixel of the model's canvas is taken off before.
    """
    arguments = {}
    if batch.boxes is not None:
        arguments["input_boxes"] = torch.from_numpy(batch.boxes - np.float32(0.5))[None].to(device)
    if batch.points is not None and batch.labels is not None:
        arguments["input_points"] = torch.from_numpy(batch.points - np.float32(0.5))[None].to(device)
        arguments["input_labels"] = torch.from_numpy(batch.labels)[None].to(device)
    return arguments


@dataclass(frozen=True, slots=True, eq=False)
class PromptBatch:
    """Prompts of one signature, as arrays in the frame of the prompts they come from.

    Args:
        indices: where each prompt stands in the list it comes from.
        boxes: (N, 4) float32 x1, y1, x2, y2, or None when these prompts have no box.
        points: (N, K, 2) float32 x, y with K >= 1, or None when these prompts have no points.
        labels: (N, K) int64 of 1 (on the target) and 0, or None like the points.
    """

    indices: tuple[int, ...]
    boxes: NDArray[np.float32] | None
    points: NDArray[np.float32] | None
    labels: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.indices)


def batches(prompts: Prompts, max_count: int) -> Iterator[PromptBatch]:
    """Put prompts of one signature (with or without a box, so many points) together, at most so many.

    SAM's decoders attend over every prompt token and know no attention mask, so a padding point, be it
    of label -1 (a learned "not a point") or -10 (zeros), shifts the result of the prompt it pads. Prompts
    are therefore never padded. Batches come in order of each signature's first prompt.
    """
    if max_count < 1:
        raise InputError(f"a batch needs room for at least one prompt, got {max_count}")
    alike: dict[tuple[bool, int], list[int]] = {}
    for index, prompt in enumerate(prompts):
        alike.setdefault((prompt.box is not None, len(prompt.points)), []).append(index)
    for (has_box, count), indices in alike.items():
        for start in range(0, len(indices), max_count):
            part = tuple(indices[start : start + max_count])
            chosen = [prompts[index] for index in part]
            yield PromptBatch(
                indices=part,
                boxes=np.array([prompt.box for prompt in chosen], dtype=np.float32) if has_box else None,
                points=np.array([prompt.points for prompt in chosen], dtype=np.float32) if count else None,
                labels=np.array([prompt.labels for prompt in chosen], dtype=np.int64) if count else None,
            )
