"""The configurations that the shipped weights were trained with, and the reader of such YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from fiducial import plugins
from fiducial.config import Config, read
from fiducial.errors import InputError, UnknownNameError
from fiducial.files import parse_yaml, read_text

T = TypeVar("T", bound=Config)


def config_names() -> list[str]:
    """Name the configurations that come with the package, sorted."""
    return sorted(entry.name[:-5] for entry in files(__package__).iterdir() if entry.name.endswith(".yaml"))


def config_values(name: str) -> tuple[str, dict[str, Any]]:
    """Return what a shipped configuration is of, such as ``"segmenter"``, and the values that it sets.

    Raises:
        UnknownNameError: no configuration of that name.
        InputError: it fits no training.
    """
    values: dict[str, Any] = parse_yaml(_shipped(name), f"configuration {name}", kind=dict)
    for kind in plugins.names("training"):
        try:
            read(plugins.find("training", kind), values, name)
        except InputError:  # of another kind
            continue
        return kind, values
    raise InputError(f"configuration {name}: fits none of {', '.join(plugins.names('training'))}")


def _shipped(name: str) -> str:
    if name not in config_names():
        raise UnknownNameError("configuration (a file ends in .yaml)", name, config_names())
    return read_text(files(__package__).joinpath(f"{name}.yaml"))


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
    else:
        where, text = f"configuration {path}", _shipped(str(name_or_path))
    data = parse_yaml(text, where, kind=dict)
    given = dict(settings or {})
    # A setting may stand for a key that the file lacks; those that reach into a part need the part to be there.
    data |= {key: given.pop(key) for key in [*given] if "." not in key}
    return read(kind, data, where).with_settings(given, where)
