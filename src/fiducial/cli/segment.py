"""``fiducial segment``: images and an instruction in, masks out."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fiducial.cli import common
from fiducial.cli.environment import write_run_card
from fiducial.errors import ImageError, InputError
from fiducial.images import list_images, read_image
from fiducial.pipeline import Pipeline
from fiducial.recipes import DEFAULT_RECIPE, load
from fiducial.recipes.loading import resolve
from fiducial.results import Segmentation, file_stems


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().read(words)
    formats = common.read_formats(arguments.format)
    folder = common.output_folder(arguments)
    paths = list_images(arguments.images)
    for given in map(Path, arguments.images):
        if folder is not None and given.is_dir() and given.resolve() == folder.resolve():
            raise InputError(f"--out {folder}: is a folder that is read; its results would be pictures to segment next")
    recipe = resolve(
        arguments.recipe,
        prompter=arguments.prompter,
        segmenter=arguments.segmenter,
        grid=arguments.grid,
        refine=arguments.refine,
    )
    common.check_explain(arguments, folder, (*recipe.prompt_refiners, *recipe.mask_refiners))
    learned = [kind for kind in ("prompter", "segmenter") if getattr(recipe, kind).model_name]
    settings = common.read_settings(arguments, [kind for kind in learned if getattr(recipe, kind).part.takes_device])
    if arguments.quantize:
        settings["prompter.quantize"] = arguments.quantize
    if arguments.template:
        settings["prompter.template"] = arguments.template
    recipe = recipe.with_options(settings)
    job = _Job(replace(load(recipe), explain=arguments.explain), arguments, formats, folder)
    if folder is not None:
        write_run_card(folder, "segment", list(words), recipe.as_json())
    stems = file_stems([str(path) for path in paths])
    for number, (path, stem) in enumerate(zip(paths, stems, strict=True), start=1):
        outcome = job.one(path, stem)
        if len(paths) > 1:
            print(
                f"[{number}/{len(paths)}] {path.name}: {outcome}, {job.seconds_left(number, len(paths))}",
                file=sys.stderr,
            )
    return job.status


class _Job:
    """Goes through the files; one bad file is reported and the rest go on."""

    def __init__(
        self,
        pipeline: Pipeline,
        arguments: argparse.Namespace,
        formats: Sequence[str],
        folder: Path | None,
    ) -> None:
        self._pipeline = pipeline
        self._arguments = arguments
        self._formats = formats
        self._folder = folder
        self._started = time.perf_counter()
        self.status = 0

    def one(self, path: Path, stem: str) -> str:
        """Segment one file and report it; returns how it ended, in one word."""
        try:
            image = read_image(path, max_pixels=self._arguments.max_pixels)
        except ImageError as error:
            print(f"fiducial: {error}", file=sys.stderr)
            self.status = 2
            return "not read"
        result = self._pipeline(image, self._arguments.instruction)
        self.status = max(self.status, common.report_failure(result))
        self._report(result, stem)
        return result.outcome.value

    def seconds_left(self, done: int, count: int) -> str:
        """Say how long the rest will take at the pace so far."""
        return f"{(time.perf_counter() - self._started) / done * (count - done):.0f} s left"

    def _report(self, result: Segmentation, stem: str) -> None:
        written: list[Path] = []
        if self._folder is not None:
            written = list(result.save(self._folder, formats=self._formats, stem=stem).values())
            written += result.save_pictures(self._folder, stem=stem)
        if self._arguments.json:
            common.print_json(result.as_json())
        else:
            print(common.describe(result, written), flush=True)


def _parser() -> common.Parser:
    parser = common.Parser("segment", "Segment images by instruction: coordinates first, masks from them.")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="picture files or folders")
    parser.add_argument("instruction", metavar="INSTRUCTION", help='what to segment, such as "the two largest ships"')
    parser.add_argument("--recipe", default=DEFAULT_RECIPE, metavar="R", help="a recipe's name or YAML file")
    parser.add_argument("--prompter", metavar="NAME[:MODEL]", help="instead of the recipe's")
    parser.add_argument("--segmenter", metavar="NAME[:MODEL]", help="instead of the recipe's")
    parser.add_argument("--grid", metavar="N", help="grid drawn for the prompter: N or NxM cells, 0 for none")
    parser.add_argument("--quantize", choices=("int8", "int4"), help="quantise the language tower of the prompter")
    parser.add_argument("--template", metavar="FILE", help="prompt template instead of the recipe's")
    common.add_refining(parser)
    common.add_running(parser)
    common.add_output(parser)
    common.add_reading(parser)
    return parser
