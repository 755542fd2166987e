"""The folder of a run: its card (what was run, how) and its records."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from fiducial import models
from fiducial.config import read_part
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
CONTENTS = "contents"
"""Key of what the files and folders held that the settings name: path and SHA-256 by the setting's address."""


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
    settings = {**{key: card[key] for key in SETTINGS}, CONTENTS: card.get(CONTENTS, {})}
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


def contents_of(recipe: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Fingerprint the files and folders that a recipe names, and the files that a dataset's description names.

    Both are plain values. Names of the hub stay names; pictures and truth in folders are in the records themselves.
    What is returned holds ``path`` and ``sha256`` by the address of the setting, such as ``recipe.segmenter.model``.
    """
    named = {f"recipe.{address}": value for address, value in flat(recipe).items() if _is_path(address, value)}
    files = {address: value for address, value in flat(dataset).items() if isinstance(value, str) and value}
    named |= {f"dataset.{address}": value for address, value in files.items() if Path(value).is_file()}
    return {address: {"path": path, "sha256": fingerprint_of(path)} for address, path in named.items()}


def _is_path(address: str, value: Any) -> bool:
    if not isinstance(value, str) or not value:
        return False
    path = Path(value).expanduser()
    if address.rpartition(".")[2] == "model":
        return path.exists() or value in models.model_names()
    # A folder of the same name does not make a path of a word such as "black".
    return path.is_file() or (os.sep in value and path.is_dir())


def fingerprint_of(path: str | Path) -> str:
    """Return the SHA-256 of a file, of weights of the package, or of a folder's names and contents.

    In folders, hidden files and notes (``.md``) do not count.
    """
    place = Path(path).expanduser()
    if not place.exists() and (embedded := models.weights_of(str(path))):
        place = embedded
    try:
        if place.is_file():
            return _hash_file(place, place.stat().st_size, place.stat().st_mtime_ns)
        digest = hashlib.sha256()
        for file in sorted(file for file in place.rglob("*") if file.is_file()):
            name = file.relative_to(place)
            if file.suffix != ".md" and not any(part.startswith(".") for part in name.parts):
                found = _hash_file(file, file.stat().st_size, file.stat().st_mtime_ns)
                digest.update(f"{name.as_posix()} {found}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


@cache  # a study opens the same weights for every variant
def _hash_file(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flat(values: Any, address: str = "") -> dict[str, Any]:
    """Flatten nested settings: values by their addresses, such as ``recipe.mask_refiners.0.name``."""
    if isinstance(values, Mapping):
        items = [(str(key), value) for key, value in values.items()]
    elif isinstance(values, list | tuple):
        items = [(str(place), value) for place, value in enumerate(values)]
    else:
        return {address: values}
    prefix = f"{address}." if address else ""
    return {key: leaf for name, value in items for key, leaf in flat(value, prefix + name).items()}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """List where the settings of two runs differ, one short line each.

    Files and folders are compared by what they hold, and not by where they lie, where both runs tell it.

    Example:
        >>> differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}})
        ['b.c: 2 there, 3 now']
    """
    held, holds = old.get(CONTENTS, {}), new.get(CONTENTS, {})
    found = [
        f"{address}: the contents of {holds[address]['path']} changed (sha256 {held[address]['sha256'][:12]} there, "
        f"{holds[address]['sha256'][:12]} now)"
        for address in sorted({*held} & {*holds})
        if held[address]["sha256"] != holds[address]["sha256"]
    ]
    before, after = (flat({key: value for key, value in each.items() if key != CONTENTS}) for each in (old, new))
    for address in sorted({*before, *after} - ({*held} & {*holds})):
        if before.get(address) != after.get(address):
            found.append(f"{address}: {_shown(before.get(address))} there, {_shown(after.get(address))} now")
    return found


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."
