"""The page of licences is true of what is installed, and nothing that is needed asks for more than Apache-2.0 does."""

import re
from importlib.metadata import PackageNotFoundError, version

import licence_page
from pages import ROOT

PAGE = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\S+) \| (.+) \| (.+) \|$", PAGE.partition("## Everything")[2], flags=re.MULTILINE)[1:]
MAKE = "run: python tests/licence_page.py > docs/licences.md"


def test_every_pinned_package_has_its_line():
    assert [name for name, _, _ in ROWS] == sorted(licence_page.pinned()), MAKE


def test_the_licences_are_those_that_the_packages_state():
    def is_pinned(name):
        try:
            return version(name) == licence_page.pinned()[name]
        except PackageNotFoundError:
            return False

    found = {name: stated for name, stated, _ in ROWS if is_pinned(name)}
    assert len(found) > 20
    assert found == {name: licence_page.licence(name) for name in found}, MAKE


def test_what_is_installed_with_the_package_is_permissive():
    assert [row for row in ROWS if re.search(r"\bA?GPL|not stated|None", row[1]) and "development" not in row[2]] == []
    assert [row for row in ROWS if row[2] == "every installation" and licence_page.COPYLEFT.search(row[1])] == []
