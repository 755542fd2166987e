"""``fiducial segment``: images or volumes and an instruction in, masks out."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fiducial.cli import common, terminal
from fiducial.cli.maps import of_kind, require_unsaid, segment_maps
from fiducial.config import option
from fiducial.errors import InputError
from fiducial.files import read_json
from fiducial.images import IMAGE_SUFFIXES, find_images
from fiducial.language import Outcome
from fiducial.pipeline import Pipeline
from fiducial.provenance import write_run_card
from fiducial.rasters.configs import RasterOptions
from fiducial.rasters.telling import is_map
from fiducial.recipes import Recipe, load
from fiducial.results import Segmentation, file_stems, names_from_common_folder, write_joint_coco
from fiducial.streams import one_ahead
from fiducial.volumes.configs import VolumeOptions

if TYPE_CHECKING:
    from fiducial.evaluation.ledger import Ledger
    from fiducial.evaluation.progress import Progress
    from fiducial.volumes.slices import Slice

_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Segment(common.Choosing, common.Refining, common.Output, RasterOptions, VolumeOptions):
    """Segment images, maps in windows, or volumes in slices, by instruction: coordinates first, masks from them."""

    images: tuple[Path, ...] = option(
        help="picture files or folders; or maps: TIFF with a place on the ground or too large for a picture, .vrt; or "
        "volumes: .nii, .nii.gz, folders of a DICOM series",
        positional=True,
    )
    instruction: str = option(help='what to segment, such as "the two largest ships"', positional=True)
    recursive: bool = option(False, "also take the pictures in the folders of a folder")
    quantize: Literal["int8", "int4"] | None = option(None, "quantise the language tower of the prompter: int8, int4")
    template: Path | None = option(None, "prompt template instead of the recipe's", unit="FILE")
    check_: bool = option(False, "check whether the places, counts and sizes that the answer states hold for its masks")
    convention: Literal["radiological", "neurological"] | None = option(
        None, "with --check, where the patient's right is: on the picture's left (radiological) or right (neurological)"
    )
    again: bool = option(False, "segment anew what is done in --out already: pictures of a folder, windows of a map")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Segment, "segment", words)
    folder = options.folder()
    if options.convention and not options.check_:
        raise InputError("--convention tells how the answer's text is checked: add --check")
    if any(_is_volume(path) for path in options.images):
        return _segment_volumes(options, words)
    are_maps = [is_map(path, options.max_pixels) for path in options.images]
    require_unsaid(options, VolumeOptions, "volumes", "maps" if any(are_maps) else "pictures")
    if any(are_maps):
        if not all(are_maps):
            other = options.images[are_maps.index(False)]
            raise InputError(
                f"{other}: is no map, and maps and pictures are not segmented together: run the command for each kind"
            )
        return segment_maps(options, _recipe(options), words)
    require_unsaid(options, RasterOptions, "maps", "pictures")
    _require_apart(options, folder)
    paths, skipped = find_images([str(path) for path in options.images], recursive=options.recursive)
    for line in skipped:
        terminal.say(f"fiducial: skipped {line}")
    recipe = _recipe(options)
    options.check_explain(folder, (*recipe.prompt_refiners, *recipe.mask_refiners))
    stems = file_stems([str(path) for path in paths])
    several = len(paths) > 1 or any(os.path.isdir(path) for path in options.images)
    with contextlib.ExitStack() as stack:
        ledger = None
        if several and folder is not None:
            ledger = stack.enter_context(_ledger(folder, recipe, options))
        pending = list(zip(paths, stems, strict=True))
        if ledger is not None and not options.again:
            pending = [one for one in pending if not _is_done(ledger, *one, options)]
        if not pending:
            print(f"all {len(paths)} are done in {folder} already: --again segments them anew", file=sys.stderr)
            _join(folder, paths, stems, stems, options)  # it may have been stopped just before
            return 0
        pipeline = replace(load(recipe), explain=options.explain)
        if folder is not None:
            seed = getattr(recipe.prompter, "seed", None)
            write_run_card(folder, ["fiducial", "segment", *words], seed=seed, recipe=recipe.as_json())
        unread: set[str] = set()
        status = _segment_pictures(pipeline, pending, len(paths), folder, ledger, options, unread)
        _join(folder, paths, stems, {*stems} - unread, options)
        return status


def _ledger(folder: Path, recipe: Recipe, options: Segment) -> Ledger:
    from fiducial.evaluation.ledger import Ledger

    asked = {name: getattr(options, name) for name in ("instruction", "format", "explain", "check_", "convention")}
    return Ledger(folder, recipe.as_json(), **asked)


def _is_done(ledger: Ledger, path: Path, stem: str, options: Segment) -> bool:
    """Tell whether a picture is done already; what came of it is printed once more."""
    entry = ledger.done(stem, path)
    if entry is None or (options.json and "json" not in options.format):
        return False
    if options.json:
        common.print_json(read_json(ledger.folder / f"{stem}.json", kind=dict) | (entry.more or {}))
    else:
        print(f"{path}: done already, {common.ended(entry.outcome, entry.targets)}", flush=True)
    return True


def _progress(name: str) -> Progress:
    from fiducial.evaluation.progress import Progress

    return Progress(name)


def _segment_pictures(
    pipeline: Pipeline,
    pending: Sequence[tuple[Path, str]],
    count: int,
    folder: Path | None,
    ledger: Ledger | None,
    options: Segment,
    unread: set[str],
) -> int:
    """Segment the pictures that are not done, so that a bad one does not end the rest; returns the exit status."""
    status, number, started = 0, 0, time.perf_counter()
    bar = _progress(pipeline.name) if len(pending) > 1 and sys.stderr.isatty() else None

    def passed(path: Path, ended: str, outcome: Outcome) -> None:
        nonlocal number
        number += 1
        if bar is not None:
            bar(outcome, number + count - len(pending), count)
        elif count > 1:
            left = (time.perf_counter() - started) / number * (len(pending) - number)
            terminal.say(f"[{number + count - len(pending)}/{count}] {path.name}: {ended}, {left:.0f} s left")

    with bar or contextlib.nullcontext():
        every = _in_turn(pipeline, [path for path, _ in pending], options)
        # The files of one picture are written while the next is segmented.
        pairs = one_ahead(lambda _: next(every), pending) if len(pending) > 1 else zip(pending, every, strict=True)
        for (path, stem), result in pairs:
            if isinstance(result, InputError):
                status = 2
                terminal.say(f"fiducial: {result}")
                unread.add(stem)
                passed(path, "not read", Outcome.FAILED)
                continue
            status = max(status, common.report_failure(result))
            written, more = _keep(result, stem, folder, options)
            if ledger is not None:
                ledger.add(path, stem, result, written, more)
            passed(path, common.ended(result.outcome, len(result.masks)), result.outcome)
            if folder is None and terminal.nobody_reads():
                break
    return status


def _in_turn(pipeline: Pipeline, paths: Sequence[Path], options: Segment) -> Iterator[Segmentation | InputError]:
    """Return what comes of each picture, or why it cannot be read."""
    lost: list[InputError] = []
    results = pipeline.stream(
        paths, options.instruction, on_error=lambda _, error: lost.append(error), max_pixels=options.max_pixels
    )
    for result in results:
        yield from lost
        lost.clear()
        yield result
    yield from lost


def _join(
    folder: Path | None, paths: Sequence[Path], stems: Sequence[str], done: Collection[str], options: Segment
) -> None:
    """Write one COCO file for all pictures that are done, beside those of the single ones."""
    if folder is None or len(paths) < 2 or "coco" not in options.format:
        return
    names = zip(stems, names_from_common_folder(paths), strict=True)
    if joint := write_joint_coco(folder, {stem: name for stem, name in names if stem in done}):
        print(f"all pictures: wrote {joint}", file=sys.stderr if options.json else sys.stdout)


def _require_apart(options: Segment, folder: Path | None) -> None:
    """Refuse to write where pictures are read: the results would be pictures to segment next."""
    for given in options.images:
        if folder is None or not os.path.isdir(given):  # Path.is_dir raises where it may not look
            continue
        read, written = given.resolve(), folder.resolve()
        if read == written or (options.recursive and read in written.parents):
            raise InputError(
                f"--out {folder}: is a folder that is read; its results would be pictures to segment next: name another"
            )


def _recipe(options: Segment) -> Recipe:
    asked = {"prompter.quantize": options.quantize, "prompter.template": options.template}
    recipe = options.resolved(refine=options.refine)
    return recipe.with_options({key: value for key, value in asked.items() if value is not None})


def _is_volume(path: Path) -> bool:
    if path.suffix.lower() in IMAGE_SUFFIXES:  # volumes are much to import, and most that is given are pictures
        return False
    from fiducial.volumes import is_volume

    return is_volume(path)


def _segment_volumes(options: Segment, words: Sequence[str]) -> int:
    """Segment volumes, each into the folder itself or, where there are several, into one of its own in it."""
    from fiducial.volumes import Volume, segment_volume

    others = [path for path in options.images if not _is_volume(path)]
    if others:
        raise InputError(
            f"{others[0]}: is no volume, and volumes and pictures are not segmented together: run the command for "
            "each kind"
        )
    if options.explain or options.check_ or options.convention:
        raise InputError("--explain, --check and --convention are for pictures, and these are volumes: leave them out")
    require_unsaid(options, RasterOptions, "maps", "volumes")
    folder = options.folder()
    recipe = _recipe(options)
    pipeline, wanted = load(recipe), VolumeOptions(**of_kind(options, VolumeOptions))  # type: ignore[arg-type]
    stems = file_stems([str(path) for path in options.images])
    status = 0
    for path, stem in zip(options.images, stems, strict=True):
        try:
            volume = Volume.read(path, modality=wanted.modality, orientation=wanted.orientation)
        except InputError as error:
            if len(stems) == 1:
                raise
            terminal.say(f"fiducial: {error}")
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
        terminal.say(f"[{number}/{count}] {self.name}: {left:.0f} s left")


def _keep(
    result: Segmentation, stem: str, folder: Path | None, options: Segment
) -> tuple[list[Path], dict[str, Any] | None]:
    """Write a result and print it; returns the files, and what was found out besides."""
    written: list[Path] = []
    if folder is not None:
        written = [*result.save(folder, formats=options.format, stem=stem).values()]
        written += result.save_pictures(folder, stem=stem)
    checked = None
    if options.check_:
        from fiducial.language.statements import as_convention

        checked = result.check(as_convention(options.convention))
    more = None if checked is None else {"consistency": checked.as_json()}
    if options.json:
        common.print_json(result.as_json() | (more or {}))
    else:
        print(common.describe(result, written, checked), flush=True)
    return written, more
