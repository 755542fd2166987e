"""What several commands share: options, their checks, one-line errors, output."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from fiducial.errors import InputError
from fiducial.images import DEFAULT_MAX_PIXELS
from fiducial.language import Outcome
from fiducial.results import FORMATS, Segmentation

DEFAULT_FORMATS = "png,json"


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are InputErrors of one line."""

    def __init__(self, command: str, summary: str) -> None:
        super().__init__(prog=f"fiducial {command}", description=summary, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing usage and leaving."""
        raise InputError(f"{self.prog.removeprefix('fiducial ')}: {message} (see {self.prog} --help)")

    def read(self, arguments: Sequence[str], *, joined: Iterable[str] = ()) -> argparse.Namespace:
        """Parse arguments; values of ``joined`` options may start with a minus."""
        return self.parse_intermixed_args(join_values(arguments, frozenset(joined)))


def join_values(arguments: Sequence[str], options: frozenset[str]) -> list[str]:
    """Write ``--box -5,0,10,10`` as ``--box=-5,0,10,10``, which argparse takes for a value."""
    words: list[str] = []
    for word in arguments:
        if words and words[-1] in options:
            words[-1] = f"{words[-1]}={word}"
        else:
            words.append(word)
    return words


def add_output(parser: Parser) -> None:
    """Add --out, --format and --json."""
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the files (default: out, none with --json)")
    parser.add_argument(
        "--format",
        default=DEFAULT_FORMATS,
        metavar="F,F",
        help=f"what to write: {', '.join(FORMATS)} (default: {DEFAULT_FORMATS})",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per image and nothing else")


def add_reading(parser: Parser) -> None:
    """Add --max-pixels."""
    parser.add_argument(
        "--max-pixels",
        type=_at_least_one,
        default=DEFAULT_MAX_PIXELS,
        metavar="N",
        help=f"refuse larger pictures before decoding (default: {DEFAULT_MAX_PIXELS:,})",
    )


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"needs to be at least 1, got {value}")
    return value


def add_running(parser: Parser) -> None:
    """Add the options that models take."""
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    parser.add_argument("--dtype", help="float32, bfloat16, float16 (default: the device's best)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PART.OPTION=VALUE",
        help="any option of a part: prompter.max_new_tokens=256, segmenter.multimask=best, cfpg.colour_space=hsv",
    )


def add_refining(parser: Parser) -> None:
    """Add --refine and --explain."""
    parser.add_argument(
        "--refine",
        metavar="NAME,NAME",
        help="refiners of prompts (cfpg) and of masks (mbo), in order, instead of the recipe's; none takes them away",
    )
    parser.add_argument(
        "--explain", action="store_true", help="save pictures of what the refiners did, beside the files"
    )


def check_explain(arguments: argparse.Namespace, folder: Path | None, refiners: Iterable[object]) -> None:
    """Refuse --explain where there is nothing to explain, or no place for the pictures.

    Raises:
        InputError: one of the two.
    """
    if not arguments.explain:
        return
    if folder is None:
        raise InputError("--explain writes pictures: give a folder with --out")
    if not any(True for _ in refiners):
        raise InputError("--explain shows what refiners do, and there are none: add --refine cfpg,mbo")


def read_settings(arguments: argparse.Namespace, kinds: Sequence[str]) -> dict[str, Any]:
    """Collect --set, --device and --dtype into options of parts.

    Args:
        arguments: the parsed arguments.
        kinds: the parts that load a model, which take device and dtype.
    """
    settings: dict[str, Any] = {}
    for option in ("device", "dtype"):
        if getattr(arguments, option, None) and not kinds:
            raise InputError(f"--{option}: no part here runs on a device that can be chosen")
    for kind in kinds:
        for option in ("device", "dtype"):
            if getattr(arguments, option, None):
                settings[f"{kind}.{option}"] = getattr(arguments, option)
    for text in arguments.set:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text!r}: write PART.OPTION=VALUE, such as prompter.max_new_tokens=256")
        try:
            settings[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(f"--set {text!r}: the value is neither a number, a word nor a list") from None
    return settings


def read_formats(text: str) -> tuple[str, ...]:
    """Split --format, checking each name."""
    from fiducial.errors import UnknownNameError

    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    for name in names:
        if name not in FORMATS:
            raise UnknownNameError("format", name, FORMATS)
    if not names:
        raise InputError(f"--format needs at least one of {', '.join(FORMATS)}")
    return names


def read_numbers(option: str, text: str, names: str) -> list[float]:
    """Read ``1,2,3`` with as many numbers as ``names`` has, such as ``x1,y1,x2,y2``."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != len(names.split(",")):
        raise InputError(f"{option} needs {names}, got {text!r}")
    return values


def read_size(option: str, text: str) -> tuple[int, int]:
    """Read ``WxH``."""
    match = re.fullmatch(r"\s*(\d{1,7})\s*[xX×]\s*(\d{1,7})\s*", text)
    if not match or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
        raise InputError(f"{option} needs WIDTHxHEIGHT in pixels, such as 640x480, got {text!r}")
    return int(match[1]), int(match[2])


def output_folder(arguments: argparse.Namespace) -> Path | None:
    """Return where files go: --out, or ``out`` when nothing is printed as JSON."""
    if arguments.out is None:
        return None if arguments.json else Path("out")
    folder: Path = arguments.out
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: is a file, not a folder")
    return folder


def print_json(value: Any) -> None:
    """Print one JSON object on one line."""
    print(json.dumps(value, allow_nan=False), flush=True)


def report_failure(result: Segmentation) -> int:
    """Say on stderr that a model failed; returns the exit status, 1 for a failure and 0 otherwise."""
    if result.outcome is not Outcome.FAILED:
        return 0
    print(f"fiducial: {result.image.name}: {' '.join(result.text.split())}", file=sys.stderr)
    return 1


def describe(result: Segmentation, written: Iterable[Path]) -> str:
    """Say in a few lines what was found, for people."""
    count = len(result.masks)
    found = f"{count} target{'' if count == 1 else 's'}" if count else str(result.outcome.value).replace("_", " ")
    note = f" ({result.outcome.value})" if count and result.outcome.value != "found" else ""
    lines = [f"{result.image.name}: {found}{note}, {result.seconds.get('total', 0):.2f} s"]
    if result.text:
        lines.append(f"  {' '.join(result.text.split())}")
    targets = zip(result.prompts, result.masks, result.refinements, strict=True)
    for number, (prompt, mask, steps) in enumerate(targets, start=1):
        box = mask.box or prompt.box
        where = "empty mask" if box is None else f"box {','.join(f'{edge:g}' for edge in box)}"
        name = f" {prompt.label}" if prompt.label else ""
        lines.append(f"  {number}.{name} {where}, {mask.area:,} px")
        if steps:
            lines.append(f"     {'; '.join(f'{step.refiner}: {step.reason}' for step in steps)}")
    lines += [f"  note: {repair}" for repair in result.answer.repairs]
    lines += [f"  wrote {path}" for path in written]
    return "\n".join(lines)
