"""Accuracy by the kind of phrase and by size: whose it is, in which order, and what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest

from evaluation_fakes import TinyDataset, bench, write_folder
from fiducial.cli import main
from fiducial.errors import InputError
from fiducial.evaluation import Job, Selection, TruthPrompts, evaluate, read_run
from fiducial.evaluation.breakdowns import EVERY, families_of, family_table, score_families, size_table
from fiducial.evaluation.summary import read_rows
from fiducial.metrics import policy
from fiducial.recipes import read_recipe


@dataclass
class Families(TinyDataset):
    """Samples whose families go round; those without a target have their own."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        family = ("order", "homemade", "class")[index % 3] if sample.instances else "no_target_class"
        return replace(sample, meta={"family": family})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return evaluate(bench(42), tmp_path_factory.mktemp("run"))


def test_each_family_is_counted_by_itself(run):
    rows, rules = read_rows(run), policy("fiducial")
    families = families_of(Families(42), rows)
    scores = {score.family: score for score in score_families(rows, families, rules)}
    assert list(scores) == ["class", "order", "no_target_class", "homemade", EVERY]
    assert sum(score.n for name, score in scores.items() if name != EVERY) == scores[EVERY].n == 42
    for name, score in scores.items():
        held = [row for row in rows if name in (EVERY, families[row.index])]
        ious = [row.score.iou for row in held]
        assert score.mean_iou == pytest.approx(sum(ious) / len(ious))
        assert score.half == pytest.approx(sum(iou >= 0.5 for iou in ious) / len(ious))
        assert score.interval[0] <= score.mean_iou <= score.interval[1]
        assert score.useful == sum(row.score.outcome in ("found", "no_target") for row in held)
    empty = scores["no_target_class"]
    assert empty.n == empty.n_no_target == scores[EVERY].n_no_target == 6
    assert empty.n_acc == empty.mean_iou
    assert scores["order"].n_acc is None
    assert scores == {score.family: score for score in score_families(rows[::-1], families, rules)}


def test_the_table_is_written(run, tmp_path):
    table = family_table(run, tmp_path / "out", Families(42))
    assert [row[0] for row in table.rows] == ["class", "order", "no target class", "homemade", "all"]
    told = json.loads((tmp_path / "out" / "families.json").read_text())
    assert [one["family"] for one in told["families"]][-1] == "all"
    text = (tmp_path / "out" / "families.md").read_text()
    assert text.startswith("# families: red on tiny, 42 samples, policy fiducial")
    assert "| no target class | 6 |" in text


def test_a_dataset_that_is_another_or_has_no_families(run, tmp_path):
    with pytest.raises(InputError, match="its dataset was given from Python"):
        family_table(run, tmp_path)
    with pytest.raises(InputError, match="sample 's000' has no family"):
        family_table(run, tmp_path, TinyDataset(42))
    with pytest.raises(InputError, match="sample 5 is not 's005' any more"):
        family_table(run, tmp_path, Families(5))
    assert not list(tmp_path.iterdir())


def test_scenes_are_opened_again(tmp_path, capsys):
    job = Job(dataset="scenes:shapes?count=6&seed=2&size=128", recipe=read_recipe("classic"), source=TruthPrompts())
    done = evaluate(job, tmp_path / "run", selection=Selection(limit=4))
    assert main(["study", "families", str(tmp_path / "run"), "--out", str(tmp_path / "f"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["families"][-1]["n"] == 4
    wanted = {job.dataset.build()[record.index].meta["family"] for record in done.records()}
    assert {one["family"] for one in told["families"][:-1]} == wanted
    assert read_run(tmp_path / "run").planned == 4


def test_a_folder_of_masks_has_no_families(tmp_path, capsys):
    data = write_folder(tmp_path / "data")
    words = [
        "study",
        "families",
        data,
        "--recipe",
        "classic",
        "--prompter",
        "truth",
        "--no-images",
        "--out",
        str(tmp_path / "f"),
    ]
    assert main(words) == 2
    assert "has no family" in capsys.readouterr().err


def test_accuracy_by_size(tmp_path):
    run = evaluate(bench(30), tmp_path / "run")
    table = size_table(run, tmp_path / "size")
    lines = {row["target"]: row for row in json.loads((tmp_path / "size" / "size.json").read_text())["classes"]}
    none = sum(index % 7 == 3 for index in range(30))
    assert lines["no target"]["n"] == none
    assert lines["small: up to 32 x 32 px"]["n"] == 30 - none
    assert lines["large: over 96 x 96 px"] == {
        "target": "large: over 96 x 96 px",
        "n": 0,
        "mean_iou": None,
        "p@0.5": None,
        "p@0.7": None,
        "missed": None,
    }
    assert sum(row["n"] for name, row in lines.items() if name.endswith("picture")) == 30 - none
    assert "| no target |" in table.files[0].read_text()
