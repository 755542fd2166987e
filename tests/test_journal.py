import pytest

from fiducial.errors import InputError
from fiducial.journal import Journal

SETTINGS = {"instruction": "the ship", "contents": {}}


def noted(folder, *values, settings=SETTINGS):
    with Journal(folder, "parts.jsonl", settings, ["a", "test"]) as journal:
        for one in values:
            journal.append(one)
        return [values for _, values in journal]


def test_what_was_noted_is_there_when_the_work_goes_on(tmp_path):
    assert noted(tmp_path, {"part": 1}, {"part": 2, "text": "é"}) == [{"part": 1}, {"part": 2, "text": "é"}]
    assert noted(tmp_path, {"part": 3})[2:] == [{"part": 3}]


def test_a_line_that_was_cut_off_is_dropped(tmp_path):
    noted(tmp_path, {"part": 1}, {"part": 2})
    path = tmp_path / "parts.jsonl"
    path.write_bytes(path.read_bytes()[:-4])
    assert noted(tmp_path) == [{"part": 1}]


def test_other_settings_are_told_by_what_differs(tmp_path):
    noted(tmp_path, {"part": 1})
    with pytest.raises(InputError, match=r"holds other work \(another instruction\)"):
        noted(tmp_path, settings={**SETTINGS, "instruction": "the pier"})


def test_a_folder_in_which_nothing_was_noted_takes_any_settings(tmp_path):
    noted(tmp_path)
    assert noted(tmp_path, settings={"instruction": "the pier"}) == []


def test_a_second_process_is_kept_out(tmp_path):
    with (
        Journal(tmp_path, "parts.jsonl", SETTINGS, []),
        pytest.raises(InputError, match="another process is writing"),
    ):
        Journal(tmp_path, "parts.jsonl", SETTINGS, [])


def test_a_line_that_is_no_json_is_named(tmp_path):
    noted(tmp_path, {"part": 1})
    (tmp_path / "parts.jsonl").write_bytes(b'{"part": 1}\nwhat\n')
    with pytest.raises(InputError, match=r"parts\.jsonl, line 2: not valid JSON"):
        noted(tmp_path)
