"""The configurations that the shipped weights were trained with, and the reader of such YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from fiducial.config import Config, read
from fiducial.errors import UnknownNameError
from fiducial.files import parse_yaml, read_text

T = TypeVar("T", bound=Config)


def config_names() -> list[str]:
    """Name the configurations that come with the package, sorted."""
    return sorted(entry.name[:-5] for entry in files(__package__).iterdir() if entry.name.endswith(".yaml"))


def load_config(kind: type[T], name_or_path: str | Path, settings: Mapping[str, Any] | None = None) -> T:
    """Read a configuration.

    Args:
        kind: the description, such as :class:`fiducial.training.configs.SegmenterConfig`.
        name_or_path: a shipped configuration by name, or a YAML file.
        settings: values that replace those of the file, by key; ``losses.dice`` reaches into a part.

    Raises:
        InputError: no such file, or a value of the wrong type; the message names file and key.
        UnknownNameError: a key that does not exist, or no configuration of that name.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        where, text = str(path), read_text(path)
    elif str(name_or_path) in config_names():
        where, text = f"configuration {path}", read_text(files(__package__).joinpath(f"{name_or_path}.yaml"))
    else:
        raise UnknownNameError("configuration (a file ends in .yaml)", str(name_or_path), config_names())
    data = parse_yaml(text, where, kind=dict)
    given = dict(settings or {})
    # A setting may stand for a key that the file lacks; those that reach into a part need the part to be there.
    data |= {key: given.pop(key) for key in [*given] if "." not in key}
    return read(kind, data, where).with_settings(given, where)
