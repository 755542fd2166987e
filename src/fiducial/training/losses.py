"""Losses of masks: how far logits are from their targets, one number per mask.

All take logits (..., h, w) and targets in 0..1 of the same shape and return (...), one per mask, so that the best of
several masks can be picked before the mean is taken. Targets are soft: a cell that the target covers by half is 0.5.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy, the mean over the pixels of each mask."""
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean((-2, -1))


def dice(logits: Tensor, targets: Tensor) -> Tensor:
    """One minus the soft Dice coefficient of each mask.

    1 - (2 sum(p t) + 1) / (sum(p^2) + sum(t^2) + 1), the squares as in V-Net (Milletari et al., 2016); the ones
    make two empty masks agree.

    Returns:
        (...) in 0..1.
    """
    likely = torch.sigmoid(logits)
    both = (likely * targets).sum((-2, -1))
    return 1 - (2 * both + 1) / (likely.square().sum((-2, -1)) + targets.square().sum((-2, -1)) + 1)


def focal(logits: Tensor, targets: Tensor, *, gamma: float = 2.0, alpha: float = 0.25) -> Tensor:
    """Focal loss: cross-entropy in which pixels that are right already count little (Lin et al., 2017, eq. 5).

    ``gamma`` says how fast certain pixels lose weight: 0 is the cross-entropy, weighted by ``alpha``, in 0..1, for the
    foreground and by the rest for the background.

    Returns:
        (...) of 0 or more, the mean over the pixels of each mask.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    # What the model is off by; for a hard target this is the 1 - p_t of the paper.
    missing = (torch.sigmoid(logits) - targets).abs()
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return (weight * missing.pow(gamma) * entropy).mean((-2, -1))


def structure(logits: Tensor, targets: Tensor, *, window: int = 31, emphasis: float = 5.0) -> Tensor:
    """Structure loss: cross-entropy and IoU in which pixels near the target's edge count more.

    A pixel weighs 1 + emphasis * |mean of the target around it - target|, so that edges and thin parts rule.
    The sum of both terms as in F3Net (Wei et al., 2020, eq. 6-9).

    ``window`` is the edge of the square around a pixel, odd, in pixels; an ``emphasis`` of 0 weighs all pixels alike.

    Returns:
        (...) of 0 or more.
    """
    flat = targets.reshape(-1, 1, *targets.shape[-2:])
    # Beyond the picture nothing is known: only pixels that exist are averaged over.
    around = functional.avg_pool2d(flat, window, stride=1, padding=window // 2, count_include_pad=False)
    weight = 1 + emphasis * (around.reshape(targets.shape) - targets).abs()
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    weighted = (weight * entropy).sum((-2, -1)) / weight.sum((-2, -1))
    likely = torch.sigmoid(logits)
    both = (weight * likely * targets).sum((-2, -1))
    either = (weight * (likely + targets)).sum((-2, -1)) - both
    return weighted + 1 - (both + 1) / (either + 1)


def true_iou(logits: Tensor, targets: Tensor, outside: Tensor | float = 0.0) -> Tensor:
    """Return the IoU that the masks of logits above 0 have with their targets above 0.5, without gradient.

    ``outside`` (...) are pixels of each target that the logits do not show: they count as missed.

    Returns:
        (...) in 0..1; 0 where both are empty.
    """
    mask, truth = logits.detach() > 0, targets > 0.5
    both, either = (mask & truth).sum((-2, -1)), (mask | truth).sum((-2, -1))
    return both / (either + outside).clamp(min=1)
