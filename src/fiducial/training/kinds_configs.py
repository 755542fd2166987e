"""What a training run of the judge of kinds can be given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fiducial.config import Config, option
from fiducial.errors import InputError
from fiducial.training.configs import SteppedConfig


@dataclass(frozen=True, slots=True)
class KindSource(Config):
    """Pictures of one kind, or strangers."""

    path: str = option(
        help="a folder of pictures, a NIfTI file, or made:STYLE (shapes, aerial, phantom; screens, patterns, cells); a "
        "leading DATA/ stands for the data folder"
    )
    kind: str = option("", 'as the vocabulary calls it; "": strangers, of no kind that is told apart')
    share: float = option(1.0, "how often it is drawn, relative to the sum of all shares", minimum=0)
    test: float = option(0.2, "part that nothing is chosen by, only reported on, cut by group", minimum=0, maximum=1)
    validation: float = option(
        0.1, "part by which weights and thresholds are chosen, cut by group", minimum=0, maximum=1
    )
    group: str = option(
        "", "key of manifest.json beside the folder that must not be cut through; default: picture, or a few slices"
    )
    planes: tuple[str, ...] = option(("axial", "coronal", "sagittal"), "planes of a NIfTI file's slices")
    window: tuple[float, float] | None = option(None, "values of a NIfTI file shown black and white; none: robust")
    every: int = option(4, "take every n-th slice of a NIfTI file", minimum=1)
    count: int = option(200, "pictures that are made", minimum=1)
    channels: tuple[str, ...] = option(
        (), "kind of the picture when only red, green or blue is seen, as grey: three kinds; none: as the whole"
    )
    skull: bool = option(False, "a head: at times without its skull, or with more black about it")
    part: float = option(0.74, "smallest part of the picture that is seen, along each side", above=0, maximum=1)
    quarter_turns: bool = option(True, "whether a picture that is turned by 90 degrees is of the kind too")
    name: str = option("", "for reports; default: the name of the folder")
    licence: str = option("", "of the data, for the card of the weights")

    @property
    def title(self) -> str:
        """The name for reports."""
        return self.name or self.path.removesuffix("/images").rpartition("/")[2].removeprefix("made:")

    def check(self) -> None:
        """Refuse channels other than three."""
        if len(self.channels) not in (0, 3):
            raise InputError(f"{self.path}: channels are three kinds, of red, green and blue, got {self.channels}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KindsConfig(SteppedConfig):
    """A training run of the judge of kinds."""

    kind: ClassVar[str] = "training"
    name: ClassVar[str] = "kinds"
    task: ClassVar[str] = "fiducial.training.kinds:KindsTask"
    changeable: ClassVar[frozenset[str]] = SteppedConfig.changeable | {"num_workers", "keep", "refuse"}

    data: tuple[KindSource, ...] = option(help="what to learn from")
    widths: tuple[int, ...] = option((32, 64, 128, 160), "channels at strides 4, 8, 16, ...", minimum=1)
    steps: int = option(1500, "optimiser steps", minimum=1)
    batch_size: int = option(40, "pictures per step; normalisation needs two", minimum=2)
    ema_decay: float = option(0.99, "of the moving average of the weights, which is kept", minimum=0, maximum=1)
    shuffled: float = option(
        0.06, "part of the pictures that are cut into tiles and put together anew: of no kind", minimum=0, maximum=1
    )
    keep: float = option(0.98, "part of a kind's validation pictures that its threshold keeps", minimum=0.5, maximum=1)
    refuse: float = option(
        0.97,
        "part of the other kinds' validation pictures that is enough to refuse: a threshold lies in the middle between "
        "what does that and what keeps the own, where the kind stands so far apart",
        minimum=0.5,
        maximum=1,
    )
    eval_limit: int = option(600, "largest number of validation pictures per evaluation", minimum=1)
    num_workers: int = option(1, "processes that prepare batches", minimum=0)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are told apart, sorted."""
        named = {one.kind for one in self.data} | {kind for one in self.data for kind in one.channels}
        return tuple(sorted(named - {""}))

    def check(self) -> None:
        """Refuse a run without kinds, or without anything to learn from."""
        if not self.kinds or not any(one.share and one.test + one.validation < 1 for one in self.data):
            raise InputError("data: pictures of at least one kind, with a share above 0, are needed")
