"""The model of a run: what of it is trained, and how it is written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fiducial.errors import InputError
from fiducial.results import write_atomically
from fiducial.segmenters.configs import SamConfig
from fiducial.segmenters.sam import SamSegmenter, batches, prompt_arguments
from fiducial.segmenters.sam_models import Family, load_model
from fiducial.training.decoder.config import Masks
from fiducial.training.decoder.embeddings import encoder_fingerprint, encodes
from fiducial.training.decoder.grid import Grid

CARD = "README.md"


class TrainedModel:
    """A model of the SAM families whose mask decoder is trained.

    Args:
        source: a folder or an id of the hub.
        device: where it works.
        prompt_encoder: whether the prompt encoder is trained too.
        masks: which masks are trained; see :class:`fiducial.training.decoder.DecoderConfig`.

    Raises:
        UnknownNameError: a model of none of the SAM families.
        HubError: files are neither here nor to be had.
        ModelError: the checkpoint lacks weights.
    """

    def __init__(self, source: str, device: torch.device, *, prompt_encoder: bool, masks: Masks) -> None:
        loaded, self.family = _load(source)
        self.model = loaded.to(device).eval().requires_grad_(False)
        self.device = device
        self._several = masks == "best"
        names = ["mask_decoder", *(["prompt_encoder"] if prompt_encoder else [])]
        self.parts = nn.ModuleDict({name: getattr(self.model, name) for name in names})
        for name, weight in self.parts.named_parameters():
            # Frequencies of positions are constants, though the model of transformers keeps SAM's as a parameter.
            weight.requires_grad_(not encodes(name) and "positional_embedding" not in name)
        # An evaluated decoder and a trained one compute the same: SAM's have neither dropout nor batch statistics.
        self.segmenter = SamSegmenter(
            self.model,
            SamConfig(multimask="best" if self._several else "single"),
            family=self.family,
            fingerprint=encoder_fingerprint(self.model),
        )

    @property
    def trained(self) -> list[nn.Parameter]:
        """The weights that are trained."""
        return [weight for weight in self.parts.parameters() if weight.requires_grad]

    def trust_the_trained_mask(self) -> None:
        """Keep SAM 2 and SAM 3 from cutting another mask, which is not trained, where the one mask is unstable."""
        decoder, config = self.model.mask_decoder, self.model.config.mask_decoder_config
        if not self._several and hasattr(decoder, "dynamic_multimask_via_stability"):
            decoder.dynamic_multimask_via_stability = False
            config.dynamic_multimask_via_stability = False

    def logits(self, embedding: Any, prompts: Any, zoom: int) -> tuple[Tensor, Tensor, Grid]:
        """Decode prompts of one picture so that gradients reach the decoder.

        Args:
            embedding: the picture's embedding.
            prompts: N prompts in pixels of the picture, all with equally many points, all with or without a box.
            zoom: how much finer than the decoder's own the grid of the logits is.

        Returns:
            (N, M, rows, columns) logits of the cells that show the picture, (N, M) predicted IoU, and the grid;
            M is 1 or 3.
        """
        shown = self.segmenter.preprocessing.frame(embedding.width, embedding.height)
        (batch,) = batches(prompts.to(shown), len(prompts))
        # Copies: what the encoder has just computed may not be used where gradients flow.
        features = {name: tensor.to(self.device).clone() for name, tensor in embedding.tensors.items()}
        arguments = prompt_arguments(batch, self.device)
        logits, scores = self.family.decode(self.model, features, arguments, self._several)
        if zoom > 1:
            logits = nn.functional.interpolate(logits, scale_factor=zoom, mode="bilinear", align_corners=False)
        cells = (int(logits.shape[-2]), int(logits.shape[-1]))
        grid = Grid.of(embedding.width, embedding.height, shown, self.segmenter.preprocessing.size, cells)
        rows, columns = grid.shape
        return logits[..., :rows, :columns], scores, grid

    def write(self, folder: Path, card: str) -> None:
        """Write the whole model as transformers reads it, with its card; what was there before is replaced.

        Raises:
            InputError: the folder cannot be written.
        """
        fresh, old = folder.with_name(f".{folder.name}.part"), folder.with_name(f".{folder.name}.old")
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


def _load(source: str) -> tuple[Any, Family]:
    if ":" in source and not Path(source).exists():
        name, _, rest = source.partition(":")
        raise InputError(f"model: write the folder or the hub's id alone, {rest!r}, without {name!r}")
    return load_model(Path(source) if Path(source).is_dir() else source)
