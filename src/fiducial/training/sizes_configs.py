"""What a training run of the judge of sizes can be given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fiducial.config import Config, option
from fiducial.segmenters.configs import EMBEDDED
from fiducial.training.configs import Source, SteppedConfig, check_data


@dataclass(frozen=True, slots=True)
class SizesSource(Source):
    """One dataset whose objects are pointed at."""

    points: int = option(
        500, "points that are drawn in its objects, one an object as long as that is enough", minimum=1
    )


@dataclass(frozen=True, slots=True)
class SizesNetworkConfig(Config):
    """The networks' make-up."""

    members: int = option(8, "networks, of which the judge takes the mean", minimum=1)
    width: int = option(24, "of the hidden layers", minimum=1)
    dropout: float = option(0.2, "part of each hidden layer that is left out in training", minimum=0, maximum=0.9)
    rule: float = option(8.0, "how much the rule's merit counts before anything is learned", minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizesConfig(SteppedConfig):
    """A training run of the judge of sizes, which chooses among the masks around one point."""

    kind: ClassVar[str] = "training"
    name: ClassVar[str] = "sizes"
    task: ClassVar[str] = "fiducial.training.sizes:SizesTask"

    data: tuple[SizesSource, ...] = option(help="what to learn from")
    segmenter: str = option(EMBEDDED, "the nano segmenter's weights, the package's or a file: its masks are judged")
    validation: float = option(
        0.1, "part of what may be trained on, cut by group, by which the best step is chosen", minimum=0, maximum=0.9
    )
    min_size: float = option(6.0, "smaller targets are left out", unit="pixels of the longest edge", minimum=0)
    network: SizesNetworkConfig = option(SizesNetworkConfig(), "make-up of the networks")
    weight_decay: float = option(0.2, "of all weights but biases", minimum=0)
    steps: int = option(400, "optimiser steps", minimum=1)
    batch_size: int = option(128, "points per step", minimum=1)

    def check(self) -> None:
        """Refuse a run without data."""
        check_data(self.data)
