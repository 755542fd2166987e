"""What a user says, checked, and what a prompter answers: a value, also when it is of no use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from fiducial.errors import InputError
from fiducial.geometry import Frame, Mask, Prompts


class Outcome(StrEnum):
    """How asking ended: a value, never a silent empty list."""

    FOUND = "found"
    """There is at least one prompt."""
    NO_TARGET = "no_target"
    """The prompter says plainly that nothing in the image is meant."""
    MALFORMED = "malformed"
    """The reply holds no coordinates that could be read."""
    TRUNCATED = "truncated"
    """The reply broke off; the items that were whole are kept."""
    FAILED = "failed"
    """The prompter could not answer: a model or a server failed, or a word of the instruction is not known to it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A prompter's whole reply.

    Args:
        outcome: how it ended.
        prompts: in the frame that they say.
        thinking: what the model wrote between its thinking tags.
        text: plain words for a person: how the choice was made, what the model said around the
            coordinates, or why there is nothing.
        raw: the reply, letter by letter.
        repairs: what had to be mended to read it, one short line each.
        masks: what the prompter drew itself, one mask of the whole image per prompt; ``()`` for the rule, prompters
            that give coordinates alone.
    """

    outcome: Outcome
    prompts: Prompts
    thinking: str = ""
    text: str = ""
    raw: str = ""
    repairs: tuple[str, ...] = ()
    masks: tuple[Mask, ...] = ()

    def to(self, frame: Frame) -> Answer:
        """Return the same answer with its prompts in another frame of the same image."""
        return replace(self, prompts=self.prompts.to(frame))


MAX_INSTRUCTION = 2000
"""The most characters an instruction may have."""


def check_instruction(text: str, where: str = "") -> str:
    """Return an instruction without the white space around it; errors name the image by ``where``."""
    place = f"{where}: " if where else ""
    cleaned = text.strip()
    if not cleaned:
        raise InputError(f"{place}the instruction is empty: say in words what to segment")
    if len(cleaned) > MAX_INSTRUCTION:
        raise InputError(
            f"{place}the instruction has {len(cleaned):,} characters, more than {MAX_INSTRUCTION:,}: shorten it"
        )
    return cleaned
