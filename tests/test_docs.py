"""The site is true: its blocks run, all its pages are in the navigation, its reference has every public name."""

import importlib
import re
import sys

import pytest
import yaml

import fiducial
from layout_page import layout_page
from pages import ROOT, blocks, run
from reference_pages import ROOMS, pages

DOCS = ROOT / "docs"
RUN = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [DOCS / "start.md", DOCS / "coming-from.md"]
    + [page for folder in ("tutorials", "how-to", "explanation") for page in (DOCS / folder).glob("*.md")]
    if path.stem != "serving"  # asks a server: tests/server/test_docs.py
)


@pytest.mark.parametrize("page", RUN)
def test_the_blocks_of_the_page_run(page, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["page"])
    names = {"__name__": "page"}
    for kind, text in blocks(page):
        run(kind, text, tmp_path, names)
    told = re.findall(r"`([\w.-]+)/([\w./-]+\.\w+)`", (ROOT / page).read_text(encoding="utf-8"))
    assert [one for one in told if (tmp_path / one[0]).is_dir() and not tmp_path.joinpath(*one).exists()] == []


def test_the_layouts_are_those_of_the_readers():
    written = (DOCS / "datasets.md").read_text(encoding="utf-8")
    assert written == layout_page(), "run: python tests/layout_page.py > docs/datasets.md"


def test_every_page_is_in_the_navigation():
    def named(entry):
        if isinstance(entry, str):
            return [entry]
        return [page for value in (entry.values() if isinstance(entry, dict) else entry) for page in named(value)]

    config = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)
    pages = [*DOCS.rglob("*.md"), *(path.with_suffix(".md") for path in DOCS.rglob("*.ipynb"))]
    assert sorted(named(config["nav"])) == sorted(path.relative_to(DOCS).as_posix() for path in pages)


def test_the_reference_is_made_of_what_is_public():
    written = {path.stem: path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")}
    assert written == pages(), "run: python tests/reference_pages.py"
    shown = set(re.findall(r"^::: (\S+)", "\n".join(written.values()), flags=re.MULTILINE))
    lost = [f"{home}.{name}" for name, home in fiducial._HOMES.items() if f"{home}.{name}" not in shown]
    for room in ROOMS:
        public = getattr(importlib.import_module(f"fiducial.{room}"), "__all__", ())
        lost += [f"fiducial.{room}.{name}" for name in public if f"fiducial.{room}.{name}" not in shown]
    assert lost == []
