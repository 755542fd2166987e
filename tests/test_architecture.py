"""docs/architecture.md is true: the files exist, data passes them in that order, and parts lie where it says."""

import inspect
import re
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import fiducial
from fiducial import plugins
from fiducial.recipes import recipe_names

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SOURCE = ROOT / "src" / "fiducial"


def section(title):
    return re.search(rf"^## {re.escape(title)}.*?$(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE)[1]


def numbered(title):
    return re.findall(r"^\| \d+ \| `([^`]+)` \|", section(title), flags=re.MULTILINE)


def first_calls(work):
    """Return the files of fiducial in the order in which something in them is first called."""
    seen = {}

    def note(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(str(SOURCE)):
            seen.setdefault(Path(frame.f_code.co_filename).relative_to(SOURCE).as_posix())

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return list(seen)


def test_every_file_on_the_page_exists():
    named = set(re.findall(r"`([a-z0-9_/]+\.(?:py|yaml))`", PAGE))
    assert len(named) > 15
    assert [name for name in named if not (SOURCE / name).is_file()] == []
    for link in re.findall(r"\]\((\.\./[^)]+)\)", PAGE):
        assert (ROOT / "docs" / link).is_file()


def test_the_default_recipe_takes_this_way():
    pipe = fiducial.load("nano", options={"prompter.device": "cpu", "segmenter.device": "cpu"})
    picture = fiducial.read_image(ROOT / "docs" / "images" / "ships.png")
    results = []
    passed = first_calls(lambda: results.append(pipe(picture, "the two largest ships")))
    assert results[0].outcome is fiducial.Outcome.FOUND
    way = numbered("One call of the default recipe")
    assert 5 <= len(way) <= 6
    assert [name for name in passed if name in way] == way


def test_a_reply_takes_this_way(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    from tiny.sam import tiny_sam2
    from tiny.vlm import make_say, tiny_qwen2_vl

    pipe = fiducial.load(
        "sjtu", prompter=f"vlm:{tiny_qwen2_vl(tmp_path / 'vlm')}", segmenter=f"sam2:{tiny_sam2(tmp_path / 'sam2')}"
    )
    make_say(monkeypatch, pipe.prompter, {"the ship": "[[0.1, 0.25, 0.5, 0.75]]"})
    passed = first_calls(lambda: pipe(np.zeros((60, 80, 3), np.uint8), "the ship"))
    way = numbered("One reply of a vision-language model")
    assert 5 <= len(way) <= 6
    assert [name for name in passed if name in way] == way


@pytest.mark.parametrize(
    "kind", ["prompter", "segmenter", "dataset", "prompt_refiner", "mask_refiner", "training", "decoding"]
)
def test_parts_are_described_where_the_page_says(kind):
    row = {"prompt_refiner": "refiner", "mask_refiner": "refiner", "training": "thing to train"}.get(kind, kind)
    line = next(line for line in section("Where do I put").splitlines() if re.match(rf"\| [^|]*\b{row}\b", line))
    allowed = re.findall(r"`([a-z0-9_/]+\.py)`", line.split("|")[2])
    # These need the room that holds what they describe.
    apart = {"truth", "scenes", "referring", "asked", "volume", "misground"}
    for name in set(plugins.names(kind)) - apart:
        where = Path(inspect.getsourcefile(plugins.find(kind, name))).relative_to(SOURCE).as_posix()
        assert where in allowed, f"{kind} {name}"


def test_dialects_recipes_and_commands_lie_where_the_page_says():
    from fiducial.cli import COMMANDS
    from fiducial.language.dialects import DIALECTS

    catalogue = (SOURCE / "language" / "dialects" / "catalogue.py").read_text(encoding="utf-8")
    assert all(f'"{name}"' in catalogue for name in DIALECTS)
    assert all(files("fiducial.recipes").joinpath(f"{name}.yaml").is_file() for name in recipe_names())
    assert all((SOURCE / "cli" / f"{name}.py").is_file() for name in COMMANDS)
