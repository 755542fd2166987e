"""``fiducial overlay``: draw what a model would see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import PIL.Image

from fiducial.cli import common
from fiducial.config import Config, option
from fiducial.errors import InputError
from fiducial.files import write_atomically
from fiducial.images import DEFAULT_MAX_PIXELS, Image, read_image
from fiducial.overlays import GridOverlay, parse_grid


@dataclass(frozen=True, kw_only=True)
class Overlay(Config):
    """Draw a grid onto an image, as a prompter would see it."""

    image: Path = option(help="a picture file", positional=True)
    grid: str = option("9", "cells per axis: N or NxM", unit="N")
    colour: str = option("black", "a name or #rrggbb", unit="C")
    opacity: float = option(0.3, "0 (unseen) to 1 (solid)", unit="A")
    line_width: int = option(1, "in pixels", unit="PX")
    out: Path = option(help="the picture to write", unit="FILE")
    max_pixels: int = option(DEFAULT_MAX_PIXELS, "refuse larger pictures before decoding", unit="N", minimum=1)


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Overlay, "overlay", words)
    columns, rows = parse_grid(options.grid)
    if options.out.is_dir():
        raise InputError(f"--out {options.out}: is a folder; name a file such as {options.out / 'grid.png'}")
    grid = GridOverlay(
        columns=columns,
        rows=rows,
        colour=options.colour,
        opacity=options.opacity,
        line_width=options.line_width,
    )
    drawn = grid(read_image(options.image, max_pixels=options.max_pixels))
    print(f"wrote {write_atomically(options.out, _encode(drawn, options.out))}")
    return 0


def _encode(image: Image, path: Path) -> bytes:
    """Encode a picture in the format that the file's suffix names."""
    known = PIL.Image.registered_extensions()
    if path.suffix.lower() not in known:
        raise InputError(f"--out {path}: no picture format has the suffix {path.suffix!r}: use .png or .jpg")
    buffer = BytesIO()
    PIL.Image.fromarray(image.pixels).save(buffer, format=known[path.suffix.lower()])
    return buffer.getvalue()
