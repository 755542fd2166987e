"""Links out of docs/: to files of the repository, which the site does not hold; it names them instead."""

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)\s#]+)(?:#[^)]*)?\)")
logger = logging.getLogger("mkdocs.plugins.outside")  # a warning below "mkdocs" ends a strict build


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Write ``[benchmark](../benchmarks/volumes.py)`` as its words and the file's name; warn of one that is gone."""

    def named(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), found[2]))
        if path.startswith("docs/"):
            return found[0]
        if not (ROOT / path).exists():
            logger.warning("%s names %s, which the repository does not hold", page.file.src_uri, path)
        return f"`{path}`" if path.endswith(found[1].strip("`")) else f"{found[1]} (`{path}`)"

    return _LINK.sub(named, markdown)
