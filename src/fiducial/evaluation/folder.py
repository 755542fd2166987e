"""The folder of a run: its card (what was run, how) and its records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from fiducial.errors import InputError
from fiducial.evaluation.records import Record, read_records
from fiducial.results import write_atomically

CARD, RECORDS, SUMMARY = "run.json", "samples.jsonl", "summary.json"
LAYOUT = 2
"""Version of the layout of a run's folder."""


SETTINGS = ("dataset", "recipe", "prompter", "policy", "boundaries", "seed", "limit", "shard")
"""What determines the numbers of a run; a folder holds the records of one such setting only."""


@dataclass(frozen=True)
class Run:
    """A run on the disk, finished or not.

    Args:
        folder: where it is.
        settings: what determines its numbers, under the keys ``SETTINGS``.
        sessions: how it was run: command, versions, commit, machine, once per start of the program.
        planned: number of samples that belong to it.
        spec: how to open its dataset again, or "" where it was given as an object.
        fingerprint: SHA-256 of the tasks (picture, instruction, truth) of all its samples, once it is finished.
    """

    folder: Path
    settings: Mapping[str, Any]
    sessions: tuple[Mapping[str, Any], ...] = ()
    planned: int = 0
    spec: str = ""
    fingerprint: str | None = None

    @property
    def name(self) -> str:
        """What to call it beside others: its recipe, or the source of its prompts and its segmenter."""
        recipe, prompter = self.settings["recipe"], self.settings["prompter"]
        if not prompter:
            return str(recipe.get("name") or self.folder.name)
        segmenter = recipe.get("segmenter", {}).get("name") or recipe.get("name") or self.folder.name
        return f"{prompter} + {segmenter}"

    @property
    def dataset_name(self) -> str:
        """What to call its dataset: the folder and the format, as far as they are known."""
        name = str(self.settings["dataset"]["name"])
        spec = self.spec.rpartition("?source=")[2] if self.spec.startswith("objects:") else self.spec
        place = spec.partition("?")[0].rpartition(":")[2]
        folder = Path(place).name
        return f"{folder} ({name})" if folder and folder not in name else name

    @property
    def records_path(self) -> Path:
        """The file of its records."""
        return self.folder / RECORDS

    def records(self) -> Iterator[Record]:
        """Read its records one by one, as they were written."""
        return read_records(self.records_path)

    def ordered(self) -> list[Record]:
        """Read all its records, in the order of the dataset, whatever the order in which they were written.

        Raises:
            InputError: a sample has two records.
        """
        found = sorted(self.records(), key=lambda record: record.index)
        for one, other in pairwise(found):
            if one.index == other.index:
                raise InputError(f"{self.records_path}: sample {one.index} ({one.id}) has two records")
        return found

    def write_card(self) -> Path:
        """Write ``run.json``: the settings, the latest session, and those before it."""
        latest = self.sessions[-1] if self.sessions else {}
        card = {
            "layout": LAYOUT,
            **latest,
            **{key: self.settings[key] for key in SETTINGS},
            "dataset_spec": self.spec,
            "fingerprint": self.fingerprint,
            "planned": self.planned,
            "sessions": list(self.sessions),
        }
        return write_atomically(self.folder / CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def read_run(folder: str | Path) -> Run:
    """Read the card of a run.

    Raises:
        InputError: the folder is no run's, or of another version.
    """
    folder = Path(folder)
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder}: not a folder of `fiducial evaluate`: it has no {CARD}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if not isinstance(card, dict) or not {"layout", *SETTINGS} <= set(card):
        raise InputError(f"{path}: is the card of another command, not of `fiducial evaluate`: take another folder")
    if card["layout"] != LAYOUT:
        raise InputError(f"{path}: has layout {card['layout']!r}, this version reads {LAYOUT}")
    return Run(
        folder,
        {key: card[key] for key in SETTINGS},
        tuple(card.get("sessions", ())),
        int(card.get("planned", 0)),
        str(card.get("dataset_spec", "")),
        card.get("fingerprint"),
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List where two nested settings differ, one short line each.

    Example:
        >>> differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}})
        ['b.c: 2 there, 3 now']
    """
    found = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {_shown(before)} there, {_shown(after)} now")
    return found


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."
