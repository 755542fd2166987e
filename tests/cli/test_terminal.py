import errno
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from fiducial.cli import main, terminal

FIDUCIAL = f'"{sys.executable}" -m fiducial'


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        array = np.full((24, 32, 3), 40, np.uint8)
        array[6:18, 4 + 8 * number : 12 + 8 * number] = (220, 40, 40)
        PIL.Image.fromarray(array).save(folder / f"{number}.png")
    return folder


class Broken(io.StringIO):
    """A stream that takes some texts and then fails."""

    def __init__(self, code, takes=0):
        super().__init__()
        self.code, self.takes = code, takes

    def write(self, text):
        if self.takes == 0:
            raise OSError(self.code, "why")
        self.takes -= 1
        return super().write(text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--version >&-", "fiducial: stdout is closed: send it to a file, or to /dev/null\n"),
        ("--help > /dev/full", "fiducial: what is printed cannot be written (No space left on device)\n"),
        ("nothing 2>&-", ""),
        ("nothing 2>/dev/full", ""),
        ("nothing <&- >&- 2>&-", ""),
    ],
)
def test_closed_and_full_streams_are_one_line_and_status_two(words, said):
    done = subprocess.run(["bash", "-c", f"{FIDUCIAL} {words}"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


@pytest.mark.parametrize(("words", "takes"), [(["recipes"], 0), (["recipes"], 1), (["segment", "--help"], 0)])
def test_an_output_that_is_full_is_status_two(words, takes, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout", Broken(errno.ENOSPC, takes))
    assert main(words) == 2
    assert capsys.readouterr().err == "fiducial: what is printed cannot be written (why)\n"


def test_files_are_all_written_when_the_reader_of_stdout_leaves(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdout", Broken(errno.EPIPE, 1))
    out = tmp_path / "out"
    assert main(["segment", str(pictures), "the red square", "--recipe", "classic", "--out", str(out)]) == 0
    assert sorted(path.name for path in out.glob("*.png.json")) == ["0.png.json", "1.png.json", "2.png.json"]


def test_nothing_more_is_computed_for_a_reader_who_left(pictures, monkeypatch):
    asked = []
    found = terminal.nobody_reads
    monkeypatch.setattr("fiducial.cli.terminal.nobody_reads", lambda: asked.append(found()) or asked[-1])
    monkeypatch.setattr("sys.stdout", Broken(errno.EPIPE))
    assert main(["segment", str(pictures), "the red square", "--recipe", "classic", "--json"]) == 0
    assert asked == [True]


def test_a_reader_of_messages_who_leaves_stops_nothing(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr", Broken(errno.EPIPE))
    assert main(["segment", str(pictures), "the red square", "--recipe", "classic", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_the_streams_are_put_back(capsys):
    before = sys.stdout, sys.stderr
    main(["nothing"])
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "stdin is closed: give the reply through a pipe or from a file (< reply.txt)"),
        (io.BytesIO(b"x" * (4 * 1024 * 1024 + 1)), "stdin holds more than 4 MiB, which no reply of a model has"),
        (lambda limit: (_ for _ in ()).throw(OSError(errno.EIO, "why")), "stdin cannot be read (why)"),
    ],
)
def test_an_input_that_cannot_be_read_is_named(given, said, monkeypatch, capsys):
    if callable(given):
        given = type("Bad", (), {"read": staticmethod(given)})
    monkeypatch.setattr("sys.stdin", given and type("Stdin", (), {"buffer": given}))
    assert main(["parse", "--dialect", "qwen3-vl", "--image", "100x100"]) == 2
    assert capsys.readouterr().err == f"fiducial: {said}\n"


def test_no_text_commands_the_terminal(monkeypatch, capsys):
    reply = "no boxes \x1b0;title\x07\x1b2J\u202e here"
    monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": io.BytesIO(reply.encode())}))
    assert main(["parse", "--dialect", "qwen3-vl", "--image", "100x100"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["outcome"] == "malformed"
    assert not set(shown.out + shown.err) & set("\x1b\x07\u202e")
    assert main(["noth\x1b[2Jing\x9b"]) == 2
    assert capsys.readouterr().err.startswith("fiducial: unknown command 'noth")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (OSError(errno.ENAMETOOLONG, "File name too long", "a" * 300), 2, f"{'a' * 200}: File name too long"),
        (PermissionError(errno.EACCES, "Permission denied", "x/y"), 2, "x/y: Permission denied"),
        (OSError("odd"), 2, "odd"),
        (MemoryError(), 1, "out of memory"),
    ],
)
def test_what_the_machine_cannot_do_is_no_bug(error, status, said, monkeypatch, capsys):
    def fail(words):
        raise error

    monkeypatch.setattr("fiducial.cli.recipes.run", fail)
    assert main(["recipes"]) == status
    assert capsys.readouterr().err == f"fiducial: {said}\n"


@pytest.mark.parametrize("words", [["cut", "--box", "1,2,3,4"], ["overlay", "--out", "x.png"]])
def test_a_name_that_no_file_can_have(words, capsys):
    name = "a" * 300 + ".png"
    assert main([*words, name]) == 2
    assert capsys.readouterr().err == f"fiducial: {name[:300]}: cannot be read (File name too long)\n"


def test_one_impossible_name_leaves_the_others(pictures, capsys):
    words = ["segment", "a" * 300, str(pictures / "0.png"), "the red square", "--recipe", "classic", "--json"]
    assert main(words) == 2
    assert json.loads(capsys.readouterr().out)["outcome"] == "found"


def test_a_folder_that_may_not_be_looked_into(tmp_path, monkeypatch, capsys):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    assert main(["segment", str(tmp_path), "x", "--recipe", "classic"]) == 2
    assert capsys.readouterr().err == f"fiducial: {tmp_path}: the folder cannot be read (Permission denied)\n"
    monkeypatch.undo()
    (tmp_path / "a.png").write_bytes(b"x")
    stat = Path.stat
    monkeypatch.setattr("pathlib.Path.stat", lambda path, **_: refuse(path) if path.suffix == ".png" else stat(path))
    assert main(["segment", str(tmp_path / "a.png"), "x", "--recipe", "classic", "--json"]) == 2
    assert capsys.readouterr().err == f"fiducial: {tmp_path / 'a.png'}: no permission to read it\n"


def test_words_behind_two_dashes_are_no_options(pictures, monkeypatch, capsys):
    monkeypatch.chdir(pictures)
    for name in ("-dash.png", "--debug", "--json"):
        (pictures / "0.png").replace(name)
        assert main(["segment", "--recipe", "classic", "--json", "--", name, "the red square"]) == 0
        assert json.loads(capsys.readouterr().out)["image"] == name
        assert main(["cut", "--box", "1,2,20,20", "--json", "--", name]) == 0
        assert json.loads(capsys.readouterr().out)["image"] == name
        (pictures / name).replace("0.png")
    assert main(["segment", "x.png", "--", "-a", "-b", "--"]) == 2
    assert "\0" not in capsys.readouterr().err
