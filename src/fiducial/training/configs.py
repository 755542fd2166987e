"""Configurations of training runs: YAML files read into frozen dataclasses, every key checked."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml

from fiducial.errors import InputError, UnknownNameError

Config = TypeVar("Config")
SHIPPED = "fiducial.training.recipes"
"""The package that holds the configurations which the shipped weights were trained with."""


def config_names() -> list[str]:
    """Name the configurations that come with the package, sorted."""
    return sorted(entry.name[:-5] for entry in files(SHIPPED).iterdir() if entry.name.endswith(".yaml"))


def load_config(kind: type[Config], name_or_path: str | Path, settings: Mapping[str, Any] | None = None) -> Config:
    """Read a configuration.

    Args:
        kind: the dataclass of the configuration; fields may be dataclasses and tuples of dataclasses.
        name_or_path: a shipped configuration by name, or a YAML file.
        settings: values that replace those of the file, by key; ``loss.dice`` reaches into a part.

    Raises:
        InputError: no such file, or a value of the wrong type; the message names file and key.
        UnknownNameError: a key that does not exist, or no configuration of that name.
    """
    where, text = _read(name_or_path)
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(data, dict):
        raise InputError(f"{where}: a configuration is a mapping with keys such as {', '.join(_keys(kind)[:4])}")
    for key, value in (settings or {}).items():
        _put(data, key.split("."), value)
    return _build(kind, data, where)  # type: ignore[no-any-return]


def as_plain(config: Any) -> dict[str, Any]:
    """Return a configuration as plain values, to write beside its result."""
    return {key: _plain(value) for key, value in dataclasses.asdict(config).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _read(name_or_path: str | Path) -> tuple[str, str]:
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        try:
            return str(path), path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: the configuration cannot be read ({error})") from None
    if str(name_or_path) not in config_names():
        raise UnknownNameError("configuration (a file ends in .yaml)", str(name_or_path), config_names())
    return f"configuration {path}", files(SHIPPED).joinpath(f"{name_or_path}.yaml").read_text(encoding="utf-8")


def _put(data: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = data.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(f"cannot set {'.'.join(keys)!r}: {key!r} has no parts")
        data = inner
    data[keys[-1]] = value


def _keys(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _build(kind: Any, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise InputError(f"{where}: needs a mapping with {', '.join(_keys(kind))}, got {data!r}")
    for key in data:
        if key not in _keys(kind):
            raise UnknownNameError(f"key in {where}:", str(key), _keys(kind))
    hints = typing.get_type_hints(kind)
    values = {key: _value(hints[key], value, f"{where}, {key}") for key, value in data.items()}
    fields = dataclasses.fields(kind)
    needed = [f.name for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
    if missing := [name for name in needed if name not in values]:
        raise InputError(f"{where}: needs {', '.join(missing)}")
    return kind(**values)


def _value(hint: Any, value: Any, where: str) -> Any:
    """Turn a YAML value into what a field's type says."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(hint), value, where)
    if origin is tuple:
        return _tuple(typing.get_args(hint), value, where)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise UnknownNameError(f"value of {where}:", str(value), [str(one) for one in typing.get_args(hint)])
        return value
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where)
    return _scalar(hint, value, where)


def _union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    return _value(next(kind for kind in kinds if kind is not type(None)), value, where)


def _tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise InputError(f"{where}: needs a list, got {value!r}")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_value(kinds[0], item, f"{where} {number}") for number, item in enumerate(value, start=1))
    if len(value) != len(kinds):
        raise InputError(f"{where}: needs {len(kinds)} values, got {len(value)}")
    return tuple(_value(kind, item, where) for kind, item in zip(kinds, value, strict=True))


def _scalar(kind: Any, value: Any, where: str) -> Any:
    # bool is an int to Python, and "1e-3" is text to YAML: both would go unnoticed.
    if kind is float and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise InputError(f"{where}: needs a number, got {value!r}") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise InputError(f"{where}: needs a value of type {kind.__name__}, got {value!r}")
    return value
