"""Typed descriptions: what a part, a dataset, a recipe or a run can be given, checked before anything heavy loads.

A description is a frozen dataclass whose fields carry default, range, unit and one line of help. A YAML file,
``--set a.b=c`` and the short form ``NAME[:VALUE][?key=value&key=value]`` are read into it alike::

    @dataclass(frozen=True, slots=True, kw_only=True)
    class GridConfig(Config):
        \"\"\"Lines that cut the image into cells.\"\"\"

        kind: ClassVar[str] = "overlay"
        name: ClassVar[str] = "grid"
        columns: int = option(9, "cells per row", minimum=1)

Everything is checked when the description is made, so that a typo costs no model load.
"""

from __future__ import annotations

import dataclasses
import math
import os
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import unquote

from fiducial import plugins
from fiducial.errors import FiducialError, InputError, MissingExtraError, UnknownNameError
from fiducial.files import parse_yaml

T = TypeVar("T", bound="Config")
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NOTHING = ("", "none", "null")
_FIELDS: dict[type, tuple[tuple[dataclasses.Field[Any], Any], ...]] = {}  # reading type hints takes a while


class Text(str):
    """A value as somebody typed it: the field that takes it says what it means."""

    __slots__ = ()


class Word(Text):
    """What stands behind an option of a command, where ``none`` is a word like others: leaving it out says nothing."""

    __slots__ = ()


def option(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    positional: bool = False,
) -> Any:
    """Describe one field of a :class:`Config`.

    Args:
        default: its value when nothing is said; without one it has to be given.
        help: one line for people.
        unit: of the value, such as ``"pixels"``; "" for none.
        minimum: smallest value, of each number where there are several.
        maximum: largest value.
        above: the value is greater than this.
        positional: it stands behind the colon of the short form; one field at most.
    """
    about = {"help": help, "unit": unit, "minimum": minimum, "maximum": maximum, "above": above}
    if isinstance(default, (dict, list, Config)):
        return dataclasses.field(default_factory=lambda: default, metadata={**about, "positional": positional})
    return dataclasses.field(default=default, metadata={**about, "positional": positional})


class Config:
    """Base of all descriptions: checks and converts every field when it is made.

    Subclasses that can be named set the class variables ``kind`` and ``name``, and ``extra`` when they need more than
    the base install. A field of type ``Annotated[Config, "prompter"]``, or of a class that sets ``kind`` alone, takes
    any description of that kind.

    Raises:
        InputError: a value of another type or out of its range, or fields that do not go together (:meth:`check`).
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        for field, hint in fields_of(type(self)):
            object.__setattr__(self, field.name, _checked(hint, getattr(self, field.name), field, field.name))
        self.check()

    def check(self) -> None:
        """Refuse fields that do not go together."""

    def with_settings(self, settings: Mapping[str, Any], where: str = "") -> Self:
        """Return a copy with fields replaced, such as ``{"network.width": 64}``."""
        data, where = as_fields(self), where or title(type(self))
        hints = {field.name: hint for field, hint in fields_of(type(self))}
        inner: dict[str, dict[str, Any]] = {}
        for key, value in settings.items():
            name, dot, rest = key.partition(".")
            if name not in hints:
                raise UnknownNameError(f"option of {where}:", name, hints)
            if dot:
                inner.setdefault(name, {})[rest] = value
            else:
                data[name] = value
        for name, values in inner.items():  # all at once, as options may go together
            part = data[name] if isinstance(data[name], Config) else _converted(hints[name], data[name], name)
            if not isinstance(part, Config):
                raise InputError(f"cannot set '{name}.{next(iter(values))}': {name!r} of {where} has no parts")
            data[name] = part.with_settings(values, name if not class_value(type(part), "name") else "")
        return read(type(self), data, where)


def class_value(kind: type[Config], key: Literal["kind", "name", "extra"]) -> str:
    """Return ``kind``, ``name`` or ``extra`` of a description's class, "" where it has none (or a field called so)."""
    value = getattr(kind, key, "")
    return value if isinstance(value, str) else ""


def title(kind: type[Config]) -> str:
    """Return what errors call a description: ``prompter 'vlm'``, or its class's name."""
    name = class_value(kind, "name")
    return f"{class_value(kind, 'kind').replace('_', ' ')} {name!r}" if name else kind.__name__


def summary(kind: type[Config]) -> str:
    """Return the first line of a description's docstring."""
    return (kind.__doc__ or "").strip().partition("\n")[0]


def fields_of(kind: type[Config]) -> tuple[tuple[dataclasses.Field[Any], Any], ...]:
    """Return the fields of a description with their types, in order."""
    if kind not in _FIELDS:
        hints = typing.get_type_hints(kind, include_extras=True)
        _FIELDS[kind] = tuple((one, hints[one.name]) for one in dataclasses.fields(typing.cast(Any, kind)))
    return _FIELDS[kind]


def as_fields(config: Config) -> dict[str, Any]:
    """Return the fields of a description by name, parts as they are."""
    return {field.name: getattr(config, field.name) for field, _ in fields_of(type(config))}


def as_plain(value: Any) -> Any:
    """Return a description as values that JSON and YAML hold; what has a name begins with it.

    Example:
        >>> from fiducial.config import Config, as_plain, option
        >>> @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
        ... class Grid(Config):
        ...     columns: int = option(9, "cells per row", minimum=1)
        >>> as_plain(Grid(columns=3))
        {'columns': 3}
    """
    if isinstance(value, Config):
        name = class_value(type(value), "name")
        named = {"name": name} if name else {}
        return {**named, **{key: as_plain(part) for key, part in as_fields(value).items()}}
    if isinstance(value, Mapping):
        return {str(key): as_plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def read(kind: type[T], data: Any, where: str) -> T:
    """Make a description from plain values.

    Args:
        kind: the class; one with ``kind`` but no ``name`` takes any description of that kind, by name.
        data: a mapping, a description, or text: the short form, or the ``positional`` field of a class without a name.
        where: what errors begin with.

    Raises:
        UnknownNameError: a name or key that does not exist; the closest is suggested.
        InputError: a value of another type or out of its range, or one that is missing.
    """
    if class_value(kind, "kind") and not class_value(kind, "name"):
        return typing.cast(T, read_part(class_value(kind, "kind"), data, where))
    if isinstance(data, Config):
        if not isinstance(data, kind):
            raise InputError(f"{where}: needs a {kind.__name__}, got a {type(data).__name__}")
        return data
    known = {field.name: (field, hint) for field, hint in fields_of(kind)}
    data = _spread(kind, data)
    if not isinstance(data, Mapping):
        raise InputError(f"{where}: needs a mapping with {', '.join(known)}, got {data!r}")
    for key in data:
        if key not in known:
            raise UnknownNameError(f"option of {where}:", str(key), known)
    values = {key: _checked(known[key][1], value, known[key][0], f"{where}, {key}") for key, value in data.items()}
    if missing := [name for name, (field, _) in known.items() if name not in values and is_needed(field)]:
        raise InputError(f"{where}: needs {', '.join(missing)}")
    try:
        return kind(**values)
    except InputError as error:
        if isinstance(error, UnknownNameError) or str(error).startswith(where):
            raise
        raise InputError(f"{where}: {error}") from None


def read_part(kind: str, data: Any, where: str = "") -> Config:
    """Make the description of a named part.

    Args:
        kind: such as ``"prompter"``; see :mod:`fiducial.plugins`.
        data: ``"NAME[:VALUE][?key=value&...]"``, a mapping with ``name``, or a description.
        where: what errors begin with; default: the part's own title.

    Raises:
        UnknownNameError: nobody registered the name, or it has no such option.
        InputError: text or values that make no sense.
    """
    if isinstance(data, Config):
        if class_value(type(data), "kind") != kind:
            raise InputError(f"{where or kind}: needs a part of that kind, got the {title(type(data))}")
        return data
    try:
        if isinstance(data, str):
            data = read_short(kind, data)
        if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
            raise InputError(f"{where or kind}: write NAME, NAME?key=value or a mapping with a name, got {data!r}")
        described: type[Config] = plugins.find(kind, data["name"].strip().lower())
    except UnknownNameError as error:
        raise UnknownNameError(f"{error.kind} in {where}:" if where else error.kind, error.name, error.known) from None
    values = {str(key): value for key, value in data.items() if key != "name"}
    return read(described, values, f"{where}: {title(described)}" if where else title(described))


def build(config: Config) -> Any:
    """Make the real thing that a description describes; one without ``build()`` is the thing itself.

    Raises:
        MissingExtraError: a package is not installed.
    """
    make = getattr(config, "build", None)
    if make is None:
        return config
    try:
        return make()
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("fiducial"):
            raise
        extra = class_value(type(config), "extra") or "models"
        raise MissingExtraError(title(type(config)), extra, f"no module {error.name!r}") from error


def read_short(kind: str, text: str) -> dict[str, Any]:
    """Take ``NAME[:VALUE][?key=value&...]`` apart into a mapping with ``name``; a VALUE that exists as a file is whole.

    Raises:
        UnknownNameError: nobody registered the name.
        InputError: a value for a part that takes none, or an option without a value.
    """
    head = min((place for mark in ":?" if (place := text.find(mark)) >= 0), default=len(text))
    name, rest = text[:head].strip().lower(), text[head:]
    described = plugins.find(kind, name)
    whole = rest.startswith(":") and os.path.exists(rest[1:])
    value, _, query = (rest[1:], "", "") if whole else rest.removeprefix(":").partition("?")
    value = value if whole else value.strip()
    found: dict[str, Any] = {}
    if value:
        field = _positional(described)
        if field is None:
            raise InputError(f"{title(described)} takes nothing behind a colon, got {text!r}: write just {name!r}")
        found[field] = Text(value)
    for pair in query.split("&") if query else ():
        key, equals, part = pair.partition("=")
        key = unquote(key).strip()
        if not equals or key == "name":
            raise InputError(f"{title(described)}: options are written ?key=value&key=value, got {pair!r}")
        if key in found:
            raise InputError(f"{title(described)}: {key} is given twice in {text!r}")
        found[key] = Text(unquote(part))
    return {"name": name, **found}


def type_name(hint: Any) -> str:
    """Say a field's type in few words.

    Example:
        >>> type_name(int | None), type_name(Literal["cpu", "cuda"]), type_name(tuple[int, int])
        ('whole number or none', 'cpu | cuda', '2 x whole number')
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return str(inner[1]).replace("_", " ")
    if origin in (typing.Union, types.UnionType):
        return " or ".join("none" if one is type(None) else type_name(one) for one in inner)
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin is tuple:
        return f"list of {type_name(inner[0])}" if inner[-1] is Ellipsis else f"{len(inner)} x {type_name(inner[0])}"
    if isinstance(hint, type) and issubclass(hint, Config):
        return class_value(hint, "kind").replace("_", " ") or hint.__name__
    names = {int: "whole number", float: "number", bool: "true | false", str: "text", Path: "path"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def is_needed(field: dataclasses.Field[Any]) -> bool:
    """Tell whether a field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _positional(kind: type[Config]) -> str | None:
    return next((one.name for one, _ in fields_of(kind) if one.metadata.get("positional")), None)


def _spread(kind: type[Config], text: Any) -> Any:
    field = _positional(kind) if isinstance(text, str) and not class_value(kind, "name") else None
    return {field: text} if field else text


def _checked(hint: Any, value: Any, field: dataclasses.Field[Any], where: str) -> Any:
    """Turn a value into what a field's type says, and hold it against the field's range."""
    found = _converted(hint, value, where)
    about = field.metadata
    for number in _numbers(found):
        low, high, above = about.get("minimum"), about.get("maximum"), about.get("above")
        if not (math.isfinite(number) if isinstance(number, float) else abs(number) < 2**63):
            raise InputError(f"{where}: needs a finite number, got {number}")
        if low is not None and number < low:
            raise InputError(f"{where}: needs at least {low:g}, got {number:g}")
        if above is not None and number <= above:
            raise InputError(f"{where}: needs more than {above:g}, got {number:g}")
        if high is not None and number > high:
            raise InputError(f"{where}: needs at most {high:g}, got {number:g}")
    return found


def _numbers(value: Any) -> Sequence[float]:
    if isinstance(value, (list, tuple)):
        return [number for one in value for number in _numbers(one)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def _converted(hint: Any, value: Any, where: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(value, Text) and value[:1] in ("[", "{") and _holds_several(hint):
        value = parse_yaml(value, where)  # somebody typed a list or mapping as YAML writes it
    if origin is Annotated:
        return read_part(inner[1], value, where)
    if origin in (typing.Union, types.UnionType):
        return _one_of(inner, value, where)
    if origin is Literal:
        text = next((one for one in inner if one == value or (isinstance(value, Text) and str(one) == value)), None)
        if text is None:
            raise UnknownNameError(f"value of {where}:", str(value), map(str, inner))
        return text
    if origin is tuple:
        return _row(inner, value, where)
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        if not isinstance(value, Mapping):
            raise InputError(f"{where}: needs a mapping, got {value!r}")
        return {key: _converted(inner[1], part, f"{where}, {key}") for key, part in value.items()} if inner else value
    if isinstance(hint, type) and issubclass(hint, Config):
        return read(hint, value, where)
    return value if hint is Any or not isinstance(hint, type) else _scalar(hint, value, where)


def _holds_several(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    return origin in (tuple, dict, Mapping, Annotated) or (isinstance(hint, type) and issubclass(hint, Config))


def _one_of(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    says_none = isinstance(value, Text) and not isinstance(value, Word) and value.lower() in _NOTHING
    if type(None) in hints and (value is None or says_none):
        return None
    failed: FiducialError | None = None
    for hint in hints:
        if hint is not type(None):
            try:
                return _converted(hint, value, where)
            except InputError as error:
                failed = failed or error
    assert failed is not None
    raise failed


def _row(hints: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if isinstance(value, Text):
        value = [Text(part.strip()) for part in value.split(",")] if value.strip() else []
    if not isinstance(value, (list, tuple)):
        raise InputError(f"{where}: needs a list, got {value!r}")
    if len(hints) == 2 and hints[1] is Ellipsis:
        return tuple(_converted(hints[0], part, f"{where} {number}") for number, part in enumerate(value, start=1))
    if len(value) != len(hints):
        raise InputError(f"{where}: needs {len(hints)} values, got {len(value)}")
    return tuple(_converted(hint, part, where) for hint, part in zip(hints, value, strict=True))


def _scalar(hint: type, value: Any, where: str) -> Any:
    wrong = InputError(f"{where}: needs a value of type '{type_name(hint)}', got {value!r}")
    if hint is Path and isinstance(value, (str, Path)) and str(value) and "\0" not in str(value):
        return Path(value)
    if hint is str and isinstance(value, (str, Path)) and "\0" not in str(value):
        return str(value)
    if hint is bool and isinstance(value, Text) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if hint is float and isinstance(value, (str, int)) and not isinstance(value, bool):
        # "1e-3" is text to YAML
        try:
            return float(value)
        except (ValueError, OverflowError):
            raise wrong from None
    if hint is int and isinstance(value, Text):
        try:
            return int(value)
        except ValueError:
            raise wrong from None
    if isinstance(value, hint) and hint not in (str, Path) and (hint is bool or not isinstance(value, bool)):
        return value
    raise wrong
