"""Cut photographs that come with scikit-image, and drawn scenes, from boxes: the embedded segmenter beside GrabCut.

Writes segmenters.jpg: for each picture nano on the left, GrabCut on the right. The boxes of the photographs were
drawn by hand, those of the scenes are the true ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import skimage.data

from fiducial import Image, Prompts
from fiducial.datasets import open_dataset
from fiducial.overlays import BoxOverlay, MaskOverlay
from fiducial.segmenters.grabcut import GrabCutSegmenter
from fiducial.segmenters.nano import NanoSegmenter

PHOTOGRAPHS = {
    "astronaut": [(100, 0, 330, 210)],
    "coffee": [(170, 10, 445, 345), (330, 190, 520, 330)],
    "chelsea": [(80, 20, 360, 290)],
    "rocket": [(290, 60, 350, 350)],
    "camera": [(80, 70, 300, 510)],
    "coins": [(20, 20, 75, 75), (302, 8, 372, 76), (18, 230, 84, 295)],
}
SCENES = ("aerial", "phantom", "shapes")
PANEL = (360, 280)


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("segmenters.jpg"), help="the picture to write")
    arguments = parser.parse_args()
    segmenters = [NanoSegmenter.from_pretrained(device="cpu"), GrabCutSegmenter()]
    pairs = []
    for image, prompts in [*photographs(), *scenes()]:
        shown = [panel(image, prompts, one.decode(one.encode(image), prompts)) for one in segmenters]
        pairs.append(np.concatenate(shown, axis=1))
    rows = [np.concatenate(pairs[first : first + 3], axis=1) for first in range(0, len(pairs), 3)]
    PIL.Image.fromarray(np.concatenate(rows)).save(arguments.out, quality=85)
    print(f"look at {arguments.out}: in each pair nano is on the left, GrabCut on the right")


def photographs() -> list[tuple[Image, Prompts]]:
    """Return the photographs with their boxes."""
    images = [Image.from_array(getattr(skimage.data, name)(), name=name) for name in PHOTOGRAPHS]
    return [
        (image, Prompts.from_boxes(image.frame, boxes))
        for image, boxes in zip(images, PHOTOGRAPHS.values(), strict=True)
    ]


def scenes() -> list[tuple[Image, Prompts]]:
    """Return one drawn scene of each style with the boxes of the things that its first instruction names."""
    samples = [next(iter(open_dataset(f"scenes:{style}?count=1&seed=5"))) for style in SCENES]
    return [(sample.image(), sample.prompts()) for sample in samples]


def panel(image: Image, prompts: Prompts, masks: list) -> np.ndarray:
    """Draw masks and boxes, at the size of a panel."""
    drawn = BoxOverlay(prompts)(MaskOverlay(masks)(image))
    return np.asarray(PIL.ImageOps.pad(PIL.Image.fromarray(drawn.pixels), PANEL, color="white"))


if __name__ == "__main__":
    main()
