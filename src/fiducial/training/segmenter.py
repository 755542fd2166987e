"""Training of the nano segmenter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from fiducial.engines import TorchEngine
from fiducial.files import write_atomically
from fiducial.segmenters.configs import NanoConfig
from fiducial.segmenters.nano import NanoSegmenter
from fiducial.segmenters.nano_unet import NanoNetwork, Shape, load_network, save_network
from fiducial.training import losses as mask_losses
from fiducial.training.configs import SegmenterConfig, SegmenterLosses
from fiducial.training.exporting import export
from fiducial.training.prompting import ious_of, true_box
from fiducial.training.segmenter_data import Batch, SegmenterBatches, read_store
from fiducial.training.sources import subset
from fiducial.training.trainer import Task, Trainer, initial_network

WEIGHTS = "nano-segmenter.safetensors"
"""What a run leaves: the averaged weights with the best held-out score, in half precision."""


def losses(
    logits: Tensor, quality: Tensor, targets: Tensor, outside: Tensor, weights: SegmenterLosses
) -> dict[str, Tensor]:
    """Compute the losses of a batch by name, and their weighted sum ``"all"``.

    Args:
        logits: (B, S, S) of the mask.
        quality: (B,) logits of the expected IoU.
        targets: (B, S, S) in 0..1.
        outside: (B,) area of each target outside its crop, in pixels.
        weights: how much each counts.
    """
    # Edges: the pixels within two of the target's edge.
    grown = functional.max_pool2d(targets[:, None], 5, stride=1, padding=2)
    shrunk = -functional.max_pool2d(-targets[:, None], 5, stride=1, padding=2)
    importance = 1 + weights.edge * (grown - shrunk)[:, 0]
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, importance) / importance.mean()
    wrong = (torch.sigmoid(quality) - mask_losses.true_iou(logits, targets, outside)).square()
    found = {"cross_entropy": entropy, "dice": mask_losses.dice(logits, targets).mean(), "quality": wrong.mean()}
    total = weights.cross_entropy * entropy + weights.dice * found["dice"] + weights.quality * found["quality"]
    return {**found, "all": total}


class SegmenterTask(Task[Batch]):
    """Crops in, masks and their expected IoU out; scored by the mean IoU of held-out objects cut from true boxes."""

    max_grad_norm = 1.0

    def __init__(self, config: SegmenterConfig, data: str | Path) -> None:
        super().__init__(config, config.steps, config.eval_every)
        self.warmup_ratio, self.ema_decay = config.warmup_ratio, config.ema_decay
        self._config, self._data = config, Path(data)

    def build(self, trainer: Trainer[Batch]) -> nn.Module:
        """Read the data and make the network."""
        config, self._trainer = self._config, trainer
        self._stores = [read_store(source, self._data, config.min_size) for source in config.data]
        for store in self._stores:
            figures = {"pictures": len(store.pictures), "objects": len(store.objects)}
            trainer.run.log(0, source=store.source.title, **figures)
        self._targets = {
            store.source.title: subset(store.targets(config.min_size), config.eval_limit, config.seed)
            for store in self._stores
            if store.source.scored
        }
        made = config.network
        network = initial_network(
            config.initial_weights,
            NanoNetwork(Shape(made.widths, made.encoder, made.decoder)),
            lambda weights: load_network(weights)[0],
        )
        return network.to(trainer.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def batches(self, start: int) -> Iterable[Sequence[Batch]]:
        """Yield batches of crops."""
        return SegmenterBatches(self._config, self._stores).parts(start)

    def loss(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of a batch, the average's masks shown to the network where a crop waits for one."""
        inputs, targets, outside, wants_prediction = (part.to(self._trainer.device) for part in batch)
        if wants_prediction.any():
            with torch.no_grad():
                seen = inputs[wants_prediction].contiguous(memory_format=torch.channels_last)
                logits, _ = self._trainer.average.eval()(seen)
                inputs[wants_prediction, -1] = 2 * torch.sigmoid(logits) - 1
            network.train()  # without an average it is the same network
        logits, quality = network(inputs.contiguous(memory_format=torch.channels_last))
        return losses(logits, quality, targets, outside, self._config.losses)

    def score(self, network: nn.Module) -> dict[str, float]:
        """Return the mean IoU by source."""
        assert isinstance(network, NanoNetwork)
        segmenter = NanoSegmenter(TorchEngine(network), NanoConfig(passes=1))
        how = (segmenter, lambda sample: segmenter.encode(sample.image()), true_box)
        return {name: float(ious_of(pairs, *how).mean()) for name, pairs in self._targets.items() if pairs}

    def save(self, network: nn.Module, step: int, scores: Mapping[str, float]) -> None:
        """Write the weights in half precision."""
        assert isinstance(network, NanoNetwork)
        content = save_network(network, step=step, held_out=scores, seed=self._config.seed)
        write_atomically(self._trainer.run.folder / WEIGHTS, content)

    def finish(self, network: nn.Module) -> Path:
        """Put graphs beside the best weights, so that they run without torch; return their file."""
        path = self._trainer.run.folder / WEIGHTS
        export(path)
        return path
