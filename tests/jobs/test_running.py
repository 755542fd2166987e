import json
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet

from evaluation_fakes import HEIGHT, WIDTH
from fiducial import Mask
from fiducial.errors import InputError, ModelError
from fiducial.jobs import BatchOptions, run, running
from fiducial.jobs import ledger as ledger_module
from fiducial.jobs.ledger import Ledger
from fiducial.jobs.shards import read_shard

GONE = {"id": "gone", "image": "gone.png", "instruction": "x"}


def files(folder):
    """What must be the same bytes, by name."""
    kept = [*sorted((folder / "results").iterdir()), folder / "dead.jsonl", folder / "coco.json"]
    return {path.name: path.read_bytes() for path in kept if path.exists()}


def targets(batch):
    return [target for path in batch.results for target in read_shard(path)]


def test_every_row_ends_once_as_targets_or_among_the_dead(made, pipeline, here, tmp_path):
    seen = []
    batch = run(made.write(GONE), tmp_path / "out", options=here, on_row=lambda *one: seen.append(one))
    found, dead = targets(batch), [json.loads(line) for line in batch.dead_letters.read_text().splitlines()]
    done = {one["id"] for one in found}
    assert done | {one["id"] for one in dead} == {row["id"] for row in made.rows}
    assert not done & {one["id"] for one in dead}
    assert batch.rows == len(made.rows) == len(done) + batch.dead == len(seen)
    assert seen[-1][1:] == (21, 21)
    assert sum(one["target"] is not None for one in found) == batch.targets
    assert dead[-1] == {
        "id": "gone",
        "row": 21,
        "image": str(made.folder / "gone.png"),
        "instruction": "x",
        "reason": f"{made.folder / 'gone.png'}: no such file",
    }
    assert len(pipeline.segmenter.encoded) == len({one["image"] for one in found if one["target"]})
    # The pictures as the manifest first names them, and the rows of each together.
    assert [one["image"] for one in found] == sorted(one["image"] for one in found)
    assert [one["row"] for one in found if one["image"] == found[0]["image"]] == [found[0]["row"], found[0]["row"] + 10]


def test_a_target_has_its_columns_and_a_row_without_one_says_why(made, pipeline, here, tmp_path):
    batch = run(made.path, tmp_path / "out", options=here)
    found = targets(batch)
    one = next(one for one in found if one["target"])
    assert (one["target"], one["score"], one["outcome"]) == (1, 0.5, "found")
    assert (one["height"], one["width"]) == (HEIGHT, WIDTH)
    mask = Mask.from_coco({"size": [one["height"], one["width"]], "counts": one["rle"]})
    assert mask.area == one["area"] > 0
    assert list(mask.box) == one["box"]
    none = next(one for one in found if one["outcome"] == "no_target")
    assert (none["target"], none["box"], none["rle"], none["text"]) == (None, None, None, "nothing is red")
    timed = sorted((batch.folder / "seconds").iterdir())
    seconds = [row for path in timed for row in parquet.read_table(path).to_pylist()]
    assert [row["row"] for row in seconds] == list(dict.fromkeys(one["row"] for one in found))
    assert all(row["total"] >= 0 for row in seconds)


def test_what_is_done_is_done(made, pipeline, here, tmp_path):
    first = run(made.path, tmp_path / "out", options=here)
    asked, before = len(pipeline.prompter.asked), files(tmp_path / "out")
    again = run(made.path, tmp_path / "out", options=here)
    assert (again.new, first.new) == (0, 20)
    assert replace(again, new=20) == first
    assert len(pipeline.prompter.asked) == asked
    assert files(tmp_path / "out") == before
    card = json.loads((tmp_path / "out" / "run.json").read_text())
    assert len(card["sessions"]) == 2
    assert card["recipe"]["name"] == "nano"


def test_other_rows_or_another_recipe_in_the_same_folder_are_told(made, pipeline, here, tmp_path):
    run(made.path, tmp_path / "out", options=here)
    with pytest.raises(InputError, match=r'recipe\.name: "nano" there, "classic" now'):
        run(made.path, tmp_path / "out", recipe="classic", options=here)
    with pytest.raises(InputError, match="shard: 4 there, 5 now"):
        run(made.path, tmp_path / "out", options=replace(here, shard=5))
    made.write(GONE)
    with pytest.raises(InputError, match=r"manifest.sha256: .* there, .* now"):
        run(made.path, tmp_path / "out", options=here)


def test_a_manifest_may_move_with_its_pictures(made, pipeline, here, tmp_path):
    run(made.path, tmp_path / "out", options=here)
    made.folder.rename(tmp_path / "moved")
    assert run(tmp_path / "moved" / "rows.jsonl", tmp_path / "out", options=here).new == 0


def test_the_dead_are_a_manifest(made, pipeline, here, tmp_path):
    box = [{"box": [2, 3, 9, 8]}]
    made.write(GONE, {"id": "given", "image": "gone.png", "prompts": box}, {"id": "lost"})
    batch = run(made.path, tmp_path / "out", options=here)
    assert batch.dead >= 3
    (made.folder / "gone.png").write_bytes((made.folder / "picture-001.png").read_bytes())
    second = run(batch.dead_letters, tmp_path / "again", options=here)
    assert second.rows == batch.dead
    found = {one["id"]: one for one in targets(second)}
    assert found["given"]["box"] == [2, 3, 9, 8]
    assert "gone" in found
    assert "lost" not in found
    assert second.notes == ()


def test_one_file_for_everything(made, pipeline, here, tmp_path):
    batch = run(made.path, tmp_path / "out", options=replace(here, coco=True))
    coco = json.loads((tmp_path / "out" / "coco.json").read_text())
    found = targets(batch)
    assert [one["file_name"] for one in coco["images"]] == list(dict.fromkeys(one["image"] for one in found))
    assert [one["id"] for one in coco["images"]] == list(range(1, len(coco["images"]) + 1))
    names = {one["id"]: one["file_name"] for one in coco["images"]}
    assert [(one["row_id"], one["area"], one["bbox"], names[one["image_id"]]) for one in coco["annotations"]] == [
        (one["id"], one["area"], [x1, y1, x2 - x1, y2 - y1], one["image"])
        for one in found
        if one["target"]
        for x1, y1, x2, y2 in [one["box"]]
    ]
    assert [one["id"] for one in coco["annotations"]] == list(range(1, batch.targets + 1))
    assert coco["categories"] == [{"id": 1, "name": "target", "supercategory": ""}]


def test_a_folder_of_pictures_is_a_batch(made, pipeline, here, tmp_path):
    Path(os.fsdecode(bytes(made.folder) + b"/\xff.png")).write_bytes(b"")
    batch = run(made.folder, tmp_path / "out", "the red thing", options=here)
    assert batch.rows == 11
    assert json.loads(batch.dead_letters.read_text().splitlines()[-1])["reason"].startswith("holds signs that are no")
    assert {one["id"] for one in targets(batch)} <= {row["image"] for row in made.rows}


def test_a_file_that_is_gone_is_made_anew_and_one_that_was_edited_is_told(made, pipeline, here, tmp_path):
    before = run(made.path, tmp_path / "out", options=here)
    kept = files(tmp_path / "out")
    second = before.results[1]
    content = second.read_bytes()
    second.unlink()
    again = run(made.path, tmp_path / "out", options=here)
    assert files(tmp_path / "out") == kept
    assert f"{second}: was gone or cut, and is made anew" in again.notes
    second.write_bytes(before.results[0].read_bytes()[: len(content)].ljust(len(content), b"x"))
    with pytest.raises(InputError, match=rf"{second.name}: "):
        run(made.path, tmp_path / "out", options=here)


def test_the_check_sees_a_row_that_is_doubled_or_lost(made, pipeline, here, tmp_path, monkeypatch):
    def doubled(folder, shard, rows):
        rows = list(rows)
        return written(folder, shard, [*rows, rows[-1]])

    def lost(folder, shard, rows):
        return written(folder, shard, list(rows)[1:])

    written = running.write_shard
    for number, wrong in enumerate((doubled, lost)):
        monkeypatch.setattr(running, "write_shard", wrong)
        with pytest.raises(InputError, match="does not hold what was written"):
            run(made.path, tmp_path / f"out{number}", options=here)


class Mortal:
    """Ends this process as kill -9 does, before or after one of so many steps that change something on the disk."""

    def __init__(self, patch, left):
        self.left = left
        for place, name in [(Ledger, "end"), (Ledger, "written"), (running, "write_shard"), (running, "write_dead")]:
            patch.setattr(place, name, self.dying(getattr(place, name)))
        patch.setattr(ledger_module.os, "replace", self.dying(os.replace))
        patch.setattr(ledger_module.os, "fsync", self.dying(os.fsync))

    def dying(self, step):
        def taken(*values, **options):
            self.step()
            result = step(*values, **options)
            self.step()
            return result

        return taken

    def step(self):
        self.left -= 1
        if not self.left:
            os._exit(9)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(made, pipeline, here, tmp_path):
    made.write(GONE, {"id": "lost"})
    options = replace(here, coco=True, shard=3)
    run(made.path, tmp_path / "whole", options=options)
    draw, kills = random.Random(3), 0
    while True:
        child = os.fork()
        if not child:
            try:
                Mortal(pytest.MonkeyPatch(), draw.randrange(1, 40) if kills < 25 else -1)
                run(made.path, tmp_path / "killed", options=options)
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        draw.random()
        if status == 0:
            break
        assert status == 9
        kills += 1
    assert kills >= 10
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert [path.name for path in (tmp_path / "killed").rglob(".*")] == []


def test_a_prompter_is_loaded_only_where_it_is_asked(made, pipeline, here, tmp_path, monkeypatch):
    recipes = []
    monkeypatch.setattr("fiducial.jobs.working.recipes.load", lambda recipe: recipes.append(recipe) or pipeline)
    made.rows = [{"id": "a", "image": "picture-001.png", "prompts": [{"box": [1, 1, 9, 9]}]}]
    run(made.write(), tmp_path / "given", options=here)
    run(made.write(GONE), tmp_path / "asked", options=here)
    assert [recipe.prompter is None for recipe in recipes] == [True, False]


def test_an_interrupted_batch_keeps_what_is_done(made, pipeline, here, tmp_path):
    def stop(outcome, done, planned):
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(made.path, tmp_path / "out", options=here, on_row=stop)
    batch = run(made.path, tmp_path / "out", options=here)
    assert 20 - 8 <= batch.new <= 20 - 7
    assert run(made.path, tmp_path / "whole", options=here).outcomes == batch.outcomes
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_models_that_cannot_be_loaded_end_no_row(made, pipeline, here, tmp_path, monkeypatch):
    def fail(_):
        raise ModelError("no weights")

    with monkeypatch.context() as patch:
        patch.setattr("fiducial.jobs.working.recipes.load", fail)
        with pytest.raises(ModelError, match="no weights"):
            run(made.path, tmp_path / "out", options=here)
    assert run(made.path, tmp_path / "out", options=here).new == 20


def test_two_processes_and_one_give_the_same_bytes(made, tmp_path):
    made.rows = made.rows[:3]
    made.write(GONE)
    for workers in (0, 2):
        run(made.path, tmp_path / f"{workers}", recipe="classic", options=BatchOptions(workers=workers))
    assert files(tmp_path / "0") == files(tmp_path / "2")
