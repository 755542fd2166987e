"""Made maps, and a pipeline that finds and cuts exactly what is drawn on them: rectangles of plain colours on grey."""

from __future__ import annotations

import warnings

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from scipy import ndimage

from fiducial.contracts import Embedding
from fiducial.geometry import Mask
from fiducial.pipeline import Pipeline
from fiducial.prompters.detector import Detection, DetectorPrompter, Reading

GROUND = (90, 90, 90)
COLOURS = {"ship": (220, 30, 30), "tank": (240, 240, 240), "pier": (20, 20, 200)}
NORTH_UP = Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)
UTM = "EPSG:32633"


def picture(width, height, things):
    """Return (H, W, 3) pixels of rectangles: name, x1, y1, x2, y2 each."""
    pixels = np.full((height, width, 3), GROUND, np.uint8)
    for name, x1, y1, x2, y2 in things:
        pixels[y1:y2, x1:x2] = COLOURS[name]
    return pixels


def write_map(path, pixels, *, affine=NORTH_UP, crs=UTM, **options):
    """Write (H, W, bands) pixels as a GeoTIFF."""
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    about = {"driver": "GTiff", "width": pixels.shape[1], "height": pixels.shape[0], "count": pixels.shape[2]}
    placed = {} if affine is None else {"transform": affine}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", dtype=pixels.dtype, crs=crs, **about, **placed, **options) as file:
            file.write(pixels.transpose(2, 0, 1))
    return path


class ColourDetector:
    """Finds connected pixels of the colour of a name; counts how often it was asked."""

    def __init__(self):
        self.asked = 0

    def read(self, noun):
        name = noun.removesuffix("s")
        known = name in COLOURS
        return Reading(noun, name if known else None, 1.0 if known else 0.0, () if known else tuple(COLOURS))

    def vocabulary(self):
        return tuple(COLOURS)

    def detect(self, images, names):
        self.asked += len(images)
        return [
            [found for name in some for found in boxes_of(image, name)]
            for image, some in zip(images, names, strict=True)
        ]


def boxes_of(image, name):
    for part in ndimage.find_objects(ndimage.label((image.pixels == COLOURS[name]).all(axis=2))[0]):
        rows, columns = part
        yield Detection((columns.start, rows.start, columns.stop, rows.stop), 0.9, name)


class ColourSegmenter:
    """Cuts the pixels of a box that have the colour of its middle."""

    def encode(self, image):
        return Embedding(image.digest, image.width, image.height, {}, image)

    def decode(self, embedding, prompts):
        return [self._cut(embedding.image, prompt) for prompt in prompts]

    def _cut(self, image, prompt):
        x1, y1, x2, y2 = (int(edge) for edge in prompt.box)
        part = image.pixels[y1:y2, x1:x2]
        same = (part == COLOURS[prompt.label]).all(axis=2)
        return Mask.from_dense(same, offset=(x1, y1), size=(image.height, image.width))


def made_pipeline():
    return Pipeline(prompter=DetectorPrompter(ColourDetector()), segmenter=ColourSegmenter(), name="colours")
