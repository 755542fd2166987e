"""The page's files, read when a server starts: what is not among them cannot be asked for, whatever a path says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

START = "index.html"
"""What ``/`` shows."""
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}
"""The content types by the end of a name; other files are no part of a page."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page: its bytes, content type, and an entity tag that changes with the bytes."""

    data: bytes
    type: str
    tag: str


def page_files(folder: Traversable | None = None) -> dict[str, PageFile]:
    """Read the files of a page by their path below its folder; default: the package's own page."""
    root = files("fiducial.server").joinpath("page") if folder is None else folder
    return dict(_walk(root, "")) if root.is_dir() else {}


def _walk(folder: Traversable, before: str) -> Iterator[tuple[str, PageFile]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _walk(entry, f"{before}{entry.name}/")
        elif kind := TYPES.get(f".{entry.name.rpartition('.')[2]}"):
            data = entry.read_bytes()
            yield f"{before}{entry.name}", PageFile(data, kind, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
