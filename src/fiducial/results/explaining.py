"""The pictures that refiners drew of their work, as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from fiducial.files import make_folder, write_atomically
from fiducial.results.formats import checked_stem
from fiducial.results.naming import file_stem

if TYPE_CHECKING:
    from fiducial.results.segmentation import Segmentation


def save_pictures(segmentation: Segmentation, folder: str | Path, *, stem: str | None = None) -> list[Path]:
    """Write the pictures of every refinement; see :meth:`fiducial.results.Segmentation.save_pictures`."""
    folder = Path(folder)
    start = file_stem(segmentation.image.name) if stem is None else checked_stem(stem)
    contents = {
        f"{start}.target{target}.{step}-{refinement.refiner}.{number}-{name}.png": picture
        for target, steps in enumerate(segmentation.refinements, start=1)
        for step, refinement in enumerate(steps, start=1)
        for number, (name, picture) in enumerate(refinement.pictures.items(), start=1)
    }
    if not contents:
        return []
    make_folder(folder)
    return [
        write_atomically(folder / name, cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
        for name, picture in contents.items()
    ]
