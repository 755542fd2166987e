"""The model of a run: what of it is trained, what its logits are held against, and how it is written."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fiducial.checkpoints import tensors_digest
from fiducial.contracts import Embedding
from fiducial.errors import InputError
from fiducial.files import write_atomically
from fiducial.geometry import Frame, Mask, Prompts
from fiducial.segmenters.sam import SamSegmenter, batches, prompt_arguments
from fiducial.segmenters.sam_configs import SamConfig
from fiducial.segmenters.sam_models import load_model
from fiducial.training.configs import DecoderConfig

CARD = "README.md"
_ENCODER = ("vision_encoder.", "mask_decoder.conv_s0.", "mask_decoder.conv_s1.", "no_memory_embedding")
"""Where names of weights begin that shape an embedding: SAM 2 runs two layers of its decoder when it encodes."""


def encoder_fingerprint(model: Any) -> str:
    """Name the weights that shape embeddings: SHA-256 of those alone, so that training does not change it."""
    encoder = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(_ENCODER)}
    return tensors_digest(f"encoder of {type(model).__name__}", encoder)


class TrainedModel:
    """A model of the SAM families whose mask decoder is trained."""

    def __init__(self, config: DecoderConfig, device: torch.device) -> None:
        source = config.model
        if ":" in source and not Path(source).exists():
            name, _, rest = source.partition(":")
            raise InputError(f"model: write the folder or the hub's id alone, {rest!r}, without {name!r}")
        loaded, self.family = load_model(Path(source) if Path(source).is_dir() else source)
        self.model = loaded.to(device).eval().requires_grad_(False)
        self.device = device
        self._multimask = config.masks == "best"
        names = ["mask_decoder", *(["prompt_encoder"] if config.prompt_encoder else [])]
        self.parts = nn.ModuleDict({name: getattr(self.model, name) for name in names})
        for name, weight in self.parts.named_parameters():
            # What shapes embeddings may not be trained on kept ones. Frequencies of positions are constants, though the
            # model of transformers keeps SAM's as a parameter.
            weight.requires_grad_(not name.startswith(_ENCODER) and "positional_embedding" not in name)
        # An evaluated decoder and a trained one compute the same: SAM's have neither dropout nor batch statistics.
        self.segmenter = SamSegmenter(
            self.model,
            SamConfig(multimask=config.masks),
            family=self.family,
            fingerprint=encoder_fingerprint(self.model),
        )

    def trust_the_trained_mask(self) -> None:
        """Keep SAM 2 and SAM 3 from cutting another mask, which is not trained, where the one mask is unstable."""
        decoder, config = self.model.mask_decoder, self.model.config.mask_decoder_config
        if not self._multimask and hasattr(decoder, "dynamic_multimask_via_stability"):
            decoder.dynamic_multimask_via_stability = False
            config.dynamic_multimask_via_stability = False

    def logits(self, embedding: Embedding, prompts: Prompts, upsampling: int) -> tuple[Tensor, Tensor, Grid]:
        """Decode prompts of one picture, all alike in points and boxes, so that gradients reach the decoder.

        ``upsampling`` says how much finer than the decoder's own the grid of the logits is.

        Returns:
            (N, M, rows, columns) logits of the cells that show the picture, (N, M) predicted IoU, and the grid;
            M is 1 or 3.
        """
        shown = self.segmenter.preprocessing.frame(embedding.width, embedding.height)
        (batch,) = batches(prompts.to(shown), len(prompts))
        # Copies: what the encoder has just computed may not be used where gradients flow.
        features = {name: tensor.to(self.device).clone() for name, tensor in embedding.tensors.items()}
        arguments = prompt_arguments(batch, self.device)
        logits, scores = self.family.decode(self.model, features, arguments, self._multimask)
        if upsampling > 1:
            logits = nn.functional.interpolate(logits, scale_factor=upsampling, mode="bilinear", align_corners=False)
        cells = (int(logits.shape[-2]), int(logits.shape[-1]))
        grid = Grid.of(embedding.width, embedding.height, shown, self.segmenter.preprocessing.size, cells)
        rows, columns = grid.shape
        return logits[..., :rows, :columns], scores, grid

    def write(self, folder: Path, card: str) -> None:
        """Write the whole model as transformers reads it, with its card; what was there before is replaced.

        Raises:
            InputError: the folder cannot be written.
        """
        fresh, old = (folder.with_name(f".{folder.name}.{ending}") for ending in ("part", "old"))
        try:
            for left in (fresh, old):
                shutil.rmtree(left, ignore_errors=True)
            self.model.save_pretrained(fresh)
            write_atomically(fresh / CARD, card)
            if folder.exists():
                folder.rename(old)
            fresh.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise InputError(f"{folder}: the model cannot be written ({error})") from error


# -- targets --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The cells of the logits that show a picture.

    Args:
        y_edges: (rows + 1,) where rows of cells begin and end, in pixels of the original picture.
        x_edges: (columns + 1,) where columns begin and end.
    """

    y_edges: NDArray[np.float64]
    x_edges: NDArray[np.float64]

    @classmethod
    def of(cls, width: int, height: int, shown: Frame, size: int, grid: tuple[int, int]) -> Grid:
        """Lay the grid over a picture of so many pixels.

        Args:
            width: of the original picture.
            height: of the original picture.
            shown: the frame of the model's canvas for this picture, from (0, 0) on.
            size: edge of the model's square canvas in pixels, padding included.
            grid: rows and columns of the logits, which cover that canvas.
        """
        return cls(_edges(height, shown.bottom, size / grid[0]), _edges(width, shown.right, size / grid[1]))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns that show the picture; the others show padding."""
        return len(self.y_edges) - 1, len(self.x_edges) - 1

    def target(self, mask: Mask) -> NDArray[np.float32]:
        """Return (rows, columns) float32 in 0..1: how much of each cell's part of the picture the mask covers."""
        if not mask:
            return np.zeros(self.shape, dtype=np.float32)
        inside, x, y = mask.to_patch()
        by_row = _sum_between(inside, self.y_edges - y)
        area = _sum_between(by_row.T, self.x_edges - x).T
        cells = np.diff(self.y_edges)[:, None] * np.diff(self.x_edges)[None, :]
        return np.clip(area / cells, 0, 1).astype(np.float32)


def _edges(length: int, shown: float, cell: float) -> NDArray[np.float64]:
    count = int(np.ceil(shown / cell - 1e-6))
    edges: NDArray[np.float64] = np.minimum(np.arange(count + 1) * cell / shown, 1.0) * length
    return edges


def _sum_between(values: NDArray[np.generic], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum rows between edges, parts of rows included: (h, w) and (n + 1,) to (n, w)."""
    height = len(values)
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    inside = np.clip(edges, 0, height)
    whole = np.minimum(np.floor(inside).astype(np.intp), height - 1)
    part = (inside - whole)[:, None]
    return np.diff(total[whole] * (1 - part) + total[whole + 1] * part, axis=0)
