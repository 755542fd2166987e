"""The notebooks of docs/: what they show is what running them gives, apart from the last digits of numbers."""

from pathlib import Path

import nbformat
import pytest

from notebooks import NOTEBOOKS, executed, words_and_numbers

LARGEST = 300_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_running_a_notebook_gives_what_it_shows(path, tmp_path, monkeypatch):
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    place = tmp_path / "work"
    place.mkdir()
    written, run = nbformat.read(path, as_version=4), executed(path, place)
    assert any(cell.get("outputs") for cell in written.cells)
    for shown, gave in zip(written.cells, run.cells, strict=True):
        assert len(shown.get("outputs", [])) == len(gave.get("outputs", [])), shown.source
        for one, other in zip(shown.get("outputs", []), gave.get("outputs", []), strict=True):
            (words, numbers), (now, numbers_now) = words_and_numbers(one), words_and_numbers(other)
            assert now == words, f"{shown.source}\nrun: python tests/notebooks.py {path.stem}"
            assert numbers_now == pytest.approx(numbers, rel=0.02, abs=0.02), shown.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_names_no_place(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < LARGEST
    assert '"image/png"' not in text
    assert "/tmp/" not in text
    assert str(Path.home()) not in text


def test_words_and_numbers_of_an_output():
    output = nbformat.v4.new_output("execute_result", data={"text/html": "<b>ship</b> 1,234 px,<br> 0.5 &amp; 12%"})
    assert words_and_numbers(output) == ("ship # px, # & #", [1234.0, 0.5, 12.0])
    assert words_and_numbers(nbformat.v4.new_output("stream", text="IoU 0.75\n")) == ("IoU #", [0.75])
