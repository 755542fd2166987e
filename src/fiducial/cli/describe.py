"""``fiducial describe``: the parts that can be named, and the options of each."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, is_dataclass
from typing import Any

from fiducial import plugins
from fiducial.cli import common
from fiducial.config import Config, as_plain, class_value, fields_of, is_needed, option, summary, type_name
from fiducial.contents import flat
from fiducial.errors import UnknownNameError
from fiducial.training.recipes import config_names, config_values


@dataclass(frozen=True, kw_only=True)
class Describe(Config):
    """List the parts that can be named, or the options of those called NAME: type, default, unit and help.

    A NAME may also be that of a shipped training configuration: what it sets is listed.
    """

    name: str | None = option(None, "a prompter, segmenter, refiner, overlay, dataset, reward, source", positional=True)
    json: bool = option(False, "print one JSON object per part")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Describe, "describe", words)
    every = [(kind, name) for kind in plugins.parts() for name in plugins.names(kind)]
    wanted = options.name and options.name.lower()
    chosen = [(kind, name) for kind, name in every if wanted in (None, name, kind)]
    shipped = wanted is not None and wanted in config_names()
    if not chosen and not shipped:
        raise UnknownNameError("part", str(options.name), {*(name for _, name in every), *config_names()})
    if options.name is None and not options.json:
        width = max(len(name) for _, name in every)
        for kind in plugins.parts():
            print(kind.replace("_", " "))
            for name in plugins.names(kind):
                print(f"  {name:<{width}}  {summary(plugins.find(kind, name))}")
        return 0
    for kind, name in chosen:
        part = plugins.find(kind, name)
        rows = describe(part)
        if options.json:
            keys = ("name", "type", "default", "help")
            listed = [dict(zip(keys, row, strict=True)) for row in rows]
            common.print_json({"kind": kind, "name": name, "summary": summary(part), "options": listed})
            continue
        extra = class_value(part, "extra")
        print(f"{kind.replace('_', ' ')} {name}: {summary(part)}" + (f" [{extra}]" if extra else ""))
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
        for row in rows:
            print("  " + "  ".join(f"{row[i]:<{widths[i]}}" for i in range(3)) + f"  {row[3]}")
    if shipped:
        _print_configuration(str(wanted), options.json)
    return 0


def _print_configuration(name: str, as_json: bool) -> None:
    """Print what a shipped training configuration sets."""
    kind, values = config_values(name)
    if as_json:
        common.print_json({"kind": "configuration", "name": name, "training": kind, "sets": values})
        return
    print(f"configuration {name}, for fiducial train {kind} {name} --out RUN; the rest: fiducial describe {kind}")
    rows = list(flat(values).items())
    width = max((len(address) for address, _ in rows), default=0)
    for address, value in rows:
        print(f"  {address:<{width}}  {value}")


def describe(kind: type[Config], prefix: str = "") -> list[tuple[str, str, str, str]]:
    """Return name, type with unit and range, default and help of each option; an option's own options come below it."""
    rows = []
    for field, hint in fields_of(kind):
        about = field.metadata
        limits = {"≥": about.get("minimum"), ">": about.get("above"), "≤": about.get("maximum")}
        extra = [about["unit"]] if about.get("unit") else []
        extra += [f"{sign} {limit:g}" for sign, limit in limits.items() if limit is not None]
        inner = _inner(hint)
        default = "needed" if is_needed(field) else "" if inner else _default(field)
        help_text = str(about.get("help", "")) + (" (behind the colon: NAME:VALUE)" if about.get("positional") else "")
        rows.append((prefix + field.name, ", ".join([type_name(hint), *extra]), default, help_text))
        if inner is not None:
            rows += describe(inner, f"{prefix}{field.name}.")
    return rows


def _inner(hint: Any) -> type[Config] | None:
    """Return the description without a name of its own that a field holds, or holds several of."""
    for one in (hint, *typing.get_args(hint)):
        if is_dataclass(one) and isinstance(one, type) and issubclass(one, Config) and not class_value(one, "kind"):
            return one
    return None


def _default(field: Field[Any]) -> str:
    plain = as_plain(field.default if field.default_factory is MISSING else field.default_factory())
    if isinstance(plain, bool) or plain is None:
        return str(plain).lower()
    return "" if plain in ("", [], {}) else ",".join(map(str, plain)) if isinstance(plain, list) else str(plain)
