"""Descriptions: how a volume is read and cut into slices, and how slices become things in 3D."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fiducial.config import Config, option
from fiducial.errors import InputError
from fiducial.volumes.windows import CT_WINDOWS, Window


@dataclass(frozen=True, kw_only=True)
class VolumeOptions(Config):
    """How a volume is segmented, slice by slice."""

    plane: Literal["axial", "coronal", "sagittal"] = option("axial", "of a volume: plane of the slices")
    view: Literal["radiological", "storage"] = option(
        "radiological", "of a volume: radiological, with the patient's left at the right, or storage, the raw array"
    )
    window: str | None = option(
        None,
        f"of a volume: values shown as black and white, or a CT window: {', '.join(CT_WINDOWS)} (default: soft-tissue "
        "for CT, else robust percentiles)",
        unit="LOW,HIGH",
    )
    slices: tuple[int, int] | None = option(None, "of a volume: first and last slice that are asked", unit="N,N")
    modality: Literal["CT", "MR"] | None = option(None, "of a volume, where its file does not say it: CT or MR")
    orientation: str | None = option(
        None,
        "of a NIfTI file whose header says nothing or contradicts itself: sform, qform, or how its axes run: LPS",
        unit="O",
    )
    around: tuple[Path, ...] = option(
        (),
        "of a volume: one or two more scans on its grid, shown as red and blue around it, for models trained so (nano: "
        "brain MRI before and after contrast around FLAIR)",
        unit="FILE,FILE",
    )
    overlap: float = option(
        0.3,
        "of a volume: share of the smaller mask by which masks in neighbouring slices overlap when they are one thing",
        above=0,
        maximum=1,
    )
    propagate: Literal["gaps", "ends", "none"] = option(
        "gaps",
        "of a volume: cut by the neighbouring slice's box where a thing is missing between (gaps), or also beyond",
    )
    reach: int = option(2, "of a volume: most slices that are cut so, one after the other", unit="N", minimum=1)
    least_slices: int = option(
        2, "of a volume: what is found in fewer slices is dropped; 1 keeps everything", unit="N", minimum=1
    )

    def check(self) -> None:
        """Refuse slices out of order and windows that are none."""
        if self.slices is not None and not 0 <= self.slices[0] <= self.slices[1]:
            raise InputError(f"slices are the first and the last, from 0, got {self.slices[0]},{self.slices[1]}")
        if len(self.around) > 2:
            raise InputError(f"one or two scans go around a volume, as red and blue, got {len(self.around)}")
        self.wanted_window()

    def wanted_window(self) -> str | Window | None:
        """Return the window: a name, two values, or None."""
        if self.window is None or "," not in self.window:
            return self.window
        try:
            low, high = (float(part) for part in self.window.split(","))
        except ValueError:
            raise InputError(f"a window is a name or two numbers low,high, got {self.window!r}") from None
        return low, high
