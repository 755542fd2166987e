"""Read XML that others wrote: no document types, no entities, bounded in size and depth."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any
from xml.parsers import expat

from fiducial.errors import InputError

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 32


def read_xml(path: Path) -> ElementTree.Element:
    """Read a small XML file.

    Args:
        path: the file.

    Raises:
        InputError: missing, larger than ``MAX_BYTES``, nested deeper than ``MAX_DEPTH``, not XML, or
            it declares a document type (and with it entities, which can be made to grow without end
            or to read other files).
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: an XML file of more than {MAX_BYTES >> 20} MiB is refused")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    builder = ElementTree.TreeBuilder()
    parser = _parser(path, builder)
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise InputError(f"{path}: not valid XML: {error}") from None
    return builder.close()


def _parser(path: Path, builder: ElementTree.TreeBuilder) -> expat.XMLParserType:
    depth = 0

    def refuse(*_: Any) -> int:
        raise InputError(f"{path}: XML with a document type or entities is refused")

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise InputError(f"{path}: XML nested more than {MAX_DEPTH} deep is refused")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    return parser
