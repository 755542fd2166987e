from __future__ import annotations

import os
import stat

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


@pytest.mark.parametrize("text", ["a: [1", "a: !!python/object:os.system {}", "a: 2024-13-45", "[" * 1000])
def test_broken_yaml_is_an_error_of_the_input(text):
    with pytest.raises(InputError, match=r"a\.yaml: not valid YAML"):
        parse_yaml(text, "a.yaml")
