"""``fiducial overlay``: draw what a model would see."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import PIL.Image

from fiducial.cli import common
from fiducial.errors import InputError
from fiducial.images import Image, read_image
from fiducial.overlays import GridOverlay, parse_grid
from fiducial.results import write_atomically


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = common.Parser("overlay", "Draw a grid onto an image, as a prompter would see it.")
    parser.add_argument("image", metavar="IMAGE", help="a picture file")
    parser.add_argument("--grid", default="9", metavar="N", help="cells per axis: N or NxM (default: 9)")
    parser.add_argument("--colour", "--color", default="black", help="a name or #rrggbb (default: black)")
    parser.add_argument("--opacity", type=float, default=0.3, help="0 (unseen) to 1 (solid); default 0.3")
    parser.add_argument("--line-width", type=int, default=1, metavar="PX", help="in pixels; default 1")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the picture to write")
    common.add_reading(parser)
    arguments = parser.read(words)
    columns, rows = parse_grid(arguments.grid)
    look = {"colour": arguments.colour, "opacity": arguments.opacity, "line_width": arguments.line_width}
    if arguments.out.is_dir():
        raise InputError(f"--out {arguments.out}: is a folder; name a file such as {arguments.out / 'grid.png'}")
    image = read_image(arguments.image, max_pixels=arguments.max_pixels)
    drawn = GridOverlay(columns, rows, **look)(image)
    print(f"wrote {write_atomically(arguments.out, _encode(drawn, arguments.out))}")
    return 0


def _encode(image: Image, path: Path) -> bytes:
    """Encode a picture in the format that the file's suffix names."""
    known = PIL.Image.registered_extensions()
    if path.suffix.lower() not in known:
        raise InputError(f"--out {path}: no picture format has the suffix {path.suffix!r}: use .png or .jpg")
    buffer = BytesIO()
    PIL.Image.fromarray(image.pixels).save(buffer, format=known[path.suffix.lower()])
    return buffer.getvalue()
