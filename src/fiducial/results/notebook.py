"""A result in a notebook: how it shows itself, and how it is drawn onto axes of matplotlib."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fiducial.errors import MissingExtraError
from fiducial.overlays.drawing import Pixels
from fiducial.results.png import draw, draw_targets, status
from fiducial.results.segmentation import Segmentation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_SHOWN = 1024
"""No side of a picture in a notebook is longer, in pixels: notebooks keep every picture that they show, so that the one
in the HTML is a JPEG, a tenth of the size."""
_MAX_LISTED = 20


def as_png(segmentation: Segmentation) -> bytes:
    """Return the overlay with its legend as PNG, shrunk to what a notebook should keep."""
    return _encoded(draw(segmentation))


def as_html(segmentation: Segmentation) -> str:
    """Return the picture with its targets, and as text below it what was asked, how it ended and what was found."""
    picture = base64.b64encode(_encoded(draw_targets(segmentation), ".jpg")).decode("ascii")
    found = list(zip(segmentation.prompts, segmentation.masks, segmentation.scores, strict=True))
    rows = [
        f"<tr><td>{number}</td><td>{html.escape(prompt.label or 'target')}</td><td>{mask.area:,} px</td>"
        f"<td>{'' if score is None else f'{score:.2f}'}</td></tr>"
        for number, (prompt, mask, score) in enumerate(found[:_MAX_LISTED], start=1)
    ]
    more = len(found) - _MAX_LISTED
    head = "<tr><th></th><th>label</th><th>area</th><th>score</th></tr>"
    parts = [
        f'<img alt="{html.escape(repr(segmentation))}" style="max-width: 100%" src="data:image/jpeg;base64,{picture}">',
        f"<div><b>{html.escape(segmentation.instruction or 'masks from given coordinates')}</b>: "
        f"{html.escape(status(segmentation))}</div>",
        f"<table>{head}{''.join(rows)}</table>" if rows else "",
        f"<div>... and {more} more</div>" if more > 0 else "",
        f"<div>{html.escape(segmentation.text)}</div>" if segmentation.text else "",
    ]
    return f"<div>{''.join(parts)}</div>"


def plot(segmentation: Segmentation, axes: Axes | None = None) -> Axes:
    """Draw a result onto axes of matplotlib; see :meth:`fiducial.results.Segmentation.plot`."""
    try:
        import matplotlib.pyplot as pyplot
    except ModuleNotFoundError as error:
        raise MissingExtraError("plot()", "plot", f"no module {error.name!r}") from None
    if axes is None:
        axes = pyplot.subplots(layout="constrained")[1]
    width, height = segmentation.image.width, segmentation.image.height
    # The shown pixels may be more or fewer than the image's; the axes count in pixels of the image.
    axes.imshow(draw_targets(segmentation), extent=(0, width, height, 0), interpolation="antialiased")
    # A dollar sign would begin a formula.
    title = segmentation.instruction or "masks from given coordinates"
    axes.set_title(f"{title}: {status(segmentation)}".replace("$", r"\$"), wrap=True)
    return axes


def _encoded(pixels: Pixels, ending: str = ".png") -> bytes:
    scale = MAX_SHOWN / max(pixels.shape[:2])
    if scale < 1:
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return cv2.imencode(ending, pixels[..., ::-1])[1].tobytes()
