"""The images that were sent to a server, named by their digest, up to a limit of memory."""

from __future__ import annotations

import re

import numpy as np

from fiducial.cache import LRUCache
from fiducial.images import Image
from fiducial.remote import UNKNOWN_IMAGE
from fiducial.server.problems import ProblemError

_DIGEST = re.compile(r"[0-9a-f]{64}")


class ImageStore:
    """The images that were sent, named by their digest, up to a limit.

    Args:
        max_bytes: of all pixels together; images unused for longest go first.
        max_pixels: of one image.
    """

    def __init__(self, max_bytes: int, max_pixels: int) -> None:
        self.max_bytes = max_bytes
        self.max_pixels = max_pixels
        self._images = LRUCache[str, Image](max_bytes, lambda image: int(image.pixels.nbytes))

    def check(self, width: int, height: int) -> int:
        """Return the bytes of an image of that size; 413 where it is too large to be kept."""
        if width * height > self.max_pixels:
            raise ProblemError(413, f"{width} x {height} pixels are more than {self.max_pixels:,}: raise --max-pixels")
        if width * height * 3 > self.max_bytes:
            raise ProblemError(413, f"{width} x {height} pixels do not fit into the store: raise --store-bytes")
        return width * height * 3

    def put(self, digest: str, width: int, height: int, pixels: bytes) -> None:
        """Keep an image; 422 where its pixels are not those that its digest and size say."""
        if len(pixels) != width * height * 3:
            raise ProblemError(
                422, f"{width} x {height} pixels of RGB are {width * height * 3:,} bytes, got {len(pixels):,}"
            )
        image = Image(np.frombuffer(pixels, np.uint8).reshape(height, width, 3), digest[:12])
        if image.digest != digest:
            raise ProblemError(422, f"the pixels have the digest {image.digest}, not {digest}")
        self._images.put(digest, image)

    def keep(self, image: Image) -> None:
        """Keep an image that was read here; one that is larger than the whole store is not kept."""
        self._images.put(image.digest, image)

    def get(self, digest: str) -> Image:
        """Return an image; 404 of a type of its own where it is not, or no longer, known."""
        image = self._images.get(digest)
        if image is None:
            raise ProblemError(404, f"no image with the digest {digest} is known: send it (again)", UNKNOWN_IMAGE)
        return image

    @property
    def size(self) -> int:
        """What the images take, in bytes."""
        return self._images.size

    def __len__(self) -> int:
        return len(self._images)


def check_digest(digest: str) -> str:
    """Return a digest without the ``sha256:`` that may stand before it; 422 where it is none."""
    bare = digest.removeprefix("sha256:")
    if not _DIGEST.fullmatch(bare):
        raise ProblemError(422, f"a digest has 64 signs of 0-9a-f, got {digest!r:.80}")
    return bare
