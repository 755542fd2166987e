"""``fiducial segment``: images or volumes and an instruction in, masks out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fiducial.cli import common
from fiducial.config import fields_of, option
from fiducial.errors import ImageError, InputError
from fiducial.images import list_images, read_image
from fiducial.language import Outcome
from fiducial.language.statements import Convention
from fiducial.pipeline import Pipeline
from fiducial.provenance import write_run_card
from fiducial.recipes import Recipe, load
from fiducial.results import file_stems
from fiducial.volumes import Volume, VolumeOptions, is_volume, segment_volume
from fiducial.volumes.slices import Slice

_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Segment(common.Choosing, common.Refining, common.Output, VolumeOptions):
    """Segment images, or volumes slice by slice, by instruction: coordinates first, masks from them."""

    images: tuple[Path, ...] = option(
        help="picture files or folders; or volumes: .nii, .nii.gz, folders of a DICOM series", positional=True
    )
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
    if any(is_volume(path) for path in options.images):
        return _segment_volumes(options, words)
    if said := [name for name, value in _volume_options(options).items() if value != getattr(VolumeOptions(), name)]:
        raise InputError(f"--{said[0].replace('_', '-')} is for volumes, and these are pictures")
    paths = list_images([str(path) for path in options.images])
    for given in options.images:
        if folder is not None and given.is_dir() and given.resolve() == folder.resolve():
            raise InputError(f"--out {folder}: is a folder that is read; its results would be pictures to segment next")
    recipe = _recipe(options)
    options.check_explain(folder, (*recipe.prompt_refiners, *recipe.mask_refiners))
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


def _recipe(options: Segment) -> Recipe:
    asked = {"prompter.quantize": options.quantize, "prompter.template": options.template}
    recipe = options.resolved(refine=options.refine)
    return recipe.with_options({key: value for key, value in asked.items() if value is not None})


def _volume_options(options: Segment) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field, _ in fields_of(VolumeOptions)}


def _segment_volumes(options: Segment, words: Sequence[str]) -> int:
    """Segment volumes, each into the folder itself or, where there are several, into one of its own in it."""
    others = [path for path in options.images if not is_volume(path)]
    if others:
        raise InputError(f"{others[0]}: is no volume, and volumes and pictures are not segmented together")
    if options.explain or options.check_ or options.convention:
        raise InputError("--explain, --check and --convention are for pictures, and these are volumes")
    folder = options.folder()
    recipe = _recipe(options)
    pipeline, wanted = load(recipe), VolumeOptions(**_volume_options(options))
    stems = file_stems([str(path) for path in options.images])
    status = 0
    for path, stem in zip(options.images, stems, strict=True):
        try:
            volume = Volume.read(path, modality=wanted.modality, orientation=wanted.orientation)
        except InputError as error:
            if len(stems) == 1:
                raise
            print(f"fiducial: {error}", file=sys.stderr)
            status = 2
            continue
        out = folder if folder is None or len(stems) == 1 else folder / stem
        command = ["fiducial", "segment", *words]
        result = segment_volume(
            pipeline, volume, options.instruction, wanted, out=out, recipe=recipe.as_json(), command=command,
            on_slice=_Progress(path.name),
        )  # fmt: skip
        if options.json:
            common.print_json(result.as_json())
        else:
            print(
                "\n".join([f"{path.name}: {result.text}", *(f"  note: {note}" for note in result.as_json()["notes"])])
            )
            print(*([] if out is None else [f"  wrote {out / 'page.html'} and what it shows"]), sep="\n", flush=True)
        status = max(status, 1 if result.outcome is Outcome.FAILED else 0)
    return status


class _Progress:
    """Says on stderr how far a volume is, every few seconds."""

    def __init__(self, name: str) -> None:
        self.name, self.started, self.said = name, time.perf_counter(), 0.0
        self.begun: int | None = None

    def __call__(self, found: Slice, number: int, count: int) -> None:
        """Take note of a slice."""
        now = time.perf_counter()
        self.begun = number if self.begun is None else self.begun
        if number < count and now - self.said < _SECONDS:
            return
        self.said = now
        left = (now - self.started) / (number - self.begun + 1) * (count - number)
        print(f"[{number}/{count}] {self.name}: {left:.0f} s left", file=sys.stderr)


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
