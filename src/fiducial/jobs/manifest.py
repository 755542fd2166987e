"""Manifests: rows out of CSV, JSON Lines or Parquet files, or the pictures of a folder; read in pieces, any number.

A row names a picture, and says in words what to segment (``instruction``), or where it is: by coordinates
(``prompts``, in pixels, as a result's JSON holds them) or by the reply of a model (``reply``, in a ``dialect``).
A row that makes no sense is a row with a problem; a file that makes none is an error.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fiducial.contents import fingerprint_of
from fiducial.errors import FiducialError, InputError, extra_needed
from fiducial.files import parse_json
from fiducial.images import find_images
from fiducial.language.answers import check_instruction
from fiducial.language.dialects import dialect

COLUMNS = ("id", "image", "instruction", "prompts", "reply", "dialect")
"""What is read of a manifest; other columns are left alone."""
_OURS = ("row", "reason")  # what stands besides in a file of dead rows

SUFFIXES = (".csv", ".jsonl", ".ndjson", ".parquet")
MAX_LINE = 2**24
"""Bytes of one line of text."""
_PIECE = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a manifest.

    Args:
        number: its place among the rows, from 1.
        id: names it among all; None where it has none.
        image: the picture's path as the manifest has it.
        instruction: what to segment, in words; may be "" where coordinates are given.
        prompts: coordinates in pixels, as :meth:`fiducial.geometry.Prompts.as_json` writes them, or None.
        reply: a model's reply to be cut, or None.
        dialect: how the reply is written, or None.
        problem: why it cannot be worked on; "" where it can.
    """

    number: int
    id: str | None
    image: str = ""
    instruction: str = ""
    prompts: list[Any] | None = None
    reply: str | None = None
    dialect: str | None = None
    problem: str = ""

    @property
    def asks(self) -> bool:
        """Whether a prompter is asked: no coordinates are given."""
        return self.prompts is None and self.reply is None


@dataclass(frozen=True)
class Manifest:
    """A file of rows, or a folder of pictures.

    Args:
        path: of the file or the folder.
        instruction: for rows that have none of their own, "" for none.
        dialect: of replies whose row does not say it.
        recursive: also take the pictures in the folders of a folder.

    Raises:
        InputError: there is no such file, or none of a kind that is read.
    """

    path: Path
    instruction: str = ""
    dialect: str | None = None
    recursive: bool = False
    skipped: list[str] = field(default_factory=list)
    """What was passed over, one line each: pictures of other kinds, columns that are not read."""

    def __post_init__(self) -> None:
        if not os.path.exists(self.path):
            raise InputError(f"{self.path}: no such file or folder")
        if not os.path.isdir(self.path) and self.path.suffix.lower() not in SUFFIXES:
            raise InputError(f"{self.path}: a manifest is called {', '.join(SUFFIXES)}; or name a folder of pictures")
        if self.recursive and not os.path.isdir(self.path):
            raise InputError(f"recursive is for folders, and {self.path} is a manifest")
        if self.instruction:
            object.__setattr__(self, "instruction", check_instruction(self.instruction))

    @property
    def base(self) -> Path:
        """The folder from which paths start unless another is named."""
        return self.path if os.path.isdir(self.path) else self.path.parent

    def fingerprint(self) -> str:
        """Name what it holds, SHA-256: the file's bytes, or the names and sizes of the pictures of a folder."""
        if not os.path.isdir(self.path):
            return fingerprint_of(self.path)
        digest = hashlib.sha256()
        for path in self._pictures():
            line = f"{path.relative_to(self.path).as_posix()} {_size(path)}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def rows(self) -> Iterator[Row]:
        """Read the rows one after the other.

        Raises:
            InputError: the file cannot be read, lacks a column, or is not what its name says.
        """
        self.skipped.clear()
        if os.path.isdir(self.path):
            if not self.instruction:
                raise InputError(f"{self.path}: is a folder of pictures: say what to segment in them")
            names = (path.relative_to(self.path).as_posix() for path in self._pictures())
            return (_sound(Row(number, name, name, self.instruction)) for number, name in enumerate(names, start=1))
        readers = {".csv": self._csv, ".parquet": self._parquet}
        return map(_sound, readers.get(self.path.suffix.lower(), self._json_lines)())

    def _pictures(self) -> list[Path]:
        found = find_images([self.path], recursive=self.recursive)
        self.skipped[:] = found.skipped
        return found.paths

    def _csv(self) -> Iterator[Row]:
        lines = ((number, self._text(number, line)) for number, line in self._lines())
        reader = csv.reader((line for _, line in lines), strict=True)
        before = csv.field_size_limit(MAX_LINE)
        try:
            try:
                names = [name.strip() for name in next(reader, [])]
            except csv.Error as error:
                raise InputError(f"{self.path}, line 1: not CSV ({error})") from None
            self._check_columns(names)
            for number, (cells, problem) in enumerate(_cells(reader, len(names)), start=1):
                if problem:
                    yield Row(number, None, problem=problem)
                else:
                    yield self._row(number, {name: cell for name, cell in zip(names, cells, strict=True) if cell})
        finally:
            csv.field_size_limit(before)

    def _json_lines(self) -> Iterator[Row]:
        seen: set[str] = set()
        numbered = ((line, text) for line, text in self._lines() if text.strip())
        for number, (line, text) in enumerate(numbered, start=1):
            try:
                values = parse_json(self._text(line, text), f"line {line}", kind=dict)
            except InputError as error:
                yield Row(number, None, problem=str(error))
                continue
            self.skipped.extend(_unread(name) for name in values if name not in (*COLUMNS, *_OURS) and name not in seen)
            seen |= set(values)
            yield self._row(number, values)

    def _parquet(self) -> Iterator[Row]:
        with extra_needed(f"{self.path}", "jobs"):
            import pyarrow
            from pyarrow import parquet
        try:
            with parquet.ParquetFile(self.path) as file:
                self._check_columns(file.schema_arrow.names)
                wanted = [name for name in COLUMNS if name in file.schema_arrow.names]
                number = 0
                for piece in file.iter_batches(batch_size=_PIECE, columns=wanted):
                    for values in piece.to_pylist():
                        number += 1
                        yield self._row(number, values)
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(f"{self.path}: is no whole Parquet file ({str(error).splitlines()[0][:200]})") from None

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        try:
            with self.path.open("rb") as file:
                for number in itertools.count(1):
                    line = file.readline(MAX_LINE + 1)
                    if not line:
                        return
                    if len(line) > MAX_LINE:
                        raise InputError(f"{self.path}, line {number}: has more than {MAX_LINE >> 20} MiB")
                    yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror or error})") from None

    def _text(self, number: int, line: bytes) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path}, line {number}: not UTF-8 text ({error.reason})") from None

    def _check_columns(self, names: list[str]) -> None:
        if twice := sorted({name for name in names if names.count(name) > 1 and name in COLUMNS}):
            raise InputError(f"{self.path}: the column {twice[0]} is there twice")
        if "image" not in names:
            raise InputError(f"{self.path}: has no column image (its columns: {', '.join(names)[:300] or 'none'})")
        if not self.instruction and not {"instruction", "prompts", "reply"} & set(names):
            raise InputError(f"{self.path}: needs a column instruction, prompts or reply, or one instruction for all")
        self.skipped.extend(_unread(name) for name in names if name not in (*COLUMNS, *_OURS))

    def _row(self, number: int, values: Mapping[str, Any]) -> Row:
        given = values.get("id")
        name = str(number) if "id" not in values else str(given) if _is_name(given) else None
        image = values.get("image") or ""
        row = Row(number, name, image if isinstance(image, str) else "")
        try:
            if name is None:
                raise InputError(f"id needs to be text or a whole number, got {given!r:.100}")
            if not row.image or "\0" in row.image:
                raise InputError(f"image needs to be a path, got {image!r:.100}")
            return Row(number, name, row.image, **self._asked(values))
        except FiducialError as error:
            return Row(number, name, row.image, problem=str(error))

    def _asked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Check what a row says of what is to be segmented."""
        words, prompts, reply, spoken = (values.get(name) for name in COLUMNS[2:])
        for name in ("instruction", "reply", "dialect"):
            if not isinstance(values.get(name) or "", str):
                raise InputError(f"{name} needs to be text, got {values[name]!r:.100}")
        prompts = parse_json(prompts, "prompts") if isinstance(prompts, str) else prompts
        if prompts is not None and not isinstance(prompts, list):
            raise InputError(f"prompts needs to be a list, got {prompts!r:.100}")
        if prompts is not None and reply is not None:
            raise InputError("has prompts and a reply: leave one of them out")
        words = words or self.instruction or ""
        if "\0" in words:
            raise InputError("instruction holds a sign that no text has (NUL)")
        if prompts is None and reply is None:
            return {"instruction": check_instruction(words)}
        spoken = spoken or self.dialect
        if reply is not None:
            if not spoken:
                raise InputError("has a reply and no dialect: say how it is written (fiducial parse --list)")
            dialect(spoken)
            return {"instruction": words, "reply": reply, "dialect": spoken}
        return {"instruction": words, "prompts": prompts}


def told(row: Row) -> str:
    """Return what a row says besides its picture, as JSON."""
    values = {name: getattr(row, name) for name in COLUMNS[2:]}
    return json.dumps({name: value for name, value in values.items() if value not in (None, "")}, ensure_ascii=False)


def _cells(reader: Any, count: int) -> Iterator[tuple[list[str], str]]:
    """Return the cells of each row of CSV that is not empty, or what is wrong with it."""
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield [], f"line {reader.line_num}: not CSV ({error})"
            continue
        if cells is None:
            return
        if cells:
            wrong = len(cells) != count
            yield cells, f"line {reader.line_num}: {len(cells)} cells where the header has {count}" if wrong else ""


def _sound(row: Row) -> Row:
    """Return a row that can be written as UTF-8: names of files need not be text, nor what JSON escapes."""
    try:
        f"{row.id}{row.image}{row.instruction}{told(row)}{row.problem}".encode()
        return row
    except UnicodeEncodeError:
        name, image, problem = (
            None if text is None else text.encode("utf-8", "backslashreplace").decode()
            for text in (row.id, row.image, row.problem)
        )
        said = problem or "holds signs that are no text (a file's name that is not UTF-8?)"
        return Row(row.number, name, image or "", problem=said)


def _is_name(value: Any) -> bool:
    return (isinstance(value, str) and bool(value)) or (isinstance(value, int) and not isinstance(value, bool))


def _unread(name: str) -> str:
    return f"the column {name!r:.80}, which is not read"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
