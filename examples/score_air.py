"""Score the default on held-out aerial pictures where the tables of its training say little.

Parts, one or more:

- changes: pictures as other cameras, heights and files would have made them: AP50 (the mean over names); how many of
  the names that are there are found, and of those that are not, at each name's own threshold; how many pictures the
  judge of kinds takes for aerial ones.
- sizes: how many things are found at a box IoU of 0.5, by name and by their side in pixels of what is looked at.
- closer: names of which nothing is found, looked for once more at twice the scale.
- whole: "all CLASS", as the mean IoU of all masks together: where it is lost.
- crossed: the same, and which names are found where they are and are not, with thresholds that were fitted on the
  other half of these pictures (those that come with the weights were fitted on all of them).

DATA is the folder of the third-party sets.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial import Image
from fiducial.datasets import Sample, open_dataset
from fiducial.datasets.splits import group_of, is_held_out
from fiducial.geometry import Box, Mask, Prompt, Prompts
from fiducial.geometry import boxes as box_arrays
from fiducial.prompters.grounder.detecting import NanoDetector, scale_of, windows_of
from fiducial.prompters.grounder.vocabulary import Vocabulary
from fiducial.prompters.grounder.weights import EMBEDDED, Name, load_grounder
from fiducial.prompters.kinds.judge import KindJudge
from fiducial.segmenters.nano import NanoSegmenter
from fiducial.training.configs import GrounderConfig
from fiducial.training.grounder_crops import IGNORED, Thing
from fiducial.training.grounder_data import LabelledPicture, things_of
from fiducial.training.grounder_scoring import Finding, calibrated, findings_of, mean_precision
from fiducial.training.recipes import load_config

Pixels = NDArray[np.uint8]
HAZE = np.array([214, 220, 228], np.float32)
"""Red, green and blue of the air between."""
WHOLE, CUT = 0.9, 0.05
"""Share of a thing's box inside a part from which it is there, and from which it is neither there nor not."""
ZOOMS = (1.0, 0.7, 0.5, 0.35)
SIDES = (7, 9, 12, 16, 20, 26, 40)
"""Borders of the sizes, in pixels of what is looked at."""


def grey(pixels: Pixels) -> Pixels:
    """Take the colours away."""
    return np.asarray(cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)


def panchromatic(pixels: Pixels) -> Pixels:
    """Mostly red and green with noise, stretched between the second and the 98th percentile, as deep values are."""
    one = pixels @ np.array([0.45, 0.45, 0.1], np.float32) + np.random.default_rng(0).normal(0, 4, pixels.shape[:2])
    low, high = np.percentile(one, (2, 98))
    return np.repeat((np.clip((one - low) / max(high - low, 1), 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)


def resized(scale: float) -> Callable[[Pixels], Pixels]:
    """Return a change to another ground resolution."""
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return lambda pixels: np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=how), np.uint8)


def haze(share: float) -> Callable[[Pixels], Pixels]:
    """Return a change that mixes so much of the air's light in."""
    return lambda pixels: np.asarray(np.rint(pixels * (1 - share) + HAZE * share), np.uint8)


def jpeg(quality: int) -> Callable[[Pixels], Pixels]:
    """Return a change that writes a JPEG of a quality and reads it again."""

    def written(pixels: Pixels) -> Pixels:
        code = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        read = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
        return np.ascontiguousarray(read[..., ::-1])

    return written


def darker(pixels: Pixels) -> Pixels:
    """Take the light away: a gamma of 1.8."""
    return np.asarray(np.rint(255 * (pixels / np.float32(255)) ** 1.8), np.uint8)


CHANGES: tuple[tuple[str, Callable[[Pixels], Pixels], float], ...] = (  # title, change, its scale
    ("as they are", lambda pixels: pixels, 1.0),
    ("grey", grey, 1.0),
    ("panchromatic: grey, noisy, stretched", panchromatic, 1.0),
    ("half the ground resolution", resized(0.5), 0.5),
    ("a third of the ground resolution", resized(1 / 3), 1 / 3),
    ("twice the ground resolution", resized(2.0), 2.0),
    ("haze, 30 %", haze(0.3), 1.0),
    ("haze, 60 %", haze(0.6), 1.0),
    ("dark, gamma 1.8", darker, 1.0),
    ("JPEG, quality 30", jpeg(30), 1.0),
    ("JPEG, quality 10", jpeg(10), 1.0),
)


class Scorer:
    """The default's parts beside held-out pictures."""

    def __init__(self, data: Path, weights: str, limit: int) -> None:
        source = load_config(GrounderConfig, EMBEDDED).data[0]
        self.grounder = load_grounder(weights)
        self.names = tuple(one.name for one in self.grounder.names if one.domain == "aerial")
        self.thresholds = {one.name: one.threshold for one in self.grounder.names}
        every = open_dataset(source.dataset.replace("DATA", str(data)))
        held = [one for one in every if is_held_out(group_of(one, source.group), source.held_out)][:limit]
        vocabulary = Vocabulary.read().names
        self.pictures = [LabelledPicture(one, things_of(one, source, vocabulary), self.names) for one in held]

    @cached_property
    def segmenter(self) -> NanoSegmenter:
        """The default's segmenter, for the parts that cut."""
        return NanoSegmenter.from_pretrained(device="cpu")

    def findings(
        self, zoom: float = 1.0, threshold: float | None = None, pictures: Sequence[LabelledPicture] = ()
    ) -> list[Finding]:
        """Find every name in every picture, picture by picture; without a threshold, at each name's own."""
        return findings_of(NanoDetector(self.grounder, zoom=zoom, threshold=threshold), pictures or self.pictures)

    def changes(self) -> None:
        """Print one row per change."""
        judge = KindJudge.from_pretrained()
        print(f"| {len(self.pictures)} pictures | AP50 | there and found | not there but found | taken for aerial |")
        print("|---|---|---|---|---|")
        rows = [(title, [changed(one, change, scale) for one in self.pictures]) for title, change, scale in CHANGES]
        for side in (512, 320):
            rows.append((f"parts of {side} x {side} pixels", [cropped(one, side) for one in self.pictures]))
        for title, some in rows:
            findings = self.findings(threshold=0.0, pictures=some)
            there = [one.best >= self.thresholds[one.name] for one in findings if len(one.truth)]
            absent = [
                one.best >= self.thresholds[one.name] for one in findings if not len(one.truth) + len(one.ignored)
            ]
            own = [judge.judge([one.sample.image()])[0].may_be("aerial") for one in some]
            print(
                f"| {title} | {mean_precision(findings):.3f} | {np.mean(there):.1%} of {len(there)} | "
                f"{np.mean(absent):.1%} of {len(absent)} | {np.mean(own):.1%} |",
                flush=True,
            )

    def sizes(self) -> None:
        """Print one row per name."""
        found: dict[str, list[tuple[float, bool]]] = {name: [] for name in self.names}
        for zoom in ZOOMS:
            scales = [scale_of(one.sample.size[1], one.sample.size[0], zoom) for one in self.pictures]
            for place, one in enumerate(self.findings(zoom)):
                sides = np.sqrt((one.truth[:, 2:] - one.truth[:, :2]).prod(axis=1)) * scales[place // len(self.names)]
                hits = np.asarray((box_arrays.iou(one.boxes, one.truth) >= 0.5).any(axis=0))
                found[one.name] += zip(sides.tolist(), hits.tolist(), strict=True)
        spans = [*zip((0, *SIDES), (*SIDES, np.inf), strict=True)]
        print("| side, px | " + " | ".join(f"{low} to {high}" for low, high in spans) + " |")
        print("|---|" + "---|" * len(spans))
        for name, some in found.items():
            cells = [[hit for side, hit in some if low <= side < high] for low, high in spans]
            print(
                f"| {name} | " + " | ".join(f"{np.mean(one):.2f} of {len(one)}" if one else "" for one in cells) + " |"
            )

    def closer(self) -> None:
        """Print one row per way of looking."""
        once, twice = self.findings(), self.findings(2.0)
        sizes = [(one.sample.size[1], one.sample.size[0]) for one in self.pictures]
        looks = [sum(len(windows_of(*size, zoom)) for size in sizes) / len(sizes) for zoom in (1.0, 2.0)]
        print("| looks | there and found | not there but found | looks a picture |\n|---|---|---|---|")
        both = [max(one.best, other.best) for one, other in zip(once, twice, strict=True)]
        for title, best, cost in (
            ("once", [one.best for one in once], looks[0]),
            ("and closer where nothing is found", both, sum(looks)),
        ):
            there = [value > 0 for value, one in zip(best, once, strict=True) if len(one.truth)]
            absent = [value > 0 for value, one in zip(best, once, strict=True) if not len(one.truth)]
            told = f"{sum(there)} of {len(there)} | {np.mean(absent):.1%} of {len(absent)} | {cost:.1f}"
            print(f"| {title} | {told} |")

    def whole(self) -> None:
        """Print one row per name."""
        print("| name | pairs, things | IoU | by the true boxes | nothing found |\n|---|---|---|---|---|")
        rows = self._wholes(self.findings(), self.pictures)
        for name in (*self.names, "all"):
            some = [row for label, row in rows if name in (label, "all")]
            if not some:
                continue
            things, own, true, lost = (np.array(one) for one in zip(*some, strict=True))
            print(f"| {name} | {len(some)}, {things.sum()} | {own.mean():.3f} | {true.mean():.3f} | {lost.sum()} |")

    def crossed(self) -> None:
        """Print one row."""
        plain = tuple(Name(one.name, one.domain) for one in self.grounder.names)
        halves = [self.pictures[::2], self.pictures[1::2]]
        found, rows = [], []
        for fitted_on, tried_on in (halves, halves[::-1]):
            raw = NanoDetector(replace(self.grounder, names=plain), threshold=0.0)
            names, _ = calibrated(plain, findings_of(raw, fitted_on))
            some = findings_of(NanoDetector(replace(self.grounder, names=names)), tried_on)
            found += some
            rows += [row for _, row in self._wholes(some, tried_on)]
        there = [bool(len(one.boxes)) for one in found if len(one.truth)]
        absent = [bool(len(one.boxes)) for one in found if not len(one.truth) + len(one.ignored)]
        print("| there and found | not there but found | all CLASS, IoU |\n|---|---|---|")
        print(
            f"| {np.mean(there):.1%} of {len(there)} | {np.mean(absent):.1%} of {len(absent)} "
            f"| {np.mean([own for _, own, _, _ in rows]):.3f} |"
        )

    def _wholes(
        self, found: Sequence[Finding], pictures: Sequence[LabelledPicture]
    ) -> list[tuple[str, tuple[int, float, float, bool]]]:
        """Return per name and picture that shows it: things, IoU by the own and by the true boxes, nothing found."""
        rows = []
        for place, one in enumerate(found):
            labelled = pictures[place // len(self.names)]
            if not len(one.truth):
                continue
            same = zip(labelled.things, labelled.sample.instances or (), strict=True)
            masks = [mask for thing, mask in same if thing.name == one.name]
            truth = Mask.empty(*labelled.sample.size).union(*masks)
            image = labelled.sample.image()
            own, true = (self._iou(self.segmenter, image, boxes, truth) for boxes in (one.boxes, one.truth))
            rows.append((one.name, (len(masks), own, true, not len(one.boxes))))
        return rows

    @staticmethod
    def _iou(segmenter: NanoSegmenter, image: Image, boxes: NDArray[np.float64], truth: Mask) -> float:
        if not len(boxes):
            return 0.0
        given: list[Box] = [(x1, y1, x2, y2) for x1, y1, x2, y2 in boxes.tolist()]
        masks = segmenter.decode(
            segmenter.encode(image), Prompts(image.frame, tuple(Prompt(image.frame, box=box) for box in given))
        )
        return Mask.empty(image.height, image.width).union(*masks).iou(truth)


def changed(one: LabelledPicture, change: Callable[[Pixels], Pixels], scale: float) -> LabelledPicture:
    """Return a picture that was changed, its things with it."""
    image = Image(change(one.sample.image().pixels), one.sample.id)
    things = tuple(Thing(thing.name, thing.hull * scale) for thing in one.things)
    return LabelledPicture(Sample(one.sample.id, None, image, "", (), (image.height, image.width)), things, one.names)


def cropped(one: LabelledPicture, side: int) -> LabelledPicture:
    """Return the part of a picture, of nine, that holds most things; what it cuts off is neither right nor wrong."""
    pixels = one.sample.image().pixels
    height, width = (min(side, length) for length in pixels.shape[:2])
    tops, lefts = (
        (0, (all_ - part) // 2, all_ - part) for all_, part in zip(pixels.shape, (height, width), strict=False)
    )
    boxes = np.array([thing.box for thing in one.things]).reshape(-1, 4)

    def inside(left: int, top: int) -> NDArray[np.bool_]:
        low, high = (
            (boxes[:, :2] >= (left, top)).all(axis=1),
            (boxes[:, 2:] <= (left + width, top + height)).all(axis=1),
        )
        return np.asarray(low & high)

    left, top = max(((left, top) for left in lefts for top in tops), key=lambda corner: inside(*corner).sum())
    image = Image(np.ascontiguousarray(pixels[top : top + height, left : left + width]), one.sample.id)
    things = []
    for thing in one.things:
        hull = np.clip(thing.hull - (left, top), 0, (width, height))
        share = np.ptp(hull, axis=0).prod() / np.ptp(thing.hull, axis=0).prod()
        if share > CUT:
            things.append(Thing(thing.name if share > WHOLE else IGNORED, hull))
    return LabelledPicture(Sample(one.sample.id, None, image, "", (), (height, width)), tuple(things), one.names)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("changes", "sizes", "closer", "whole", "crossed")
    parser.add_argument("parts", nargs="*", default=parts, metavar="PART", help=f"of {', '.join(parts)}; none: all")
    parser.add_argument("--data", type=Path, required=True, help="folder of the third-party sets")
    parser.add_argument("--weights", default=EMBEDDED, help="those of the package, or a safetensors file")
    parser.add_argument("--limit", type=int, default=64, help="pictures, the first of the held-out ones")
    arguments = parser.parse_args()
    if strange := set(arguments.parts) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(strange))}")
    scorer = Scorer(arguments.data, arguments.weights, arguments.limit)
    for part in arguments.parts:
        print(f"\n### {part}\n")
        getattr(scorer, part)()


if __name__ == "__main__":
    main()
