"""A small language model for the joint model of CG-Reasoner, made from nothing, with a vocabulary of what is asked.

It is the architecture of :mod:`fiducial.training.nano_vlm_model`, without numbers: the joint model writes sentences,
not coordinates. Words that no question or answer of training holds are spelled by letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from fiducial.geometry import Mask
from fiducial.prompters.vlm.families import FAMILIES
from fiducial.prompters.vlm.loading import Loaded
from fiducial.reasoner.questions import Sides, ask
from fiducial.reasoner.subjects import Subject, absent_subjects
from fiducial.training.cg_reasoner_configs import CGReasonerRunConfig
from fiducial.training.cg_reasoner_data import ReasonerPortion, subject_of
from fiducial.training.nano_vlm_configs import NanoVLMNetwork
from fiducial.training.nano_vlm_model import build_model, build_processor
from fiducial.training.nano_vlm_words import make_tokenizer

_DRAWN = 200
"""Questions that are drawn about each subject to see which words occur."""
_SIDE = 100


def make_language(network: NanoVLMNetwork, texts: Iterable[str], device: torch.device) -> Loaded:
    """Make a model with random weights and a vocabulary of the words of the texts, and its processor."""
    tokenizer = make_tokenizer([], network.canvas, texts, min_count=1)
    model = build_model(network, tokenizer, [])
    processor = build_processor(tokenizer, model)
    return Loaded(model.eval().to(device), processor, FAMILIES["llava"], "a small model made from nothing")


def texts_of(config: CGReasonerRunConfig, portions: Sequence[ReasonerPortion]) -> Iterator[str]:
    """Yield questions and answers that are trained on: the datasets' own, and some that are written of drawn boxes."""
    subjects: dict[tuple[str, str], tuple[Subject, Sides]] = {}
    for portion in portions:
        for index in portion.training:
            sample = portion.dataset[index]
            if portion.source.questions == "dataset":
                yield sample.instruction
                yield str(sample.meta.get("answer", ""))
                continue
            own = subject_of(portion.source, sample)
            for subject in (own, *(absent_subjects(own.modality) if config.absent else ())):
                subjects[subject.modality.name, subject.target.name] = subject, portion.source.sides
    random = np.random.default_rng([config.seed, 7])
    for subject, sides in subjects.values():
        for number in range(_DRAWN):
            masks = [_drawn(random) for _ in range(number % 4)]
            said = ask(masks, subject, random, sides=sides)
            yield said.question
            yield said.answer


def _drawn(random: np.random.Generator) -> Mask:
    x, y = random.uniform(0, 0.8 * _SIDE, 2)
    width, height = random.uniform(2, 0.4 * _SIDE, 2)
    return Mask.from_box((x, y, x + width, y + height), height=_SIDE, width=_SIDE)
