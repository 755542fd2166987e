"""The ledger of a batch: every row is written down before the work begins, and what came of it when it ended.

It is an SQLite file, so that millions of rows need no memory, a kill at any moment leaves it whole, and no row can end
twice. Rows stand in the order of the work: the pictures in the order in which the manifest first names them, and the
rows of one picture together, in the order of the manifest. They are cut into lots, which are worked on together, and
into shards, which are written to one file each when all their rows have ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from fiducial.contents import differences
from fiducial.errors import InputError, ModelError
from fiducial.files import lock_file, make_folder
from fiducial.jobs.manifest import Manifest, Row, told
from fiducial.jobs.working import DEAD, Ended, Lot

LEDGER, LOCK = "ledger.sqlite", "lock"
MOST_OF_ONE_PICTURE = 256
"""Rows of one picture that are worked on together, at most: they are lost together when they are interrupted."""
_PIECE = 500
_TABLES = """
CREATE TABLE told(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE rows(
    place INTEGER PRIMARY KEY, number INTEGER NOT NULL, id TEXT, image TEXT NOT NULL, told TEXT NOT NULL,
    lot INTEGER NOT NULL, outcome TEXT, targets INTEGER NOT NULL DEFAULT 0, result TEXT);
CREATE TABLE shards(
    shard INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, sizes TEXT);
CREATE TABLE given(number INTEGER PRIMARY KEY, id TEXT, image TEXT NOT NULL, told TEXT NOT NULL, problem TEXT NOT NULL);
CREATE TABLE first(image TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows that go into one file: its number, from 0, and the first and last place of its rows."""

    number: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Written:
    """A row and what came of it.

    Args:
        row: the row.
        outcome: how it ended.
        result: as JSON; of a dead row why it is dead.
    """

    row: Row
    outcome: str
    result: str


class Ledger:
    """What is done of a batch; one process at a time has it, and its ``with`` closes it.

    Args:
        folder: of the batch; made when it does not exist.
        settings: what determines the results, as plain values.
        manifest: the rows.
        together: most rows that a model is asked about at once.
        shard: rows in one file, about: a picture's rows stay in one.

    Raises:
        InputError: another process works on it, it was begun with other settings, two rows have one id, or the disk
            is full.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], manifest: Manifest, *, together: int = 1, shard: int = 1000
    ) -> None:
        self.folder = make_folder(folder)
        self.path = folder / LEDGER
        try:
            self._lock = (folder / LOCK).open("ab")
        except OSError as error:
            raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from None
        try:
            lock_file(self._lock.fileno(), folder)
            for left in folder.rglob(".*.part"):  # of files that were being written when a process was killed
                left.unlink(missing_ok=True)
            if not self.path.exists():
                if any(folder.glob("*.json")) or any(folder.glob("*.parquet")):
                    raise InputError(f"{folder}: holds something else and no batch: take another folder")
                self._plan(settings, manifest, together, shard)
            self._open(settings)
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()
        self._lock.close()

    # -- before the work --------------------------------------------------------------------------

    def _plan(self, settings: Mapping[str, Any], manifest: Manifest, together: int, shard: int) -> None:
        """Write all rows down, in the order of the work; the file takes its name when it is whole."""
        part = self.path.with_suffix(".part")
        with self._guarded():
            part.unlink(missing_ok=True)
        try:
            with self._guarded(), contextlib.closing(sqlite3.connect(part, isolation_level=None)) as base:
                base.executescript(f"PRAGMA journal_mode=OFF; PRAGMA cache_size=-65536; {_TABLES} BEGIN")
                self._take_down(base, manifest)
                planned = _planned(base, together, shard)
                marks = "INSERT INTO rows VALUES(?, ?, ?, ?, ?, ?, ?, 0, ?)"
                ends: dict[int, tuple[int, int]] = {}
                for values, lot, number in planned:
                    base.execute(marks, (*values[:5], lot, DEAD if values[5] else None, values[5] or None))
                    ends[number] = ends.get(number, values[:1])[0], values[0]
                base.executemany("INSERT INTO shards VALUES(?, ?, ?, NULL)", ((n, *both) for n, both in ends.items()))
                base.execute("INSERT INTO told VALUES('settings', ?)", (json.dumps(settings),))
                for said in ("COMMIT", "DROP TABLE given", "DROP TABLE first"):
                    base.execute(said)
            with self._guarded():
                os.replace(part, self.path)
        finally:
            part.unlink(missing_ok=True)

    def _take_down(self, base: sqlite3.Connection, manifest: Manifest) -> None:
        base.execute("CREATE TEMP TABLE ids(id TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID")
        count, problem, sound = 0, "", False
        for row in manifest.rows():
            try:
                if row.id is not None:
                    base.execute("INSERT INTO ids VALUES(?, ?)", (row.id, row.number))
            except sqlite3.IntegrityError:
                (other,) = base.execute("SELECT number FROM ids WHERE id = ?", (row.id,)).fetchone()
                raise InputError(
                    f"{manifest.path}: rows {other} and {row.number} have the id {row.id!r:.100}: ids name rows, so "
                    "each needs its own"
                ) from None
            base.execute("INSERT OR IGNORE INTO first VALUES(?, ?)", (row.image, row.number))
            values = (row.number, row.id, row.image, told(row), row.problem)
            base.execute("INSERT INTO given VALUES(?, ?, ?, ?, ?)", values)
            count, sound, problem = count + 1, sound or not row.problem, problem or row.problem
        if not count:
            raise InputError(f"{manifest.path}: holds no row")
        if not sound:
            raise InputError(f"{manifest.path}: none of its {count} rows can be worked on; the first: {problem}")

    def _open(self, settings: Mapping[str, Any]) -> None:
        with self._guarded():
            self._base = sqlite3.connect(self.path, isolation_level=None)
            try:
                # Safe against every end of the process; a power cut may cost the last rows, which are done again.
                self._base.executescript(
                    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"
                )
                changed = differences(self.recall("settings"), settings)
                if changed:
                    raise InputError(
                        f"{self.folder}: was begun with other settings ({'; '.join(changed)}): take another folder, or "
                        "the settings of then"
                    )
                self.lost = self._lost_shards()
                waiting = (
                    "SELECT shard, (SELECT COUNT(*) FROM rows WHERE place BETWEEN first AND last AND outcome IS NULL) "
                    "FROM shards WHERE sizes IS NULL ORDER BY shard"
                )
                self._waiting = dict(self._base.execute(waiting).fetchall())
                self._whole = [number for number, count in self._waiting.items() if not count]
                self._firsts = [first for (first,) in self._base.execute("SELECT first FROM shards ORDER BY shard")]
            except BaseException:
                self._base.close()
                raise

    def _lost_shards(self) -> list[str]:
        """Take up the rows again whose files are gone or cut; returns the names of these files."""
        lost = []
        for number, sizes in self._base.execute("SELECT shard, sizes FROM shards WHERE sizes IS NOT NULL").fetchall():
            gone = [name for name, size in json.loads(sizes).items() if _size(self.folder / name) != size]
            if gone:
                lost += gone
                with self._transaction():
                    undo = (
                        "UPDATE rows SET outcome = NULL, targets = 0 WHERE outcome != ? AND place BETWEEN "
                        "(SELECT first FROM shards WHERE shard = ?) AND (SELECT last FROM shards WHERE shard = ?)"
                    )
                    self._base.execute(undo, (DEAD, number, number))
                    self._base.execute("UPDATE shards SET sizes = NULL WHERE shard = ?", (number,))
        return lost

    # -- the work ---------------------------------------------------------------------------------

    def lots(self) -> Iterator[Lot]:
        """Return what is still to be done, in order; what ends meanwhile may be noted."""
        for _, some in groupby(self._pending(), key=lambda found: found[0]):
            yield Lot(tuple((place, row) for _, place, row in some))

    def _pending(self) -> Iterator[tuple[int, int, Row]]:
        with self._guarded():
            first = self._base.execute("SELECT MIN(first) FROM shards WHERE sizes IS NULL").fetchone()[0]
        place = -1 if first is None else first - 1
        wanted = (
            "SELECT lot, place, number, id, image, told FROM rows WHERE outcome IS NULL AND place > ? ORDER BY place "
            f"LIMIT {_PIECE}"
        )
        while first is not None:
            with self._guarded():
                found = self._base.execute(wanted, (place,)).fetchall()
            if not found:
                return
            for lot, place, *values in found:
                yield lot, place, _row(*values)

    def end(self, ended: Sequence[Ended]) -> None:
        """Write down what came of rows: of all of them, or of none.

        Raises:
            ModelError: a row ended twice, which nothing should bring about.
        """
        with self._guarded(), self._transaction():
            for one in ended:
                values = (one.outcome, one.targets, one.result, one.place)
                marked = "UPDATE rows SET outcome = ?, targets = ?, result = ? WHERE place = ? AND outcome IS NULL"
                if self._base.execute(marked, values).rowcount != 1:
                    raise ModelError(f"{self.path}: row {one.place} ended twice (a bug: please report it)")
        for one in ended:
            shard = bisect_right(self._firsts, one.place) - 1
            self._waiting[shard] -= 1
            if not self._waiting[shard]:
                self._whole.append(shard)

    def whole_shards(self) -> list[Shard]:
        """Return the shards whose rows have all ended, and whose files are not noted as written."""
        wanted = "SELECT shard, first, last FROM shards WHERE shard = ?"
        with self._guarded():
            return [Shard(*self._base.execute(wanted, (number,)).fetchone()) for number in self._whole]

    def written(self, shard: Shard, sizes: Mapping[str, int]) -> None:
        """Note the files of a shard, by name from the folder with their bytes; results are held there from now on."""
        with self._guarded(), self._transaction():
            self._base.execute("UPDATE shards SET sizes = ? WHERE shard = ?", (json.dumps(sizes), shard.number))
            free = "UPDATE rows SET result = NULL WHERE outcome != ? AND place BETWEEN ? AND ?"
            self._base.execute(free, (DEAD, shard.first, shard.last))
        self._whole.remove(shard.number)

    # -- what is known ----------------------------------------------------------------------------

    def of_shard(self, shard: Shard) -> Iterator[Written]:
        """Return the rows of a shard that are done, in order."""
        wanted = (
            "SELECT number, id, image, told, outcome, result FROM rows WHERE place BETWEEN ? AND ? AND outcome != ? "
            "ORDER BY place"
        )
        with self._guarded():
            for *values, outcome, result in self._base.execute(wanted, (shard.first, shard.last, DEAD)):
                yield Written(_row(*values), outcome, result)

    def dead(self) -> Iterator[Written]:
        """Return the rows of which nothing came, in the order of the manifest."""
        wanted = "SELECT number, id, image, told, outcome, result FROM rows WHERE outcome = ? ORDER BY number"
        with self._guarded():
            for *values, outcome, reason in self._base.execute(wanted, (DEAD,)):
                yield Written(_row(*values), outcome, reason)

    def shards(self) -> list[tuple[Shard, dict[str, int]]]:
        """Return the shards that are written, in order, with the bytes of their files."""
        wanted = "SELECT shard, first, last, sizes FROM shards WHERE sizes IS NOT NULL ORDER BY shard"
        with self._guarded():
            return [(Shard(*values), json.loads(sizes)) for *values, sizes in self._base.execute(wanted).fetchall()]

    def targets(self, shard: Shard) -> dict[int, int]:
        """Return how many targets each row of a shard has that is done, by its number."""
        wanted = "SELECT number, targets FROM rows WHERE place BETWEEN ? AND ? AND outcome != ?"
        with self._guarded():
            return dict(self._base.execute(wanted, (shard.first, shard.last, DEAD)).fetchall())

    def counts(self) -> dict[str, tuple[int, int]]:
        """Count rows and targets by outcome; "" is the outcome of those that are still to be done."""
        wanted = "SELECT COALESCE(outcome, ''), COUNT(*), SUM(targets) FROM rows GROUP BY outcome ORDER BY outcome"
        with self._guarded():
            return {outcome: (rows, targets) for outcome, rows, targets in self._base.execute(wanted).fetchall()}

    def asks(self) -> bool:
        """Tell whether a prompter is asked for any row that is still to be done."""
        wanted = (
            "SELECT 1 FROM rows WHERE outcome IS NULL AND json_extract(told, '$.prompts') IS NULL "
            "AND json_extract(told, '$.reply') IS NULL LIMIT 1"
        )
        with self._guarded():
            return self._base.execute(wanted).fetchone() is not None

    def recall(self, key: str) -> Any:
        """Return what was kept under a key, None where nothing was."""
        with self._guarded():
            found = self._base.execute("SELECT value FROM told WHERE key = ?", (key,)).fetchone()
        return None if found is None else json.loads(found[0])

    def keep(self, key: str, value: Any) -> None:
        """Keep a plain value under a key."""
        with self._guarded():
            self._base.execute("INSERT OR REPLACE INTO told VALUES(?, ?)", (key, json.dumps(value)))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._base.execute("COMMIT")
        except BaseException:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise InputError(f"{self.path}: cannot be written ({error})") from None
        except sqlite3.Error as error:
            raise InputError(f"{self.path}: is not as it was written ({error}): take another folder") from None
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror or error})") from None


def _planned(base: sqlite3.Connection, together: int, shard: int) -> Iterator[tuple[tuple[Any, ...], int, int]]:
    """Return place, number, id, image, what is told and the problem of each row, in order, its lot and its shard."""
    ordered = (
        "SELECT given.number, id, given.image, told, problem FROM given JOIN first ON first.image = given.image "
        "ORDER BY first.number, given.number"
    )
    lot = number = in_lot = in_shard = of_image = 0
    before: str | None = None
    for place, values in enumerate(base.execute(ordered)):
        new = values[2] != before
        of_image = 0 if new else of_image + 1
        parted = new or of_image % MOST_OF_ONE_PICTURE == 0
        if place and parted and in_shard >= shard:
            number, in_shard = number + 1, 0
        if place and parted and (in_lot >= together or not in_shard or not new):
            lot, in_lot = lot + 1, 0
        before, in_lot, in_shard = values[2], in_lot + 1, in_shard + 1
        yield (place, *values), lot, number


def _row(number: int, name: str | None, image: str, said: str) -> Row:
    return Row(number, name, image, **json.loads(said))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
