"""The visual half of CG-Reasoner: a picture becomes one grid of features, fine and coarse stages summed.

The paper's encoder: stages of a ConvNeXt, a convolution of each (Conv-BN-ReLU), the coarse ones enlarged bilinearly and
added to the finest, then channels weighed by what the whole picture shows. The same around plain residual convolutions
is the other choice: on CPUs they learn faster than ConvNeXt's depthwise ones, per minute and not worse per sample.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fiducial.checkpoints import check_complete, loading, locate
from fiducial.errors import InputError
from fiducial.reasoner.model_configs import EncoderConfig

_FOLD = 4
"""Pixels along each side that space-to-depth folds into channels."""
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pictures, with which ConvNeXt was trained."""
_LAYER_SCALE = 0.1
"""Of ConvNeXt's blocks that begin from nothing: 1e-6, which pre-training affords, would learn little in a short run."""
_NEEDED = (("config.json",), ("model.safetensors", "model.safetensors.index.json"))


class Encoder(nn.Module):
    """Pictures in, features out.

    Args:
        config: its make-up.
        prompt: channels of the words' vector, where the backbone is conditioned on it.
        pretrained: whether weights that the configuration names are loaded; a saved model brings its own.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: EncoderConfig, prompt: int, *, pretrained: bool = True) -> None:
        super().__init__()
        self.backbone: PlainBackbone | ConvNextBackbone
        if config.backbone == "plain":
            self.backbone = PlainBackbone(config, prompt if config.conditioned else 0)
        else:
            self.backbone = ConvNextBackbone(config, pretrained=pretrained)
        widths = config.widths[-config.levels :]
        self.refine = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, config.channels, 3, padding=1, bias=False),
                norm(config.norm, config.channels),
                nn.ReLU(),
            )
            for width in widths
        )
        self.weigh = nn.Conv2d(config.channels, config.channels, 1)
        self.levels = config.levels
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None], persistent=False)

    def forward(self, pixels: Tensor, prompt: Tensor | None = None) -> Tensor:
        """Encode pictures.

        Args:
            pixels: (B, 3, S, S) RGB in 0..1, S a multiple of the coarsest stride.
            prompt: (B, prompt) the words' vector; only a conditioned backbone looks at it.

        Returns:
            (B, channels, S / stride, S / stride).
        """
        stages = self.backbone((pixels - self.mean) / self.deviation, prompt)[-self.levels :]
        refined = [refine(stage) for refine, stage in zip(self.refine, stages, strict=True)]
        features = refined[0]
        for coarse in refined[1:]:
            features = features + functional.interpolate(
                coarse, size=features.shape[-2:], mode="bilinear", align_corners=False
            )
        weights = torch.sigmoid(self.weigh(functional.adaptive_avg_pool2d(features, 1)))
        result: Tensor = features * weights
        return result


class ConvNextBackbone(nn.Module):
    """The stages of transformers' ConvNeXt."""

    def __init__(self, config: EncoderConfig, *, pretrained: bool) -> None:
        from transformers import ConvNextConfig, ConvNextModel

        super().__init__()
        made = ConvNextConfig(
            hidden_sizes=list(config.widths),
            depths=list(config.blocks),
            num_stages=len(config.widths),
            layer_scale_init_value=_LAYER_SCALE,
        )
        self.model: Any = _load_convnext(config) if config.pretrained and pretrained else ConvNextModel(made)

    def forward(self, pixels: Tensor, prompt: Tensor | None) -> list[Tensor]:
        """Return what every stage makes of normalised pixels, finest first."""
        stages, x = [], self.model.embeddings(pixels)
        for stage in self.model.encoder.stages:
            x = stage(x)
            stages.append(x)
        return stages


def _load_convnext(config: EncoderConfig) -> Any:
    """Load published weights; an InputError says where their make-up is not the configured one."""
    from transformers import ConvNextModel

    source = locate(config.pretrained, _NEEDED)
    with loading(source, _NEEDED):
        kind: Any = ConvNextModel
        model, report = kind.from_pretrained(source, use_safetensors=True, output_loading_info=True)
    check_complete(source, "ConvNextModel", report)
    widths, blocks = tuple(model.config.hidden_sizes), tuple(model.config.depths)
    if (widths, blocks) != (config.widths, config.blocks):
        raise InputError(
            f"pretrained: {source} has widths {widths} and blocks {blocks}, "
            f"not {config.widths} and {config.blocks}: write its own"
        )
    return model


class PlainBackbone(nn.Module):
    """Space-to-depth by 4, then stages of residual 3 x 3 convolutions with group normalisation, each half as fine."""

    def __init__(self, config: EncoderConfig, prompt: int) -> None:
        super().__init__()
        before = 3 * _FOLD**2
        self.stages = nn.ModuleList()
        for index, (width, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
            first = nn.Conv2d(before, width, 3, stride=1 if index == 0 else 2, padding=1)
            self.stages.append(nn.ModuleList([first, *(_Block(width, prompt) for _ in range(count))]))
            before = width

    def forward(self, pixels: Tensor, prompt: Tensor | None) -> list[Tensor]:
        """Return what every stage makes of normalised pixels, finest first."""
        stages, x = [], functional.pixel_unshuffle(pixels, _FOLD)
        for stage in self.stages:
            layers: Any = stage
            first, *blocks = layers
            x = first(x)
            for block in blocks:
                x = block(x, prompt)
            stages.append(x)
        return stages


class _Block(nn.Module):
    """Two convolutions beside the identity; words scale and shift what the second makes."""

    def __init__(self, width: int, prompt: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(norm("group", width) for _ in range(2))
        self.film = nn.Linear(prompt, 2 * width) if prompt else None
        if self.film is not None:  # words change nothing at first
            nn.init.zeros_(self.film.weight)
            nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, prompt: Tensor | None) -> Tensor:
        y = self.norms[1](self.second(functional.relu(self.norms[0](self.first(x)))))
        if self.film is not None:
            y = modulate(y, self.film(prompt))
        return functional.relu(x + y)


def modulate(features: Tensor, scale_and_shift: Tensor) -> Tensor:
    """Scale and shift channels (FiLM, Perez et al., 2018): x * (1 + gamma) + beta.

    Args:
        features: (B, C, h, w).
        scale_and_shift: (B, 2 C), gamma before beta.
    """
    gamma, beta = scale_and_shift[:, :, None, None].chunk(2, dim=1)
    return features * (1 + gamma) + beta


def norm(kind: str, channels: int) -> nn.Module:
    """Return batch normalisation, or group normalisation with eight groups (fewer where they do not come out even)."""
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(math.gcd(8, channels), channels)
