"""What may be looked for in a picture: names whose kind of picture it can be, and why not the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from fiducial.images import Image
from fiducial.prompters.detector.reading import ANY_NOUN
from fiducial.prompters.kinds.judge import EMBEDDED, Judgement, KindJudge
from fiducial.prompters.kinds.words import KINDS, listed, within

ANYWAY = (
    "To look all the same: --set prompter.any_picture=true, in Python "
    'fiducial.load("nano", options={"prompter.any_picture": True}).'
)
"""How to do without the judge."""
OPEN = frozenset({"shapes"})
"""Kinds that a picture of no known kind may be of: people draw in more ways than the judge was shown."""


class KindGate:
    """Lets through the names that are looked for in the kind of a picture; keeps to the contract ``PictureKinds``.

    The judge is loaded when it is first asked. A name without a kind, or of one that the judge was not taught, is let
    through.

    Args:
        domains: the kind of picture that each name is looked for in, as the vocabulary calls it.
        model: the judge: the package's weights, or a safetensors file.
        device: where it runs: auto, cpu, cuda, ...
    """

    def __init__(self, domains: Mapping[str, str], model: str | Path = EMBEDDED, device: str = "auto") -> None:
        self._domains, self._model, self._device = dict(domains), model, device

    @cached_property
    def judge(self) -> KindJudge:
        """The judge itself."""
        return KindJudge.from_pretrained(self._model, self._device)

    def fitting(self, pictures: Sequence[Image], names: Sequence[str]) -> tuple[str, ...]:
        """Return those of the names that can be in at least one of the pictures, in their order."""
        if not any(self._domains.get(name) for name in names):
            return tuple(names)
        found = self.judge.judge(pictures)
        return tuple(name for name in names if any(_fits(self._domains.get(name, ""), one) for one in found))

    def why_not(self, pictures: Sequence[Image], names: Sequence[str], nouns: Sequence[str]) -> str:
        """Say why names that do not fit were not looked for, what the pictures seem to be, and what could be done.

        Args:
            pictures: those that were judged.
            names: that do not fit.
            nouns: what the user said for them.
        """
        seem = dict.fromkeys(one.seems for one in self.judge.judge(pictures) if one.seems)
        what = listed([KINDS[one].one if one in KINDS else f"of the kind {one}" for one in seem])
        where = listed([within(one) for one in dict.fromkeys(self._domains[name] for name in names)])
        said = listed([repr(noun) for noun in nouns])
        this = f"seems to be {what}" if what else "is of no kind that is known"
        others = [name for name, domain in self._domains.items() if domain in seem]
        return " ".join(
            filter(
                None,
                [
                    f"I look for {said} {where} alone, and this {this}: nothing was looked for.",
                    f"In such a picture {listed(others)} can be asked for." if others else "",
                    ANY_NOUN,
                    ANYWAY,
                ],
            )
        )


def _fits(domain: str, judged: Judgement) -> bool:
    return judged.may_be(domain) or (domain in OPEN and not judged.seems)
