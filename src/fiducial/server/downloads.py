"""A result as a file to keep: the overlay, masks, JSON, and what other tools read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from fiducial.results import FORMATS, Segmentation, file_stem
from fiducial.results.saving import contents_of

FORMAT_OF: Mapping[str, str] = MappingProxyType(
    {"overlay": "png", "masks": "mask", "json": "json", "coco": "coco", "labelme": "labelme"}
)
"""What a download is called among the formats of results."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file: its name, content type and bytes."""

    name: str
    type: str
    data: bytes

    @property
    def disposition(self) -> str:
        """The header that has a browser keep it under its name (RFC 6266)."""
        plain = "".join(sign if sign.isascii() and sign not in '"\\%' else "_" for sign in self.name)
        return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(self.name, safe='')}"


def make_download(result: Segmentation, name: str) -> Download:
    """Write a result as one file; several, as for masks, come in a ZIP file.

    Args:
        result: what is written.
        name: one of :data:`FORMAT_OF`.
    """
    stem, kinds = file_stem(result.image.name), FORMATS[FORMAT_OF[name]]
    written = {
        f"{stem}{kinds[key][0]}": content.encode() if isinstance(content, str) else content
        for key, content in contents_of(result, FORMAT_OF[name], Path()).items()
    }
    if len(written) == 1:
        ((called, data),) = written.items()
        return Download(called, "image/png" if called.endswith(".png") else "application/json", data)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # PNG files are packed already
        for called, data in written.items():
            archive.writestr(called, data)
    return Download(f"{stem}.masks.zip", "application/zip", file.getvalue())
