"""Pictures coming in: the Image type, reading files, limits."""

from fiducial.images.folders import IMAGE_SUFFIXES, ImageFiles, find_images, list_images
from fiducial.images.image import Image
from fiducial.images.memory import decode_image
from fiducial.images.reading import DEFAULT_MAX_PIXELS, image_size, read_image

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "IMAGE_SUFFIXES",
    "Image",
    "ImageFiles",
    "decode_image",
    "find_images",
    "image_size",
    "list_images",
    "read_image",
]
