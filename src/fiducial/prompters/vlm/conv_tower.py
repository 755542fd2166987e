"""A small convolutional vision tower for LLaVA's architecture: what tiny models can learn to locate with.

Importing this module makes transformers know its ``model_type``, so that ``LlavaForConditionalGeneration`` saves and
loads models with it like any other. A tower of plain transformers learns places poorly from little: its values carry
no absolute position.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

MODEL_TYPE = "fiducial_conv_tower"
_FOLD = 4
"""Pixels along each side that space-to-depth folds into channels."""


class ConvTowerConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """The make-up of a tower; ``patch_size`` is its stride in pixels, ``image_size`` the side of the square it sees."""

    model_type = MODEL_TYPE
    image_size: int = 192
    patch_size: int = 16
    hidden_size: int = 256
    widths: list[int] | tuple[int, ...] = (64, 128)
    blocks: list[int] | tuple[int, ...] = (1, 2, 1)


class _Block(nn.Module):
    """Convolution, group normalisation, ReLU; the input is added where the shapes agree."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.norm = nn.GroupNorm(8, width)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm(self.conv(x)))
        return x + y if x.shape == y.shape else y


class ConvTower(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Space-to-depth by 4, residual 3 x 3 convolutions at strides 4, 8 and 16, learned positions.

    Pixels (B, 3, S, S) in, (B, cells, hidden_size) out; the cells go row by row.
    """

    config_class = ConvTowerConfig
    base_model_prefix = "tower"
    main_input_name = "pixel_values"

    def __init__(self, config: ConvTowerConfig) -> None:
        super().__init__(config)
        first, second = config.widths
        fine, middle, coarse = config.blocks
        stages = [(3 * _FOLD**2, first, 1), *[(first, first, 1)] * fine]
        stages += [(first, second, 2), *[(second, second, 1)] * middle]
        stages += [(second, config.hidden_size, 2), *[(config.hidden_size,) * 2 + (1,)] * coarse]
        self.blocks = nn.ModuleList(_Block(*one) for one in stages)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.positions = nn.Parameter(torch.zeros((config.image_size // config.patch_size) ** 2, config.hidden_size))
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        # PyTorch's own draws stay: transformers' narrow normals would silence a tower of convolutions.
        if module is self:
            nn.init.normal_(self.positions, std=0.5)

    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutput:
        """Return the cells of the last layer."""
        x = functional.pixel_unshuffle(pixel_values, _FOLD).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x)
        cells = self.norm(x.flatten(2).transpose(1, 2)) + self.positions
        return BaseModelOutput(last_hidden_state=cells, hidden_states=(cells,))


AutoConfig.register(MODEL_TYPE, ConvTowerConfig, exist_ok=True)
AutoModel.register(ConvTowerConfig, ConvTower, exist_ok=True)
