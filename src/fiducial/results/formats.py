"""The kinds of files that a result can be written as, by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from fiducial.errors import InputError, UnknownNameError
from fiducial.files import make_folder, write_atomically
from fiducial.results.naming import file_stem

if TYPE_CHECKING:
    from fiducial.results.segmentation import Segmentation

Writer = Callable[["Segmentation", Path], bytes]
"""Turns a result into the content of one file; it is told the folder, and writes nothing itself."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """One file of a format.

    Args:
        key: what :meth:`Segmentation.save` calls it.
        ending: follows the stem in the file's name.
        writer: import string ``"module:function"`` of a :data:`Writer`, loaded when it is needed.
    """

    key: str
    ending: str
    writer: str

    def load(self) -> Writer:
        """Import the writer."""
        module, function = self.writer.split(":")
        writer: Writer = getattr(importlib.import_module(module), function)
        return writer


FORMATS: Mapping[str, tuple[FileKind, ...]] = MappingProxyType(
    {
        "png": (FileKind("png", ".overlay.png", "fiducial.results.overlay_png:write"),),
        "mask": (
            FileKind("mask", ".mask.png", "fiducial.results.mask_png:write_union"),
            FileKind("instances", ".instances.png", "fiducial.results.mask_png:write_instances"),
        ),
        "json": (FileKind("json", ".json", "fiducial.results.record:write"),),
        "coco": (FileKind("coco", ".coco.json", "fiducial.results.coco:write"),),
        "labelme": (FileKind("labelme", ".labelme.json", "fiducial.results.labelme:write"),),
    }
)
"""Name of a format -> the files that it consists of."""


def save(
    segmentation: Segmentation,
    folder: str | Path,
    formats: Sequence[str],
    *,
    stem: str | None = None,
    overwrite: bool = True,
) -> dict[str, Path]:
    """Write a result; see :meth:`fiducial.results.Segmentation.save`.

    Every content is made before the first file is touched, so a writer that fails leaves nothing behind.
    """
    kinds = _kinds(formats)
    folder = Path(folder)
    start = file_stem(segmentation.image.name) if stem is None else checked_stem(stem)
    paths = {kind.key: folder / f"{start}{kind.ending}" for kind in kinds}
    if not overwrite:
        for path in paths.values():
            if path.exists():
                raise InputError(f"{path}: is there already: choose another stem or folder, or allow overwriting")
    contents = {kind.key: kind.load()(segmentation, folder) for kind in kinds}
    make_folder(folder)
    return {key: write_atomically(path, contents[key]) for key, path in paths.items()}


def _kinds(formats: Sequence[str]) -> list[FileKind]:
    if isinstance(formats, str):
        raise InputError(f"formats is a list of names, got the text {formats!r}: write [{formats!r}]")
    for name in formats:
        if name not in FORMATS:
            raise UnknownNameError("format", name, FORMATS)
    return [kind for name in dict.fromkeys(formats) for kind in FORMATS[name]]


def checked_stem(stem: str) -> str:
    """Return a stem that can begin a file name.

    Raises:
        InputError: it cannot.
    """
    if not stem or stem != file_stem(stem):
        raise InputError(f"{stem!r} cannot begin a file name: try {file_stem(stem)!r}")
    return stem
