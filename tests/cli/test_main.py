import json
import os
import subprocess
import sys

import pytest

from fiducial import cli
from fiducial.cli import main
from fiducial.errors import ModelError
from fiducial.models import model_names


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_command(words, capsys):
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"usage: fiducial {command}" in capsys.readouterr().out


def test_idle_threads_do_not_spin_unless_the_user_says_so(monkeypatch, capsys):
    monkeypatch.setattr(os, "environ", {})
    main(["--version"])
    assert os.environ["GOMP_SPINCOUNT"] == "1000"
    os.environ["GOMP_SPINCOUNT"] = "7"
    main(["--version"])
    assert os.environ["GOMP_SPINCOUNT"] == "7"


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("fiducial 0.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["segmnt"], "did you mean 'segment'?"),
        (["segment"], "required: IMAGE, INSTRUCTION"),
        (["segment", "nowhere.png", "the dog", "--recpe", "x"], "unrecognized arguments: --recpe x"),
        (["segment", "nowhere.png", "the dog", "--recipe", "clasic"], "did you mean 'classic'?"),
        (["segment", "nowhere.png", "the dog", "--segmenter", "grabcat"], "did you mean 'grabcut'?"),
        (["segment", "nowhere.png", "the dog", "--format", "jsn"], "did you mean 'json'?"),
        (["segment", "nowhere.png", "the dog", "--set", "oops"], "write KEY=VALUE"),
        (["cut", "nowhere.png"], "no such file"),
        (["cut", "nowhere.png", "--set", "prompter.x=1"], "prompter"),
        (["parse"], "needs --dialect"),
        (["parse", "--dialect", "qwen", "--image", "4x4"], "unknown dialect 'qwen'"),
        (["parse", "--dialect", "sjtu", "--image", "4"], "WIDTHxHEIGHT"),
        (["overlay", "nowhere.png", "--out", "x.png"], "no such file"),
    ],
)
def test_bad_input_is_one_line_and_status_two(words, message, capsys):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ModelError("out of\nmemory"), 1, "fiducial: out of memory"),
        (RuntimeError("boom"), 1, "unexpected RuntimeError: boom"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_failures_have_a_status_and_one_line(error, status, message, capsys, monkeypatch):
    def fail(words):
        raise error

    monkeypatch.setattr("fiducial.cli.recipes.run", fail)
    assert main(["recipes"]) == status
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_debug_shows_the_traceback(monkeypatch):
    with pytest.raises(Exception, match="unknown command"):
        main(["segmnt", "--debug"])

    def fail(words):
        raise RuntimeError("boom")

    monkeypatch.setattr("fiducial.cli.recipes.run", fail)
    with pytest.raises(RuntimeError, match="boom"):
        main(["--debug", "recipes"])


def test_a_reader_that_leaves_early_is_no_error():
    code = "import sys; from fiducial.cli import main; sys.exit(main(['models']))"
    shell = f'"{sys.executable}" -c "{code}" | head -n 1; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_nothing_heavy_is_loaded_before_it_is_needed():
    code = (
        "import sys, json, fiducial; light = sorted(sys.modules); from fiducial.cli import main; main(['--help']);"
        "print(json.dumps([light, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    light, after_help = (set(names) for names in json.loads(done.stdout.splitlines()[-1]))
    assert not light & {"torch", "transformers", "numpy", "PIL", "cv2", "skimage", "scipy"}
    assert not after_help & {"torch", "transformers", "numpy", "PIL", "cv2", "argparse"}


def test_recipes_models_and_doctor_print_json_lines(capsys):
    assert main(["recipes", "--json"]) == 0
    names = [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()]
    assert {"classic", "sjtu", "think2seg-rs", "visionreasoner"} <= set(names)
    assert main(["models", "--json"]) == 0
    found = {line["name"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert found["facebook/sam2.1-hiera-small"]["licence"] == "Apache-2.0"
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["recipes"]["classic"] == []
    assert "a model of your own: --prompter cg-reasoner:FOLDER" in report["recipes"]["cg-reasoner"]
    assert report["versions"]["numpy"]
    assert any("weights Qwen/Qwen2-VL-7B-Instruct" in need for need in report["recipes"]["sjtu"])


@pytest.mark.parametrize("name", [*model_names(), "think2seg-nano"])
def test_every_card_is_shown(name, capsys):
    assert main(["models", name]) == 0
    shown = capsys.readouterr().out
    assert ("## What can be asked for" in shown) == (name == "nano-grounder")


def test_recipes_models_and_doctor_are_readable(capsys):
    for command, words in [
        ("recipes", ["nano (default)", "segmenter: grabcut", "max_new_tokens=2048"]),
        ("models", ["licence: Apache-2.0", "not on this machine"]),
        ("doctor", ["versions", "devices", "classic", "ready", "cpu ("]),
    ]:
        assert main([command]) == 0
        shown = capsys.readouterr().out
        assert all(word in shown for word in words), command


def test_doctor_names_missing_packages():
    from fiducial.cli.doctor import needs
    from fiducial.provenance import versions
    from fiducial.recipes import read_recipe

    bare = dict.fromkeys(versions())
    assert needs(read_recipe("sjtu"), bare)[0] == "pip install 'fiducial[models]'"


@pytest.mark.parametrize(("words", "status"), [(["--version"], 0), (["nothing"], 2)])
def test_the_process_writes_everything_before_it_leaves(words, status):
    done = subprocess.run([sys.executable, "-m", "fiducial", *words], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert (done.stdout if status == 0 else done.stderr).startswith("fiducial")
