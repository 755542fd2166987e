"""``fiducial cut``: from coordinates to masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fiducial.cli import common
from fiducial.config import option, read_part
from fiducial.errors import GeometryError, InputError
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.images import read_image
from fiducial.provenance import write_run_card
from fiducial.recipes import Recipe, load, resolve
from fiducial.recipes.recipe import read_refiners

Corners = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Cut(common.Refining, common.Running, common.Output):
    """Cut masks from boxes and points in pixels of the image."""

    image: Path = option(help="a picture file", positional=True)
    box: tuple[Corners, ...] = option((), "one target each; may be given several times", unit="x1,y1,x2,y2")
    point: tuple[tuple[float, float, int], ...] = option(
        (),
        "1 on the target, 0 beside it; points without a box form one target; may be given several times",
        unit="x,y,1|0",
    )
    segmenter: str = option("nano", "what cuts", unit="NAME[:MODEL][?key=value]")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Cut, "cut", words)
    folder = options.folder()
    prompt_refiners, mask_refiners = read_refiners(options.refine or "")
    segmenter = read_part("segmenter", options.segmenter)
    recipe = Recipe(
        segmenter=segmenter,
        prompt_refiners=prompt_refiners,
        mask_refiners=mask_refiners,
    )
    recipe = resolve(recipe, cache=options.cache, options=options.settings({"segmenter": segmenter}))
    options.check_explain(folder, (*prompt_refiners, *mask_refiners))
    image = read_image(options.image, max_pixels=options.max_pixels)
    prompts = make_prompts(options.box, options.point, image.frame)
    result = replace(load(recipe), explain=options.explain).cut(image, prompts)
    written: list[Path] = []
    if folder is not None:
        write_run_card(folder, ["fiducial", "cut", *words], recipe=recipe.as_json())
        written = [*result.save(folder, formats=options.format).values(), *result.save_pictures(folder)]
    if options.json:
        common.print_json(result.as_json())
    else:
        print(common.describe(result, written))
    return common.report_failure(result)


def make_prompts(boxes: Sequence[Corners], points: Sequence[tuple[float, float, int]], frame: Frame) -> Prompts:
    """Turn --box and --point into prompts.

    Each box is one target. With one box all points refine it; with several, a point refines the
    smallest box that it lies in; the points that lie in no box form one target of their own.

    Args:
        boxes: x1, y1, x2, y2 each, in pixels.
        points: x, y, and 1 (on the target) or 0 (beside it) each, in pixels.
        frame: the pixel frame of the image.

    Raises:
        InputError: nothing given, or something that is no box or point.
    """
    if not boxes and not points:
        raise InputError("cut: give at least one --box x1,y1,x2,y2 or --point x,y,1")
    targets = [_target(box, frame) for box in boxes]
    loose: list[tuple[float, float, int]] = []
    for x, y, label in points:
        if label not in (0, 1):
            raise InputError(f"--point {x:g},{y:g},{label}: the third number is 1 (on the target) or 0 (beside it)")
        inside = [target for target in targets if len(targets) == 1 or _holds(target, x, y)]
        if inside:
            best = targets.index(min(inside, key=_box_area))
            targets[best] = targets[best].with_points([(x, y)], [label])
        else:
            loose.append((x, y, label))
    if loose:
        if not any(label for _, _, label in loose):
            raise InputError("--point: points beside the target need a box or a point on it (x,y,1)")
        spots, labels = tuple((x, y) for x, y, _ in loose), tuple(label for _, _, label in loose)
        targets.append(Prompt(frame, points=spots, point_labels=labels))
    return Prompts(frame, tuple(targets))


def _target(box: Corners, frame: Frame) -> Prompt:
    try:
        return Prompt(frame, box=box)
    except GeometryError as error:
        raise InputError(f"--box {','.join(f'{edge:g}' for edge in box)}: {error}") from None


def _holds(target: Prompt, x: float, y: float) -> bool:
    x1, y1, x2, y2 = target.box or (0, 0, 0, 0)
    return x1 <= x <= x2 and y1 <= y <= y2


def _box_area(target: Prompt) -> float:
    x1, y1, x2, y2 = target.box or (0, 0, 0, 0)
    return (x2 - x1) * (y2 - y1)
