import json
from dataclasses import replace

import numpy as np
import pytest

from evaluation_fakes import TinyDataset, bench, numbers
from fiducial import Prompts
from fiducial.errors import InputError, UnknownNameError
from fiducial.evaluation import Selection, TruthPrompts, evaluate, merge, read_run, summarise
from fiducial.evaluation.comparing import compare
from fiducial.evaluation.published import published, require_published, tables
from fiducial.evaluation.records import write_records
from fiducial.evaluation.report import correlation_note, write_comparison
from fiducial.evaluation.summary import write_summary
from fiducial.metrics import POLICIES, Totals, policy, score_sample


@pytest.fixture
def run(tmp_path):
    return evaluate(bench(30), tmp_path / "run")


# -- summary ----------------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_metrics(run):
    rules = policy("fiducial")
    totals = Totals(rules)
    for record in run.records():
        prompts = record.decoded_prompts()
        truth = record.truth_mask
        totals.add(
            score_sample(
                rules,
                truth,
                record.mask if record.masks else None,
                record.outcome,
                ignore=record.ignore_mask,
                predicted_boxes=prompts if len(prompts) else None,
            )
        )
    summary = summarise(run)
    assert summary.report == totals.report()
    assert summary.outcomes == totals.outcomes
    assert sum(summary.outcomes.values()) == 30
    low, high = summary.intervals["mean_iou"]
    assert low < summary.report["mean_iou"] < high


def test_the_truth_as_prompts_is_all_right(tmp_path):
    summary = summarise(evaluate(bench(14, source=TruthPrompts()), tmp_path))
    assert summary.report["mean_iou"] == summary.report["cum_iou"] == summary.report["n_acc"] == 1.0
    assert summary.outcomes["no_target"] == 2
    assert summary.curve[-1] == (0.95, 1.0)


def test_sizes_hold_every_sample_once(run):
    summary = summarise(run)
    assert sum(count for _, _, count, _ in summary.sizes) == 30
    assert summary.sizes[0][:3] == (0.0, 0.0, sum(index % 7 == 3 for index in range(30)))


def test_seconds_have_mean_and_quantiles(run):
    seconds = summarise(run).seconds
    times = [record.seconds["total"] for record in run.records()]
    assert seconds["total"]["mean"] == pytest.approx(np.mean(times))
    assert seconds["total"]["p50"] == pytest.approx(np.median(times))
    assert seconds["total"]["p95"] >= seconds["total"]["p50"]


def test_the_summary_is_strict_json(run):
    summary = summarise(run)
    told = json.loads(write_summary(run.folder, summary).read_text())
    assert told == json.loads(json.dumps(summary.as_json(), allow_nan=False))
    assert told["policy"] == "fiducial"
    assert told["p@0.5"] == summary.report["p@0.5"]


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_any_policy_can_count_a_run_afterwards(run, tmp_path, name):
    fresh = summarise(evaluate(bench(30, rules=name), tmp_path / "fresh"))
    assert numbers(summarise(run, name)) == numbers(fresh)


def test_boundaries_are_measured_on_request(tmp_path, run):
    assert summarise(run).report["boundary_f"] is None
    measured = summarise(evaluate(bench(12, boundaries=True), tmp_path / "b"))
    assert 0 < measured.report["boundary_f"] <= 1
    assert measured.report["n_hausdorff95"] > 0


class Boxes(TinyDataset):
    """The same without masks."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return replace(sample, instances=None, boxes=sample.prompts(), ignore=None)


def test_datasets_with_boxes_only(tmp_path):
    summary = summarise(evaluate(bench(12, dataset=Boxes(12)), tmp_path))
    assert summary.report["mean_iou"] is None
    assert 0 < summary.report["box_iou"] < 1
    assert summary.curve
    assert sum(count for _, _, count, _ in summary.sizes) == 12


def test_points_are_scored_by_the_box_of_their_mask(tmp_path):
    points = TruthPrompts(box=False, points=1)
    record = next(evaluate(bench(2, source=points), tmp_path).records())
    assert record.score["box_iou"] > 0


def test_nothing_to_count_and_edited_records(run):
    records = run.ordered()
    write_records(run.records_path, [replace(records[0], score={"iou": 1})])
    with pytest.raises(InputError, match="lacks"):
        summarise(run)
    write_records(run.records_path, [records[0], records[0]])
    with pytest.raises(InputError, match="has two records"):
        summarise(run)
    with pytest.raises(InputError, match="has two records"):
        run.ordered()
    write_records(run.records_path, [replace(records[0], truth={"size": [2, 2], "counts": [9]})])
    with pytest.raises(InputError, match=r"sample 0 \(s000\) makes no sense"):
        summarise(run)
    write_records(run.records_path, [])
    with pytest.raises(InputError, match="no record to count"):
        summarise(run)


# -- merging ----------------------------------------------------------------------------------------


def parts(folder, count, of=2, **changes):
    return [
        evaluate(bench(count, **changes), folder / f"{part}", selection=Selection(shard=(part, of))).folder
        for part in range(1, of + 1)
    ]


def test_merging_under_another_policy_asks_nobody(run, tmp_path):
    merged = merge([run.folder], tmp_path / "merged", policy_name="rmsin")
    assert merged.settings["policy"] == read_run(merged.folder).settings["policy"] == "rmsin"
    assert numbers(summarise(merged)) == numbers(summarise(run, "rmsin"))
    assert merged.fingerprint == run.fingerprint


def test_merging_refuses_what_does_not_belong_together(run, tmp_path):
    one, two = parts(tmp_path, 8)
    with pytest.raises(InputError, match=r"records of 4 of 8 samples.*--partial"):
        merge([one], tmp_path / "m")
    assert summarise(merge([one], tmp_path / "part", partial=True)).planned == 8
    with pytest.raises(InputError, match=r"sample 0 \(s000\) is in .* and in"):
        merge([one, one], tmp_path / "m")
    with pytest.raises(
        InputError, match=r"no parts of one run: dataset\.ids_sha256.*dataset\.samples: 8 in .*1, 30 in"
    ):
        merge([one, run.folder], tmp_path / "m")
    with pytest.raises(InputError, match="holds a run already"):
        merge([one, two], one)
    with pytest.raises(InputError, match="at least one folder"):
        merge([], tmp_path / "m")
    with pytest.raises(UnknownNameError, match="unknown policy"):
        merge([one, two], tmp_path / "m", policy_name="mine")
    assert not (tmp_path / "m").exists()


def test_a_limit_is_that_of_the_whole(tmp_path):
    shards = [
        evaluate(bench(20), tmp_path / f"{part}", selection=Selection(limit=7, shard=(part, 2))).folder
        for part in (1, 2)
    ]
    merged = merge(shards, tmp_path / "m")
    whole = evaluate(bench(20), tmp_path / "w", selection=Selection(limit=7))
    assert numbers(summarise(merged)) == numbers(summarise(whole))


# -- comparing --------------------------------------------------------------------------------------


def test_runs_side_by_side(run, tmp_path):
    truth = evaluate(bench(30, source=TruthPrompts()), tmp_path / "truth")
    found = compare([run.folder, truth.folder])
    better = found.differences[0]["mean_iou"]
    expected = found.summaries[1].report["mean_iou"] - found.summaries[0].report["mean_iou"]
    assert better.value == pytest.approx(expected)
    assert better.low > 0
    assert found.names == ("red", "truth:box + red")
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
    assert len(tables()) > 10
    known = {name for rules in POLICIES.values() for name in Totals(rules).report()}
    for table in tables():
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


def test_prompts_are_kept_as_boxes():
    assert isinstance(bench().measure(0).decoded_prompts(), Prompts)


def test_scores_are_held_against_the_truth(run):
    summary = summarise(run)

    def correlation(expect):
        return replace(
            summary, rows=tuple(replace(row, expected=expect(row)) for row in summary.rows)
        ).score_correlation

    assert correlation(lambda row: (row.quality or 0) / 2) == pytest.approx(1)
    assert correlation(lambda row: 1 - (row.quality or 0)) == pytest.approx(-1)
    assert correlation(lambda row: None) is None
    assert correlation(lambda row: 0.5) is None
    assert correlation_note(None) == ""
    assert correlation_note(-1.0).endswith("rank correlation -1.00.")
    assert "score_correlation" in summary.as_json()
