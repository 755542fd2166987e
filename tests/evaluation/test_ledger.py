import json

import numpy as np
import pytest

from fiducial import Answer, Image, Mask, Prompts, Segmentation
from fiducial.errors import InputError
from fiducial.evaluation.ledger import LEDGER, Entry, Ledger
from fiducial.language import Outcome

RECIPE = {"name": "mine", "prompter": {"name": "classic"}}


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"pixels")
    return path


def ended(outcome, targets):
    image = Image(np.zeros((9, 9, 3), np.uint8))
    prompts = Prompts.from_boxes(image.frame, [(1, 1, 5, 5)] * targets)
    return Segmentation(image, "x", Answer(outcome, prompts), (Mask.empty(9, 9),) * targets, prompts)


def note(folder, picture, outcome=Outcome.FOUND, **settings):
    (folder / "a.png.json").parent.mkdir(exist_ok=True)
    (folder / "a.png.json").write_text("{}")
    with Ledger(folder, RECIPE, **settings) as ledger:
        ledger.add(picture, "a.png", ended(outcome, 2), [folder / "a.png.json"], {"x": 1})


def test_what_was_noted_is_done(tmp_path, picture):
    note(tmp_path / "out", picture, instruction="ships")
    with Ledger(tmp_path / "out", RECIPE, instruction="ships") as ledger:
        assert ledger.done("a.png", picture) == Entry("a.png", Outcome.FOUND, 2, ("a.png.json",), {"x": 1})
        assert ledger.done("b.png", picture) is None


@pytest.mark.parametrize("outcome", list(Outcome))
def test_only_what_failed_is_done_again(tmp_path, picture, outcome):
    note(tmp_path / "out", picture, outcome)
    with Ledger(tmp_path / "out", RECIPE) as ledger:
        assert (ledger.done("a.png", picture) is None) == (outcome is Outcome.FAILED)


@pytest.mark.parametrize("change", ["picture", "gone", "file", "recipe", "settings"])
def test_other_contents_and_settings_are_not_done(tmp_path, picture, change):
    out = tmp_path / "out"
    note(out, picture, instruction="ships")
    if change == "picture":
        picture.write_bytes(b"pixelz")
    elif change == "gone":
        picture.unlink()
    elif change == "file":
        (out / "a.png.json").unlink()
    recipe = {**RECIPE, "segmenter": None} if change == "recipe" else RECIPE
    with Ledger(out, recipe, instruction="boats" if change == "settings" else "ships") as ledger:
        assert ledger.done("a.png", picture) is None


def test_weights_count_by_what_they_hold(tmp_path, picture):
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"1")
    recipe = {**RECIPE, "segmenter": {"name": "sam", "model": str(weights)}}
    with Ledger(tmp_path / "out", recipe) as ledger:
        ledger.add(picture, "a.png", ended(Outcome.FOUND, 1), [])
    with Ledger(tmp_path / "out", recipe) as ledger:
        assert ledger.done("a.png", picture) is not None
    weights.write_bytes(b"12")
    with Ledger(tmp_path / "out", recipe) as ledger:
        assert ledger.done("a.png", picture) is None


def test_the_last_line_of_a_picture_counts_and_a_torn_one_does_not(tmp_path, picture):
    out = tmp_path / "out"
    note(out, picture, Outcome.FAILED)
    note(out, picture)
    with (out / LEDGER).open("ab") as file:
        file.write(json.dumps({"stem": "a.png"}).encode()[:-4])
    with Ledger(out, RECIPE) as ledger:
        assert ledger.done("a.png", picture) is not None


def test_one_process_at_a_time_and_no_edited_list(tmp_path):
    with Ledger(tmp_path, RECIPE), pytest.raises(InputError, match="another process"):
        Ledger(tmp_path, RECIPE)
    (tmp_path / LEDGER).write_text("{]\n")
    for _ in range(2):  # the lock is let go
        with pytest.raises(InputError, match="line 1: not valid JSON"):
            Ledger(tmp_path, RECIPE)
