"""The page of a volume's result, and what a notebook shows: the table, slices with masks; no scripts, no requests."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from fiducial.geometry import Mask
from fiducial.images import Image
from fiducial.overlays import MaskOverlay
from fiducial.volumes.planes import OPPOSITE, PLANES, Slicing
from fiducial.volumes.viewing import Viewer
from fiducial.volumes.volume import LabelMap

if TYPE_CHECKING:
    from jinja2 import Template

    from fiducial.volumes.result import VolumeSegmentation

MOST_SLICES, MOST_SHOWN = 24, 3
"""Most slices of a page, and of a notebook, which keeps every picture."""
_SIDE = 360  # pixels of the longer side that small pictures are enlarged to


def page_of(result: VolumeSegmentation) -> str:
    """Return the page as HTML; every value is escaped."""
    views = [_view(result, plane) for plane in PLANES if plane != result.viewer.slicing.plane] if result.table else []
    return _template("page.html").render(result=result, views=views, slices=[*_slices(result, MOST_SLICES)])


def shown(result: VolumeSegmentation) -> str:
    """Return what a notebook shows: a few slices with the masks, and the table; every value is escaped."""
    return _template("shown.html").render(result=result, slices=[*_slices(result, MOST_SHOWN)])


def drawn(viewer: Viewer, labels: LabelMap, index: int) -> Image:
    """Return a slice with its masks on it, large enough to be looked at."""
    picture = viewer.picture(index)
    scale = max(1.0, _SIDE / max(picture.width, picture.height))
    width, height = round(picture.width * scale), round(picture.height * scale)
    shown = viewer.slicing.slice(labels.array, index)
    x = ((np.arange(width) + 0.5) * shown.shape[1] / width).astype(int)
    y = ((np.arange(height) + 0.5) * shown.shape[0] / height).astype(int)
    enlarged = shown[np.ix_(y, x)]
    highest = int(labels.array.max())
    masks = [Mask.from_dense(enlarged == number) for number in range(1, highest + 1)]
    return MaskOverlay(masks, opacity=0.25)(picture.stretched((width, height)))


def _slices(result: VolumeSegmentation, most: int) -> Iterator[dict[str, Any]]:
    """Yield slices evenly spread over those in which something was found; without any, over all."""
    shown = result.viewer.slicing.stack(result.label_map.array)
    found = [one.index for one in result.slices if shown[one.index].any()]
    among = found or [one.index for one in result.slices]
    chosen = np.unique(np.linspace(0, len(among) - 1, min(most, len(among))).round().astype(int))
    for number in chosen:
        yield _figure(result.viewer, result.label_map, among[number])


def _view(result: VolumeSegmentation, plane: Any) -> dict[str, Any]:
    """Show the largest thing in another plane, through its centroid."""
    slicing = Slicing(result.volume.shape, result.volume.affine, plane, result.viewer.slicing.view)
    region = result.label_map.regions[result.table[0]["label"]]
    _, index = slicing.mm_to_pixel(region.centroid)
    middle = int(np.clip(np.rint(index), 0, slicing.count - 1))
    return _figure(Viewer(result.volume, slicing, result.viewer.window), result.label_map, middle)


def _figure(viewer: Viewer, labels: LabelMap, index: int) -> dict[str, Any]:
    from PIL import Image as PillowImage

    data = io.BytesIO()
    PillowImage.fromarray(drawn(viewer, labels, index).pixels).save(data, "PNG")
    right, down, _ = viewer.slicing.directions
    return {
        "source": f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}",
        "caption": f"{viewer.slicing.plane} slice {index}",
        "letters": {"left": OPPOSITE[right], "right": right, "top": OPPOSITE[down], "bottom": down},
    }


@cache
def _template(name: str) -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("fiducial.volumes").joinpath(name).read_text(encoding="utf-8"))
