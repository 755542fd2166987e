from __future__ import annotations

import contextlib
import os
import stat
from itertools import pairwise
from pathlib import Path
from threading import Thread

import pytest

from fiducial import files
from fiducial.errors import InputError
from fiducial.files import (
    json_text,
    parse_json,
    parse_yaml,
    read_json,
    read_json_lines,
    read_text,
    read_whole,
    read_yaml,
    rounded,
    write_atomically,
)


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path, monkeypatch, step, error):
    path = tmp_path / "a.json"
    path.write_text("old")

    def broken(*_):
        raise error

    monkeypatch.setattr(files.os, step, broken)
    expected = InputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match="No space left" if expected is InputError else None):
        write_atomically(path, "new")
    monkeypatch.undo()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.json", "old")]


def test_writes_bytes_text_and_nothing(tmp_path):
    assert write_atomically(tmp_path / "a", b"\x00\xff").read_bytes() == b"\x00\xff"
    assert write_atomically(str(tmp_path / "b"), "grün").read_bytes() == "grün".encode()
    assert write_atomically(tmp_path / "c", b"").read_bytes() == b""


def test_says_which_file_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.a: cannot be written \(No such file"):
        write_atomically(tmp_path / "nowhere" / "a", b"x")
    with pytest.raises(InputError, match="cannot be written"):
        write_atomically(tmp_path, b"x")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_files_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        path = write_atomically(tmp_path / "a", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_no_folder_sync_off_posix(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "open", lambda *_: pytest.fail("folders cannot be opened there"))
    monkeypatch.setattr(files.os, "name", "nt")
    try:
        files._sync_folder(tmp_path)
    finally:
        monkeypatch.undo()


def test_json_text_is_strict():
    assert json_text({"ä": [1.5, None]}) == '{\n  "ä": [\n    1.5,\n    null\n  ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text(float("nan"))


def test_rounding_leaves_no_negative_zero_and_nothing_infinite():
    assert [rounded(value, 2) for value in (1.236, None, float("inf"), float("nan"))] == [1.24, None, None, None]
    assert str(rounded(-0.001, 2)) == "0.0"


def test_reads_text_with_a_byte_order_mark_and_in_an_old_encoding(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffgrün".encode())
    assert read_text(path) == "grün"
    path.write_bytes("grün".encode("latin-1"))
    assert read_text(path, fallback="latin-1") == "grün"
    with pytest.raises(InputError, match=r"a\.txt: not UTF-8"):
        read_text(path)


def test_says_why_a_text_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"missing: no such file"):
        read_text(tmp_path / "missing")
    with pytest.raises(InputError, match="cannot be read"):
        read_text(tmp_path)


def test_json_of_one_kind_each_object_through_a_hook(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}]')
    assert read_json(path) == [{"a": 1}]
    assert read_json(path, kind=list, hook=len) == [1]
    with pytest.raises(InputError, match=r"a\.json: an object is expected at the top, got list"):
        read_json(path, kind=dict)
    with pytest.raises(InputError, match="a list is expected at the top, got dict"):
        parse_json("{}", path, kind=list)


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "[1] [2]", "9" * 5000, "[" * 5000, '{"a":' * 100_000])
def test_broken_json_is_an_error_of_the_input(text):
    with pytest.raises(InputError, match=r"a\.json: not valid JSON"):
        parse_json(text, "a.json")


def test_json_lines_carry_their_numbers(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": "\u2028"}\n\n{"a": 2}\n', encoding="utf-8")
    assert read_json_lines(path) == [(1, {"a": "\u2028"}), (3, {"a": 2})]
    path.write_text('{"a": 1}\n[2]\n')
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: an object is expected"):
        read_json_lines(path)


def test_reads_yaml(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: [1, 2]\n")
    assert read_yaml(path) == {"a": [1, 2]}


@pytest.mark.parametrize("text", ["[%s]", '{"a": -%s}', '[{"a": [0.5, %s]}]'])
def test_whole_numbers_that_nobody_counts_with(text):
    assert parse_json(text % ("1" * 40), "a.json")
    assert parse_json((text % "0.1").encode() + b" " * 9, "a.json")
    assert parse_json('{"a": "%s"}' % ("1" * 5000), "a.json", kind=dict)
    for given in (text % ("1" * 400), (text % ("1" * 400)).encode()):
        with pytest.raises(InputError, match=r"a\.json: not valid JSON: a number of 40[01] digits"):
            parse_json(given, "a.json")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise("abcdefghijk")
)
MERGED = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n" for before, name in pairwise("abcdefghijk")
)
BAD_YAML = {
    "an open list": ("a: [1", ""),
    "an object": ("a: !!python/object:os.system {}", "could not determine a constructor"),
    "a date": ("a: 2024-13-45", "month must be in"),
    "a time zone": ("a: 2001-12-14t21:59:43.10-99:99", "offset must be"),
    "no truth value": ("a: !!bool maybe", "not what its tag says"),
    "no number": ("a: !!int ''", "not what its tag says"),
    "no date": ("a: !!timestamp x", "not what its tag says"),
    "a control sign": ("a: \x01", "special characters"),
    "deep lists": ("[" * 3000, "nested too deeply"),
    "deep mappings": ("{a: " * 3000, "nested too deeply"),
    "deep lines": ("\n".join(" " * k + "a:" for k in range(60)), "nested too deeply"),
    "repeated": (BOMB, "more than 10,000 values once what is repeated is written out"),
    "merged": (MERGED, "more than 10,000 values once what is repeated is written out"),
    "itself": ("&a [*a]", "it holds itself"),
    "itself as a value": ("&a {x: *a}", "it holds itself"),
    "too long": ("x" * 2**18 + "y", "more than 262,144 letters"),
    "hexadecimal": ("a: 0x" + "f" * 60, "a number of 62 digits"),
    "sixties": ("a: " + ":".join(["1"] * 300), "a number of 599 digits"),
    "decimal": ("a: " + "9" * 5000, "a number of 5,000 digits"),
    "twice": ("a: 1\nb: 2\na: 3", "'a' is given twice"),
    "two documents": ("---\na\n---\nb", "expected a single document"),
    "a key that is a list": ("{[1]: 2}", "unhashable"),
}


@pytest.mark.parametrize(("text", "said"), BAD_YAML.values(), ids=BAD_YAML)
def test_broken_yaml_is_an_error_of_the_input(text, said):
    with pytest.raises(InputError, match=rf"a\.yaml: not valid YAML \(.*{said}") as caught:
        parse_yaml(text, "a.yaml")
    assert len(str(caught.value)) < 400


def test_many_values_end_early(monkeypatch):
    monkeypatch.setattr(files, "MAX_NODES", 100)
    assert len(parse_yaml("[" + "1, " * 90 + "]", "a.yaml")) == 90
    with pytest.raises(InputError, match="more than 100 values"):
        parse_yaml("[" + "1, " * 110 + "]", "a.yaml")


def test_yaml_may_repeat_and_merge():
    assert parse_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}", "a.yaml") == {
        "a": {"x": 1},
        "b": {"x": 1},
        "c": {"x": 1, "y": 2},
    }
    assert parse_yaml("", "a.yaml") is None


def test_names_that_no_file_has_and_files_without_end(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no such file"):
        read_text(tmp_path / "a\0b")
    with pytest.raises(InputError, match="File name too long"):
        read_text(tmp_path / ("a" * 300))
    with pytest.raises(InputError, match="/dev/zero: is a device"):
        read_text(Path("/dev/zero"))
    (tmp_path / "a").write_bytes(b"12345")
    assert read_whole(tmp_path / "a", 5) == b"12345"
    with pytest.raises(InputError, match="holds more than"):
        read_whole(tmp_path / "a", 4)


def test_what_comes_through_a_pipe_is_bounded_too(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write():
        with contextlib.suppress(OSError):
            pipe.write_bytes(b"x" * 2_500_000)

    for most in (3_000_000, 1_000_000):
        writer = Thread(target=write)
        writer.start()
        if most > 2_500_000:
            assert len(read_whole(pipe, most)) == 2_500_000
        else:
            with pytest.raises(InputError, match="holds more than 0 MiB"):
                read_whole(pipe, most)
        writer.join()
