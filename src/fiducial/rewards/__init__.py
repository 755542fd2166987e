"""Rewards for training prompters: plain functions, presets of the published ones, and the service that cuts masks.

The service behind HTTP is asked by :class:`fiducial.rewards.client.RemoteMaskService`.
"""

from fiducial.rewards.configs import (
    MaskOnlyConfig,
    MaskRewardConfig,
    RewardConfig,
    SegZeroConfig,
    ServiceConfig,
    Think2SegConfig,
    VisionReasonerConfig,
)
from fiducial.rewards.functions import (
    box_distance,
    box_iou,
    item_format,
    mask_iou,
    matched_accuracy,
    no_target,
    non_repeat,
    point_distance,
    strict_format,
    suppress_duplicates,
    think_format,
    true_prompts,
)
from fiducial.rewards.scoring import Reward, Scorer, Shown
from fiducial.rewards.service import MaskService, MaskSource
from fiducial.rewards.trainer_function import RewardFunction, truth_column

__all__ = [
    "MaskOnlyConfig",
    "MaskRewardConfig",
    "MaskService",
    "MaskSource",
    "Reward",
    "RewardConfig",
    "RewardFunction",
    "Scorer",
    "SegZeroConfig",
    "ServiceConfig",
    "Shown",
    "Think2SegConfig",
    "VisionReasonerConfig",
    "box_distance",
    "box_iou",
    "item_format",
    "mask_iou",
    "matched_accuracy",
    "no_target",
    "non_repeat",
    "point_distance",
    "strict_format",
    "suppress_duplicates",
    "think_format",
    "true_prompts",
    "truth_column",
]
