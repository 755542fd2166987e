"""Pictures that somebody sent: read by the same rules as files, named as the sender named them."""

from __future__ import annotations

import re
from pathlib import Path

from fiducial.errors import ImageError
from fiducial.images.image import Image
from fiducial.images.reading import DEFAULT_MAX_PIXELS, read_image

_MOST_LETTERS = 120


def decode_image(data: bytes, name: str = "image", *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image:
    """Read the bytes of a picture file as :func:`fiducial.images.read_image` reads a file.

    Args:
        data: the file's bytes.
        name: what the picture is to be called; folders in front of it and signs that no file name has are left out.
        max_pixels: refuse pictures whose header promises more, before decoding anything.

    Raises:
        ImageError: empty, no picture, broken or cut off, or larger than allowed; no path of this machine is told.

    Example:
        >>> decode_image(b"P5 2 1 255 ab", "deep/down/a.pgm")
        Image('a.pgm', 2 x 1)
    """
    import tempfile  # not needed to read files

    called = plain_name(name)
    if not data:
        raise ImageError(f"{called}: the file is empty (0 bytes)")
    with tempfile.TemporaryDirectory(prefix="fiducial-") as folder:
        path = Path(folder, "picture")
        path.write_bytes(data)
        try:
            found = read_image(path, max_pixels=max_pixels)
        except ImageError as error:
            raise ImageError(str(error).replace(str(path), called).replace(folder, "")) from None
    return Image(found.pixels, called, found.notes)


def plain_name(name: str) -> str:
    r"""Return a foreign file name without its folders, in signs that can be printed; "image" where nothing is left.

    Example:
        >>> plain_name("C:\\pictures\\harbour.jpg"), plain_name("../..")
        ('harbour.jpg', 'image')
    """
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(sign for sign in last if sign.isprintable()).strip(" .")
    return shown[-_MOST_LETTERS:] or "image"
