"""Any prompter that draws its replies, asked several times."""

from __future__ import annotations

from collections.abc import Sequence

from fiducial.contracts import Prompter, SamplingPrompter
from fiducial.errors import InputError
from fiducial.images import Image
from fiducial.language.answers import Answer
from fiducial.language.self_consistency import fuse
from fiducial.prompters.configs import SelfConsistencyConfig


class SelfConsistentPrompter:
    """Asks a prompter several times, each time with draws of its own, and fuses what it answers.

    The score of each prompt is how far the answers agree on it; see :func:`fiducial.language.self_consistency.fuse`.

    Args:
        prompter: one that draws its replies.
        config: how often it is asked, and what is one target.

    Raises:
        InputError: a prompter that says the same however often it is asked.
    """

    def __init__(self, prompter: Prompter, config: SelfConsistencyConfig) -> None:
        if not isinstance(prompter, SamplingPrompter):
            raise InputError(
                f"self_consistency: a {type(prompter).__name__} draws nothing, so that asking again changes nothing"
            )
        self.prompter, self.config = prompter, config
        self.samples = [prompter.sampled(number) for number in range(config.samples)]
        # what others look at: the size that overlays are drawn for, and the words around the instruction
        self.canvas, self.template = (getattr(prompter, name, None) for name in ("canvas", "template"))
        self.resample = getattr(prompter, "resample", "lanczos")
        self.batch_size, self.concurrency = (getattr(prompter, name, 0) for name in ("batch_size", "concurrency"))

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Answer each instruction for the image beside it, in its pixels."""
        rounds = [one.ask(images, instructions) for one in self.samples]
        config = self.config
        return [fuse(answers, iou=config.iou, quorum=config.quorum) for answers in zip(*rounds, strict=True)]
