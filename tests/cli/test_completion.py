import re
import shutil
import subprocess

import pytest

from fiducial.cli import COMMANDS, main
from fiducial.cli.completion import SCRIPTS, tree


@pytest.fixture(scope="module")
def commands():
    return tree()


def script(shell, capsys):
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def test_every_command_is_completed_by_the_options_of_its_help(commands, capsys):
    assert {name.split()[0] for name in commands} == set(COMMANDS)
    for name, words in commands.items():
        assert main([*name.split(), "--help"]) == 0
        shown = set(re.findall(r"^  (--[a-z0-9-]+)", capsys.readouterr().out, flags=re.MULTILINE))
        assert {word.name for word in words if word.name} == shown, name


def test_values_come_from_the_descriptions(commands):
    values = {word.name: word.values for word in commands["segment"]}
    assert {"nano", "classic"} <= set(values["--recipe"])
    assert values["--view"] == ("radiological", "storage")
    assert set(values["--format"]) == {"png", "mask", "json", "coco", "labelme"}
    assert values["--out"] == ()
    assert [word.takes for word in commands["segment"] if word.name == "--recursive"] == [False]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["seg"], ["segment"]),
        (["segment", "ships.png", "--rec"], ["--recipe", "--recursive"]),
        (["segment", "--recipe", "cla"], ["classic"]),
        (["segment", "shi"], ["ships.png"]),
        (["segment", "--json", "shi"], ["ships.png"]),
        (["cut", "--out", "shi"], ["ships.png"]),
        (["misground", "b"], ["build"]),
        (["misground", "run", "--base"], ["--baseline"]),
        (["train", "gr"], ["grounder", "grpo"]),
    ],
)
def test_bash_offers(typed, offered, tmp_path, capsys):
    (tmp_path / "ships.png").touch()
    words = " ".join(f"'{word}'" for word in ["fiducial", *typed])
    asked = "compopt() { :; }\n"  # works only while a shell completes
    asked += f"COMP_WORDS=({words})\nCOMP_CWORD={len(typed)}\n_fiducial\n" + 'printf "%s\\n" "${COMPREPLY[@]}"'
    text = f"set -uo pipefail\n{script('bash', capsys)}\n{asked}"
    done = subprocess.run(["bash", "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert sorted(done.stdout.split()) == sorted(offered)


@pytest.mark.parametrize("shell", SCRIPTS)
def test_shells_can_read_their_script(shell, tmp_path, capsys):
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(script(shell, capsys), encoding="utf-8")
    done = subprocess.run([found, "-n", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_offers_recipes(tmp_path, capsys):
    path = tmp_path / "fiducial.fish"
    path.write_text(script("fish", capsys), encoding="utf-8")
    asked = f"source {path}; complete -C 'fiducial segment --recipe cla'; complete -C 'fiducial se'"
    done = subprocess.run(["fish", "-c", asked], capture_output=True, text=True, check=False)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["classic", "segment", "serve"]


def test_an_unknown_shell_is_refused(capsys):
    assert main(["completion", "tcsh"]) == 2
    assert "bash" in capsys.readouterr().err
