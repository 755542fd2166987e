"""Writing a result to files: which kinds there are, and how they are called.

The stem is the image's file name *with* its suffix: ``a.jpg`` gives ``a.jpg.json``, ``a.png`` gives ``a.png.json``.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from fiducial.errors import InputError, UnknownNameError
from fiducial.files import make_folder, write_atomically
from fiducial.results.segmentation import Segmentation

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]')
_MAX_BYTES = 180

FORMATS: Mapping[str, Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "png": {"png": (".overlay.png", "png:write_overlay")},
        "mask": {"mask": (".mask.png", "png:write_union"), "instances": (".instances.png", "png:write_instances")},
        "json": {"json": (".json", "segmentation:write_json")},
        "coco": {"coco": (".coco.json", "annotations:write_coco")},
        "labelme": {"labelme": (".labelme.json", "annotations:write_labelme")},
    }
)
"""The files that each format consists of, by key: how the name goes on after the stem, and what gives the content, a
``module:function`` of this package that takes the result and the folder."""


def save(
    segmentation: Segmentation,
    folder: str | Path,
    formats: Sequence[str],
    *,
    stem: str | None = None,
    overwrite: bool = True,
) -> dict[str, Path]:
    """Write a result; see :meth:`fiducial.results.Segmentation.save`."""
    if isinstance(formats, str):
        raise InputError(f"formats is a list of names, got the text {formats!r}: write [{formats!r}]")
    for name in formats:
        if name not in FORMATS:
            raise UnknownNameError("format", name, FORMATS)
    kinds = {key: kind for name in formats for key, kind in FORMATS[name].items()}
    folder, start = Path(folder), stem_of(segmentation, stem)
    paths = {key: folder / f"{start}{ending}" for key, (ending, _) in kinds.items()}
    if not overwrite:
        for path in paths.values():
            if path.exists():
                raise InputError(f"{path}: is there already: choose another stem or folder, or allow overwriting")
    # Every content is made before the first file is touched: a writer that fails leaves nothing behind.
    contents = {key: content for name in formats for key, content in contents_of(segmentation, name, folder).items()}
    make_folder(folder)
    return {key: write_atomically(path, contents[key]) for key, path in paths.items()}


def contents_of(segmentation: Segmentation, name: str, folder: Path) -> dict[str, bytes | str]:
    """Make the contents of the files of one format, by key; ``folder`` is where they are to lie."""
    contents: dict[str, bytes | str] = {}
    for key, (_, writer) in FORMATS[name].items():
        module, _, function = writer.partition(":")
        contents[key] = getattr(importlib.import_module(f"fiducial.results.{module}"), function)(segmentation, folder)
    return contents


def stem_of(segmentation: Segmentation, stem: str | None) -> str:
    """Return the given stem, or that of the image.

    Raises:
        InputError: the given one cannot begin a file name.
    """
    if stem is not None and stem != file_stem(stem):
        raise InputError(f"{stem!r} cannot begin a file name: try {file_stem(stem)!r}")
    return file_stem(segmentation.image.name) if stem is None else stem


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
