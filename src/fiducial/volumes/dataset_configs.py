"""Descriptions: labelled volumes as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from fiducial.config import option
from fiducial.datasets.configs import PathConfig
from fiducial.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeConfig(PathConfig):
    """A labelled NIfTI volume as its slices; they look alike, so cut by group=volume."""

    name: ClassVar[str] = "volume"
    extra: ClassVar[str] = "volumes"

    plane: Literal["axial", "coronal", "sagittal", "all"] = option("axial", "plane of the slices")
    window: tuple[float, float] | None = option(
        None, "values shown as black and white: low,high; none: the 0.5 and 99.5 percentiles of the whole volume"
    )
    min_area: int = option(16, "labels with fewer pixels in a slice are left out of it", unit="pixels", minimum=1)

    def check(self) -> None:
        """Refuse a window without extent."""
        PathConfig.check(self)
        if self.window is not None and self.window[0] >= self.window[1]:
            raise InputError(f"window is two numbers low,high with low < high, got {self.window}")

    @classmethod
    def _function(cls, verb: str) -> Any:
        from fiducial.volumes import dataset

        return getattr(dataset, f"{verb}_volume")
