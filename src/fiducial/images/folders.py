"""Which files of a folder are pictures, and which look like pictures and are not read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fiducial.errors import InputError
from fiducial.images.reading import as_path, can_open

IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif"),
        *(".png", ".apng", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"),
        *(".jp2", ".j2k", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm"),
    }
)
"""Suffixes of the pictures that are always read."""

_SOMETIMES = {".avif": "AVIF", ".avifs": "AVIF", ".heic": "HEIF", ".heif": "HEIF", ".hif": "HEIF"}
"""Suffixes of pictures that are read where Pillow knows the format."""

_NEVER = frozenset(
    {
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw"),
        *(
            ".dds",
            ".eps",
            ".exr",
            ".hdr",
            ".ico",
            ".jxl",
            ".jxr",
            ".pcx",
            ".pfm",
            ".psd",
            ".svg",
            ".tga",
            ".wmf",
            ".xcf",
        ),
    }
)
"""Suffixes of pictures that are not read: said, so that nobody takes them for done."""


class ImageFiles(NamedTuple):
    """Picture files, and those that were passed over."""

    paths: list[Path]
    skipped: list[str]
    """One line each: the path, and why it is not read."""


def list_images(paths: Iterable[str | Path], *, recursive: bool = False) -> list[Path]:
    """Name the picture files among files and folders; see :func:`find_images`, which also says what is passed over."""
    return find_images(paths, recursive=recursive).paths


def find_images(paths: Iterable[str | Path], *, recursive: bool = False) -> ImageFiles:
    """Find the picture files among files and folders, folders in sorted order.

    A file that is named is kept whatever its suffix, so that it is reported when it is no picture. In a folder the
    suffix decides; pictures of formats that are not read are named as skipped, and other files are none of ours.

    Args:
        paths: files and folders.
        recursive: also look into the folders of a folder; not into hidden ones, and not through links to folders.

    Raises:
        InputError: a folder without any picture, or one that may not be read.
    """
    found, skipped = list[Path](), list[str]()
    for path in map(as_path, paths):
        if not os.path.isdir(path):  # a name that no file can have is reported when it is read
            found.append(path)
            continue
        inside, passed, deeper = _inside(path, recursive)
        skipped += passed
        if not inside:
            hint = "; its folders hold some: add --recursive" if deeper else ""
            hint += f"; skipped {passed[0]}" if passed else ""
            raise InputError(f"{path}: no picture in this folder (looked for {_looked_for()}){hint}")
        found += inside
    return ImageFiles(found, skipped)


def _inside(folder: Path, recursive: bool) -> tuple[list[Path], list[str], bool]:
    """Return the pictures of a folder, what was passed over, and whether one lies deeper that was not looked for."""
    found, skipped = list[Path](), list[str]()
    folders = [folder]
    while folders:
        here = folders.pop(0)
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(f"{here}: the folder cannot be read ({error.strerror or error})") from None
        below = [Path(one.path) for one in entries if one.is_dir(follow_symlinks=False) and one.name[:1] != "."]
        folders = [*below, *folders] if recursive else folders
        for entry in entries:
            suffix = Path(entry.name).suffix.lower()
            if suffix not in IMAGE_SUFFIXES and suffix not in _SOMETIMES and suffix not in _NEVER:
                continue
            if entry.is_dir():
                continue
            if suffix in IMAGE_SUFFIXES or (suffix in _SOMETIMES and can_open(_SOMETIMES[suffix])):
                found.append(Path(entry.path))
            else:
                skipped.append(f"{entry.path}: {_reason(suffix)}")
    return found, skipped, not recursive and any(map(_holds_any, below))


def _holds_any(folder: Path) -> bool:
    try:
        return any(Path(entry.name).suffix.lower() in IMAGE_SUFFIXES for entry in os.scandir(folder))
    except OSError:
        return False


def _reason(suffix: str) -> str:
    if _SOMETIMES.get(suffix) == "HEIF":
        return "HEIC is not read here: pip install 'fiducial[pictures]', or save it as JPEG or PNG"
    return f"pictures of the kind {suffix} are not read here: save it as JPEG, PNG or TIFF"


def _looked_for() -> str:
    return ", ".join(sorted(IMAGE_SUFFIXES))
