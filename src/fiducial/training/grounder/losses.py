"""Losses of the grounder: where things lie and how large they are, each summed and divided by the number of things."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fiducial.prompters.grounder.network import boxes_of
from fiducial.training.grounder.config import Losses


def losses(heat: Tensor, sides: Tensor, targets: tuple[Tensor, Tensor, Tensor], weights: Losses) -> dict[str, Tensor]:
    """Compute the losses of a batch.

    Args:
        heat: (B, N, h, w) logits.
        sides: (B, 4, h, w) positive distances in pixels.
        targets: heat (B, N, h, w), boxes (B, 4, h, w) and weight (B, h, w), see
            :class:`fiducial.training.grounder.targets.Targets`.
        weights: how much each counts.

    Returns:
        ``"heat"``, ``"boxes"`` and their weighted sum ``"all"``.
    """
    true_heat, true_boxes, weight = targets
    places = weight > 0
    found = boxes_of(sides).permute(0, 2, 3, 1)[places]
    apart = 1 - giou(found, true_boxes.permute(0, 2, 3, 1)[places])
    boxes = (weight[places] * apart).sum() / weight.sum().clamp(min=1)
    named = focal(heat, true_heat)
    return {"heat": named, "boxes": boxes, "all": weights.heat * named + weights.boxes * boxes}


def focal(logits: Tensor, targets: Tensor) -> Tensor:
    """Penalty-reduced focal loss (Law and Deng, 2018, eq. 1; alpha 2, beta 4), divided by the number of centres.

    Args:
        logits: (B, N, h, w).
        targets: (B, N, h, w): 1 at centres, less about them; below 0 where nothing is to be learned.
    """
    likely = torch.sigmoid(logits)
    centre = (targets >= 1).to(logits.dtype)
    learned = (targets >= 0).to(logits.dtype)
    hit = centre * (1 - likely).square() * functional.softplus(-logits)
    far = (learned - centre) * (1 - targets.clamp(min=0)).pow(4)
    wrong = far * likely.square() * functional.softplus(logits)
    return (hit + wrong).sum() / centre.sum().clamp(min=1)


def giou(one: Tensor, other: Tensor) -> Tensor:
    """Generalised IoU (M,) in -1..1 of (M, 4) boxes xyxy, row by row."""
    shared = (torch.minimum(one[:, 2:], other[:, 2:]) - torch.maximum(one[:, :2], other[:, :2])).clamp(min=0).prod(1)
    union = (one[:, 2:] - one[:, :2]).prod(1) + (other[:, 2:] - other[:, :2]).prod(1) - shared
    around = (torch.maximum(one[:, 2:], other[:, 2:]) - torch.minimum(one[:, :2], other[:, :2])).prod(1)
    return shared / union.clamp(min=1e-6) - (around - union) / around.clamp(min=1e-6)
