"""``fiducial describe``: the parts that can be named, and the options of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass
from typing import Any

from fiducial import plugins
from fiducial.cli import common
from fiducial.config import Config, as_plain, class_value, fields_of, is_needed, option, summary, type_name
from fiducial.errors import UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Describe(Config):
    """List the parts that can be named, or the options of those called NAME: type, default, unit and help."""

    name: str | None = option(None, "a prompter, segmenter, refiner, overlay, dataset or source", positional=True)
    json: bool = option(False, "print one JSON object per part")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Describe, "describe", words)
    every = [(kind, name) for kind in plugins.parts() for name in plugins.names(kind)]
    chosen = [(kind, name) for kind, name in every if options.name in (None, name)]
    if not chosen:
        raise UnknownNameError("part", str(options.name), {name for _, name in every})
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
    return 0


def describe(kind: type[Config]) -> list[tuple[str, str, str, str]]:
    """Return one row per option: name, type with its unit and range, default, help."""
    rows = []
    for field, hint in fields_of(kind):
        about = field.metadata
        limits = {"≥": about.get("minimum"), ">": about.get("above"), "≤": about.get("maximum")}
        extra = [about["unit"]] if about.get("unit") else []
        extra += [f"{sign} {limit:g}" for sign, limit in limits.items() if limit is not None]
        default = "needed" if is_needed(field) else _default(field)
        rows.append((field.name, ", ".join([type_name(hint), *extra]), default, str(about.get("help", ""))))
    return rows


def _default(field: Field[Any]) -> str:
    plain = as_plain(field.default if field.default_factory is MISSING else field.default_factory())
    if isinstance(plain, bool) or plain is None:
        return str(plain).lower()
    return "" if plain in ("", [], {}) else ",".join(map(str, plain)) if isinstance(plain, list) else str(plain)
