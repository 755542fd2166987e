"""The card of a trained decoder: what made it, how good it is, and what it may not be used for."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fiducial.provenance import versions
from fiducial.training.decoder.config import DecoderConfig
from fiducial.training.decoder.pictures import Portion

_PROMPTS = {
    "box": "their true boxes",
    "jittered_box": "boxes whose edges are shifted by chance by up to {:.0%} of the box",
    "point": "one point well inside",
}


@dataclass(frozen=True, slots=True)
class Card:
    """What a card says.

    Args:
        config: the run's configuration.
        command: the words of the command line, or none.
        family: the model's family, as ``--segmenter`` names it.
        portions: what was learnt from.
        before: held-out mean IoU by source of the model as it came.
        best: ``"step"`` and ``"held_out"``, mean IoU by source of the decoder that is kept.
    """

    config: DecoderConfig
    command: Sequence[str]
    family: str
    portions: Sequence[Portion]
    before: Mapping[str, float]
    best: Mapping[str, Any]

    def text(self) -> str:
        """Return the card as Markdown."""
        parts = [self._made(), self._data(), self._scores(), self._limits(), self._again()]
        return "\n\n".join(parts) + "\n"

    def _made(self) -> str:
        trained = "mask decoder and prompt encoder" if self.config.prompt_encoder else "mask decoder"
        return (
            f"# {self.config.model}, {trained} trained further\n\n"
            f"The image encoder is that of `{self.config.model}`, bit for bit; the {trained} was trained for "
            f"{self.config.steps} steps with fiducial, and step {self.best['step']}, the best on the held-out part, "
            "is kept.\n\n"
            f"```\nfiducial cut PICTURE --box x1,y1,x2,y2 --segmenter {self._segmenter}:THIS_FOLDER\n```"
        )

    @property
    def _segmenter(self) -> str:
        return self.family.replace("_tracker", "").replace("_hq", "-hq")

    def _data(self) -> str:
        rows = [
            f"| {portion.name} | `{portion.source.dataset}` | {len(portion.training)} | "
            f"{sum(len(picture.targets) for picture in portion.training)} | {self._cut(portion)} | "
            f"{portion.source.licence or 'not stated in the configuration'} |"
            for portion in self.portions
        ]
        used = "" if self.config.fraction == 1 else f" Of the training pictures {self.config.fraction:.0%} was used."
        return "\n".join(
            [
                "## Data\n",
                "| name | dataset | training pictures | targets | held out | licence |",
                "|---|---|---:|---:|---|---|",
                *rows,
                "",
                f"Nothing of the held-out part was trained on.{used} The licences of the data, and that of "
                f"`{self.config.model}`, bind these weights.",
            ]
        )

    def _cut(self, portion: Portion) -> str:
        return f"{portion.source.held_out:.0%} by {portion.source.group or 'picture'}"

    def _scores(self) -> str:
        prompts = _PROMPTS[self.config.score_prompt].format(self.config.prompts.jitter)
        rows = []
        for portion in self.portions:
            if portion.name in self.before:
                count = len(portion.sampled(self.config.score_limit, self.config.seed))
                before, after = self.before[portion.name], self.best["held_out"][portion.name]
                rows.append(f"| {portion.name} | {count} | {before:.3f} | {after:.3f} | {after - before:+.3f} |")
        lines = [
            "## Held-out score\n",
            f"Mean IoU of held-out targets cut from {prompts}.\n",
            "| data | targets | before | after | change |",
            "|---|---:|---:|---:|---:|",
            *rows,
        ]
        if sum(self.best["held_out"].values()) <= sum(self.before.values()):
            lines.append("\n**Training did not help: the model as it came is at least as good on the held-out part.**")
        return "\n".join(lines)

    def _limits(self) -> str:
        limits = [
            "The step was chosen by the same held-out targets that the score is from, so the score is a little too "
            "good: measure on other data before relying on it.",
            "What differs from the training data in sensor, resolution or kind of target was not looked at; there "
            f"the weights may be worse than `{self.config.model}`.",
            f"Targets with a longest edge below {self.config.least:g} pixels were neither trained on nor scored.",
            "Not for clinical use or any other decision about people.",
        ]
        if self.config.masks == "single":
            limits.insert(
                2,
                "Only the one mask that is cut by default was trained, not the three proposals of `multimask=best`. "
                "SAM 2 and SAM 3 no longer take one of those where the one mask is unstable.",
            )
        else:
            limits.insert(2, "Only the three proposals were trained: use it with `--set segmenter.multimask=best`.")
        return "\n".join(["## Limits\n", *(f"- {limit}" for limit in limits)])

    def _again(self) -> str:
        command = shlex.join(self.command) if self.command else "fiducial.training.decoder.train (from Python)"
        used = ", ".join(f"{name} {version}" for name, version in versions().items())
        return (
            f"## Made by\n\n```\n{command}\n```\n\nSeed {self.config.seed}. Versions: {used}. The whole configuration "
            "is in `run.json` of the run's folder, the course of the training in `log.jsonl`."
        )
