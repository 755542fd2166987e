"""What detectors of transformers share: loading, running, and detections from scores and boxes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fiducial.checkpoints import (
    CONFIG,
    WEIGHTS,
    check_complete,
    check_process,
    first_line,
    loading,
    locate,
    pick_device,
    pick_dtype,
)
from fiducial.errors import InputError, ModelError, UnknownNameError
from fiducial.geometry import Frame, boxes
from fiducial.images import Image
from fiducial.prompters.detector.reading import Detection, Reading
from fiducial.prompters.model_configs import OpenVocabularyConfig

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
    """A detection model with what belongs to it."""

    model: Any  # in evaluation mode, float32, on its device
    images: Any  # its image processor
    tokenizer: Any
    source: str  # the folder or the hub's id, for messages
    # What the costly operations compute in; the weights stay float32, and so do boxes: in 16 bits their coordinates
    # would be rounded to some four pixels in a thousand.
    dtype: torch.dtype = torch.float32

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @contextmanager
    def running(self, what: str) -> Iterator[None]:
        """Compute without gradients, in the dtype asked for; a failure is a ModelError that names ``what``."""
        check_process()
        mixed = torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)
        try:
            with torch.inference_mode(), mixed:
                yield
        except (RuntimeError, MemoryError, IndexError) as error:  # IndexError: a token beyond the model's table
            said, where = first_line(error), self.device
            failed = f"the detector failed on {where} ({said}): try another dtype or device"
            # A CPU's allocator raises a plain RuntimeError.
            if isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error):
                failed = f"out of memory on {where} ({said}): try batch_size=1, dtype='bfloat16' or device='cpu'"
            raise ModelError(f"{self.source}, {what}: {failed}") from error

    def padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Put rows of token ids into (B, T) int64, filled up at the right, with a mask that is 1 where they count."""
        length = max(map(len, rows))
        ids = torch.full((len(rows), length), self.tokenizer.pad_token_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = 1
        return ids.to(self.device), mask.to(self.device)


def load(config: OpenVocabularyConfig, model_type: str) -> Loaded:
    """Load a detector of a ``model_type``; only safetensors are read, and no code of the checkpoint runs.

    Raises:
        HubError: files are neither here nor to be had.
        InputError: no such device, or a folder that holds no model.
        UnknownNameError: the checkpoint's config states another ``model_type``.
        ModelError: the checkpoint lacks weights, or they do not fit the device's memory.
    """
    import transformers

    device = pick_device(config.device)
    where: dict[str, Any] = {"local_files_only": config.local_files_only, "revision": config.revision}
    model_class, image_class = _CLASSES[model_type]
    source = locate(config.model, _NEEDED)
    with loading(source, _NEEDED, revision=config.revision):
        stated, _ = transformers.PreTrainedConfig.get_config_dict(source, **where)
        if stated.get("model_type") != model_type:
            raise UnknownNameError(f"kind of detector in {source}:", str(stated.get("model_type")), [model_type])
        model, report = getattr(transformers, model_class).from_pretrained(
            source, **where, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
        images = getattr(transformers, image_class).from_pretrained(source, **where)
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False, **where)
    check_complete(source, model_class, report)
    try:
        return Loaded(model.eval().to(device), images, tokenizer, source, pick_dtype(config.dtype))
    except RuntimeError as error:
        raise ModelError(
            f"{source}: the model does not fit {device} ({first_line(error)}): try device='cpu'"
        ) from error


C = TypeVar("C", bound=OpenVocabularyConfig)


class OpenVocabularyDetector(ABC, Generic[C]):
    """What the detectors share: they take any noun, as it is, in lower case as the models were trained."""

    model_type: ClassVar[str]
    described: ClassVar[type[OpenVocabularyConfig]]

    def __init__(self, loaded: Loaded, config: C) -> None:
        self.loaded = loaded
        self.config = config
        self.batch_size = config.batch_size or (BATCH_SIZE_CPU if loaded.device.type == "cpu" else BATCH_SIZE)

    @classmethod
    def from_config(cls, config: C) -> Self:
        """Load a checkpoint; raises as :func:`load` does."""
        return cls(load(config, cls.model_type), config)

    @classmethod
    def from_pretrained(cls, model: str | Path, **options: Any) -> Self:
        """Load a checkpoint; the options are those of the detector's description."""
        return cls.from_config(cls.described(model=str(model), **options))  # type: ignore[arg-type]

    def vocabulary(self) -> tuple[str, ...]:
        """Return no names, as any noun may be asked for."""
        return ()

    def read(self, noun: str) -> Reading:
        """Take a noun as it is; a name of None when the model cannot read it."""
        name = " ".join(noun.lower().split())
        return Reading(noun, name, 1.0) if self._can_read(name) else Reading(noun, None, 0.0)

    def detect(self, images: Sequence[Image], names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """Find all instances of each name, best first; see :class:`fiducial.prompters.detector.reading.Detector`."""
        if len(images) != len(names):
            raise InputError(f"{len(images)} images need as many lists of names, got {len(names)}")
        return [best_first(detections) for detections in self._detect(images, names)]

    @abstractmethod
    def _can_read(self, name: str) -> bool: ...

    @abstractmethod
    def _detect(self, images: Sequence[Image], names: Sequence[Sequence[str]]) -> Iterable[list[Detection]]: ...


# -- from scores and boxes to detections -----------------------------------------------------------------


def unit_of(image: Image, width: float, height: float) -> Frame:
    """Return the frame in which a canvas of pixels of the image is 1 x 1, and the image fills its upper left corner."""
    return Frame(0.0, 0.0, image.width / width, image.height / height)


def pixel_boxes(centred: ArrayLike, frame: Frame, image: Image) -> boxes.Boxes:
    """Turn (Q, 4) centre x, centre y, width, height in a frame into x1, y1, x2, y2 in pixels of the image, clipped."""
    return boxes.clip(frame.boxes_to(boxes.convert(centred, "cxcywh", "xyxy"), image.frame), image.frame)


def select(
    scores: NDArray[np.float64],
    corners: boxes.Boxes,
    names: Sequence[str],
    *,
    threshold: float,
    suppress: float | None,
    what: str,
) -> list[Detection]:
    """Make detections of the scores that are high enough, name by name, the best first within each.

    Args:
        scores: (Q, N) in 0..1, one column for each of the N names.
        corners: (Q, 4) x1, y1, x2, y2 in pixels of the image, inside it; those without area are no detections.
        names: the N names.
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
        for place in chosen[boxes.nms(corners[chosen], column[chosen], 1.0 if suppress is None else suppress)]:
            x1, y1, x2, y2 = corners[place].tolist()
            found.append(Detection((x1, y1, x2, y2), float(column[place]), name))
    return found


def best_first(detections: Iterable[Detection]) -> list[Detection]:
    """Sort by score, the best first; equals stay in order."""
    return sorted(detections, key=lambda detection: -detection.score)
