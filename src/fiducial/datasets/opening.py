"""Open a dataset by its description, by name and path, or by a path whose layout is recognised."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fiducial import config, plugins
from fiducial.config import Text
from fiducial.datasets.configs import DatasetConfig, PathConfig
from fiducial.datasets.sample import Dataset
from fiducial.errors import InputError, UnknownNameError
from fiducial.files import read_yaml

# One letter before a colon is a drive of Windows.
_NAMED = re.compile(r"[a-z][a-z0-9+_-]+[:?].*", re.DOTALL | re.IGNORECASE)
# How runs and configurations of version 0.1 wrote it: a dataset inside of another's options.
_NESTED = re.compile(r"(?P<outer>objects|part):(?P<options>[^?]*)\?source=(?P<source>.+)", re.DOTALL)
_REFERRING = re.compile(r"referring:(?P<file>[^?]+)\?source=(?P<source>.+)", re.DOTALL)


def open_dataset(spec: str | Path | DatasetConfig, *, split: str | None = None, **options: Any) -> Dataset:
    """Open a dataset.

    Args:
        spec: ``"FORMAT:PATH"``, ``"scenes:STYLE"``, ``"referring:FILE"``, a path whose layout is recognised, or a
            description, in Python or as a YAML file. Options may follow as in an address:
            ``"coco:/data?per=image&held_out=0.15&part=rest"``.
        split: the split wanted, such as ``"test"``; None reads what the spec says, or all.
        options: what the description takes; see :mod:`fiducial.datasets.configs`.

    Example:
        >>> open_dataset("cocoo:/data")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        fiducial.errors.UnknownNameError: unknown dataset 'cocoo': did you mean 'coco'? known: asked, coco...
    """
    return describe_dataset(spec, split=split, **options).build()


def describe_dataset(spec: str | Path | DatasetConfig, *, split: str | None = None, **options: Any) -> DatasetConfig:
    """Read what :func:`open_dataset` takes into a description, without opening anything."""
    given = {key: Text(value) if type(value) is str else value for key, value in options.items()}
    if split is not None:
        given["split"] = Text(split)
    if isinstance(spec, DatasetConfig):
        return spec.with_settings(given) if given else spec
    values = _values(str(spec))
    if "name" in given:
        raise UnknownNameError(f"option of dataset {values['name']!r}:", "name", values.keys() - {"name"})
    described = config.read_part("dataset", {**values, **given})
    if not isinstance(described, DatasetConfig):
        raise InputError(f"{spec}: {config.title(type(described))} is no dataset")
    return described


def layouts() -> dict[str, type[PathConfig]]:
    """Return the descriptions of all datasets that lie on disk, by name."""
    known = {name: plugins.find("dataset", name) for name in sorted(plugins.names("dataset"))}
    return {name: one for name, one in known.items() if issubclass(one, PathConfig)}


def recognise(path: Path) -> str:
    """Name the layout of a path by the names in it; an UnknownNameError where none fits, or several do."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    known = layouts()
    fitting = [name for name, one in known.items() if one.recognises(path)]
    if len(fitting) == 1:
        return fitting[0]
    what = "one of several dataset layouts" if fitting else "dataset layout"
    raise UnknownNameError(f"{what} (say FORMAT:PATH) in", str(path), fitting or known)


def _values(spec: str) -> dict[str, Any]:
    """Take a text apart into the name and options of a description; a path that exists is taken as it stands."""
    if spec.endswith((".yaml", ".yml")):
        return dict(read_yaml(Path(spec), kind=dict))
    if Path(spec).exists():
        return {"name": recognise(Path(spec)), "path": Path(spec)}
    if found := _NESTED.fullmatch(spec):
        options = found["options"].replace("least=", "min_size=")
        if found["outer"] == "part" and "held_out=" not in options:
            raise InputError(f"a part needs held_out, got {spec!r}: write DATASET?held_out=0.15&part=rest")
        more = config.read_short("dataset", f"folder?{options}") | {"objects": found["outer"] == "objects"}
        return {**_values(found["source"]), **{key: value for key, value in more.items() if key != "name"}}
    if found := _REFERRING.fullmatch(spec):
        return {"name": "referring", "path": Text(found["file"]), "source": describe_dataset(found["source"])}
    if _NAMED.fullmatch(spec) or spec in plugins.names("dataset"):
        return config.read_short("dataset", spec)
    path, _, query = spec.partition("?")
    name = recognise(Path(path))
    return {**config.read_short("dataset", f"{name}?{query}" if query else name), "path": Path(path)}
