"""What the README shows is run, each Python block for itself."""

import pytest

from pages import blocks, run

BLOCKS = blocks("README.md")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder in which everything is run."""
    return tmp_path_factory.mktemp("readme")


def test_the_readme_has_both_kinds_of_blocks():
    assert {kind for kind, _ in BLOCKS} == {"bash", "python"}


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_runs(number, place):
    run(*BLOCKS[number], place, {})
