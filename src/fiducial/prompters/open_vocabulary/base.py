"""What detectors of transformers share: loading, running, and detections from scores and boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fiducial.checkpoints import CONFIG, WEIGHTS, check_complete, locate, not_loaded, pick_device
from fiducial.errors import InputError, ModelError, UnknownNameError
from fiducial.geometry import Frame, boxes
from fiducial.images import Image
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

_DTYPES = {
    "auto": torch.float32,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

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
        """Compute without gradients, in the dtype asked for, and name what fails.

        Args:
            what: what is being worked on, for the message.

        Raises:
            ModelError: the runtime failed; the message says what to do.
        """
        mixed = torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)
        try:
            with torch.inference_mode(), mixed:
                yield
        except (RuntimeError, MemoryError, IndexError) as error:  # IndexError: a token beyond the model's table
            raise ModelError(f"{self.source}, {what}: {_failure(error, self.device)}") from error

    def padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Put rows of token ids into one tensor.

        Args:
            rows: token ids, at least one row.

        Returns:
            (B, T) ids, filled up at the right, and the (B, T) mask that is 1 where they count; int64, on the model's
            device.
        """
        length = max(map(len, rows))
        ids = torch.full((len(rows), length), self.tokenizer.pad_token_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = 1
        return ids.to(self.device), mask.to(self.device)

    def batch_size(self, asked: int | None) -> int:
        """Return the batch size asked for, or what suits the device.

        Raises:
            InputError: a size below 1.
        """
        if asked is not None and asked < 1:
            raise InputError(f"batch_size needs to be at least 1, got {asked}")
        usual = BATCH_SIZE_CPU if self.device.type == "cpu" else BATCH_SIZE
        return usual if asked is None else asked


def load(
    model: str | Path,
    model_type: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    local_files_only: bool = False,
    revision: str | None = None,
) -> Loaded:
    """Load a detector; only safetensors are read, and no code of the checkpoint runs.

    Args:
        model: a local folder, or an id of the hub.
        model_type: what its config has to state: ``"grounding-dino"`` or ``"owlv2"``.
        device: ``"auto"`` (an accelerator if there is one), ``"cpu"``, ``"cuda"``, ...
        dtype: of the costly operations: ``"auto"`` (float32), ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        local_files_only: never ask the network.
        revision: branch, tag or commit on the hub.

    Raises:
        HubError: files are neither here nor to be had.
        InputError: no such device or dtype, or a folder that holds no model.
        UnknownNameError: the config states another ``model_type``.
        ModelError: the checkpoint lacks weights, or they do not fit the device's memory.
    """
    import transformers
    from safetensors import SafetensorError

    if dtype not in _DTYPES:
        raise InputError(f"dtype {dtype!r} is not one of {', '.join(_DTYPES)}")
    target = pick_device(device)
    where: dict[str, Any] = {"local_files_only": local_files_only, "revision": revision}
    model_class, image_class = _CLASSES[model_type]
    source = locate(model, _NEEDED)
    try:
        stated, _ = transformers.PreTrainedConfig.get_config_dict(source, **where)
        if stated.get("model_type") != model_type:
            raise UnknownNameError(f"kind of detector in {source}:", str(stated.get("model_type")), [model_type])
        loaded, report = getattr(transformers, model_class).from_pretrained(
            source, **where, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
        images = getattr(transformers, image_class).from_pretrained(source, **where)
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False, **where)
    except OSError as error:
        raise not_loaded(source, _NEEDED, error, revision=revision) from error
    except SafetensorError as error:
        raise ModelError(f"{source}: its weights cannot be read ({error}): fetch the files again") from error
    check_complete(source, model_class, report)
    return Loaded(_moved(loaded.eval(), target, source), images, tokenizer, source, _DTYPES[dtype])


def _moved(model: Any, device: torch.device, source: str) -> Any:
    try:
        return model.to(device)
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
    """Return the frame in which a canvas is 1 x 1 and the image fills its upper left corner.

    Args:
        image: the image, at its own size on the canvas.
        width: width of the canvas in pixels of the image.
        height: height of the canvas in pixels of the image.
    """
    return Frame(0.0, 0.0, image.width / width, image.height / height)


def pixel_boxes(centred: ArrayLike, frame: Frame, image: Image) -> boxes.Boxes:
    """Turn what a detector's box head writes into boxes of the image.

    Args:
        centred: (Q, 4) centre x, centre y, width, height in ``frame``.
        frame: where the image lies in the model's numbers.
        image: the image.

    Returns:
        (Q, 4) x1, y1, x2, y2 in pixels of the image, clipped to it; those outside it have no area.
    """
    corners = boxes.convert(centred, "cxcywh", "xyxy")
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
        scores: (Q, N) in 0..1, one column for each name.
        corners: (Q, 4) x1, y1, x2, y2 in pixels of the image, inside it.
        names: the N names.
        threshold: least score.
        suppress: greatest IoU of two detections of one name, of which the worse goes; None keeps all.
        what: which model and image it is, for the message.

    Returns:
        The detections, name by name, best first within each; boxes without area are no detections.

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


def checked_fraction(value: float, what: str) -> float:
    """Return a number of 0..1.

    Raises:
        InputError: it is not.
    """
    if not 0 <= value <= 1:
        raise InputError(f"{what} lies in 0..1, got {value}")
    return float(value)


def _box(row: NDArray[np.float64]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = row.tolist()
    return x1, y1, x2, y2
