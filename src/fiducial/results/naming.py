"""How the files of a result are called.

The stem is the image's file name *with* its suffix: ``a.jpg`` gives ``a.jpg.json``, ``a.png`` gives
``a.png.json``, and neither touches the picture or notes beside it. The name of one image alone cannot tell
whether another folder holds a picture of the same name; who writes many images into one folder asks
:func:`file_stems`, which puts as many folders in front as it takes to tell them apart.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]')
_MOST_BYTES = 180
_JOINT = "__"


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
        stems = [_safe(_JOINT.join(part[-count:])) for part, count in zip(parts, depth, strict=True)]
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
    if len(data) <= _MOST_BYTES:
        return clean
    mark = hashlib.sha256(data).hexdigest()[:8]
    return data[: _MOST_BYTES - 9].decode("utf-8", "ignore").rstrip(" .") + "-" + mark
