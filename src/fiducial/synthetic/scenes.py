"""Scenes as a dataset: unlimited pictures with instructions and exact masks, from nothing but a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from fiducial.datasets.sample import Sample
from fiducial.errors import InputError, UnknownNameError
from fiducial.synthetic.aerial import draw_aerial
from fiducial.synthetic.canvas import Scene
from fiducial.synthetic.expressions import FAMILIES, Said, say
from fiducial.synthetic.expressions import VERSION as EXPRESSIONS_VERSION
from fiducial.synthetic.phantom import draw_phantom
from fiducial.synthetic.shapes import draw_shapes
from fiducial.synthetic.view import View, stated_colour
from fiducial.synthetic.vocabulary import spoken

VERSION = 1
"""Rises when the same seed no longer gives the same scenes."""
MIN_SIDE = 96
"""Shortest side of a scene in pixels: below it, things are too small to be recognised."""
_ATTEMPTS = 100

Drawer = Callable[[np.random.Generator, tuple[int, int], str], Scene | None]
_DRAWERS: Mapping[str, tuple[int, Drawer]] = {
    "shapes": (256, draw_shapes),
    "aerial": (512, draw_aerial),
    "phantom": (256, draw_phantom),
}
STYLES = tuple(_DRAWERS)
"""What scenes can look like."""


class SceneDataset:
    """Drawn pictures, each with one instruction and its exact truth.

    Sample ``i`` of a seed is the same whenever and wherever it is made, whatever other samples are made and how
    many there are. Each is drawn when it is asked for.

    ``size`` is the side of the square picture in pixels, or its (height, width); None is that of the style.
    ``families`` are the kinds of instruction; None is all of :data:`fiducial.synthetic.expressions.FAMILIES`.

    Example:
        >>> sample = SceneDataset("shapes", 10, seed=3)[0]
        >>> sample.picture.width, len(sample.instances) == len(sample.labels)
        (256, True)
    """

    def __init__(
        self,
        style: str,
        count: int = 1000,
        seed: int = 0,
        size: int | tuple[int, int] | None = None,
        families: Sequence[str] | None = None,
    ) -> None:
        if style not in _DRAWERS:
            raise UnknownNameError("scene style", style, STYLES)
        usual, self._draw = _DRAWERS[style]
        given = usual if size is None else size
        height, width = (given, given) if isinstance(given, int) else given
        if min(height, width) < MIN_SIDE:
            raise InputError(f"a scene needs at least {MIN_SIDE} x {MIN_SIDE} pixels, got {height} x {width}")
        if count < 0 or seed < 0:
            raise InputError(f"count and seed are numbers from 0, got {count} and {seed}")
        for family in families or ():
            if family not in FAMILIES:
                raise UnknownNameError("family", family, FAMILIES)
        self.families = tuple(families or FAMILIES)
        self.style = style
        self.seed = seed
        self.size = (height, width)
        self._count = count

    @property
    def name(self) -> str:
        """What the dataset is called: style, seed and size, and families where they are not all."""
        some = "" if len(self.families) == len(FAMILIES) else f"-{'-'.join(self.families)}"
        return f"scenes-{self.style}-{self.seed}-{self.size[1]}x{self.size[0]}{some}"

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all samples, in order; nothing is drawn for them."""
        return tuple(self._id(index) for index in range(self._count))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(self._count))

    def __getitem__(self, index: int) -> Sample:
        scene, said = self._make(index)
        chosen = said.chosen
        return Sample(
            id=self._id(range(self._count)[index]),
            image_path=None,
            picture=scene.image,
            instruction=said.instruction,
            instances=tuple(scene.masks[k] for k in chosen),
            size=self.size,
            labels=tuple(scene.labels[k] for k in chosen),
            meta={
                "style": self.style,
                "seed": self.seed,
                "version": VERSION,
                "expressions_version": EXPRESSIONS_VERSION,
                "family": said.family,
                "things": len(scene.labels),
                "attributes": [dict(scene.attributes[k]) for k in chosen],
            },
        )

    def scene(self, index: int) -> Scene:
        """Return the whole scene of a sample, with the things that its instruction leaves out."""
        return self._make(index)[0]

    def everything(self, index: int) -> Sample:
        """Return a sample that holds every thing of a scene, for making instructions of one's own.

        Its instruction names all of them together and is no phrase that can be resolved.
        """
        scene = self.scene(index)
        return Sample(
            id=self._id(range(self._count)[index]),
            image_path=None,
            picture=scene.image,
            instruction="everything",
            instances=scene.masks,
            size=self.size,
            labels=scene.labels,
            meta={"style": self.style, "attributes": [dict(one) for one in scene.attributes]},
        )

    def _make(self, index: int) -> tuple[Scene, Said]:
        number = range(self._count)[index]  # an IndexError like that of any sequence
        rng = np.random.default_rng([self.seed, STYLES.index(self.style), number, *self.size])
        for _ in range(_ATTEMPTS):
            scene = self._draw(rng, self.size, self._id(number))
            if scene is None:
                continue
            names = {spoken(label) for label in scene.labels}
            absent = [name for name in scene.vocabulary if name not in names]
            offered = [absent[int(k)] for k in rng.permutation(len(absent))]
            said = say(view_of(scene), rng, 1, vocabulary=offered, families=self.families)
            if said:
                return scene, said[0]
        raise InputError(f"{self.name}: no scene of this size came out well in {_ATTEMPTS} attempts: take a larger one")

    def _id(self, index: int) -> str:
        return f"{self.style}-{self.seed}-{index:06d}"


def view_of(scene: Scene) -> View:
    """Return the things of a scene as expressions speak of them.

    Colours are those that things were drawn in, where the scene says so of all of them; else they are measured,
    since haze and shadow change them; grey pictures have none.
    """
    stated = None
    if scene.colours and all("colour" in one and "texture" in one for one in scene.attributes):
        stated = [stated_colour(str(one["colour"])) for one in scene.attributes]
    read = (lambda: scene.image) if scene.colours else None
    size = (scene.image.height, scene.image.width)
    return View.of(size, scene.labels, masks=scene.masks, read=read, stated=stated)
