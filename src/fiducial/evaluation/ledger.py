"""What is done in a folder of results: one line per picture, so that stopped work goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fiducial.contents import contents_of, fingerprint_of
from fiducial.files import LineFile, make_folder, read_json_lines
from fiducial.language import Outcome
from fiducial.results import Segmentation

LEDGER = "done.jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """What came of one picture.

    Args:
        stem: how the names of its files begin.
        outcome: how it ended.
        targets: how many were found.
        files: names of the files that were written.
        more: what was found out besides, as plain values.
    """

    stem: str
    outcome: Outcome
    targets: int
    files: tuple[str, ...] = ()
    more: Mapping[str, Any] | None = None


class Ledger:
    """The list of pictures that are done in a folder; closed by its ``with``.

    A picture is done when it was done by the same settings, its file holds the same bytes, its answer did not fail, and
    every file that was written is there. Weights and templates that the recipe names count by what they hold. Whatever
    kills the process, what was noted stays, and while it runs no second process takes the folder.

    Args:
        folder: of the results; made when it does not exist.
        recipe: as plain values.
        settings: what else determines the files, as plain values.

    Raises:
        InputError: the folder cannot be written, another process writes to it, or its list was edited.
    """

    def __init__(self, folder: Path, recipe: Mapping[str, Any], **settings: Any) -> None:
        # What files hold counts, not where they lie.
        held = {address: one["sha256"] for address, one in contents_of(recipe, {}).items()}
        told = json.dumps([recipe, held, settings], sort_keys=True, default=str)
        self._settings = hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()
        self.folder = make_folder(folder)
        self._file = LineFile(folder / LEDGER)
        try:
            self._lines = {str(line.get("stem")): line for _, line in read_json_lines(folder / LEDGER)}
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def done(self, stem: str, picture: Path) -> Entry | None:
        """Return what came of a picture, None where it is not done.

        Args:
            stem: how the names of its files begin.
            picture: its file.
        """
        line = self._lines.get(stem)
        if line is None or line.get("settings") != self._settings or not picture.is_file():
            return None
        entry = Entry(stem, Outcome(line["outcome"]), line["targets"], tuple(line["files"]), line["more"])
        there = all((self.folder / name).is_file() for name in entry.files)
        if entry.outcome is Outcome.FAILED or not there or line["picture"] != fingerprint_of(picture):
            return None
        return entry

    def add(
        self,
        picture: Path,
        stem: str,
        result: Segmentation,
        files: Iterable[Path],
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Note what came of a picture's file; it is on the disk when this returns."""
        line = {
            "stem": stem,
            "image": str(picture),
            "picture": fingerprint_of(picture),
            "settings": self._settings,
            "outcome": result.outcome.value,
            "targets": len(result.masks),
            "files": [file.name for file in files],
            "more": more,
        }
        self._file.append(json.dumps(line, allow_nan=False).encode() + b"\n")
        self._lines[stem] = line
