"""What the commands share: options made from typed descriptions, groups of options, what is printed."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from inspect import get_annotations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

from fiducial.cli import terminal
from fiducial.config import Config, Text, Word, fields_of, is_needed, option, read, type_name
from fiducial.errors import InputError
from fiducial.images import DEFAULT_MAX_PIXELS
from fiducial.language import Outcome
from fiducial.recipes import DEFAULT_RECIPE, Recipe, resolve
from fiducial.recipes.recipe import takes_device
from fiducial.results import Segmentation

if TYPE_CHECKING:
    from fiducial.metrics import Consistency

Options = TypeVar("Options", bound=Config)
_NO_OPTION = "\0"  # no word of a command line holds it
Format = Literal["png", "mask", "json", "coco", "labelme"]


# -- from a description to the options of a command ---------------------------------------------


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are InputErrors of one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing usage and leaving."""
        said = message.replace(_NO_OPTION, "")
        raise InputError(f"{self.prog.removeprefix('fiducial ')}: {said} (see {self.prog} --help)")


def parse(options: type[Options], command: str, words: Sequence[str], *, about: str | None = None) -> Options:
    """Read the words behind a command into the command's description.

    Every field is an option: ``max_pixels`` is ``--max-pixels``. ``positional`` fields stand without a name, a truth
    value is a flag (``--no-NAME`` where it is true by default), and what is a row of rows may be given several times.
    ``about`` is what the help says the command does; default: the docstring.

    Raises:
        InputError: words that the command does not know, or values that make no sense.
    """
    parser = _Parser(prog=f"fiducial {command}", description=about or options.__doc__, allow_abbrev=False)
    # a command's own options come before those of the groups that it takes in
    depth = {name: at for at, base in reversed([*enumerate(options.__mro__)]) for name in get_annotations(base)}
    for field, hint in sorted(fields_of(options), key=lambda pair: depth[pair[0].name]):
        _add_option(parser, field, hint)
    joined = {f"--{field.name}" for field, hint in fields_of(options) if "number" in type_name(hint)}
    found = vars(parser.parse_intermixed_args(_marked(join_values(words, joined))))
    values = {key: _as_typed(value) for key, value in found.items() if value is not None and value != []}
    if empty := [key for key, value in values.items() if value == ""]:
        raise InputError(_empty(options, empty[0]))
    try:
        return read(options, values, command)
    except InputError as error:
        named = re.search(rf"\b{command}, (\w+)", str(error))
        if named is None:
            raise
        units = {field.name: field.metadata["unit"] for field, _ in fields_of(options)}
        written = f" (written {units[named[1]]})" if "," in units.get(named[1], "") else ""
        text = str(error).replace(named[0], f"--{named[1].replace('_', '-')}")
        raise InputError(text + written) from None


def _empty(options: type[Config], name: str) -> str:
    """Say that a word is empty by the name that the help gives it."""
    field = next(field for field, _ in fields_of(options) if field.name == name)
    if field.metadata["positional"]:
        return f"{name.upper()} is empty: it is {field.metadata['help']}"
    return f"--{name.rstrip('_').replace('_', '-')} needs a value: leave it out to say nothing"


def _add_option(parser: argparse.ArgumentParser, field: dataclasses.Field[Any], hint: Any) -> None:
    about, inner = field.metadata, typing.get_args(hint)
    repeated = typing.get_origin(hint) is tuple and (typing.get_origin(inner[0]) is tuple or inner[0] is Text)
    needed = is_needed(field)
    words = str(about["help"]).replace("%", "%%")
    if about["positional"]:
        several = typing.get_origin(hint) is tuple
        parser.add_argument(
            field.name,
            metavar=field.name.removesuffix("s" if several else "").upper(),
            nargs="+" if several else None if needed else "?",
            help=words,
        )
        return
    # "check_" is --check: descriptions have a method of that name
    name = f"--{'no-' if field.default is True else ''}{field.name.rstrip('_').replace('_', '-')}"
    if hint is bool:
        value = Text("false" if field.default else "true")
        parser.add_argument(name, dest=field.name, action="store_const", const=value, help=words)
        return
    if not needed and field.default not in (None, "", ()):
        default: Any = field.default
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        words += f" (default: {f'{shown:,}' if isinstance(shown, int) else shown})"
    parser.add_argument(
        name,
        dest=field.name,
        required=needed,
        metavar=about["unit"] or field.name.upper(),
        action="append" if repeated else "store",
        help=words,
    )


def _as_typed(value: Any) -> Any:
    return [_as_typed(one) for one in value] if isinstance(value, list) else Word(value.removeprefix(_NO_OPTION))


def _marked(words: Sequence[str]) -> list[str]:
    """Mark the words behind ``--``, which are no options, for a parser that goes over them twice and forgets it."""
    if "--" not in words:
        return list(words)
    end = list(words).index("--")
    return [*words[:end], *(f"{_NO_OPTION}{word}" for word in words[end + 1 :])]


def join_values(words: Sequence[str], options: Iterable[str]) -> list[str]:
    """Write ``--box -5,0,10,10`` as ``--box=-5,0,10,10``, which argparse takes for a value."""
    known, joined = frozenset(options), list[str]()
    for word in words:
        if joined and joined[-1] in known:
            joined[-1] = f"{joined[-1]}={word}"
        else:
            joined.append(word)
    return joined


def read_settings(texts: Iterable[str], example: str = "prompter.max_new_tokens=256") -> dict[str, Text]:
    """Read what ``--set`` was given: ``KEY=VALUE`` each.

    Raises:
        InputError: one without an equals sign.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {text!r}: write KEY=VALUE, such as {example}")
        if key.strip() in found:
            raise InputError(f"--set {text!r}: {key.strip()} is set twice: give it once")
        found[key.strip()] = Text(value.strip())
    return found


# -- groups of options ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Output(Config):
    """Options of commands that write results."""

    out: Path | None = option(None, "folder for the files (default: out, none with --json)", unit="DIR")
    format: tuple[Format, ...] = option(("png", "json"), "what to write: png, mask, json, coco, labelme", unit="F,F")
    json: bool = option(False, "print one JSON object per image and nothing else")
    max_pixels: int = option(DEFAULT_MAX_PIXELS, "refuse larger pictures before decoding", unit="N", minimum=1)

    def folder(self) -> Path | None:
        """Return where files go: --out, or ``out`` when nothing is printed as JSON."""
        if not self.format:
            raise InputError("--format needs at least one of png, mask, json, coco, labelme")
        if self.out is None:
            return None if self.json else Path("out")
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"--out {self.out}: is a file, not a folder: name another")
        return self.out


@dataclass(frozen=True, kw_only=True)
class Running(Config):
    """Options of commands that load models."""

    device: str | None = option(None, "cpu, cuda, cuda:1, mps (default: the best there is)", unit="D")
    dtype: str | None = option(None, "float32, bfloat16, float16 (default: the device's best)", unit="T")
    cache: Path | None = option(None, "keep what the segmenter encodes in this folder, for the next run", unit="DIR")
    set: tuple[Text, ...] = option(
        (),
        "any option of a part: prompter.max_new_tokens=256, segmenter.multimask=best, cfpg.colour_space=hsv",
        unit="PART.OPTION=VALUE",
    )

    def settings(self, parts: dict[str, Config]) -> dict[str, Any]:
        """Collect --device, --dtype and --set into options of parts.

        Args:
            parts: those that may take a device and a dtype, by address.
        """
        found: dict[str, Any] = {}
        learned = [address for address, part in parts.items() if takes_device(part)]
        for name in ("device", "dtype"):
            if (value := getattr(self, name)) is not None:
                if not learned:
                    raise InputError(f"--{name}: no part here runs on a device that can be chosen: leave it out")
                found |= {f"{address}.{name}": value for address in learned}
        return found | read_settings(self.set)


@dataclass(frozen=True, kw_only=True)
class Refining(Config):
    """Options of commands that refine."""

    refine: str | None = option(
        None,
        "refiners of prompts (cfpg) and of masks (mbo), in order, instead of the recipe's; none takes them away",
        unit="NAME,NAME",
    )
    explain: bool = option(False, "save pictures of what the refiners did, beside the files")

    def check_explain(self, folder: Path | None, refiners: Sequence[object]) -> None:
        """Refuse --explain where there is nothing to explain, or no place for the pictures."""
        if self.explain and folder is None:
            raise InputError("--explain writes pictures: give a folder with --out")
        if self.explain and not refiners:
            raise InputError("--explain shows what refiners do, and there are none: add --refine cfpg,mbo")


@dataclass(frozen=True, kw_only=True)
class Choosing(Running):
    """Options of commands that take a recipe."""

    recipe: str = option(DEFAULT_RECIPE, "a recipe's name or YAML file", unit="R")
    prompter: str | None = option(None, "instead of the recipe's", unit="NAME[:MODEL][?key=value]")
    segmenter: str | None = option(None, "instead of the recipe's", unit="NAME[:MODEL][?key=value]")
    grid: str | None = option(None, "grid drawn for the prompter: N or NxM cells, 0 for none", unit="N")
    decode: str | None = option(
        None, "how the prompter's model chooses tokens: semantic, none", unit="NAME[?key=value]"
    )
    samples: int | None = option(
        None, "ask so often and fuse the answers; scores say how far they agree", unit="N", minimum=1
    )

    def resolved(self, recipe: str | None = None, *, prompter: bool = True, refine: str | None = None) -> Recipe:
        """Return the recipe with everything that the options override.

        Args:
            recipe: in place of --recipe.
            prompter: whether the prompter is asked at all; without it only the segmenter takes the device.
            refine: refiners in place of the recipe's.
        """
        found = resolve(
            recipe or self.recipe,
            prompter=self.prompter if prompter else None,
            segmenter=self.segmenter,
            grid=self.grid,
            refine=refine,
            cache=self.cache,
        )
        if not prompter:
            if self.grid is not None:
                raise InputError("--grid is drawn for a prompter, and here none is asked: leave it out")
            if self.decode is not None or self.samples is not None:
                raise InputError("--decode and --samples are for a prompter, and here none is asked: leave them out")
            found = replace(found, prompter=None)
        parts = {"prompter": found.prompter, "segmenter": found.segmenter}
        settings = self.settings({name: part for name, part in parts.items() if part is not None})
        if self.decode is not None:
            settings = {"prompter.decode": Text(self.decode), **settings}
        if self.samples is not None:
            settings = {"self_consistency.samples": self.samples, **settings}
        if not prompter:  # they are for what answers in its place
            settings = {key: value for key, value in settings.items() if not key.startswith("prompter.")}
        return found.with_options(settings)


def read_size(name: str, text: str) -> tuple[int, int]:
    """Read ``WxH``."""
    match = re.fullmatch(r"\s*(\d{1,7})\s*[xX×]\s*(\d{1,7})\s*", text)
    if not match or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
        raise InputError(f"{name} needs WIDTHxHEIGHT in pixels, such as 640x480, got {text!r}")
    return int(match[1]), int(match[2])


# -- what is printed --------------------------------------------------------------------------------


def print_json(value: Any) -> None:
    """Print one JSON object on one line."""
    print(json.dumps(value, allow_nan=False), flush=True)


def report_failure(result: Segmentation) -> int:
    """Say on stderr that a model failed; returns the exit status, 1 for a failure and 0 otherwise."""
    if result.outcome is not Outcome.FAILED:
        return 0
    terminal.say(f"fiducial: {result.image.name}: {' '.join(result.text.split())}")
    return 1


def ended(outcome: Outcome, targets: int) -> str:
    """Say how an answer ended: its targets, and its outcome where that is not "found": ``1 target (truncated)``."""
    words = outcome.value.replace("_", " ")
    counted = f"{targets} target{'' if targets == 1 else 's'}"
    return words if not targets else counted if outcome is Outcome.FOUND else f"{counted} ({words})"


def describe(result: Segmentation, written: Iterable[Path], checked: Consistency | None = None) -> str:
    """Say in a few lines what was found, for people, and what came of checking its text where that was done."""
    lines = [f"{result.image.name}: {ended(result.outcome, len(result.masks))}, {result.seconds.get('total', 0):.2f} s"]
    if result.text and result.outcome is not Outcome.FAILED:  # why it failed is said on stderr
        lines.append(f"  {' '.join(result.text.split())}")
    targets = zip(result.prompts, result.masks, result.refinements, strict=True)
    for number, (prompt, mask, steps) in enumerate(targets, start=1):
        box = mask.box or prompt.box
        where = "empty mask" if box is None else f"box {','.join(f'{edge:g}' for edge in box)}"
        name = f" {prompt.label}" if prompt.label else ""
        lines.append(f"  {number}.{name} {where}, {mask.area:,} px")
        if steps:
            lines.append(f"     {'; '.join(f'{step.refiner}: {step.reason}' for step in steps)}")
    lines += [] if checked is None else [f"  text and masks: {checked.text}"]
    lines += [f"  note: {repair}" for repair in result.answer.repairs if repair != result.text]
    lines += [f"  wrote {path}" for path in written]
    return "\n".join(lines)
