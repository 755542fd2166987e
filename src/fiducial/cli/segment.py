"""``fiducial segment``: images and an instruction in, masks out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from fiducial.cli import common
from fiducial.config import option
from fiducial.errors import ImageError, InputError
from fiducial.images import list_images, read_image
from fiducial.language.statements import Convention
from fiducial.pipeline import Pipeline
from fiducial.provenance import write_run_card
from fiducial.recipes import load
from fiducial.results import file_stems


@dataclass(frozen=True, kw_only=True)
class Segment(common.Choosing, common.Refining, common.Output):
    """Segment images by instruction: coordinates first, masks from them."""

    images: tuple[Path, ...] = option(help="picture files or folders", positional=True)
    instruction: str = option(help='what to segment, such as "the two largest ships"', positional=True)
    quantize: Literal["int8", "int4"] | None = option(None, "quantise the language tower of the prompter: int8, int4")
    template: Path | None = option(None, "prompt template instead of the recipe's", unit="FILE")
    check_: bool = option(False, "check whether the places, counts and sizes that the answer states hold for its masks")
    convention: Literal["radiological", "neurological"] | None = option(
        None, "with --check, where the patient's right is: on the picture's left (radiological) or right (neurological)"
    )


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Segment, "segment", words)
    folder = options.folder()
    if options.convention and not options.check_:
        raise InputError("--convention tells how the answer's text is checked: add --check")
    paths = list_images([str(path) for path in options.images])
    for given in options.images:
        if folder is not None and given.is_dir() and given.resolve() == folder.resolve():
            raise InputError(f"--out {folder}: is a folder that is read; its results would be pictures to segment next")
    recipe = options.resolved(refine=options.refine)
    options.check_explain(folder, (*recipe.prompt_refiners, *recipe.mask_refiners))
    asked = {"prompter.quantize": options.quantize, "prompter.template": options.template}
    recipe = recipe.with_options({key: value for key, value in asked.items() if value is not None})
    pipeline = replace(load(recipe), explain=options.explain)
    if folder is not None:
        seed = getattr(recipe.prompter, "seed", None)
        write_run_card(folder, ["fiducial", "segment", *words], seed=seed, recipe=recipe.as_json())
    status, started = 0, time.perf_counter()
    stems = file_stems([str(path) for path in paths])
    for number, (path, stem) in enumerate(zip(paths, stems, strict=True), start=1):
        outcome, found = _segment_one(pipeline, path, stem, folder, options)
        status = max(status, found)
        if len(paths) > 1:
            left = (time.perf_counter() - started) / number * (len(paths) - number)
            print(f"[{number}/{len(paths)}] {path.name}: {outcome}, {left:.0f} s left", file=sys.stderr)
    return status


def _segment_one(pipeline: Pipeline, path: Path, stem: str, folder: Path | None, options: Segment) -> tuple[str, int]:
    """Segment one file, so that a bad one does not end the rest; returns how it ended in words, and a status."""
    try:
        image = read_image(path, max_pixels=options.max_pixels)
    except ImageError as error:
        print(f"fiducial: {error}", file=sys.stderr)
        return "not read", 2
    result = pipeline(image, options.instruction)
    status = common.report_failure(result)
    written: list[Path] = []
    if folder is not None:
        written = [*result.save(folder, formats=options.format, stem=stem).values()]
        written += result.save_pictures(folder, stem=stem)
    convention = Convention(options.convention) if options.convention else None
    checked = result.check(convention) if options.check_ else None
    if options.json:
        common.print_json(result.as_json() | ({} if checked is None else {"consistency": checked.as_json()}))
    else:
        print(common.describe(result, written, checked), flush=True)
    return common.ending(result), status
