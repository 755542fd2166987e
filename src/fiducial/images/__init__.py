"""Pictures coming in: the Image type, reading files, limits."""

from fiducial.images.image import Image
from fiducial.images.reading import DEFAULT_MAX_PIXELS, IMAGE_SUFFIXES, list_images, read_image

__all__ = ["DEFAULT_MAX_PIXELS", "IMAGE_SUFFIXES", "Image", "list_images", "read_image"]
