"""``fiducial cut``: from coordinates to masks."""

from __future__ import annotations

from collections.abc import Sequence

from fiducial import plugins
from fiducial.cli import common
from fiducial.cli.environment import write_run_card
from fiducial.errors import GeometryError, InputError
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.images import read_image
from fiducial.pipeline import Pipeline
from fiducial.recipes.recipe import PartSpec, read_refiners, with_settings

DEFAULT_SEGMENTER = "nano"


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().read(words, joined=("--box", "--point"))
    formats = common.read_formats(arguments.format)
    folder = common.output_folder(arguments)
    name, model = plugins.split_reference(arguments.segmenter)
    spec = PartSpec("segmenter", name, model)
    settings = common.read_settings(arguments, ["segmenter"] if spec.part.takes_device else [])
    spec, *refiners = with_settings([spec, *read_refiners(arguments.refine or "")], settings)
    common.check_explain(arguments, folder, refiners)
    image = read_image(arguments.image, max_pixels=arguments.max_pixels)
    prompts = read_prompts(arguments.box, arguments.point, image.frame)
    pipeline = Pipeline(
        segmenter=spec.build(),
        prompt_refiners=tuple(refiner.build() for refiner in refiners if refiner.kind == "prompt_refiner"),
        mask_refiners=tuple(refiner.build() for refiner in refiners if refiner.kind == "mask_refiner"),
        explain=arguments.explain,
    )
    result = pipeline.cut(image, prompts)
    written = []
    if folder is not None:
        parts = {"segmenter": spec.as_json(), "refiners": [refiner.as_json() for refiner in refiners]}
        write_run_card(folder, "cut", list(words), parts)
        written = [*result.save(folder, formats=formats).values(), *result.save_pictures(folder)]
    if arguments.json:
        common.print_json(result.as_json())
    else:
        print(common.describe(result, written))
    return common.report_failure(result)


def read_prompts(box_texts: Sequence[str], point_texts: Sequence[str], frame: Frame) -> Prompts:
    """Turn --box and --point into prompts.

    Each box is one target. With one box all points refine it; with several, a point refines the
    smallest box that it lies in; the points that lie in no box form one target of their own.

    Args:
        box_texts: ``x1,y1,x2,y2`` each, in pixels.
        point_texts: ``x,y,1`` (on the target) or ``x,y,0`` (beside it) each, in pixels.
        frame: the pixel frame of the image.

    Raises:
        InputError: nothing given, or something that is no box or point.
    """
    if not box_texts and not point_texts:
        raise InputError("cut: give at least one --box x1,y1,x2,y2 or --point x,y,1")
    targets = [_box(text, frame) for text in box_texts]
    loose: list[tuple[float, float, int]] = []
    for x, y, kind in map(_point, point_texts):
        inside = [i for i, target in enumerate(targets) if len(targets) == 1 or _holds(target, x, y)]
        if inside:
            best = min(inside, key=lambda i: _area(targets[i]))
            targets[best] = targets[best].with_points([(x, y)], [kind])
        else:
            loose.append((x, y, kind))
    if loose:
        if not any(kind for _, _, kind in loose):
            raise InputError("--point: points beside the target need a box or a point on it (x,y,1)")
        spots, kinds = tuple((x, y) for x, y, _ in loose), tuple(kind for _, _, kind in loose)
        targets.append(Prompt(frame, points=spots, point_labels=kinds))
    return Prompts(frame, tuple(targets))


def _box(text: str, frame: Frame) -> Prompt:
    numbers = common.read_numbers("--box", text, "x1,y1,x2,y2")
    try:
        return Prompt(frame, box=(numbers[0], numbers[1], numbers[2], numbers[3]))
    except GeometryError as error:
        raise InputError(f"--box {text}: {error}") from None


def _point(text: str) -> tuple[float, float, int]:
    x, y, kind = common.read_numbers("--point", text, "x,y,1|0")
    if kind not in (0, 1):
        raise InputError(f"--point {text}: the third number is 1 (on the target) or 0 (beside it)")
    return x, y, int(kind)


def _holds(target: Prompt, x: float, y: float) -> bool:
    x1, y1, x2, y2 = target.box or (0, 0, 0, 0)
    return x1 <= x <= x2 and y1 <= y <= y2


def _area(target: Prompt) -> float:
    x1, y1, x2, y2 = target.box or (0, 0, 0, 0)
    return (x2 - x1) * (y2 - y1)


def _parser() -> common.Parser:
    parser = common.Parser("cut", "Cut masks from boxes and points in pixels of the image.")
    parser.add_argument("image", metavar="IMAGE", help="a picture file")
    parser.add_argument("--box", action="append", default=[], metavar="x1,y1,x2,y2", help="one target each; repeatable")
    parser.add_argument(
        "--point",
        action="append",
        default=[],
        metavar="x,y,1|0",
        help="1 on the target, 0 beside it; points without a box form one target; repeatable",
    )
    parser.add_argument("--segmenter", default=DEFAULT_SEGMENTER, metavar="S", help=f"default: {DEFAULT_SEGMENTER}")
    common.add_refining(parser)
    common.add_running(parser)
    common.add_output(parser)
    common.add_reading(parser)
    return parser
