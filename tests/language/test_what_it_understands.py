"""``docs/what-it-understands.md`` is true: its picture is ours, and every line of its tables is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fiducial.language import Outcome
from language.street import STREET, chosen

PAGE = (Path(__file__).parents[2] / "docs" / "what-it-understands.md").read_text(encoding="utf-8")
LINES = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|$", PAGE, re.MULTILINE)
THINGS = re.findall(r"^\| (\w+) \| (\w+) \| (\d+), (\d+), (\d+), (\d+) \| (\w+) \|$", PAGE, re.MULTILINE)


def test_the_picture_of_the_page_is_the_street() -> None:
    assert {name: (label, tuple(map(int, box)), colour) for name, label, *box, colour in THINGS} == STREET


def test_every_table_row_is_a_line_that_is_run() -> None:
    rows = [row for row in PAGE.splitlines() if row.startswith("|") and not row.startswith(("|---", "| instruction"))]
    assert len(rows) == len(LINES) + len(THINGS) + 1
    assert len(LINES) > 50


@pytest.mark.parametrize(("instruction", "told"), LINES, ids=[line[0] for line in LINES])
def test_line(instruction: str, told: str) -> None:
    names, resolution = chosen(instruction)
    if told.startswith("refused: "):
        assert (names, resolution.outcome) == ("", Outcome.FAILED)
        assert told.removeprefix("refused: ") in resolution.text
    elif told == "nothing":
        assert (names, resolution.outcome) == ("", Outcome.NO_TARGET)
    else:
        assert (names, resolution.outcome, resolution.unknown) == (told, Outcome.FOUND, ())


def test_the_page_s_program_runs(capsys: pytest.CaptureFixture[str]) -> None:
    [program] = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    exec(program, {})  # noqa: S102 - the page of this very repository
    assert capsys.readouterr().out.splitlines() == [
        "Chose the largest of 3 cars (it covers 4800 square pixels).",
        "Chose nothing: 'in front of the shop' is not understood.",
        "(2,)",
    ]
