"""The prompter that ships: the embedded grounder finds what nouns name, spatial phrases pick among it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from fiducial.contracts import Prompter
from fiducial.images import Image
from fiducial.language import Answer
from fiducial.prompters.detector.prompter import DetectorPrompter
from fiducial.prompters.grounder.detecting import NanoDetector
from fiducial.prompters.grounder.weights import EMBEDDED


def nano_prompter(
    model: str | Path = EMBEDDED,
    *,
    device: str = "auto",
    zoom: float = 1.0,
    flips: bool = True,
    **options: Any,
) -> DetectorPrompter:
    """Load the grounder and put it behind the spatial phrases of an instruction.

    Where an instruction names no kind of thing ("the largest region"), regions by colour and texture are chosen
    from, as ``classic`` does, and the answer says so.

    Args:
        model: ``"nano-grounder"`` for the weights of the package, or a safetensors file.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        zoom: see :class:`fiducial.prompters.grounder.detecting.NanoDetector`.
        flips: likewise.
        options: those of :class:`fiducial.prompters.detector.prompter.DetectorPrompter`.

    Raises:
        InputError: no such weights, no such device, or an option out of its range.
    """
    detector = NanoDetector.from_pretrained(model, zoom=zoom, flips=flips, device=device)
    return DetectorPrompter(detector, **{"regions": _Regions(), **options})


class _Regions:
    """The classic prompter, loaded when it is first asked: most instructions name a kind of thing."""

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        return self._classic.ask(images, instructions)

    @cached_property
    def _classic(self) -> Prompter:
        from fiducial.prompters.classic import ClassicPrompter

        return ClassicPrompter()
