import json
from dataclasses import replace

import pytest

from evaluation_fakes import Boxes, TinyDataset, bench
from fiducial.errors import InputError, UnknownNameError
from fiducial.evaluation import Selection, TruthPrompts, evaluate
from fiducial.evaluation.comparison import compare, published, published_tables, require_published
from fiducial.evaluation.report import write_comparison
from fiducial.metrics import POLICIES, Totals


@pytest.fixture
def run(tmp_path):
    return evaluate(bench(30), tmp_path / "run")


def test_runs_side_by_side(run, tmp_path):
    truth = evaluate(bench(30, source=TruthPrompts()), tmp_path / "truth")
    found = compare([run.folder, truth.folder])
    better = found.differences[0]["mean_iou"]
    expected = found.summaries[1].report["mean_iou"] - found.summaries[0].report["mean_iou"]
    assert better.value == pytest.approx(expected)
    assert better.low > 0
    assert found.names == ("red", "truth + red")
    told = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert told["differences"][0]["minus"] == "red"
    assert told["differences"][0]["mean_iou"]["interval"] == [better.low, better.high]
    written = write_comparison(tmp_path / "c", found)
    assert [path.name for path in written[:3]] == ["compare.json", "compare.md", "compare.html"]
    assert "*" in written[1].read_text()


def test_a_run_against_itself_does_not_differ(run, tmp_path):
    other = evaluate(bench(30), tmp_path / "again")
    found = compare([run.folder, other.folder])
    assert found.names == ("run", "again")
    assert all(each.value == each.low == each.high == 0 for each in found.differences[0].values())


def test_what_cannot_be_compared(run, tmp_path):
    lisa = evaluate(bench(30, rules="lisa"), tmp_path / "lisa")
    fewer = evaluate(bench(30), tmp_path / "fewer", selection=Selection(limit=9))
    with pytest.raises(InputError, match="at least two"):
        compare([run.folder])
    with pytest.raises(InputError, match="counted by fiducial and lisa"):
        compare([run.folder, lisa.folder])
    by_one = compare([run.folder, lisa.folder], policy_name="lisa")
    assert all(each.value == 0 for each in by_one.differences[0].values())
    with pytest.raises(InputError, match=r"21 samples are in only one of .*--common"):
        compare([run.folder, fewer.folder])
    found = compare([run.folder, fewer.folder], common=True)
    assert (found.left_out, found.summaries[0].report["n"]) == (21, 9)

    class Other(TinyDataset):
        def __getitem__(self, index):
            return replace(super().__getitem__(index), instruction="other words")

    changed = evaluate(bench(30, dataset=Other(30)), tmp_path / "changed")
    with pytest.raises(InputError, match="30 samples differ in picture, instruction or truth"):
        compare([run.folder, changed.folder])

    class Renamed(TinyDataset):
        @property
        def ids(self):
            return [f"t{index}" for index in range(self.count)]

        def __getitem__(self, index):
            return replace(super().__getitem__(index), id=f"t{index}")

    renamed = evaluate(bench(30, dataset=Renamed(30)), tmp_path / "renamed")
    with pytest.raises(InputError, match="share no sample"):
        compare([run.folder, renamed.folder], common=True)


def test_runs_of_one_name_in_folders_of_one_name(tmp_path):
    for place in "ab":
        evaluate(bench(4), tmp_path / place / "run")
    found = compare([tmp_path / "a" / "run", tmp_path / "b" / "run"])
    assert found.names == ("1: red", "2: red")


def test_boxes_against_masks_have_the_statistics_that_both_have(tmp_path):
    frame_boxes = evaluate(bench(12, dataset=Boxes(12)), tmp_path / "a")
    again = evaluate(bench(12, dataset=Boxes(12), source=TruthPrompts()), tmp_path / "b")
    found = compare([frame_boxes.folder, again.folder])
    assert "mean_iou" not in found.differences[0]
    assert "box_iou" in found.differences[0]


# -- published --------------------------------------------------------------------------------------


def test_published_figures_are_shares_of_known_statistics():
    assert len(published_tables()) > 10
    known = {name for rules in POLICIES.values() for name in Totals(rules).report()}
    for table in published_tables():
        assert table.policy in {"", *POLICIES}, table
        assert table.source
        for row in table.rows.values():
            assert set(row) <= known | {"grid_paper_giou"}
            assert all(value is None or 0 < value < 1 for value in row.values()), table


def test_published_figures_by_dataset():
    [test] = published("rrsisd", "test")
    assert test.rows["RMSIN"]["mean_iou"] == 0.6420
    assert test.rows["PSLG-SAM (fine-tuned)"]["p@0.5"] is None
    assert len(published("rrsisd")) == 2
    assert published("nothing") == ()
    sjtu = published("coco-persons-sjtu", "val")[0].rows["SJTU"]
    assert sjtu["box_giou"] > sjtu["mean_iou"]  # which no one measure could do: F1 of the mixed metric
    with pytest.raises(UnknownNameError, match="did you mean 'rrsisd'"):
        require_published("rrsis-d")
