"""What detectors of transformers share: loading, running, and detections from scores and boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fiducial.checkpoints import CONFIG, WEIGHTS, check_complete, locate, not_loaded, pick_device, pick_dtype
from fiducial.errors import ModelError, UnknownNameError
from fiducial.geometry import Frame, boxes
from fiducial.images import Image
from fiducial.prompters.configs import GroundingDinoConfig, Owlv2Config
from fiducial.prompters.detector.reading import Detection

_NEEDED = (
    CONFIG,
    WEIGHTS,
    ("tokenizer.json", "vocab.txt", "vocab.json"),
    ("preprocessor_config.json", "processor_config.json"),
)
"""What a checkpoint holds: one file of each row is enough."""

# The image processors are the PIL ones, which need no torchvision.
_CLASSES = {
    "grounding-dino": ("GroundingDinoForObjectDetection", "GroundingDinoImageProcessorPil"),
    "owlv2": ("Owlv2ForObjectDetection", "Owlv2ImageProcessorPil"),
}
"""By ``model_type``: the class of the model and that of its image processor."""

BATCH_SIZE = 4
"""Most pictures at once on an accelerator; at the customary sizes each takes one to two gigabytes."""
BATCH_SIZE_CPU = 1
"""On a CPU, larger batches are no faster and take more memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A detection model with what belongs to it.

    Args:
        model: the model, in evaluation mode, float32, on its device.
        images: its image processor.
        tokenizer: its tokenizer.
        source: the folder or the hub's id, for messages.
        dtype: what the costly operations compute in; the weights stay float32, and so do boxes: in 16 bits their
            coordinates would be rounded to some four pixels in a thousand.
    """

    model: Any
    images: Any
    tokenizer: Any
    source: str
    dtype: torch.dtype = torch.float32

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @contextmanager
    def running(self, what: str) -> Iterator[None]:
        """Compute without gradients, in the dtype asked for; a failure is a ModelError that names ``what``."""
        mixed = torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)
        try:
            with torch.inference_mode(), mixed:
                yield
        except (RuntimeError, MemoryError, IndexError) as error:  # IndexError: a token beyond the model's table
            raise ModelError(f"{self.source}, {what}: {_failure(error, self.device)}") from error

    def padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Put rows of token ids into (B, T) int64, filled up at the right, with a mask that is 1 where they count."""
        length = max(map(len, rows))
        ids = torch.full((len(rows), length), self.tokenizer.pad_token_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = 1
        return ids.to(self.device), mask.to(self.device)

    def batch_size(self, asked: int | None) -> int:
        """Return the batch size asked for, or what suits the device."""
        return asked or (BATCH_SIZE_CPU if self.device.type == "cpu" else BATCH_SIZE)


def load(config: GroundingDinoConfig | Owlv2Config, model_type: str) -> Loaded:
    """Load a detector of a ``model_type``; only safetensors are read, and no code of the checkpoint runs.

    Raises:
        HubError: files are neither here nor to be had.
        InputError: no such device, or a folder that holds no model.
        UnknownNameError: the checkpoint's config states another ``model_type``.
        ModelError: the checkpoint lacks weights, or they do not fit the device's memory.
    """
    import transformers
    from safetensors import SafetensorError

    device = pick_device(config.device)
    where: dict[str, Any] = {"local_files_only": config.local_files_only, "revision": config.revision}
    model_class, image_class = _CLASSES[model_type]
    source = locate(config.model, _NEEDED)
    try:
        stated, _ = transformers.PreTrainedConfig.get_config_dict(source, **where)
        if stated.get("model_type") != model_type:
            raise UnknownNameError(f"kind of detector in {source}:", str(stated.get("model_type")), [model_type])
        model, report = getattr(transformers, model_class).from_pretrained(
            source, **where, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
        images = getattr(transformers, image_class).from_pretrained(source, **where)
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False, **where)
    except OSError as error:
        raise not_loaded(source, _NEEDED, error, revision=config.revision) from error
    except SafetensorError as error:
        raise ModelError(f"{source}: its weights cannot be read ({error}): fetch the files again") from error
    check_complete(source, model_class, report)
    try:
        return Loaded(model.eval().to(device), images, tokenizer, source, pick_dtype(config.dtype))
    except RuntimeError as error:
        raise ModelError(
            f"{source}: the model does not fit {device} ({_first_line(error)}): try device='cpu'"
        ) from error


def _failure(error: BaseException, device: torch.device) -> str:
    # A CPU's allocator raises a plain RuntimeError.
    memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)
    if memory:
        return f"out of memory on {device} ({_first_line(error)}): try batch_size=1, dtype='bfloat16' or device='cpu'"
    return f"the detector failed on {device} ({_first_line(error)}): try another dtype or device"


def _first_line(error: BaseException) -> str:
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__


# -- from scores and boxes to detections -----------------------------------------------------------------


def unit_of(image: Image, width: float, height: float) -> Frame:
    """Return the frame in which a canvas of pixels of the image is 1 x 1, and the image fills its upper left corner."""
    return Frame(0.0, 0.0, image.width / width, image.height / height)


def pixel_boxes(centred: ArrayLike, frame: Frame, image: Image) -> boxes.Boxes:
    """Turn what a detector's box head writes into boxes of the image.

    Args:
        centred: (Q, 4) centre x, centre y, width, height in ``frame``.
        frame: where the image lies in the model's numbers.
        image: the image, whose pixels (Q, 4) x1, y1, x2, y2 are returned in, clipped; what lies outside has no area.
    """
    middles, halves = np.split(boxes.as_boxes(centred) / [1, 1, 2, 2], 2, axis=-1)
    corners = np.concatenate([middles - halves, middles + halves], axis=-1)
    return boxes.clip(frame.boxes_to(corners, image.frame), image.frame)


def select(
    scores: NDArray[np.float64],
    corners: boxes.Boxes,
    names: Sequence[str],
    *,
    threshold: float,
    suppress: float | None,
    what: str,
) -> list[Detection]:
    """Make detections of the scores that are high enough.

    Args:
        scores: (Q, N) in 0..1, one column for each of the N names.
        corners: (Q, 4) x1, y1, x2, y2 in pixels of the image, inside it; those without area are no detections.
        names: by which the detections come, best first within each.
        threshold: least score.
        suppress: greatest IoU of two detections of one name; None keeps all.
        what: which model and image it is, for the message.

    Raises:
        ModelError: a score or box is not a number.
    """
    if np.isnan(scores).any() or not np.isfinite(corners).all():
        raise ModelError(f"{what}: the detector returned numbers that are not finite: try dtype='float32'")
    solid = boxes.area(corners) > 0
    found: list[Detection] = []
    for name, column in zip(names, scores.T, strict=True):
        chosen = np.flatnonzero(solid & (column >= threshold))
        # IoU 1 is never exceeded, so that keeps all and only sorts.
        kept = chosen[boxes.nms(corners[chosen], column[chosen], 1.0 if suppress is None else suppress)]
        found += [Detection(_box(corners[place]), float(column[place]), name) for place in kept]
    return found


def best_first(detections: Iterable[Detection]) -> list[Detection]:
    """Sort by score, the best first; equals stay in order."""
    return sorted(detections, key=lambda detection: -detection.score)


def _box(row: NDArray[np.float64]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = row.tolist()
    return x1, y1, x2, y2
