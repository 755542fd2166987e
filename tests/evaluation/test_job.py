from dataclasses import replace

import pytest

from evaluation_fakes import die, numbers, write_folder
from fiducial import Pipeline
from fiducial.config import read_part
from fiducial.errors import InputError, ModelError, UnknownNameError
from fiducial.evaluation import Job, TruthPrompts, evaluate, summarise
from fiducial.evaluation import job as job_module
from fiducial.evaluation.job import Loader
from fiducial.recipes import read_recipe


def job(spec, **changes):
    return Job(**{"dataset": spec, "recipe": read_recipe("classic"), "source": TruthPrompts(jitter=0.2), **changes})


def test_several_processes_give_the_same_numbers(tmp_path):
    spec = write_folder(tmp_path / "data")
    alone = evaluate(job(spec), tmp_path / "one")
    shared = evaluate(job(spec), tmp_path / "two", workers=2)
    assert numbers(summarise(alone)) == numbers(summarise(shared))
    assert (shared.spec["name"], shared.spec["path"]) == ("folder", str(tmp_path / "data"))
    assert shared.settings["recipe"]["prompter"] == {"name": "truth?jitter=0.2"}


def test_an_error_in_a_process_comes_home(tmp_path):
    spec = write_folder(tmp_path / "data", count=3)
    (tmp_path / "data" / "images" / "picture-001.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="picture-001"):
        evaluate(job(spec), tmp_path / "run", workers=2)


def test_a_process_that_dies_is_an_error(tmp_path, monkeypatch):
    spec = write_folder(tmp_path / "data", count=2)
    monkeypatch.setattr("fiducial.evaluation.job._measure", die)
    with pytest.raises(ModelError, match="a worker process died"):
        evaluate(job(spec), tmp_path / "run", workers=2)


def test_a_loader_loads_a_part_again_only_when_it_changes(tmp_path):
    loader, first = Loader(), job("scenes:shapes")
    assert loader(first).segmenter is loader(replace(first, source=None)).segmenter
    recipe = read_recipe("classic")
    other = replace(recipe, segmenter=read_part("segmenter", "grabcut"))
    assert loader(replace(first, recipe=other)).segmenter is loader(first).segmenter
    silent = loader(first)
    assert isinstance(silent, Pipeline)
    with pytest.raises(InputError, match="no prompter"):
        silent.segment([], [])


def test_a_worker_opens_its_job_once_and_tells_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(job_module, "_OPENED", [])
    one = job(write_folder(tmp_path / "data", count=2))
    assert job_module._measure(one, 0).index == 0
    opened = job_module._OPENED[0][1]
    assert job_module._measure(one, 1).index == 1
    assert job_module._OPENED[0][1] is opened
    failure = job_module._measure(job(f"folder:{tmp_path / 'nowhere'}"), 0)
    assert type(failure) is InputError
    assert str(failure) == f"{tmp_path / 'nowhere'}: no such file or folder"


def test_relative_paths_are_kept_absolute(tmp_path, monkeypatch):
    write_folder(tmp_path / "data", count=2)
    monkeypatch.chdir(tmp_path)
    for k, spec in enumerate(["data", "folder:data", "folder:data?instruction=x"]):
        found = evaluate(job(spec), tmp_path / f"{k}")
        assert found.spec["path"] == str(tmp_path / "data")
        assert len(found.open_dataset()) == 2


def test_a_job_is_checked_when_it_is_made():
    with pytest.raises(UnknownNameError, match="did you mean 'lisa'"):
        job("scenes:shapes", policy="liza")
    with pytest.raises(InputError, match="no such file or folder"):
        job("nowhere")
    assert job("scenes:shapes", source="blind?box=0,0,1,1").source.box == (0, 0, 1, 1)
