"""The pipeline: instruction and image in, coordinates between, masks out."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from fiducial.contracts import (
    Embedding,
    MaskRefiner,
    Overlay,
    Prompter,
    PromptRefiner,
    Refinement,
    ReportingMaskRefiner,
    ReportingPromptRefiner,
    Segmenter,
)
from fiducial.errors import GeometryError, InputError, ModelError
from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.geometry.prompts import fractions_note
from fiducial.images import DEFAULT_MAX_PIXELS, Image, list_images, read_image
from fiducial.language import Answer, Outcome
from fiducial.language.answers import check_instruction
from fiducial.results import Segmentation
from fiducial.streams import in_chunks, one_ahead

ImageLike = Image | str | Path | ArrayLike
"""A picture: a file, an Image, or an array or tensor as :meth:`fiducial.Image.from_array` takes it."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """A picture, what was asked about it, the answer in its pixels, and the seconds that asking took."""

    picture: Image
    instruction: str
    answer: Answer
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Puts a prompter, a segmenter and what goes between them in a row.

    Args:
        segmenter: image and prompts to masks; without one the masks are those that the prompter drew itself.
        prompter: instruction and image to prompts; without one only :meth:`cut` works.
        overlays: drawn onto the image, in order, for the prompter's eyes; where the prompter has a ``canvas``
            (width, height), the image is first stretched to it, by its ``resample``.
        prompt_refiners: applied to the prompts, in order, before cutting.
        mask_refiners: applied to each mask, in order, after cutting.
        name: what to call this combination in results.
        overlay_for_segmenter: let the segmenter see the overlays too (lines under a segmenter can
            hurt its masks; the SJTU paper does it).
        explain: let the refiners draw pictures of their work (see ``Segmentation.save_pictures``).

    Example:
        >>> import numpy as np
        >>> from fiducial.prompters.classic import ClassicPrompter
        >>> from fiducial.segmenters.grabcut import GrabCutSegmenter
        >>> picture = np.full((60, 80, 3), 40, dtype=np.uint8)
        >>> picture[20:40, 10:30] = (200, 30, 30)
        >>> pipe = Pipeline(prompter=ClassicPrompter(), segmenter=GrabCutSegmenter())
        >>> pipe(picture, "the red square").outcome.value
        'found'
    """

    segmenter: Segmenter | None = None
    prompter: Prompter | None = None
    overlays: tuple[Overlay, ...] = ()
    prompt_refiners: tuple[PromptRefiner, ...] = ()
    mask_refiners: tuple[MaskRefiner, ...] = ()
    name: str = ""
    overlay_for_segmenter: bool = False
    explain: bool = False

    def __post_init__(self) -> None:
        if self.segmenter is None and self.prompt_refiners:
            raise InputError("prompt refiners change nothing without a segmenter that cuts by the prompts: name one")

    def __call__(self, image: ImageLike, instruction: str) -> Segmentation:
        """Segment one image.

        Args:
            image: a file, an array or tensor (see ``Image.from_array``), or an Image.
            instruction: what to segment, in words.

        Returns:
            Prompts and masks in pixels of the original image; look at ``outcome`` before ``masks``.

        Raises:
            InputError: the image cannot be read, or the instruction is empty or too long.
        """
        return self.segment([image], [instruction])[0]

    def segment(self, images: Sequence[ImageLike], instructions: str | Sequence[str]) -> list[Segmentation]:
        """Segment several images; each distinct image is encoded once, however often it comes.

        Args:
            images: files, arrays or Images.
            instructions: one per image, or one for all.

        Returns:
            One result per image, in order. Where a model failed the outcome is ``failed`` and
            the text says why.

        Raises:
            InputError: as for one image, or another number of instructions than of images.
        """
        words = [instructions] * len(images) if isinstance(instructions, str) else list(instructions)
        if len(words) != len(images):
            raise InputError(f"{len(images)} images need as many instructions, got {len(words)}")
        prompter = self._asked()
        words = [check_instruction(text) for text in words]
        return list(self._cut_all(self._answered(prompter, [as_image(image) for image in images], words)))

    def stream(
        self,
        images: str | Path | Iterable[ImageLike],
        instructions: str | Iterable[str],
        *,
        on_error: Callable[[ImageLike, InputError], None] | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> Iterator[Segmentation]:
        """Segment pictures one after the other; results come as they are done, in the order of the pictures.

        A picture that cannot be read loses nothing but itself. Only a few are held at once, so there may be any number.
        A model in this process is asked about as many together as its ``batch_size`` says. A prompter behind an
        endpoint answers as many together as its ``concurrency`` says, while the answers before are cut.

        Args:
            images: a folder, a file, or any number of files, arrays or Images, which may be made as they are asked for.
            instructions: one per image, or one for all.
            on_error: is given each picture that cannot be read, in its turn, and why; None warns.
            max_pixels: refuse larger files before decoding.

        Raises:
            InputError: an instruction that is empty or too long, more pictures than instructions, or no prompter.

        Example:
            >>> import warnings
            >>> import numpy as np
            >>> from fiducial.prompters.classic import ClassicPrompter
            >>> from fiducial.segmenters.grabcut import GrabCutSegmenter
            >>> pipe = Pipeline(prompter=ClassicPrompter(), segmenter=GrabCutSegmenter())
            >>> picture = np.full((60, 80, 3), 40, dtype=np.uint8)
            >>> picture[20:40, 10:30] = (200, 30, 30)
            >>> lost = []
            >>> results = pipe.stream([picture, "gone.png"], "the red square", on_error=lambda *one: lost.append(one))
            >>> [result.outcome.value for result in results], len(lost)
            (['found'], 1)
        """
        prompter = self._asked()
        if isinstance(instructions, str):
            check_instruction(instructions)
        given = list_images([images]) if isinstance(images, (str, Path)) else images
        return self._streamed(prompter, _paired(given, instructions), on_error or _warn, max_pixels)

    def _streamed(
        self,
        prompter: Prompter,
        pairs: Iterator[tuple[ImageLike, str]],
        on_error: Callable[[ImageLike, InputError], None],
        max_pixels: int,
    ) -> Iterator[Segmentation]:
        waits = getattr(prompter, "concurrency", 0)  # for a network, where asking and cutting can go on together

        def answered(some: list[tuple[ImageLike, str]]) -> tuple[list[_Answered], dict[int, InputError]]:
            """Ask about those pictures that can be read; the places of the others come with the reasons."""
            lost: dict[int, InputError] = {}
            pictures, words = [], []
            for place, (image, text) in enumerate(some):
                try:
                    pictures.append(as_image(image, max_pixels=max_pixels))
                    words.append(text)
                except InputError as error:
                    lost[place] = error
            return self._answered(prompter, pictures, words), lost

        chunks = in_chunks(pairs, waits or getattr(prompter, "batch_size", 1))
        every = one_ahead(answered, chunks) if waits else ((one, answered(one)) for one in chunks)
        with contextlib.closing(every) as done:
            for some, (answers, lost) in done:
                results = self._cut_all(answers)
                for place, (image, _) in enumerate(some):
                    if place in lost:
                        on_error(image, lost[place])
                    else:
                        yield next(results)

    def _asked(self) -> Prompter:
        if self.prompter is None:
            raise InputError("this pipeline has no prompter: it can cut(image, prompts), not segment by instruction")
        return self.prompter

    def _answered(self, prompter: Prompter, pictures: list[Image], words: list[str]) -> list[_Answered]:
        """Ask the prompter about pictures, with what is drawn for its eyes; the answers are in their pixels."""
        # Overlays are drawn on what the prompter looks at: lines drawn before it shrinks a picture would blur.
        canvas = getattr(prompter, "canvas", None) if self.overlays else None
        how: Any = getattr(prompter, "resample", "lanczos")
        shown = [self._draw(picture.stretched(canvas, how) if canvas else picture) for picture in pictures]
        started = time.perf_counter()
        answers = _ask(prompter, shown, words) if shown else []
        asking = (time.perf_counter() - started) / max(len(words), 1)
        for seen, answer in zip(shown, answers, strict=True):
            seen.frame.require(answer.prompts.frame, "the answer's prompts")
        triples = zip(pictures, words, answers, strict=True)
        return [_Answered(picture, text, answer.to(picture.frame), asking) for picture, text, answer in triples]

    def _cut_all(self, answers: Sequence[_Answered]) -> Iterator[Segmentation]:
        """Cut what was answered, one after the other; each distinct picture is encoded once."""
        targets = [self._draw(one.picture) if self.overlay_for_segmenter else one.picture for one in answers]
        uses = Counter(target.digest for target in targets)
        embeddings: dict[str, Embedding] = {}
        for one, target in zip(answers, targets, strict=True):
            yield self._finish(one.picture, target, one.instruction, one.answer, one.seconds, embeddings)
            uses[target.digest] -= 1
            if not uses[target.digest]:
                embeddings.pop(target.digest, None)  # features are large: keep them no longer than needed

    def cut(self, image: ImageLike, prompts: Prompts, instruction: str = "") -> Segmentation:
        """Cut masks from given coordinates, without asking a prompter.

        Args:
            image: a file, an array or an Image.
            prompts: in any frame of this image; boxes that reach past it are clipped.
            instruction: words to keep with the result.

        Returns:
            The masks; ``answer.repairs`` says so where the coordinates look like fractions of a frame of pixels.

        Raises:
            InputError: a box or point that lies wholly outside the image, or no segmenter.
        """
        if self.segmenter is None:
            raise InputError(
                f"{self.name or 'this pipeline'} has no segmenter, as its prompter draws the masks itself: "
                "name one to cut by coordinates"
            )
        picture = as_image(image)
        given = prompts.to(picture.frame)
        fitted, notes = given.fitted()
        if len(fitted) < len(given) or any(len(a.points) < len(b.points) for a, b in zip(fitted, given, strict=True)):
            raise GeometryError(f"{picture.name}: {notes[0]} (the image is {picture.width} x {picture.height} pixels)")
        outcome = Outcome.FOUND if len(given) else Outcome.NO_TARGET
        said = fractions_note(prompts.frame, prompts.numbers)
        answer = Answer(outcome, given, text="coordinates given by the caller", repairs=(said,) if said else ())
        return self._finish(picture, picture, instruction, answer, 0.0, {})

    def _draw(self, picture: Image) -> Image:
        for overlay in self.overlays:
            drawn = overlay(picture)
            picture.frame.require(drawn.frame, "what an overlay drew")
            picture = drawn
        return picture

    def _finish(
        self,
        picture: Image,
        target: Image,
        instruction: str,
        answer: Answer,
        asking: float,
        embeddings: dict[str, Embedding],
    ) -> Segmentation:
        fitted, notes = answer.prompts.fitted()
        answer = replace(answer, prompts=fitted, repairs=answer.repairs + notes)
        if answer.outcome is Outcome.FOUND and not len(fitted):
            answer = replace(answer, outcome=Outcome.MALFORMED, text=notes[0] if notes else answer.text)
        seconds = {"prompt": asking, "encode": 0.0, "decode": 0.0, "refine": 0.0}
        prompts = fitted
        masks: tuple[Mask, ...] = ()
        steps_of: list[list[Refinement]] = [[] for _ in fitted]
        if len(fitted):
            try:
                prompts, masks = self._cut(picture, target, fitted, answer.masks, embeddings, seconds, steps_of)
            except ModelError as error:
                answer = replace(answer, outcome=Outcome.FAILED, text=str(error))
        seconds["total"] = sum(seconds.values())
        return Segmentation(
            image=picture,
            instruction=instruction,
            answer=answer,
            masks=masks,
            prompts=prompts if masks else Prompts(picture.frame),
            recipe=self.name,
            seconds=seconds,
            refinements=tuple(map(tuple, steps_of)) if masks else (),
        )

    def _cut(
        self,
        picture: Image,
        target: Image,
        prompts: Prompts,
        drawn: tuple[Mask, ...],
        embeddings: dict[str, Embedding],
        seconds: dict[str, float],
        steps_of: list[list[Refinement]],
    ) -> tuple[Prompts, tuple[Mask, ...]]:
        clock = _Clock(seconds)
        for refiner in self.prompt_refiners:
            prompts = _refine_prompts(refiner, picture, prompts, self.explain, steps_of)
        clock.lap("refine")
        if self.segmenter is None or (drawn and getattr(self.prompter, "keeps_masks", False)):
            masks = list(drawn)
        else:
            if target.digest not in embeddings:
                embeddings[target.digest] = self.segmenter.encode(target)
            clock.lap("encode")
            masks = self.segmenter.decode(embeddings[target.digest], prompts)
        if len(masks) != len(prompts):
            who = "prompter drew" if self.segmenter is None else "segmenter returned"
            raise ModelError(f"the {who} {len(masks)} masks for {len(prompts)} prompts")
        clock.lap("decode")
        for better in self.mask_refiners:
            masks = [
                _refine_mask(better, picture, mask, prompt, self.explain, steps)
                for mask, prompt, steps in zip(masks, prompts, steps_of, strict=True)
            ]
        clock.lap("refine")
        return prompts, tuple(masks)


def _refine_prompts(
    refiner: PromptRefiner, picture: Image, prompts: Prompts, explain: bool, steps_of: list[list[Refinement]]
) -> Prompts:
    """Run one prompt refiner; what it tells goes to the end of each target's list."""
    refinements: tuple[Refinement, ...] = ()
    if isinstance(refiner, ReportingPromptRefiner):
        refined, refinements = refiner.report(picture, prompts, pictures=explain)
        if len(refinements) != len(prompts):
            raise ModelError(f"a prompt refiner reported on {len(refinements)} prompts, it was given {len(prompts)}")
    else:
        refined = refiner(picture, prompts)
    picture.frame.require(refined.frame, "refined prompts")
    if len(refined) != len(prompts):
        raise ModelError(f"a prompt refiner returned {len(refined)} prompts for {len(prompts)}")
    for steps, refinement in zip(steps_of, refinements, strict=False):  # nothing was reported, or one thing per target
        steps.append(refinement)
    return refined


def _refine_mask(
    refiner: MaskRefiner, picture: Image, mask: Mask, prompt: Prompt, explain: bool, steps: list[Refinement]
) -> Mask:
    """Run one mask refiner; what it tells goes to the end of the target's list."""
    if not isinstance(refiner, ReportingMaskRefiner):
        return refiner(picture, mask, prompt)
    refined, refinement = refiner.report(picture, mask, prompt, pictures=explain)
    steps.append(refinement)
    return refined


def _ask(prompter: Prompter, images: list[Image], instructions: list[str]) -> list[Answer]:
    try:
        answers = prompter.ask(images, instructions)
    except ModelError as error:
        if len(images) == 1 or error.for_all:
            return [Answer(Outcome.FAILED, Prompts(image.frame), text=str(error)) for image in images]
        # One picture that is too much for the model is no reason to lose the others.
        pairs = zip(images, instructions, strict=True)
        return [answer for image, text in pairs for answer in _ask(prompter, [image], [text])]
    if len(answers) != len(images):
        raise ModelError(f"the prompter gave {len(answers)} answers for {len(images)} images")
    return answers


class _Clock:
    """Adds the time since the last lap to a stage."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._seconds[stage] += now - self._last
        self._last = now


def as_image(image: ImageLike, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image:
    """Return an Image of a file, an array, a tensor or an Image; of files no more than ``max_pixels`` are decoded.

    Raises:
        ImageError: it cannot be read, or is no picture.
    """
    if isinstance(image, Image):
        return image
    if isinstance(image, (str, Path)):
        return read_image(image, max_pixels=max_pixels)
    return Image.from_array(image)


# -- streams ------------------------------------------------------------------------------------------


def _paired(images: Iterable[ImageLike], instructions: str | Iterable[str]) -> Iterator[tuple[ImageLike, str]]:
    if isinstance(instructions, str):
        yield from ((image, instructions) for image in images)
        return
    words = iter(instructions)
    for number, image in enumerate(images):
        text = next(words, None)
        if text is None:
            raise InputError(f"more than {number} image{'' if number == 1 else 's'}, but only so many instructions")
        yield image, check_instruction(text)


def _warn(image: ImageLike, error: InputError) -> None:
    warnings.warn(str(error), stacklevel=3)
