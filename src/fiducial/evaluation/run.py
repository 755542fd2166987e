"""The folder of a run: its card (what was run, how) and its records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from fiducial.config import read_part
from fiducial.contents import CONTENTS, known_contents
from fiducial.datasets import Dataset, open_dataset
from fiducial.errors import InputError
from fiducial.evaluation.prompting import from_old_words
from fiducial.evaluation.record import Record, read_records
from fiducial.files import json_text, read_json, write_atomically

CARD, RECORDS = "run.json", "samples.jsonl"
LAYOUT = 2
"""Version of the layout of a run's folder."""

SETTINGS = ("dataset", "recipe", "prompter", "policy", "boundaries", "seed", "limit", "shard")
"""What determines the numbers of a run; a folder holds the records of one such setting only."""
_KINDS = {"dataset": dict, "recipe": dict, "prompter": str, "policy": str, "planned": int, "sessions": list}


@dataclass(frozen=True)
class Run:
    """A run on the disk, finished or not.

    Args:
        settings: what determines its numbers, under the keys ``SETTINGS`` and ``CONTENTS``.
        sessions: how it was run: command, versions, commit, machine, once per start of the program.
        planned: number of samples that belong to it.
        spec: the description of its dataset as plain values (text, in runs of earlier versions); "" where it was
            given as an object.
        fingerprint: SHA-256 of the tasks (picture, instruction, truth) of all its samples, once it is finished.
    """

    folder: Path
    settings: Mapping[str, Any]
    sessions: tuple[Mapping[str, Any], ...] = ()
    planned: int = 0
    spec: str | Mapping[str, Any] = ""
    fingerprint: str | None = None

    @property
    def name(self) -> str:
        """What to call it among others: its recipe, or the source of its prompts and its segmenter."""
        recipe, prompter = self.settings["recipe"], self.settings["prompter"]
        if not prompter:
            return str(recipe.get("name") or self.folder.name)
        segmenter = (recipe.get("segmenter") or {}).get("name") or recipe.get("name") or self.folder.name
        return f"{prompter} + {segmenter}"

    @property
    def dataset_name(self) -> str:
        """What to call its dataset: the folder and the format, as far as they are known."""
        name = str(self.settings["dataset"]["name"])
        if isinstance(self.spec, str):
            spec = self.spec.rpartition("?source=")[2] if self.spec.startswith("objects:") else self.spec
            folder = Path(spec.partition("?")[0].rpartition(":")[2]).name
        else:
            folder = Path(str(self.spec.get("path", ""))).name
        return f"{folder} ({name})" if folder and folder not in name else name

    @property
    def records_path(self) -> Path:
        """The file of its records."""
        return self.folder / RECORDS

    def records(self) -> Iterator[Record]:
        """Read its records one by one, as they were written."""
        return read_records(self.records_path)

    def ordered(self) -> list[Record]:
        """Read all its records, in the order of the dataset; an InputError where a sample has two."""
        found = sorted(self.records(), key=lambda record: record.index)
        for one, other in pairwise(found):
            if one.index == other.index:
                raise InputError(f"{self.records_path}: sample {one.index} ({one.id}) has two records")
        return found

    def open_dataset(self) -> Dataset:
        """Open its dataset again; an InputError where it was given from Python, or is not there any more."""
        if not self.spec:
            raise InputError(f"{self.folder}: its dataset was given from Python and cannot be opened again")
        spec: Any = self.spec if isinstance(self.spec, str) else read_part("dataset", self.spec)
        return open_dataset(spec, split=self.settings["dataset"]["split"])

    def write_card(self) -> Path:
        """Write ``run.json``: the settings, the latest session, and those before it."""
        latest = self.sessions[-1] if self.sessions else {}
        card = {
            "layout": LAYOUT,
            **latest,
            **{key: self.settings[key] for key in SETTINGS},
            CONTENTS: self.settings.get(CONTENTS, {}),
            "dataset_spec": self.spec,
            "fingerprint": self.fingerprint,
            "planned": self.planned,
            "sessions": list(self.sessions),
        }
        return write_atomically(self.folder / CARD, json_text(card))


def read_run(folder: str | Path) -> Run:
    """Read the card of a run; an InputError where the folder is no run's, or of another version."""
    folder = Path(folder)
    path = folder / CARD
    if not path.exists():
        raise InputError(f"{folder}: not a folder of `fiducial evaluate`: it has no {CARD}")
    card = read_json(path)
    if not isinstance(card, dict) or not {"layout", *SETTINGS} <= set(card):
        raise InputError(f"{path}: is the card of another command, not of `fiducial evaluate`: take another folder")
    if card["layout"] != LAYOUT:
        raise InputError(f"{path}: has layout {card['layout']!r}, this version reads {LAYOUT}")
    odd = [key for key, kind in _KINDS.items() if not isinstance(card.get(key, kind()), kind)]
    if odd or not {"name", "samples"} <= set(card["dataset"]):
        raise InputError(f"{path}: {odd[0] if odd else 'dataset'} makes no sense: was the file edited?")
    settings = {**{key: card[key] for key in SETTINGS}, CONTENTS: known_contents(card)}
    if settings["prompter"] != (source := from_old_words(settings["prompter"])):
        settings = {**settings, "prompter": source, "recipe": {**settings["recipe"], "prompter": {"name": source}}}
    return Run(
        folder,
        settings,
        tuple(card.get("sessions", ())),
        int(card.get("planned", 0)),
        card.get("dataset_spec", ""),
        card.get("fingerprint"),
    )
