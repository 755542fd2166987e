"""Rewards for training prompters: plain functions, presets of the published ones, and the service that cuts masks."""

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

__all__ = [
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
]
