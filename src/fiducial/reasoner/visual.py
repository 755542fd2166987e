"""The visual half of CG-Reasoner alone: a picture and the vector of what is asked for in, a mask out; no words.

What the language model makes of a question about a known subject hardly depends on the picture or on the wording, so
that the mean over wordings stands for it. With these vectors the encoder and the decoder run without a language model,
from a graph (:mod:`fiducial.training.exporting`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fiducial.images import Image
from fiducial.prompters.subjects.drawing import Subject
from fiducial.reasoner.model import CGReasoner
from fiducial.reasoner.model_configs import CGReasonerConfig
from fiducial.reasoner.prompter import CGReasonerPrompter, on_device
from fiducial.reasoner.questions import ask
from fiducial.reasoner.subjects import find_subject

WORDINGS = 40
"""Questions that are drawn for each subject; equal ones count once."""
_GREY = 114


@dataclass(frozen=True, slots=True)
class Known:
    """A subject by its name and kind of picture in the vocabulary, and by those of the questions."""

    name: str
    domain: str
    target: str
    modality: str
    apart: bool = False
    draws: bool = True
    presence: float = 0.5


KNOWN = (
    # cut better than drawn, and seldom found where it is less likely: docs/results/subjects.md
    Known("tumour", "brain", "tumour", "brain MRI", draws=False, presence=0.85),
    Known("polyp", "endoscopy", "polyp", "endoscopy"),
    Known("breast lesion", "ultrasound", "lesion", "breast ultrasound"),
    Known("skin lesion", "skin", "skin lesion", "dermoscopy"),
    Known("lung", "xray", "lungs", "chest X-ray", apart=True),
    Known("left lung", "xray", "left lung", "chest X-ray"),
    Known("right lung", "xray", "right lung", "chest X-ray"),
    Known("heart", "xray", "heart", "chest X-ray"),
)
"""What can be asked for without a language model."""


class VisualHalf(nn.Module):
    """Encoder and decoder of a joint model, in its own names."""

    def __init__(self, network: CGReasoner) -> None:
        super().__init__()
        self.encoder, self.decoder, self.size = network.encoder, network.decoder, network.config.size

    def forward(self, pixels: Tensor, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """Mark what is asked for.

        Args:
            pixels: (B, 3, S, S) RGB in 0..1.
            prompt: (B, C) what is asked for in each.

        Returns:
            Logits of the mask (B, G, G) over the whole picture, and of a target being there at all (B,).
        """
        logits, presence = self.decoder(self.encoder(pixels, prompt), prompt)
        return logits, presence


def load_visual(folder: str | Path) -> VisualHalf:
    """Read the visual half of a joint model's folder, in single precision."""
    return VisualHalf(_prompter(folder).network).eval()


def ask_all(folder: str | Path) -> tuple[VisualHalf, tuple[Subject, ...], NDArray[np.float32]]:
    """Read a joint model's folder, and work out the vector of every known subject.

    Returns:
        The visual half, the subjects, and their vectors (N, C).
    """
    prompter = _prompter(folder)
    kinds = prompter.network.config.kinds
    known = [one for one in KNOWN if not kinds or one.modality in kinds]
    subjects = tuple(Subject(one.name, one.domain, one.presence, apart=one.apart, draws=one.draws) for one in known)
    vectors = [_vector(prompter, questions_about(one)) for one in known]
    return VisualHalf(prompter.network).eval(), subjects, np.stack(vectors)


def questions_about(known: Known) -> list[str]:
    """Write questions about a subject in the wordings that a model is trained with, each once."""
    subject, random = find_subject(known.target, known.modality), np.random.default_rng(0)
    return list(dict.fromkeys(ask([], subject, random).question for _ in range(WORDINGS)))


def _prompter(folder: str | Path) -> CGReasonerPrompter:
    return CGReasonerPrompter.from_config(CGReasonerConfig(model=str(folder), device="cpu", dtype="float32"))


def _vector(prompter: CGReasonerPrompter, questions: list[str]) -> NDArray[np.float32]:
    """Return the mean (C,) over questions about a grey picture."""
    asker, network = prompter.asker, prompter.network
    grey = Image(np.full((64, 64, 3), _GREY, np.uint8))
    chats = [asker.chat(*prompter.template.fill(question, (0, 0))) for question in questions]
    inputs, labels = asker.answered([asker.show(grey)[0].pixels] * len(chats), chats, [""] * len(chats))
    with torch.inference_mode():
        tensors = on_device(inputs, torch.device("cpu"), asker.model.dtype)
        found = network.projection(network.states(tensors).float(), network.counted(tensors, labels))
    return np.asarray(found.mean(0).numpy(), np.float32)
