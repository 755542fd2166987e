import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation_fakes import RedPrompter, TinyDataset, bench, die, numbers, write_folder
from fakes import BoxSegmenter
from fiducial import Outcome, Pipeline
from fiducial.errors import InputError, ModelError
from fiducial.evaluation import (
    Job,
    Selection,
    TruthPrompts,
    evaluate,
    folder,
    jobs,
    locking,
    merge,
    read_run,
    running,
    summarise,
)
from fiducial.evaluation.jobs import Loader
from fiducial.recipes import read_recipe

TESTS = Path(__file__).resolve().parent.parent


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


@settings(max_examples=4, deadline=None)
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
def test_killed_at_twenty_random_moments(tmp_path):
    script = Path(__file__).with_name("killed_run.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "killed"), "100", "20"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["kills"] == 20
    assert seen["torn"] >= 5
    run = read_run(tmp_path / "killed")
    assert [record.index for record in run.ordered()] == list(range(100))
    whole = evaluate(bench(100), tmp_path / "whole")
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
    with pytest.raises(InputError, match=r"prompter: \"\" there, \"truth:box\" now"):
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
    with pytest.raises(InputError, match="cannot be read"):
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


# -- jobs -------------------------------------------------------------------------------------------


def job(spec, **changes):
    return Job(**{"dataset": spec, "recipe": read_recipe("classic"), "source": TruthPrompts(jitter=0.2), **changes})


def test_several_processes_give_the_same_numbers(tmp_path):
    spec = write_folder(tmp_path / "data")
    alone = evaluate(job(spec), tmp_path / "one")
    shared = evaluate(job(spec), tmp_path / "two", workers=2)
    assert numbers(summarise(alone)) == numbers(summarise(shared))
    assert shared.spec == f"folder:{tmp_path / 'data'}"
    assert shared.settings["recipe"]["prompter"] == {"name": "truth:box,jitter=0.2"}


def test_an_error_in_a_process_comes_home(tmp_path):
    spec = write_folder(tmp_path / "data", count=3)
    (tmp_path / "data" / "images" / "picture-001.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="picture-001"):
        evaluate(job(spec), tmp_path / "run", workers=2)


def test_a_process_that_dies_is_an_error(tmp_path, monkeypatch):
    spec = write_folder(tmp_path / "data", count=2)
    monkeypatch.setattr("fiducial.evaluation.jobs._measure", die)
    with pytest.raises(ModelError, match="a worker process died"):
        evaluate(job(spec), tmp_path / "run", workers=2)


def test_a_loader_loads_a_part_again_only_when_it_changes(tmp_path):
    loader, first = Loader(), job("")
    assert loader(first).segmenter is loader(replace(first, source=None)).segmenter
    recipe = read_recipe("classic")
    other = replace(recipe, segmenter=replace(recipe.segmenter, name="grabcut", options={}))
    assert loader(replace(first, recipe=other)).segmenter is loader(first).segmenter
    silent = loader(first)
    assert isinstance(silent, Pipeline)
    with pytest.raises(InputError, match="no prompter"):
        silent.prompter.ask([], [])


def test_contracts_are_still_contracts(tmp_path):
    class Short(BoxSegmenter):
        def decode(self, embedding, prompts):
            return []

    broken = Pipeline(prompter=RedPrompter(), segmenter=Short(), name="red")
    run = evaluate(bench(8, pipeline=broken), tmp_path)
    assert summarise(run).outcomes["failed"] > 0


def test_a_worker_opens_its_job_once_and_tells_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "_BENCH", jobs._Held())
    one = job(write_folder(tmp_path / "data", count=2))
    assert jobs._measure(one, 0).index == 0
    opened = jobs._BENCH.bench
    assert jobs._measure(one, 1).index == 1
    assert jobs._BENCH.bench is opened
    failure = jobs._measure(job("nowhere"), 0)
    assert failure == jobs._Failure(True, "nowhere: no such file or folder")


def test_workers_do_not_outlive_their_parent():
    code = (
        "import multiprocessing, time; from evaluation_fakes import wait_as_a_worker\n"
        "if __name__ == '__main__':\n"
        "    multiprocessing.get_context('spawn').Process(target=wait_as_a_worker).start(); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    # The worker holds the other end of the pipe: it is gone when the pipe ends.
    assert parent.stdout.read() == ""
    parent.stdout.close()
    assert worker != parent.pid


def test_the_watch_is_for_workers_only():
    assert jobs._watch_parent() is None


def test_systems_without_locks(tmp_path, monkeypatch):
    def refuse(descriptor, how):
        raise OSError("no locks here")

    with open(tmp_path / "a", "wb") as file:
        monkeypatch.setattr(locking, "fcntl", None)
        assert locking.lock(file.fileno(), tmp_path / "a") is None
        monkeypatch.setattr(locking, "fcntl", type("Fcntl", (), {"flock": refuse, "LOCK_EX": 1, "LOCK_NB": 2}))
        assert locking.lock(file.fileno(), tmp_path / "a") is None


def test_relative_paths_are_kept_absolute(tmp_path, monkeypatch):
    write_folder(tmp_path / "data", count=2)
    monkeypatch.chdir(tmp_path)
    for place, spec in enumerate(["data", "folder:data", "folder:data?instruction=x"]):
        found = evaluate(job(spec), tmp_path / f"{place}").spec if "?" not in spec else running._absolute(spec)
        assert found == spec.replace("data", str(tmp_path / "data"))
    assert running._absolute("scenes:shapes?count=3") == "scenes:shapes?count=3"


# -- contents ---------------------------------------------------------------------------------------


def write_model(folder, weights=b"weights"):
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "sub" / "model.safetensors").write_bytes(weights)
    return str(folder)


def evaluate_with(out, **recipe):
    return evaluate(bench(4), out, recipe={"name": "red", **recipe})


def test_other_weights_at_the_same_path_are_noticed(tmp_path):
    model = write_model(tmp_path / "model")
    run = evaluate_with(tmp_path / "run", segmenter={"name": "sam", "model": model})
    assert run.settings["contents"]["recipe.segmenter.model"]["path"] == model
    evaluate_with(tmp_path / "run", segmenter={"name": "sam", "model": model})
    (tmp_path / "model" / "README.md").write_text("a note changes nothing")
    (tmp_path / "model" / ".cache").write_text("nor does what is hidden")
    evaluate_with(tmp_path / "run", segmenter={"name": "sam", "model": model})
    (tmp_path / "model" / "sub" / "model.safetensors").write_bytes(b"others")
    with pytest.raises(InputError, match=r"recipe\.segmenter\.model: the contents of \S+model changed"):
        evaluate_with(tmp_path / "run", segmenter={"name": "sam", "model": model})


def test_the_same_weights_at_another_path_go_on(tmp_path):
    for name, weights in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        write_model(tmp_path / name, weights)
    parts = [{"segmenter": {"name": "sam", "model": str(tmp_path / name)}} for name in "abc"]
    evaluate_with(tmp_path / "run", **parts[0])
    assert len(evaluate_with(tmp_path / "run", **parts[1]).sessions) == 2
    with pytest.raises(InputError, match=r"recipe\.segmenter\.model: the contents of \S+c changed"):
        evaluate_with(tmp_path / "run", **parts[2])


def test_templates_and_prompt_files_are_compared_by_their_words(tmp_path):
    template, oracle = tmp_path / "template.yaml", tmp_path / "prompts.json"
    template.write_text("user: find")
    oracle.write_text("[]")
    parts = {"prompter": {"name": "oracle", "model": str(oracle), "template": str(template)}}
    parts["mask_refiners"] = [{"name": "mine", "file": str(template)}]
    evaluate_with(tmp_path / "run", **parts)
    template.write_text("user: show")
    changed = r"mask_refiners\.0\.file: the contents .*; recipe\.prompter\.template: the contents"
    with pytest.raises(InputError, match=changed):
        evaluate_with(tmp_path / "run", **parts)
    template.write_text("user: find")
    oracle.write_text("[ ]")
    with pytest.raises(InputError, match=r"\(recipe\.prompter\.model: the contents"):
        evaluate_with(tmp_path / "run", **parts)


def test_names_of_the_hub_stay_names_and_words_are_no_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "black").mkdir()
    parts = {"segmenter": {"name": "sam", "model": "facebook/sam-vit-base"}, "overlays": [{"colour": "black"}]}
    assert evaluate_with(tmp_path / "run", **parts).settings["contents"] == {}
    other = {**parts, "segmenter": {"name": "sam", "model": "facebook/sam-vit-huge"}}
    with pytest.raises(InputError, match=r"recipe\.segmenter\.model: \"facebook/sam-vit-base\" there"):
        evaluate_with(tmp_path / "run", **other)


def test_weights_of_the_package_are_contents_too(tmp_path):
    run = evaluate_with(tmp_path / "run", segmenter={"name": "nano", "model": "nano-segmenter"})
    assert len(run.settings["contents"]["recipe.segmenter.model"]["sha256"]) == 64


def test_a_run_from_before_contents_were_kept_goes_on_by_its_paths(tmp_path):
    model = write_model(tmp_path / "model")
    evaluate_with(tmp_path / "run", segmenter={"name": "sam", "model": model})
    card = json.loads((tmp_path / "run" / "run.json").read_text())
    del card["contents"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(card))
    evaluate_with(tmp_path / "run", segmenter={"name": "sam", "model": model})
    with pytest.raises(InputError, match=r"recipe\.segmenter\.model: \S+ there, \S+ now"):
        evaluate_with(tmp_path / "run", segmenter={"name": "sam", "model": write_model(tmp_path / "other")})


def test_a_file_that_a_dataset_names_is_compared_by_its_contents(tmp_path):
    said = tmp_path / "said.jsonl"
    said.write_text("{}\n")
    found = folder.contents_of({}, f"referring:{said}?source=coco:{tmp_path}")
    assert list(found) == ["dataset.file1"]
    assert found["dataset.file1"]["path"] == str(said)
