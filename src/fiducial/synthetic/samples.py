"""Pictures to try things on: drawn scenes, and photographs that come with scikit-image; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fiducial.errors import MissingExtraError, UnknownNameError, extra_needed
from fiducial.files import make_folder, write_atomically
from fiducial.images import Image
from fiducial.synthetic.scenes import SceneDataset


@dataclass(frozen=True, slots=True)
class SamplePicture:
    """A picture to try things on.

    Args:
        name: of its file.
        instruction: what the default recipe can be asked about it.
        scene: style, seed and number of a drawn scene; None for the photograph of this name.
    """

    name: str
    instruction: str
    scene: tuple[str, int, int] | None = None

    def image(self) -> Image:
        """Draw or read it; the same pixels every time."""
        if self.scene is not None:
            style, seed, number = self.scene
            return Image(SceneDataset(style, number + 1, seed).scene(number).image.pixels, name=self.name)
        with extra_needed(f"the photograph {self.name}", "samples"):
            import skimage.data

        return Image.from_array(getattr(skimage.data, Path(self.name).stem)(), name=self.name)


SAMPLES = (
    SamplePicture("ships.png", "the two largest ships", ("aerial", 99, 3)),
    SamplePicture("airplanes.png", "every airplane except the leftmost", ("aerial", 5, 5)),
    SamplePicture("tanks.png", "the storage tanks on the right", ("aerial", 33, 5)),
    SamplePicture("phantom.png", "the two brightest round regions", ("phantom", 99, 0)),
    SamplePicture("coins.png", "the three largest round regions"),
    SamplePicture("rocket.png", "the tallest bright region"),
    SamplePicture("coffee.png", "the largest round region"),
    SamplePicture("chelsea.png", "the largest bright region"),
)
"""The pictures, and an instruction for each."""


def sample_image(name: str) -> Image:
    """Return one of the pictures.

    Raises:
        UnknownNameError: there is none of that name.

    Example:
        >>> sample_image("ships.png")
        Image('ships.png', 512 x 512)
    """
    found = next((one for one in SAMPLES if one.name == name), None)
    if found is None:
        raise UnknownNameError("sample picture", name, [one.name for one in SAMPLES])
    return found.image()


def write_samples(folder: str | Path, samples: Sequence[SamplePicture] = SAMPLES) -> list[Path]:
    """Write the pictures as PNG files; what is there under such a name is left as it is.

    Photographs are left out where scikit-image, which brings them, is not installed.

    Returns:
        The files that were written.

    Raises:
        InputError: the folder cannot be made, or a file not be written.
    """
    import cv2

    folder = make_folder(folder)
    written = []
    for sample in samples:
        if (folder / sample.name).exists():
            continue
        try:
            image = sample.image()
        except MissingExtraError:
            continue
        data = cv2.imencode(".png", image.pixels[..., ::-1])[1].tobytes()
        written.append(write_atomically(folder / sample.name, data))
    return written
