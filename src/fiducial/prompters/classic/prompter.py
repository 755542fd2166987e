"""The classic prompter: no weights; regions that stand out, and the spatial words that choose among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.cache import LRUCache
from fiducial.contracts import paired
from fiducial.geometry import Box, Prompt, Prompts
from fiducial.images import Image
from fiducial.language import Answer, Outcome
from fiducial.language.candidates import Candidate, measure_colours, quantile
from fiducial.language.phrases import Order, Quantifier, Request, Resolution, Target, Trait, parse_instruction, resolve

if TYPE_CHECKING:
    from fiducial.prompters.classic.outlines import Canvas
    from fiducial.prompters.classic.regions import Region

CLEAR = 0.5
"""A region is clear when it is at least this part as distinct as the things of the picture are (their median)."""
MAX_REMEMBERED = 8
"""Pictures whose candidates are kept, so that further instructions for them cost next to nothing."""

_ROUND_NOUNS = frozenset({"circle", "circles", "disc", "discs", "disk", "disks"})
_ROUND = Trait(Order("roundness", True, "roundest"), "round")


@dataclass(frozen=True, slots=True)
class Findings:
    """The candidates of one picture."""

    candidates: tuple[Candidate, ...]  # all of them, the most prominent first, nested ones included
    things: tuple[int, ...]  # indices of those that do not overlap: the things that one would count
    clear: tuple[int, ...]  # indices of those that are clear enough, nested ones included


class ClassicPrompter:
    """Finds regions that differ from their surroundings, measures them, and chooses by spatial words.

    Colour thresholds and a merge tree propose regions; those that stand out by contrast, a closed
    outline and a compact shape become candidates, at most 200 of one picture. What a region *shows* is not
    understood: nouns are not recognised (but for "circle" and "disc", which mean round), and the answer's text says so.
    A prompt has a box and one positive point inside the region, in pixels; its label is the user's own noun, and its
    score measures distinctness, not probability.

    Plurals, numbers and superlatives of a noun ("all coins", "the largest coin") choose among regions
    that do not overlap. Anything else ("the largest region", "the red cup") may also hold, or be part
    of, another. When nothing fits, every candidate is tried, and the text says that as well.

    Where something is not understood, or would need a noun to be recognised ("near the pier"), the outcome is
    ``FAILED`` and the text names it; with ``rest`` the other words choose alone.

    Example:
        >>> import numpy as np
        >>> pixels = np.full((60, 80, 3), 200, np.uint8)
        >>> pixels[10:30, 10:30], pixels[10:50, 45:70] = (200, 0, 0), (0, 0, 200)
        >>> answer = ClassicPrompter().ask([Image(pixels)], ["the red square"])[0]
        >>> answer.prompts[0].box
        (10.0, 10.0, 30.0, 30.0)
    """

    def __init__(self, *, rest: bool = False) -> None:
        self._rest = rest
        self._remembered: LRUCache[str, Findings] = LRUCache(MAX_REMEMBERED)

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Answer each instruction for the image beside it: found, no target, or failed where it is not understood."""
        return [self._answer(image, text) for image, text in paired(images, instructions)]

    def find(self, image: Image) -> Findings:
        """Find and measure the candidates of a picture, or remember them."""
        findings = self._remembered.get(image.digest)
        if findings is None:
            from fiducial.prompters.classic.regions import find_regions  # the default seldom needs them

            canvas, regions = find_regions(image)
            least = CLEAR * float(quantile([region.distinctness for region in regions if region.apart] or [0.0], 0.5))
            findings = Findings(
                candidates=tuple(as_candidate(image, canvas, region) for region in regions),
                things=tuple(k for k, region in enumerate(regions) if region.apart),
                clear=tuple(k for k, region in enumerate(regions) if region.distinctness >= least),
            )
            self._remembered.put(image.digest, findings)
        return findings

    def _answer(self, image: Image, instruction: str) -> Answer:
        request = parse_instruction(instruction)
        request = replace(request, targets=tuple(map(_with_shape, request.targets)))
        findings = self.find(image)
        pool: Sequence[int] = findings.things if _asks_for_things(request) else findings.clear
        resolution = _resolved(request, findings, pool, image, rest=self._rest)
        widened = resolution.outcome is Outcome.NO_TARGET
        if widened:
            pool = range(len(findings.candidates))
            resolution = _resolved(request, findings, pool, image, rest=self._rest)
            if _asks_for_things(request):
                pool = _without_nested(findings, [pool[k] for k in resolution.chosen])
                resolution = _resolved(request, findings, pool, image, rest=self._rest)
        nouns = {" ".join(target.noun) for target in request.targets}
        label = nouns.pop() or None if len(nouns) == 1 else None
        prompts = tuple(replace(findings.candidates[pool[k]].prompt, label=label) for k in resolution.chosen)
        text = _text(request, findings, resolution, widened=widened and bool(resolution.chosen))
        return Answer(resolution.outcome, Prompts(image.frame, prompts), text=text)


def _resolved(request: Request, findings: Findings, pool: Sequence[int], image: Image, *, rest: bool) -> Resolution:
    colours = {colour for target in request.targets for colour in target.colours}
    chosen_from = [_weighed(findings.candidates[k], colours) for k in pool]
    return resolve(request, chosen_from, image.frame, recognises_nouns=False, rest=rest)


def _without_nested(findings: Findings, chosen: Sequence[int]) -> list[int]:
    """Drop candidates whose box shares more than half of the smaller one with that of a better one."""
    kept: list[int] = []
    for k in sorted(chosen, key=lambda k: -(findings.candidates[k].prompt.score or 0.0)):
        box = findings.candidates[k].prompt.box
        if not any(_share_of_smaller(box, findings.candidates[other].prompt.box) > 0.5 for other in kept):
            kept.append(k)
    return sorted(kept)


def _share_of_smaller(a: Box | None, b: Box | None) -> float:
    if a is None or b is None:
        return 0.0
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(0.0, width) * max(0.0, height) / smaller


def _weighed(candidate: Candidate, colours: set[str]) -> Candidate:
    """Let the score follow how much of a region has the colours asked for: it decides between what fits."""
    if not colours:
        return candidate
    share = sum(candidate.colours.get(colour, 0.0) for colour in colours)
    return replace(candidate, prompt=replace(candidate.prompt, score=(candidate.prompt.score or 0.0) * share))


def _asks_for_things(request: Request) -> bool:
    """Whether the choice needs regions that do not overlap: to count them or to put them in order."""
    return any(
        part.quantifier not in (Quantifier.THE, Quantifier.ANY) or part.ranked or bool(part.noun and part.orders)
        for target in request.targets
        for part in target.walk()
    )


def _with_shape(target: Target) -> Target:
    """Read "circle" and "disc" as "round thing": the only nouns that geometry can tell."""
    if target.noun and target.noun[-1].lower() in _ROUND_NOUNS:
        return replace(target, traits=(*target.traits, _ROUND))
    return target


def _text(request: Request, findings: Findings, resolution: Resolution, *, widened: bool) -> str:
    nouns = [f"'{' '.join(target.noun)}'" for target in request.targets if target.noun]
    unknown = [noun for noun in dict.fromkeys(nouns) if noun.strip("'").split()[-1].lower() not in _ROUND_NOUNS]
    parts = []
    if unknown:
        parts.append(
            f"I cannot recognise {' or '.join(unknown)}: I looked for regions that stand out from their surroundings "
            f"({len(findings.things)} apart from each other)."
        )
    parts.append(resolution.text)
    if widened:
        parts.append("Nothing fitted among the clearest regions, so fainter and nested ones were considered.")
    if resolution.outcome is Outcome.FAILED:
        return " ".join(parts)
    if resolution.unknown:
        parts.append(f"Not understood: {'; '.join(resolution.unknown)}.")
    if resolution.unmet:
        parts.append(f"Note: {'; '.join(resolution.unmet)}.")
    return " ".join(parts)


# -- a region as a candidate that phrases can choose -----------------------------------------------------


FULL_SIZE = 0.03
"""From this share of the picture on, a region's score is its distinctness; smaller ones score less."""


def as_candidate(image: Image, canvas: Canvas, region: Region) -> Candidate:
    """Measure a region of a canvas as a candidate in the pixels of the picture.

    A box and the inner point that is furthest from the outline; area and length; roundness, the area over that of the
    disc across its length; luminance and colours of its inside. The score is the distinctness, less for what covers
    less than 3 % of the picture.
    """
    mask = region.mask()
    left, top, right, bottom = region.box
    scale = np.array([canvas.scale_x, canvas.scale_y])
    area = float(mask.sum()) * canvas.scale_x * canvas.scale_y
    # The largest distance between two pixels' middles, and one pixel for their halves.
    hull = cv2.convexHull(((region.outline + 0.5) * scale).astype(np.float32)).reshape(-1, 2)
    length = float(np.linalg.norm(hull[:, None] - hull[None], axis=2).max()) + float(scale.max())
    brightness, colours = measure_colours(canvas.rgb[top:bottom, left:right][_core(mask)])
    depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    x1, y1, x2, y2 = (np.array([left, top, right, bottom]) * np.tile(scale, 2)).tolist()
    x, y = (np.array([left + column + 0.5, top + row + 0.5]) * scale).tolist()
    share = area / (image.width * image.height)
    return Candidate(
        Prompt(
            image.frame,
            box=(x1, y1, min(x2, image.frame.width), min(y2, image.frame.height)),
            points=((x, y),),
            score=float(min(1.0, region.distinctness * min(1.0, share / FULL_SIZE) ** 0.25)),
        ),
        area=area,
        length=length,
        roundness=min(1.0, area / (math.pi / 4 * length**2)),
        brightness=brightness,
        colours=colours,
    )


def _core(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Leave out the mixed colours of the rim, unless nothing much would be left."""
    core = cv2.erode(np.pad(mask, 1), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    return np.asarray(core if core.sum() * 4 >= mask.sum() else mask).astype(bool)
