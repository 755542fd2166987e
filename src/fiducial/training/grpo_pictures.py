"""Answers with their masks as pictures, so that a person sees what the reward is earned by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fiducial.files import make_folder, write_atomically
from fiducial.geometry import Prompts
from fiducial.language import Answer, Outcome
from fiducial.overlays.drawing import Pixels
from fiducial.results import Segmentation
from fiducial.results.png import draw
from fiducial.training.grpo_record import Answered

PICTURES = "pictures"
_QUESTIONS = 4
_WIDTH = 480
"""Of a picture in the sheet, in pixels."""
_MAX_TEXT = 400


def write_sheet(folder: Path, step: int, answered: Sequence[Answered]) -> Path:
    """Write ``pictures/step-N.png``: a row a question, with the truth, the best and the worst answer.

    Args:
        folder: of the run.
        step: how many steps were done.
        answered: answers, those to one question behind each other.
    """
    groups: dict[int, list[Answered]] = {}
    for one in answered:
        groups.setdefault(id(one.question), []).append(one)
    sheet = np.vstack([_line(group) for group in [*groups.values()][:_QUESTIONS]])
    _, data = cv2.imencode(".png", sheet[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 2])
    return write_atomically(make_folder(folder / PICTURES) / f"step-{step:06d}.png", data.tobytes())


def _line(group: Sequence[Answered]) -> Pixels:
    rising = sorted(group, key=lambda one: one.reward.total)
    pages = [_fitted(draw(one)) for one in (_truth(group[0]), _segmentation(rising[-1]), _segmentation(rising[0]))]
    height = max(page.shape[0] for page in pages)
    level = [np.pad(page, ((0, height - page.shape[0]), (4, 4), (0, 0)), constant_values=255) for page in pages]
    return np.pad(np.hstack(level), ((0, 8), (0, 0), (0, 0)), constant_values=200)


def _fitted(page: Pixels) -> Pixels:
    height = round(page.shape[0] * _WIDTH / page.shape[1])
    return np.asarray(cv2.resize(page, (_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)


def _truth(one: Answered) -> Segmentation:
    image, masks = one.question.image, [mask for mask in one.question.truth if mask]
    prompts = Prompts.from_boxes(image.frame, [mask.box for mask in masks if mask.box is not None])
    outcome = Outcome.FOUND if masks else Outcome.NO_TARGET
    return Segmentation(
        image, one.question.example.instruction, Answer(outcome, prompts, text="the truth"), tuple(masks), prompts
    )


def _segmentation(one: Answered) -> Segmentation:
    image, reward = one.question.image, one.reward
    found = reward.prompts if reward.prompts is not None else Prompts(image.frame)
    earned = ", ".join(f"{name} {value:.2f}" for name, value in reward.parts.items())
    text = f"{reward.total:.2f} = {earned}: {one.text}"
    text = text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + " ..."
    prompts = found if len(found) == len(reward.masks) else Prompts(image.frame)
    return Segmentation(
        image, one.question.example.instruction, Answer(one.outcome, found, text=text), reward.masks, prompts
    )
