import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from evaluation_fakes import Boxes, TinyDataset, bench, numbers
from fiducial import Mask, Outcome, Prompts
from fiducial.errors import InputError
from fiducial.evaluation import TruthPrompts, evaluate, read_run, summarise
from fiducial.evaluation.record import write_records
from fiducial.evaluation.report import run_figures, write_reports
from fiducial.evaluation.summary import NO_SCORES, precision_of
from fiducial.metrics import POLICIES, Totals, policy, score_sample


@pytest.fixture
def run(tmp_path):
    return evaluate(bench(30), tmp_path / "run")


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
    told = json.loads(json.dumps(summary.as_json(), allow_nan=False))
    assert told["policy"] == "fiducial"
    assert told["p@0.5"] == summary.report["p@0.5"]


def test_a_notebook_shows_numbers_intervals_and_outcomes(run):
    summary = summarise(run)
    low, high = summary.intervals["mean_iou"]
    shown = summary._repr_html_()
    assert "<b>30 samples</b>, counted by the policy fiducial</div>" in shown
    assert f'<td>mean IoU</td><td class="number">{summary.report["mean_iou"]:.4f}</td>' in shown
    assert f'<td class="number">{low:.3f} to {high:.3f}</td>' in shown
    assert f"{summary.outcomes['found']} found something" in shown
    assert "; 2 of 32 are missing</div>" in replace(summary, planned=32)._repr_html_()


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_any_policy_can_count_a_run_afterwards(run, tmp_path, name):
    fresh = summarise(evaluate(bench(30, rules=name), tmp_path / "fresh"))
    assert numbers(summarise(run, name)) == numbers(fresh)


def test_boundaries_are_measured_on_request(tmp_path, run):
    assert summarise(run).report["boundary_f"] is None
    measured = summarise(evaluate(bench(12, boundaries=True), tmp_path / "b"))
    assert 0 < measured.report["boundary_f"] <= 1
    assert measured.report["n_hausdorff95"] > 0


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
    silent, opposed = (
        replace(summary, rows=tuple(replace(row, expected=known and -(row.quality or 0)) for row in summary.rows))
        for known in (None, True)
    )
    assert run_figures(run, silent)["correlation"] == ""
    assert run_figures(run, opposed)["correlation"].endswith("rank correlation -1.00.")
    assert "score_correlation" in summary.as_json()


# -- average precision ------------------------------------------------------------------------------

SIZE = (40, 60)
LEFT, RIGHT, WRONG = (2.0, 2.0, 22.0, 22.0), (30.0, 5.0, 55.0, 35.0), (2.0, 30.0, 12.0, 38.0)


def prompt(box, score):
    return {"label": None, "score": score, "box": None if box is None else list(box), "points": [], "point_labels": []}


def record(found, scores, mask_scores=None, true=(LEFT, RIGHT)):
    """A record of true boxes and what was found, boxes and masks alike."""
    masks = [Mask.from_box(box, *SIZE) for box in true]
    return replace(
        bench().measure(0),
        size=SIZE,
        outcome=Outcome.FOUND,
        ignore=None,
        truth=Mask.empty(*SIZE).union(*masks).to_coco(),
        truth_instances=tuple(mask.to_coco() for mask in masks) if len(masks) > 1 else (),
        truth_boxes=tuple(true),
        prompts=tuple(prompt(box, score) for box, score in zip(found, scores, strict=True)),
        masks=tuple(Mask.from_box(box, *SIZE).to_coco() for box in found),
        mask_scores=tuple(mask_scores or [None] * len(found)),
    )


def test_right_predictions_have_precision_one():
    found = precision_of([record([RIGHT, LEFT], [0.9, 0.4])])
    assert (found.samples, found.ranked_by, found.note) == (1, "prompt", "")
    assert found.masks["ap"] == pytest.approx(1)
    assert found.boxes["ap"] == pytest.approx(1)


def test_scores_decide_and_what_has_none_ranks_last():
    ahead = precision_of([record([LEFT, RIGHT, WRONG], [0.5, 0.6, 0.9])])
    behind = precision_of([record([LEFT, RIGHT, WRONG], [0.5, 0.6, None])])
    assert ahead.masks["ap"] == pytest.approx(2 / 3, abs=0.01)
    assert behind.masks["ap"] == pytest.approx(1)


def test_the_prompters_scores_come_before_the_segmenters():
    assert precision_of([record([LEFT], [None], [0.7])]).ranked_by == "mask"
    assert precision_of([record([LEFT], [0.2], [0.7])]).ranked_by == "prompt"
    turned = precision_of([record([LEFT, RIGHT, WRONG], [None] * 3, [0.5, 0.6, 0.9])])
    assert turned.masks["ap"] == pytest.approx(2 / 3, abs=0.01)


def test_without_scores_there_is_none():
    found = precision_of([record([LEFT], [None])])
    assert (found.note, found.masks, found.boxes) == (NO_SCORES, None, None)
    assert precision_of([]).note == NO_SCORES


def test_samples_are_matched_one_by_one():
    crossed = precision_of([record([LEFT], [0.9], true=(RIGHT,)), record([RIGHT], [0.8], true=(LEFT,))])
    assert crossed.masks["ap"] == 0
    no_target = precision_of([record([LEFT], [0.9], true=()), record([LEFT], [0.5], true=(LEFT,))])
    assert no_target.masks["ap"] == pytest.approx(0.5, abs=0.01)


def test_the_class_of_size_is_that_of_the_mask():
    box = (0.0, 0.0, 36.0, 36.0)
    thin = Mask.from_polygons([[0, 0, 36, 0, 36, 3, 3, 3, 3, 36, 0, 36]], *SIZE)
    one = replace(record([box], [0.9], true=(box,)), truth=thin.to_coco(), masks=(thin.to_coco(),))
    found = precision_of([one])
    assert found.boxes["ap_small"] == found.masks["ap_small"] == pytest.approx(1)
    assert found.boxes["ap_medium"] is None


def test_boxes_without_masks():
    bare = replace(record([(3.5, 2.0, 23.5, 22.0)], [0.9], true=(LEFT,)), truth=None)
    found = precision_of([bare])
    assert found.masks is None
    assert found.boxes["ap50"] == pytest.approx(1)
    assert 0.7 < found.boxes["ap"] < 1  # one and a half pixels beside: the boxes themselves are compared
    pointed = replace(record([LEFT], [0.9], true=(LEFT,)), prompts=(prompt(None, 0.9),))
    assert precision_of([pointed]).boxes["ap"] == pytest.approx(1)
    assert precision_of([replace(pointed, masks=())]).boxes["ap"] == 0


def test_the_report_shows_it_or_says_why_not(tmp_path):
    run = evaluate(bench(20), tmp_path / "run")
    bare = [replace(one, mask_scores=(None,) * len(one.masks)) for one in run.records()]
    write_records(run.records_path, bare)
    summary, written = write_reports(run, TinyDataset(20))
    told = json.loads(written[0].read_text())
    assert told == json.loads(json.dumps(summary.as_json()))
    assert told["average_precision"] == asdict(summary.precision)
    expected = "Average precision over instances"
    assert all(expected in path.read_text() for path in written[1:])
    assert all(NO_SCORES in path.read_text() for path in written[1:])
    scored = evaluate(bench(20), tmp_path / "other")
    write_records(scored.records_path, [replace(one, mask_scores=(0.5,) * len(one.masks)) for one in bare])
    summary, written = write_reports(scored, TinyDataset(20))
    assert summary.precision.ranked_by == "mask"
    assert all("ranked by the segmenter" in path.read_text() for path in written[1:])


class Spaced(TinyDataset):
    """Pixels of half a millimetre, as far as the numbers of samples go."""

    spaced = 99

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return replace(sample, meta={"spacing": [0.5, 0.5]}) if index < self.spaced else sample


def test_distances_are_in_millimetres_where_the_dataset_knows_them(tmp_path):
    def of(dataset, name):
        made = bench(20, boundaries=True)
        return summarise(evaluate(replace(made, dataset=dataset), tmp_path / name))

    plain, spaced = of(TinyDataset(20), "plain"), of(Spaced(20), "spaced")
    assert (plain.unit, spaced.unit) == ("px", "mm")
    assert spaced.report["hausdorff95"] == pytest.approx(plain.report["hausdorff95"] / 2)
    assert spaced.report["boundary_f"] == plain.report["boundary_f"]
    assert spaced.as_json()["hausdorff95_unit"] == "mm"
    anew = [summarise(read_run(tmp_path / name), "lisa").report["hausdorff95"] for name in ("plain", "spaced")]
    assert anew[1] == pytest.approx(anew[0] / 2)


def test_two_units_are_told(tmp_path):
    dataset = Spaced(20)
    dataset.spaced = 10
    run = evaluate(replace(bench(20, boundaries=True), dataset=dataset), tmp_path / "run")
    summary, written = write_reports(run, dataset)
    assert summary.unit == "mm and px"
    assert "Hausdorff 95, mm and px" in written[2].read_text()


@pytest.mark.parametrize(
    ("given", "expected"), [([0.5, 0.25], (0.5, 0.25)), (0.7, (0.7, 0.7)), ("0.5, 0.25", (0.5, 0.25)), ("", None)]
)
def test_spacing_is_read_as_datasets_write_it(given, expected):
    assert replace(TinyDataset()[0], meta={"spacing": given}).spacing == expected


@pytest.mark.parametrize("given", ["wide", [1, 2, 3], [0, 1], [-1.0, 1.0], {"x": 1}, [float("nan"), 1.0], "1 x"])
def test_spacing_that_makes_no_sense_is_named(given):
    with pytest.raises(InputError, match=r"sample s000: spacing is the height and width of a pixel"):
        _ = replace(TinyDataset()[0], meta={"spacing": given}).spacing


def test_a_single_instance_is_the_truth():
    one = bench(source=TruthPrompts()).measure(5)
    assert one.truth_instances == ()
    assert one.truth_masks == (one.truth_mask,)
    assert bench(source=TruthPrompts()).measure(3).truth_masks == ()
    assert replace(one, truth=None).truth_masks is None


def test_texts_that_contradict_their_masks_are_counted(run, tmp_path):
    texts = {"found": "It lies at the very right edge.", "malformed": "It lies on the left."}
    records = [replace(record, text=texts.get(record.outcome.value, "There is no target.")) for record in run.ordered()]
    write_records(run.records_path, records)
    summary = summarise(read_run(run.folder))
    there = [record for record in records if record.outcome is Outcome.FOUND]
    left = sum(record.mask.box[2] < 3 / 4 * record.size[1] for record in there)  # of its closest point
    assert 0 < left < len(there)
    useless = sum(record.outcome in (Outcome.MALFORMED, Outcome.FAILED) for record in records)
    others = len(records) - len(there) - useless
    assert summary.consistency == {
        "agreed": len(there) - left + others,
        "contradicted": left,
        "nothing_stated": useless,
    }
    assert summary.as_json()["consistency"] == summary.consistency
    for path in write_reports(read_run(run.folder), images=False)[1][1:]:
        assert "something that it states does not hold" in path.read_text()
