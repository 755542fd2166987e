"""What lies on disk: the tree of a layout, JSON, CSV and text, the heads of pictures, and label pictures."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from fiducial.errors import ImageError, InputError, UnknownNameError
from fiducial.files import read_text
from fiducial.geometry import Mask
from fiducial.images import DEFAULT_MAX_PIXELS, IMAGE_SUFFIXES, image_size
from fiducial.images.reading import deep_values

_LOSSY = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".jif"})
_TIFF = frozenset({".tif", ".tiff"})
_SHOWN, _LISTED = 8, 2000


class LayoutError(InputError):
    """A folder is not laid out as the layout of that name; the message shows the tree expected and the one found."""

    def __init__(self, root: Path, layout: str, expected: str, problem: str) -> None:
        self.layout = layout
        super().__init__(
            f"{root}: not a complete {layout!r} dataset: {problem}\nexpected:\n{_indent(expected)}\n"
            f"found:\n{_indent(tree(root))}"
        )


def tree(root: Path) -> str:
    """Draw the first two levels of a folder, a few names each."""
    if not root.exists():
        return "nothing: no such file or folder"
    if root.is_file():
        return f"{root.name} (a file)"
    return "\n".join([f"{root.name or root}/", *_branches(root, 1)])


def count_of(things: Sequence[str]) -> str:
    """Write names in a sentence: the first few, and how many more there are."""
    shown = ", ".join(things[:3])
    return f"{shown} and {len(things) - 3} more" if len(things) > 3 else shown


def choose_splits(available: Iterable[str], wanted: str | None, where: Path) -> list[str]:
    """Name the splits to read: the one that was asked for (an UnknownNameError where there is none), or all."""
    known = list(available)
    if wanted is None:
        return known
    if wanted not in known:
        raise UnknownNameError(f"split of {where}", wanted, known)
    return [wanted]


def read_csv(path: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    """Read a CSV file with a header that holds the columns needed; cells are stripped of surrounding space.

    Raises:
        InputError: a column is missing, a row is longer than the header, or it is no CSV.
    """
    reader = csv.DictReader(read_text(path).splitlines(keepends=True), strict=True)
    try:
        columns = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        missing = [name for name in needed if name not in columns]
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}; its columns: {', '.join(columns) or 'none'}")
        rows = []
        for row in reader:
            if None in row:
                where = f"{path}, line {reader.line_num}"
                raise InputError(f"{where}: more cells than columns (a comma needs quotes around its cell)")
            rows.append({name: (value or "").strip() for name, value in row.items()})
        return rows
    except csv.Error as error:
        raise InputError(f"{path}: not valid CSV after line {reader.line_num}: {error}") from None


def picture_size(path: Path) -> tuple[int, int]:
    """Read height, width of a picture when it is upright, from its header."""
    width, height = image_size(path)
    return height, width


def read_values(path: Path, *, channel: int | None = None) -> NDArray[Any]:
    """Read the numbers of a label picture.

    Args:
        path: a palette picture (the numbers are its indices), a grey one, or a colour one.
        channel: which channel of a colour picture counts; None takes the largest (alpha never counts).

    Returns:
        (H, W) array; bool, integer or floating as the file has them.
    """
    deep = deep_values(path) if path.suffix.lower() in _TIFF else None  # Pillow reads some of them wrong
    if deep is not None:
        return deep if deep.ndim == 2 else np.asarray(deep.max(axis=2) if channel is None else deep[..., channel])
    with _opened(path) as picture:
        if picture.width * picture.height > DEFAULT_MAX_PIXELS:
            raise ImageError(f"{path}: {picture.width} x {picture.height} is more than the limit for label pictures")
        bands = picture.getbands()
        if bands[-1] == "A" and len(bands) > 1:
            picture = picture.convert("RGB" if len(bands) == 4 else "L")
        try:
            values = np.asarray(picture)
        except (OSError, SyntaxError, ValueError) as error:
            raise ImageError(f"{path}: the label picture is broken or cut off ({error})") from None
    if values.ndim == 2:
        return values
    return values.max(axis=2) if channel is None else values[..., channel]


def read_mask(path: Path, size: tuple[int, int], *, channel: int | None = None) -> Mask:
    """Read a mask picture of height, width in pixels, by a channel as in :func:`read_values`: not zero is foreground.

    JPEG does not keep zeros, so there what is brighter than half of the range (127) is foreground.
    """
    values = read_values(path, channel=channel)
    require_size(path, values, size)
    return Mask.from_dense(values > (127 if path.suffix.lower() in _LOSSY else 0))


def require_size(path: Path, values: NDArray[Any], size: tuple[int, int]) -> None:
    """Raise an InputError when a label picture has not the size (height, width) of its image."""
    if values.shape != tuple(size):
        raise InputError(
            f"{path}: the label picture is {values.shape[0]} x {values.shape[1]} (height x width), "
            f"its image is {size[0]} x {size[1]}"
        )


def inside(folder: Path, name: str) -> Path:
    """Join a folder and a relative name that was read from a file and must not lead out of the folder."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if not parts.parts or parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
        raise InputError(f"{folder}: the file name {name!r} does not lie inside this folder")
    return folder.joinpath(*parts.parts)


def locate(folders: Sequence[Path], names: Collection[str]) -> tuple[Path, dict[str, Path], list[str]]:
    """Find files that an annotation file names in the first of several folders that holds the first of them.

    Returns:
        The folder (the first one where none holds the file), the path of each name, the names missing.
    """
    first = next(iter(names), None)
    folder = next((one for one in folders if first is not None and inside(one, first).is_file()), folders[0])
    listed = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    paths: dict[str, Path] = {}
    missing = []
    for name in names:
        known = name in listed
        paths[name] = folder / name if known else inside(folder, name)
        if not known and not paths[name].is_file():
            missing.append(name)
    return folder, paths, missing


class Pictures:
    """The picture files of one folder, found by name or by name without suffix."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
        self._files = {path.name: path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES}
        self._stems: dict[str, Path] = {}
        for path in self._files.values():
            self._stems.setdefault(path.stem, path)

    def find(self, name: str) -> Path | None:
        """Find a file of exactly this name, or else the first in order with this name before its suffix."""
        exact = self._files.get(name) or self._stems.get(name)
        return exact or self._stems.get(PurePosixPath(name).stem)

    def __getitem__(self, name: str) -> Path:
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[Path]:
        return iter(self._files.values())


def _opened(path: Path) -> PIL.Image.Image:
    if not path.is_file():
        raise ImageError(f"{path}: no such file")
    try:
        return PIL.Image.open(path)
    except (PIL.UnidentifiedImageError, PIL.Image.DecompressionBombError):
        raise ImageError(f"{path}: not a picture in a known format, or far too large") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path}: the picture cannot be read ({error})") from None


def _branches(folder: Path, depth: int) -> list[str]:
    try:
        entries = sorted(islice(folder.iterdir(), _LISTED), key=lambda path: (path.is_file(), path.name))
    except OSError as error:
        return [f"{'  ' * depth}({error.strerror})"]
    lines = []
    for entry in entries[:_SHOWN]:
        folder_like = entry.is_dir()
        lines.append(f"{'  ' * depth}{entry.name}{'/' * folder_like}")
        if folder_like and depth < 2:
            lines += _branches(entry, depth + 1)
    if len(entries) > _SHOWN:
        more = "many" if len(entries) == _LISTED else str(len(entries) - _SHOWN)
        lines.append(f"{'  ' * depth}... and {more} more")
    return lines or [f"{'  ' * depth}(empty)"]


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip("\n").splitlines())
