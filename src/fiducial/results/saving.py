"""Writing a result to files: which kinds there are, and how they are called.

The stem is the image's file name *with* its suffix: ``a.jpg`` gives ``a.jpg.json``, ``a.png`` gives
``a.png.json``, and neither touches the picture or notes beside it. The name of one image alone cannot tell
whether another folder holds a picture of the same name; who writes many images into one folder asks
:func:`file_stems`, which puts as many folders in front as it takes to tell them apart.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from fiducial.errors import InputError, UnknownNameError
from fiducial.files import make_folder, write_atomically

if TYPE_CHECKING:
    from fiducial.results.segmentation import Segmentation

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]')
_MAX_BYTES = 180

Writer = Callable[["Segmentation", Path], bytes | str]
"""Turns a result into the content of one file; it is given the folder, and writes nothing itself."""


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
        "png": (FileKind("png", ".overlay.png", "fiducial.results.png:write_overlay"),),
        "mask": (
            FileKind("mask", ".mask.png", "fiducial.results.png:write_union"),
            FileKind("instances", ".instances.png", "fiducial.results.png:write_instances"),
        ),
        "json": (FileKind("json", ".json", "fiducial.results.segmentation:write_json"),),
        "coco": (FileKind("coco", ".coco.json", "fiducial.results.annotations:write_coco"),),
        "labelme": (FileKind("labelme", ".labelme.json", "fiducial.results.annotations:write_labelme"),),
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
    if isinstance(formats, str):
        raise InputError(f"formats is a list of names, got the text {formats!r}: write [{formats!r}]")
    for name in formats:
        if name not in FORMATS:
            raise UnknownNameError("format", name, FORMATS)
    kinds = [kind for name in dict.fromkeys(formats) for kind in FORMATS[name]]
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


def checked_stem(stem: str) -> str:
    """Return a stem, or raise InputError when it cannot begin a file name."""
    if not stem or stem != file_stem(stem):
        raise InputError(f"{stem!r} cannot begin a file name: try {file_stem(stem)!r}")
    return stem


def file_stem(name: str) -> str:
    """Return the stem for one image: its file name with the suffix, made safe for every file system.

    Example:
        >>> file_stem("pictures/harbour.jpg"), file_stem("scan.nii.gz[12]"), file_stem("")
        ('harbour.jpg', 'scan.nii.gz[12]', 'image')
    """
    parts = _parts(name)
    return _safe(parts[-1] if parts else "image")


def file_stems(names: Sequence[str]) -> list[str]:
    """Return one stem per image, each different from all others, whatever folders they come from.

    Images whose file name is theirs alone keep it. The others get the nearest folders in front that tell them
    apart, joined by two underscores. The same path twice, or names that still meet (a system that ignores
    case), get a number at the end.

    Example:
        >>> file_stems(["x/a.jpg", "y/a.jpg", "y/b.jpg"])
        ['x__a.jpg', 'y__a.jpg', 'b.jpg']
    """
    parts = [_parts(name) or ["image"] for name in names]
    depth = [1] * len(parts)
    while True:
        stems = [_safe("__".join(part[-count:])) for part, count in zip(parts, depth, strict=True)]
        counts = Counter(stem.casefold() for stem in stems)
        grow = [
            counts[stem.casefold()] > 1 and count < len(part)
            for stem, part, count in zip(stems, parts, depth, strict=True)
        ]
        if not any(grow):
            return _numbered(stems)
        depth = [count + more for count, more in zip(depth, grow, strict=True)]


def _numbered(stems: Sequence[str]) -> list[str]:
    taken = {stem.casefold() for stem in stems}
    seen: set[str] = set()
    result = []
    for stem in stems:
        unique, number = stem, 2
        while unique.casefold() in seen or (unique != stem and unique.casefold() in taken):
            unique, number = f"{stem}-{number}", number + 1
        seen.add(unique.casefold())
        result.append(unique)
    return result


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"[/\\]", name) if part.strip(" .")]


def _safe(text: str) -> str:
    clean = _UNSAFE.sub("_", text).strip(" .") or "image"
    if clean.casefold() == "run":
        clean = "run_"  # run.json is the card of the run itself
    data = clean.encode("utf-8")
    if len(data) <= _MAX_BYTES:
        return clean
    mark = hashlib.sha256(data).hexdigest()[:8]
    return data[: _MAX_BYTES - 9].decode("utf-8", "ignore").rstrip(" .") + "-" + mark
