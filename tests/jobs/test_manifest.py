import csv
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from fiducial.errors import InputError
from fiducial.jobs.manifest import Manifest, Row

BOXES = [{"box": [1, 2, 3, 4], "label": "ship"}]
ROWS = [
    {"id": "a", "image": "x/1.png", "instruction": "the ship, please"},
    {"id": "b", "image": "2.png", "prompts": BOXES},
    {"id": "c", "image": "2.png", "instruction": "é\u2028", "reply": "[[0.1, 0.2, 0.5, 0.6]]", "dialect": "sjtu"},
]
READ = [
    Row(1, "a", "x/1.png", "the ship, please"),
    Row(2, "b", "2.png", "", BOXES),
    Row(3, "c", "2.png", "é\u2028", None, "[[0.1, 0.2, 0.5, 0.6]]", "sjtu"),
]


def write_as(kind, path):
    if kind == "jsonl":
        path.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS), encoding="utf-8-sig")
    elif kind == "csv":
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, ["id", "image", "instruction", "prompts", "reply", "dialect"])
            writer.writeheader()
            for row in ROWS:
                writer.writerow({**row, "prompts": json.dumps(row["prompts"]) if "prompts" in row else ""})
    else:
        rows = [{"prompts": None, "reply": None, "dialect": None, "instruction": None, **row} for row in ROWS]
        parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_every_kind_of_file_holds_the_same_rows(tmp_path, kind):
    assert list(Manifest(write_as(kind, tmp_path / f"rows.{kind}")).rows()) == READ


def test_a_folder_is_a_row_for_each_picture(tmp_path):
    for name in ("b.png", "a.jpg", "notes.txt", "deep/c.png", "raw.dng"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    flat, deep = Manifest(tmp_path, "ships"), Manifest(tmp_path, "ships", recursive=True)
    assert list(flat.rows()) == [Row(1, "a.jpg", "a.jpg", "ships"), Row(2, "b.png", "b.png", "ships")]
    assert [row.id for row in deep.rows()] == ["a.jpg", "b.png", "deep/c.png"]
    assert "raw.dng" in flat.skipped[0]
    before = flat.fingerprint()
    (tmp_path / "b.png").write_bytes(b"xx")
    assert flat.fingerprint() != before != deep.fingerprint()


def test_without_ids_rows_are_named_by_their_number_and_other_columns_are_said(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("image,split\na.png,train\n\nb.png,test\n")
    manifest = Manifest(path, " all ships ")
    assert list(manifest.rows()) == [Row(1, "1", "a.png", "all ships"), Row(2, "2", "b.png", "all ships")]
    assert manifest.skipped == ["the column 'split', which is not read"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "line 1: not valid JSON"),
        ("[]", "line 1: an object is expected"),
        ('{"id": "a", "instruction": "x"}', "image needs to be a path, got ''"),
        ('{"id": "a", "image": 3, "instruction": "x"}', "image needs to be a path, got 3"),
        ('{"id": "a", "image": "a\\u0000.png", "instruction": "x"}', "image needs to be a path"),
        ('{"id": 1.5, "image": "a.png", "instruction": "x"}', "id needs to be text or a whole number, got 1.5"),
        ('{"id": "", "image": "a.png", "instruction": "x"}', "id needs to be text"),
        ('{"id": "a", "image": "a.png"}', "the instruction is empty"),
        ('{"id": "a", "image": "a.png", "instruction": " "}', "the instruction is empty"),
        ('{"id": "a", "image": "a.png", "instruction": 7}', "instruction needs to be text, got 7"),
        ('{"id": "a", "image": "a.png", "instruction": "x\\u0000y"}', "NUL"),
        ('{"id": "a", "image": "a\\udcff.png", "instruction": "x"}', "no text"),
        ('{"id": "a", "image": "a.png", "instruction": "x\\ud83d"}', "no text"),
        (json.dumps({"image": "a.png", "instruction": "x" * 2001}), "2,001 characters, more than 2,000"),
        ('{"id": "a", "image": "a.png", "prompts": "[{"}', "prompts: not valid JSON"),
        ('{"id": "a", "image": "a.png", "prompts": {"box": [1, 2, 3, 4]}}', "prompts needs to be a list"),
        ('{"id": "a", "image": "a.png", "prompts": [], "reply": "[]"}', "prompts and a reply"),
        ('{"id": "a", "image": "a.png", "reply": "[]"}', "a reply and no dialect"),
        ('{"id": "a", "image": "a.png", "reply": "[]", "dialect": "sjtv"}', "did you mean 'sjtu'"),
    ],
)
def test_a_row_that_makes_no_sense_is_a_row_with_a_problem(tmp_path, line, problem):
    path = tmp_path / "rows.jsonl"
    path.write_text(line + '\n{"id": "b", "image": "b.png", "instruction": "ships"}\n')
    bad, good = Manifest(path).rows()
    assert problem in bad.problem
    assert good == Row(2, "b", "b.png", "ships")


def test_csv_rows_of_another_length_are_problems(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('image,instruction\na.png\nb.png,"the ""big"" ship"\nc.png,x,y\nd.png,"x"y\ne.png,ships\n')
    rows = list(Manifest(path).rows())
    assert [row.problem.partition(" (")[0] for row in rows] == [
        "line 2: 1 cells where the header has 2",
        "",
        "line 4: 3 cells where the header has 2",
        "line 5: not CSV",
        "",
    ]
    assert rows[1].instruction == 'the "big" ship'


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.csv", b"", "has no column image (its columns: none)"),
        ("rows.csv", b"id,picture\n1,a.png\n", "has no column image (its columns: id, picture)"),
        ("rows.csv", b"id,image\n1,a.png\n", "needs a column instruction, prompts or reply"),
        ("rows.csv", b"image,image,instruction\na,b,c\n", "the column image is there twice"),
        ("rows.csv", "image,instruction\na.png,ships\n".encode("utf-16"), "line 1: not UTF-8 text"),
        ("rows.csv", b"image,instruction\na.png,\xff\n", "line 2: not UTF-8 text"),
        ("rows.parquet", b"PAR1 and no more", "is no whole Parquet file"),
        ("rows.xlsx", b"", "a manifest is called .csv, .jsonl, .ndjson, .parquet"),
    ],
)
def test_a_file_that_makes_no_sense_is_an_error(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        list(Manifest(path).rows())
    assert str(error.value).startswith(str(path))
    assert said in str(error.value)


def test_what_is_not_there_or_not_meant_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no such file or folder"):
        Manifest(tmp_path / "gone.csv")
    (tmp_path / "rows.csv").write_text("image,instruction\n")
    with pytest.raises(InputError, match="recursive is for folders"):
        Manifest(tmp_path / "rows.csv", recursive=True)
    with pytest.raises(InputError, match="say what to segment"):
        Manifest(tmp_path).rows()
    monkeypatch.setattr("fiducial.jobs.manifest.MAX_LINE", 10)
    with pytest.raises(InputError, match="line 1: has more than"):
        list(Manifest(tmp_path / "rows.csv").rows())


def test_a_manifest_is_read_as_it_is_asked_for(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a", "image": "a.png", "instruction": "ships"}\n' * 3 + "{")
    rows = Manifest(path).rows()
    assert not next(rows).problem
    assert [bool(row.problem) for row in rows] == [False, False, True]
