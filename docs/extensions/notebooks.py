"""Notebooks as pages: cells, and the outputs that lie in the file; each can be taken away from its page."""

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_LINK = re.compile(r"(\]\([^)\s]+)\.ipynb([)#])")


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Put beside every notebook the page that is made of it."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        path = Path(str(file.abs_src_path))
        files.append(File.generated(config, f"{file.src_uri.removesuffix('.ipynb')}.md", content=page_of(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links to a notebook lead to its page."""
    return _LINK.sub(r"\1.md\2", markdown)


def page_of(path: Path) -> str:
    """Return a notebook as Markdown."""
    title, *cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = ["".join(title["source"]), f'<a href="../{path.name}" download>This page as a notebook</a>']
    for cell in cells:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += [_shown(output) for output in cell.get("outputs", [])]
    return "\n\n".join(parts) + "\n"


def _shown(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "text/html" in data:
        lines = "".join(data["text/html"]).splitlines()
        inner = "\n".join(line for line in lines if line.strip())  # a blank line would end it
        return f'<div class="notebook">{inner}</div>'
    return f"```text\n{''.join(output.get('text') or data['text/plain'])}\n```"
