"""Journals: what came of each part of a long work, on the disk as it is done, so that stopped work goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from fiducial.contents import CONTENTS, differences, known_contents
from fiducial.errors import InputError
from fiducial.files import LineFile, json_text, make_folder, parse_json, read_json, write_atomically
from fiducial.provenance import RUN_CARD, session


class Journal:
    """A file of one JSON object per part that is done, beside the card (``run.json``) of the settings it was made by.

    Whatever kills the process, what was appended stays, and while it runs no second process takes the folder. Closed by
    its ``with``.

    Args:
        folder: of the results; made when it does not exist.
        name: of the file in it.
        settings: what determines what comes of a part, as plain values; what files hold is in ``contents``.
        command: the words that started this, for the card.

    Raises:
        InputError: the folder holds work by other settings, or another process writes to it.
    """

    def __init__(self, folder: str | Path, name: str, settings: Mapping[str, Any], command: Sequence[str]) -> None:
        folder = make_folder(folder)
        self.path = folder / name
        self._file = LineFile(self.path)
        try:
            settings = json.loads(json.dumps(settings))
            _require_same(folder / RUN_CARD, settings, begun=self.path.stat().st_size > 0)
            write_atomically(folder / RUN_CARD, json_text({"settings": settings, **session(command)}))
        except InputError:
            self._file.close()
            raise

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what is there, line by line: where it stands, for errors, and its values."""
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    where = f"{self.path}, line {number}"
                    yield where, parse_json(line, where, kind=dict)

    def append(self, values: Mapping[str, Any]) -> None:
        """Note what came of a part; it is on the disk when this returns."""
        text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._file.append(text.encode("utf-8", "backslashreplace") + b"\n")

    def close(self) -> None:
        """Let go of the folder."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _require_same(card: Path, settings: Mapping[str, Any], *, begun: bool) -> None:
    if not begun:
        return
    before = read_json(card, kind=dict).get("settings") if card.is_file() else None
    before = before if isinstance(before, dict) else {}
    other = [f"another {key}" for key in settings if key != CONTENTS and before.get(key) != settings[key]]
    other += differences({CONTENTS: known_contents(before)}, {CONTENTS: settings.get(CONTENTS, {})})
    if other:
        raise InputError(f"{card.parent}: holds other work ({', '.join(other)}): give this one a folder of its own")
