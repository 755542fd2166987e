import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation_fakes import ENVIRONMENT, RedPrompter, TinyDataset, bench, numbers
from fakes import BoxSegmenter
from fiducial import Outcome, Pipeline
from fiducial.errors import InputError, UnknownNameError
from fiducial.evaluation import Selection, TruthPrompts, evaluate, merge, read_run, summarise


def test_every_sample_has_one_record_and_the_card_says_what_was_run(tmp_path):
    run = evaluate(bench(), tmp_path, command=["fiducial", "evaluate", "x"])
    assert [record.index for record in run.ordered()] == list(range(20))
    card = json.loads((tmp_path / "run.json").read_text())
    assert card["command"] == ["fiducial", "evaluate", "x"]
    assert card["policy"] == "fiducial"
    assert card["recipe"] == {"name": "red"}
    assert card["dataset"]["samples"] == 20
    assert card["versions"]["numpy"]
    assert set(card) >= {"commit", "seed", "started", "machine"}
    assert len(card["fingerprint"]) == 64
    assert read_run(tmp_path) == run


def test_a_record_holds_the_answer_and_its_times(tmp_path):
    record = evaluate(bench(), tmp_path).ordered()[5]
    assert record.outcome is Outcome.FOUND
    assert record.raw.endswith("<script>alert(1)</script>")
    assert record.instruction == "the red thing 1"
    assert set(record.seconds) == {"read", "prompt", "encode", "decode", "refine", "total", "score"}
    assert len(record.prompt_sha256) == len(record.digest) == len(record.picture) == 64
    assert 0 < record.score["iou"] < 1


def test_the_prompts_hash_tells_templates_apart():
    class Templated(RedPrompter):
        def __init__(self, user):
            super().__init__()
            self.template = type("Template", (), {"user": user, "system": ""})

    hashes = {bench(prompter=Templated(user)).measure(1).prompt_sha256 for user in ("find", "show", "find")}
    assert len(hashes) == 2
    assert bench().measure(0).prompt_sha256 != bench().measure(1).prompt_sha256


@settings(max_examples=4)
@given(stops=st.lists(st.integers(1, 6), min_size=1, max_size=4), parts=st.integers(1, 5))
def test_whole_resumed_and_sharded_runs_give_the_same_numbers(tmp_path_factory, stops, parts):
    folder = tmp_path_factory.mktemp("runs")
    whole = summarise(evaluate(bench(), folder / "whole"))

    class StopError(Exception):
        pass

    asked = []
    for stop in stops:
        left = [stop]

        def count(record, done, planned, left=left):
            left[0] -= 1
            if not left[0]:
                raise StopError

        prompter = RedPrompter()
        with pytest.raises(StopError):
            evaluate(bench(prompter=prompter), folder / "resumed", on_record=count)
        asked += prompter.asked
        if len(asked) >= 14:
            break
    prompter = RedPrompter()
    resumed = evaluate(bench(prompter=prompter), folder / "resumed")
    assert len(asked) + len(prompter.asked) == 20
    assert numbers(summarise(resumed)) == numbers(whole)
    shards = [folder / f"part{part}" for part in range(1, parts + 1)]
    for part, shard in enumerate(shards, start=1):
        evaluate(bench(), shard, selection=Selection(shard=(part, parts)))
    merged = merge(shards[::-1], folder / "merged")
    assert numbers(summarise(merged)) == numbers(whole)
    assert merged.fingerprint == resumed.fingerprint == read_run(folder / "whole").fingerprint


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_eight_random_moments(tmp_path):
    script = Path(__file__).with_name("killed_run.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "killed"), "30", "8"],
        capture_output=True,
        text=True,
        timeout=600,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["kills"] == 8
    assert seen["torn"] >= 3
    run = read_run(tmp_path / "killed")
    assert [record.index for record in run.ordered()] == list(range(30))
    whole = evaluate(bench(30), tmp_path / "whole")
    assert numbers(summarise(run)) == numbers(summarise(whole))
    assert run.fingerprint == whole.fingerprint


def test_other_settings_in_the_same_folder_are_refused_with_the_difference(tmp_path):
    evaluate(bench(8), tmp_path, selection=Selection(limit=3))
    with pytest.raises(InputError, match=r"policy: \"fiducial\" there, \"lisa\" now.*fiducial merge"):
        evaluate(bench(8, rules="lisa"), tmp_path, selection=Selection(limit=3))
    with pytest.raises(InputError, match=r"limit: 3 there, 4 now"):
        evaluate(bench(8), tmp_path, selection=Selection(limit=4))
    with pytest.raises(InputError, match=r"dataset\.samples: 8 there, 9 now"):
        evaluate(bench(9), tmp_path, selection=Selection(limit=3))
    other = replace(bench(8), source=TruthPrompts())
    with pytest.raises(InputError, match=r"prompter: \"\" there, \"truth\" now"):
        evaluate(other, tmp_path, selection=Selection(limit=3))


class Changed(TinyDataset):
    def __getitem__(self, index):
        return replace(super().__getitem__(index), instruction="something else")


def test_a_dataset_that_changed_is_refused(tmp_path):
    evaluate(bench(8), tmp_path)
    with pytest.raises(InputError, match="is not what it was"):
        evaluate(bench(8, dataset=Changed(8)), tmp_path)


class Twice(TinyDataset):
    @property
    def ids(self):
        return ["a"] * self.count


class Wrong(TinyDataset):
    @property
    def ids(self):
        return [f"w{index}" for index in range(self.count)]


def test_ids_are_checked(tmp_path):
    with pytest.raises(InputError, match="has the id 'a' of another one"):
        evaluate(bench(dataset=Twice(4)), tmp_path / "a")
    with pytest.raises(InputError, match="sample 0 is 's000', but 'w0' was listed"):
        evaluate(bench(dataset=Wrong(4)), tmp_path / "b")


def test_folders_of_something_else_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text('{"command": []}')
    with pytest.raises(InputError, match="card of another command"):
        evaluate(bench(), tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "samples.jsonl").write_text("")
    with pytest.raises(InputError, match=r"samples\.jsonl but no run\.json"):
        evaluate(bench(), tmp_path / "b")
    (tmp_path / "c").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        evaluate(bench(), tmp_path / "c")
    with pytest.raises(InputError, match=r"has no run\.json"):
        read_run(tmp_path)
    (tmp_path / "a" / "run.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        read_run(tmp_path / "a")


def test_another_layout_is_refused(tmp_path):
    evaluate(bench(2), tmp_path)
    card = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**card, "layout": 9}))
    with pytest.raises(InputError, match="has layout 9"):
        read_run(tmp_path)


def test_records_of_other_samples_are_refused(tmp_path):
    evaluate(bench(8), tmp_path / "a")
    run = evaluate(bench(8), tmp_path / "b", selection=Selection(limit=3))
    run.records_path.write_bytes((tmp_path / "a" / "samples.jsonl").read_bytes())
    with pytest.raises(InputError, match="do not belong to this run"):
        evaluate(bench(8), tmp_path / "b", selection=Selection(limit=3))


def test_failed_samples_are_asked_again_on_request(tmp_path):
    run = evaluate(bench(30), tmp_path)
    failed = [record.index for record in run.records() if record.outcome is Outcome.FAILED]
    assert failed
    again = RedPrompter()
    evaluate(bench(30, prompter=again), tmp_path)
    assert again.asked == []
    evaluate(bench(30, prompter=again), tmp_path, retry_failed=True)
    assert len(again.asked) == len(failed)
    assert len(read_run(tmp_path).ordered()) == 30
    assert len(read_run(tmp_path).sessions) == 3


def test_retrying_a_new_run_is_no_error(tmp_path):
    assert len(evaluate(bench(2), tmp_path, retry_failed=True).ordered()) == 2


class Broken(TinyDataset):
    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return replace(sample, instruction=" ") if index == 2 else sample


def test_a_sample_that_makes_no_sense_stops_the_run_and_is_named(tmp_path):
    with pytest.raises(InputError, match=r"tiny, sample 2 \(s002\): .*instruction is empty"):
        evaluate(bench(dataset=Broken(4)), tmp_path)
    assert [record.index for record in read_run(tmp_path).records()] == [0, 1]


def test_limits_are_drawn_and_nested():
    small, large = Selection(limit=5).of(100), Selection(limit=20).of(100)
    assert set(small) < set(large)
    assert list(large) == sorted(large)
    assert Selection(limit=5, seed=1).of(100) != small
    assert Selection(limit=500).of(3) == (0, 1, 2)
    parts = [Selection(limit=20, shard=(part, 3)).of(100) for part in (1, 2, 3)]
    assert sorted(sum(parts, ())) == list(large)
    assert {len(part) for part in parts} <= {6, 7}


@pytest.mark.parametrize("values", [{"limit": 0}, {"shard": (0, 2)}, {"shard": (3, 2)}, {"shard": (1, 0)}])
def test_selections_that_make_no_sense(values):
    with pytest.raises(InputError, match=r"limit|shard"):
        Selection(**values)


def test_runs_without_a_sample_are_refused(tmp_path):
    with pytest.raises(InputError, match="no sample belongs to this run"):
        evaluate(bench(2), tmp_path, selection=Selection(shard=(3, 4)))
    with pytest.raises(InputError, match="need a job"):
        evaluate(bench(2), tmp_path, workers=2)


def test_contracts_are_still_contracts(tmp_path):
    class Short(BoxSegmenter):
        def decode(self, embedding, prompts):
            return []

    broken = Pipeline(prompter=RedPrompter(), segmenter=Short(), name="red")
    run = evaluate(bench(8, pipeline=broken), tmp_path)
    assert summarise(run).outcomes["failed"] > 0


# -- merging ----------------------------------------------------------------------------------------


def parts(folder, count, of=2, **changes):
    return [
        evaluate(bench(count, **changes), folder / f"{part}", selection=Selection(shard=(part, of))).folder
        for part in range(1, of + 1)
    ]


@pytest.fixture
def run(tmp_path):
    return evaluate(bench(30), tmp_path / "run")


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
