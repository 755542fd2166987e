"""What the files and folders hold that settings name: by it, and not by their paths, work is gone on with."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fiducial import models
from fiducial.errors import InputError

CONTENTS = "contents"
"""Key of what the files and folders held that the settings name: path and SHA-256 by the setting's address."""
_CACHE = "cache"
"""Settings of this name say where something is kept that can be found anew: no result depends on them."""


def contents_of(recipe: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Fingerprint the files and folders that a recipe names, and the files that a dataset's description names.

    Both are plain values. Names of the hub stay names; pictures and truth in folders are in the records themselves.
    What is returned holds ``path`` and ``sha256`` by the address of the setting, such as ``recipe.segmenter.model``.
    """
    named = {address: value for address, value in flat(recipe, "recipe").items() if _is_path(address, value)}
    return _hashed(named) | files_of(flat(dataset, "dataset"))


def known_contents(card: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return what a card says of contents; nothing where it is of an older version or makes no sense."""
    told = card.get(CONTENTS)
    return {
        address: {"path": str(one.get("path")), "sha256": str(one["sha256"])}
        for address, one in (told.items() if isinstance(told, Mapping) else ())
        if isinstance(one, Mapping) and "sha256" in one
    }


def files_of(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Fingerprint the files that flat settings name, and the folders of models, but no folders of data."""
    return _hashed({address: value for address, value in settings.items() if _is_path(address, value, folders=False)})


def _hashed(named: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {address: {"path": path, "sha256": fingerprint_of(path)} for address, path in named.items()}


def _is_path(address: str, value: Any, *, folders: bool = True) -> bool:
    if not isinstance(value, str) or not value or address.rpartition(".")[2] == _CACHE:
        return False
    path = os.path.expanduser(value)
    if address.rpartition(".")[2] in ("model", "kinds", "subjects"):
        return os.path.exists(path) or value in models.model_names()
    # A folder of the same name does not make a path of a word such as "black".
    return os.path.isfile(path) or (folders and os.sep in value and os.path.isdir(path))


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

    Files and folders are compared by what they hold, and not by where they lie, where both runs tell it; where
    something is kept that can be found anew makes no difference.

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
        if address.rpartition(".")[2] != _CACHE and before.get(address) != after.get(address):
            found.append(f"{address}: {_shown(before.get(address))} there, {_shown(after.get(address))} now")
    return found


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."
