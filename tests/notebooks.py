"""Runs the notebooks of docs/ and keeps what they show; ``python tests/notebooks.py [NAME ...]`` writes it anew.

What is kept of an output is its text, and a picture once: a notebook asks a result for HTML and for PNG, and each holds
the picture. What is said on stderr is left out.
"""

import html
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from pages import ROOT

FOLDER = ROOT / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*(?:e-?\d+)?%?")


def executed(path, place):
    """Return a notebook with the outputs of running it in a folder."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(place)}}
    NotebookClient(notebook, timeout=900, coalesce_streams=True, resources=resources).execute()
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [kept(output) for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def kept(output):
    """Return an output without its picture as PNG where its HTML has it."""
    if "text/html" in output.get("data", {}):
        output.data.pop("image/png", None)
    return output


def words_and_numbers(output):
    """Return an output's text with a mark in the place of each number, and the numbers."""
    data = output.get("data", {})
    text = output["text"] if output.output_type == "stream" else data.get("text/html", data.get("text/plain", ""))
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())
    numbers = [float(number.replace(",", "").rstrip("%")) for number in _NUMBER.findall(text)]
    return _NUMBER.sub("#", text), numbers


def main(names):
    """Write notebooks with their outputs: those that are named, or all."""
    for path in NOTEBOOKS:
        if names and path.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as place:
            nbformat.write(executed(path, Path(place)), path)


if __name__ == "__main__":
    main(sys.argv[1:])
