"""A few drawn scenes to try a server on, each with an instruction and its exact truth."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fiducial.datasets import Sample
from fiducial.errors import UnknownNameError
from fiducial.images import Image
from fiducial.synthetic.scenes import SceneDataset

SCENES: Mapping[str, tuple[str, int, int]] = MappingProxyType(
    {
        "ships": ("aerial", 99, 3),
        "tennis-courts": ("aerial", 99, 9),
        "vehicles": ("aerial", 99, 2),  # the default finds one of two: something to mend by hand
        "no-blue-ship": ("aerial", 99, 4),
        "crosses": ("shapes", 3, 2),
    }
)
"""Style, seed and number of each scene."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnScene:
    """A scene.

    Args:
        name: what it is called.
        image: the picture, called ``NAME.png``.
        sample: its instruction and truth.
    """

    name: str
    image: Image
    sample: Sample


class Scenes:
    """The scenes, drawn when they are first asked for; any number of threads may use them."""

    def __init__(self) -> None:
        self._drawn: dict[str, DrawnScene] = {}
        self._lock = threading.Lock()

    def find(self, name: str) -> DrawnScene:
        """Return a scene.

        Raises:
            UnknownNameError: there is none of that name.
        """
        if name not in SCENES:
            raise UnknownNameError("scene", name, SCENES)
        with self._lock:
            if name not in self._drawn:
                style, seed, number = SCENES[name]
                sample = SceneDataset(style, number + 1, seed)[number]
                self._drawn[name] = DrawnScene(name, Image(sample.image().pixels, f"{name}.png"), sample)
            return self._drawn[name]

    def every(self) -> list[DrawnScene]:
        """Return all scenes."""
        return [self.find(name) for name in SCENES]

    def by_digest(self, digest: str) -> Image | None:
        """Return the image of a scene that was drawn, by its digest."""
        with self._lock:
            return next((one.image for one in self._drawn.values() if one.image.digest == digest), None)
