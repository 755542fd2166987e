"""CG-Reasoner as a prompter that draws its masks itself: words, coordinates and mask of one forward pass.

Nothing stands between its language half and its mask but a vector, so coordinates cannot be edited before the mask is
drawn, as those of other systems can. They are still stated: each answer has the mask's tight box and the point at which
the words' states place the target's middle, so that another segmenter can cut by them, and both can be checked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fiducial.checkpoints import first_line
from fiducial.contracts import paired
from fiducial.errors import InputError, ModelError
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.language.answers import Answer, Outcome
from fiducial.models import weights_of
from fiducial.prompters.decoding_configs import DecodingConfig
from fiducial.prompters.model_configs import VLMConfig
from fiducial.prompters.showing import Question, Reply
from fiducial.prompters.templates import PromptTemplate, clean_instruction
from fiducial.prompters.vlm import VLMPrompter
from fiducial.prompters.vlm.loading import Loaded, load
from fiducial.reasoner.model import (
    LANGUAGE,
    CGReasoner,
    Reasoned,
    as_batch,
    check_folder,
    encoder_pixels,
    load_reasoner,
    to_image_size,
)
from fiducial.reasoner.model_configs import CGReasonerConfig

TEMPLATE = PromptTemplate("question", user="$instruction")
"""The question and nothing else: what is asked in training is asked later."""


class CGReasonerPrompter:
    """Asks the joint model. Several targets of one question are one mask, as in the data it is trained on.

    It is trained on sentences: words that end in no full stop, question or exclamation mark ("the polyp") are asked as
    "Segment the polyp."

    The outcome is ``no_target`` where the model holds that nothing is there (:attr:`CGReasonerConfig.presence`) or
    where no pixel is likely enough; the text says which, behind the model's own words, whatever these are.

    Args:
        network: the joint model.
        asker: its language model with the processor, made by :func:`asker_of`.
        config: thresholds and batch size; what says how to load is not used.
        places: whether the states were trained to say where things lie.

    Raises:
        InputError: the point that they say is asked for, and they were not.
    """

    def __init__(
        self, network: CGReasoner, asker: VLMPrompter, config: CGReasonerConfig, *, places: bool = True
    ) -> None:
        if config.point == "words" and not places:
            raise InputError(
                f"cg-reasoner: {asker.name} was trained without the spatial term, so that its words' states place "
                "nothing: take point=mask"
            )
        self.network, self.asker, self.config = network.eval(), asker, config
        self.template = TEMPLATE
        self._point = config.point or ("words" if places else "mask")

    @classmethod
    def from_config(cls, config: CGReasonerConfig) -> CGReasonerPrompter:
        """Load the folder of a joint model.

        Raises:
            InputError: no such folder, or not one of this format.
            HubError: the base of its adapters is not to be had.
        """
        folder = weights_of(config.model) or Path(config.model).expanduser()
        check_folder(folder)
        told = VLMConfig(
            model=str(folder / LANGUAGE),
            device=config.device,
            dtype=config.dtype,
            local_files_only=config.local_files_only,
        )
        loaded = load(told)
        network, notes = load_reasoner(folder, loaded.model)
        asker = asker_of(loaded, max_new_tokens=config.max_new_tokens, decode=config.decode)
        return cls(network.to(loaded.model.device), asker, config, places=bool(notes.get("places")))

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Answer each question about the image beside it: one prompt and one mask, in its pixels, or none."""
        questions = [
            Question(image, *clean_instruction(as_sentence(words), self.asker.control_tokens, image.name))
            for image, words in paired(images, instructions)
        ]
        answers = []
        for start in range(0, len(questions), self.config.batch_size):
            answers += self._answer(questions[start : start + self.config.batch_size])
        return answers

    def _answer(self, questions: Sequence[Question]) -> list[Answer]:
        names = ", ".join(question.image.name for question in questions)
        pictures = [self.asker.show(question.image)[0].pixels for question in questions]
        chats = [self.asker.chat(*self.template.fill(question.instruction, (0, 0))) for question in questions]
        device = next(self.network.parameters()).device

        def looked(said: Sequence[str]) -> Reasoned:
            inputs, labels = self.asker.answered(pictures, chats, said)
            pixels = [encoder_pixels(question.image, self.network.config.size) for question in questions]
            return self.network(  # type: ignore[no-any-return]
                on_device(inputs, device, self.asker.model.dtype), labels.to(device), as_batch(pixels, device)
            )

        prompts = self.asker.inputs(pictures, chats)
        try:
            with torch.inference_mode():
                if self.network.config.states == "answer":
                    replies = self.asker.generate(prompts, names)
                    end = self.asker.processor.tokenizer.eos_token
                    found = looked([reply.text + (end if reply.finished else "") for reply in replies])
                else:  # what is said comes behind the states that count
                    found = looked([""] * len(chats))
                    replies = self._said(prompts, names, found)
        except (RuntimeError, MemoryError) as error:
            hint = "try a smaller batch_size, dtype='bfloat16', or another device"
            raise ModelError(f"cg-reasoner, asked about {names}: {first_line(error)}: {hint}") from error
        return [
            self._read(question, reply, found, row)
            for row, (question, reply) in enumerate(zip(questions, replies, strict=True))
        ]

    def _said(self, prompts: Any, names: str, found: Reasoned) -> list[Reply]:
        if found.coordinates is None:
            return self.asker.generate(prompts, names)
        with self.network.telling(found.coordinates):
            return self.asker.generate(prompts, names)

    def _read(self, question: Question, reply: Reply, found: Reasoned, row: int) -> Answer:
        image, config = question.image, self.config
        likely = float(torch.sigmoid(found.presence[row].float()))
        logits = to_image_size(found.logits[row], image.height, image.width)
        least = math.log(config.threshold / (1 - config.threshold))
        mask = Mask.from_dense((logits > least).cpu().numpy(), score=likely)
        notes = question.notes
        if not reply.finished:
            notes = (*notes, f"the reply was cut at max_new_tokens={config.max_new_tokens}")
        text = reply.text.strip()
        if likely < config.presence or mask.box is None:
            reason = (
                f"a target is there with {likely:.0%}, less than {config.presence:.0%}"
                if likely < config.presence
                else f"no pixel is part of it with {config.threshold:.0%}"
            )
            text = f"{text} (Nothing is marked: {reason}.)".strip()
            return Answer(Outcome.NO_TARGET, Prompts(image.frame), text=text, raw=reply.text, repairs=notes)
        point = mask.inner_point()
        if self._point == "words":
            x, y = Frame.centred().points_to(found.points[row].double().cpu().numpy(), image.frame).tolist()
            point = image.frame.clip_point((x, y))
        assert point is not None  # the mask has pixels
        prompt = Prompt(image.frame, box=mask.box, points=(point,), score=likely)
        outcome = Outcome.FOUND if reply.finished else Outcome.TRUNCATED
        return Answer(outcome, Prompts(image.frame, (prompt,)), text=text, raw=reply.text, repairs=notes, masks=(mask,))


def as_sentence(instruction: str) -> str:
    """Put words that are no sentence into one, as the model was asked in training.

    Example:
        >>> as_sentence("the polyp"), as_sentence("Where is the polyp?")
        ('Segment the polyp.', 'Where is the polyp?')
    """
    words = instruction.strip()
    return f"Segment {words}." if words and words[-1] not in ".?!" else instruction


def asker_of(loaded: Loaded, *, max_new_tokens: int, decode: DecodingConfig | None = None) -> VLMPrompter:
    """Wrap a language model so that it is shown pictures and asked as it will be later; its dialect is not used."""
    told = VLMConfig(model=loaded.source, max_new_tokens=max_new_tokens, stop="never", decode=decode)
    return VLMPrompter(loaded, told)


def on_device(inputs: dict[str, Any], device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Move a language model's tensors to its device, floats in its dtype."""
    tensors = {name: value for name, value in inputs.items() if isinstance(value, torch.Tensor)}
    return {
        name: value.to(device, dtype if value.is_floating_point() else value.dtype) for name, value in tensors.items()
    }
