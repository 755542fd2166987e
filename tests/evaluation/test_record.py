import json
import math
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation_fakes import ENVIRONMENT, bench
from fiducial import Mask, Outcome
from fiducial.errors import InputError
from fiducial.evaluation.record import Record, RecordFile, encode, read_records
from fiducial.files import LineFile


def record(index=0, **changes):
    values = {
        "index": index,
        "id": f"s{index}",
        "image": "a.png",
        "size": (4, 6),
        "instruction": "the ship",
        "picture": "p",
        "digest": f"d{index}",
        "prompt_sha256": "q",
        "outcome": Outcome.FOUND,
    }
    return Record(**{**values, **changes})


def test_a_record_comes_back_as_it_went(tmp_path):
    made = [bench().measure(index) for index in (5, 3, 2)]
    with RecordFile(tmp_path / "r.jsonl") as file:
        for one in made:
            file.append(one)
        assert file.done == {one.index: one.digest for one in made}
    found = list(read_records(tmp_path / "r.jsonl"))
    assert [encode(one) for one in found] == [encode(one) for one in made]
    assert found[0].mask == made[0].mask
    assert found[0].truth_mask.area > 0
    assert found[0].ignore_mask.area == 2 * 32
    assert found[0].decoded_prompts()[0].box == tuple(made[0].prompts[0]["box"])
    assert found[1].truth_mask == Mask.empty(24, 32)


def test_records_without_truth_masks_or_masks():
    bare = record()
    assert (bare.truth_mask, bare.ignore_mask, bare.mask.area) == (None, None, 0)


@given(cut=st.integers(0, 400), letters=st.text(max_size=30))
def test_a_torn_line_is_dropped_and_done_again(tmp_path_factory, cut, letters):
    path = tmp_path_factory.mktemp("torn") / "r.jsonl"
    whole = encode(record(0, raw=letters)), encode(record(1, text=letters))
    torn = whole[1][: min(cut, len(whole[1]) - 1)]
    path.write_bytes(whole[0] + torn)
    assert [one.index for one in read_records(path)] == [0]
    with RecordFile(path) as file:
        assert set(file.done) == {0}
        file.append(record(1, text=letters))
    assert path.read_bytes() == b"".join(whole)


def test_a_torn_first_line_longer_than_a_block(tmp_path):
    (tmp_path / "r.jsonl").write_bytes(b"x" * 200_000)
    with RecordFile(tmp_path / "r.jsonl") as file:
        assert file.done == {}
    assert (tmp_path / "r.jsonl").read_bytes() == b""


DEEP, LONG = b"[" * 5000 + b"\n", b"9" * 5000 + b"\n"


@pytest.mark.parametrize("line", [b"{}\n", b"[]\n", b"no json\n", b'{"index": 1}\n', b"\xff\n", DEEP, LONG])
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    path = tmp_path / "r.jsonl"
    path.write_bytes(encode(record(0)) + line + encode(record(1)))
    with pytest.raises(InputError, match=r"r\.jsonl, line 2: not a record"):
        list(read_records(path))
    with pytest.raises(InputError, match="line 2"):
        RecordFile(path)


def test_a_record_of_wrong_values_is_refused():
    values = json.loads(encode(record()))
    with pytest.raises(InputError, match="makes no sense"):
        Record.from_json({**values, "outcome": "fine"})
    with pytest.raises(InputError, match="makes no sense"):
        Record.from_json({**values, "size": [3]})
    with pytest.raises(InputError, match="makes no sense"):
        Record.from_json({**values, "size": [math.inf, 3]})
    with pytest.raises(InputError, match="prompts make no sense"):
        Record.from_json({**values, "prompts": [[1, 2]]}).decoded_prompts()
    with pytest.raises(InputError, match="check colour"):
        Record.from_json({**values, "colour": 1})


def test_no_sample_twice(tmp_path):
    with RecordFile(tmp_path / "r.jsonl") as file:
        file.append(record(3))
        with pytest.raises(InputError, match=r"sample 3 \(s3\) has a record already"):
            file.append(record(3))


def test_a_disk_that_takes_a_few_bytes_at_a_time(tmp_path):
    class Slow:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            return self.file.write(data[:7])

        def __getattr__(self, name):
            return getattr(self.file, name)

    with RecordFile(tmp_path / "r.jsonl") as file:
        file._lines._file = Slow(file._lines._file)
        file.append(record(0, text="é" * 50))
    assert [one.text for one in read_records(tmp_path / "r.jsonl")] == ["é" * 50]


def test_a_full_disk_is_an_error_that_says_so():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    file = RecordFile.__new__(RecordFile)
    file.path, file.done, file._lines = "/dev/full", {}, LineFile.__new__(LineFile)
    file._lines.path = file.path
    with (
        open("/dev/full", "wb", buffering=0) as file._lines._file,
        pytest.raises(InputError, match="cannot be written"),
    ):
        file.append(record())


def test_broken_letters_survive(tmp_path):
    with RecordFile(tmp_path / "r.jsonl") as file:
        file.append(record(raw="half \ud83d a pair"))
    assert next(read_records(tmp_path / "r.jsonl")).raw == "half \ud83d a pair"


def test_two_processes_do_not_write_to_one_file(tmp_path):
    code = (
        "import sys; from fiducial.evaluation.record import RecordFile\n"
        "try: RecordFile(sys.argv[1])\nexcept Exception as error: print(error)"
    )
    path = tmp_path / "r.jsonl"
    with RecordFile(path):
        told = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, env=ENVIRONMENT
        )
    assert "another process is writing to it" in told.stdout


def test_places_that_cannot_be_written_or_read(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        RecordFile(tmp_path / "none" / "r.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        list(read_records(tmp_path / "none.jsonl"))
