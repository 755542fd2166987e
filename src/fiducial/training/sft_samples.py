"""What a vision-language model is to answer: any dataset's samples as questions and answers in a dialect, or in words.

The answer is the text of :meth:`fiducial.language.dialects.Dialect.encode`, in the frame of what the model is shown; so
:func:`fiducial.prompters.showing.read_reply` reads the truth back from it. Where nothing is meant, it is the dialect's
word for that. Between thinking tags stands how the choice is made and where things lie, in the resolver's words.

A question whose answer is a choice among words is put as :class:`fiducial.contracts.Conversational` prompters put it:
its own words and nothing else, no overlay, no template.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fiducial.config import build
from fiducial.contracts import Overlay
from fiducial.datasets import Sample
from fiducial.datasets.sample import Choice
from fiducial.errors import FiducialError, InputError
from fiducial.evaluation.prompting import TruthPrompts
from fiducial.geometry import Box, Frame, Prompt, Prompts
from fiducial.images import Image
from fiducial.language.dialects import Dialect
from fiducial.language.dialects import dialect as dialect_named
from fiducial.language.dialects.json_grammar import JsonGrammar
from fiducial.language.dialects.point_grammar import MolmoGrammar
from fiducial.language.phrases import Resolution
from fiducial.language.phrases.places import where
from fiducial.prompters.showing import Picture, ServerSizing, Size, canvas_for
from fiducial.prompters.templates import PromptTemplate, clean_instruction, control_words, read_template
from fiducial.training.augmentation import SampleInContext
from fiducial.training.sft_configs import AnswerConfig

Show = Callable[[Image], tuple[Picture, Size]]
"""An image in; the picture for a model's image processor and the (width, height) at which the model sees it out."""
_AREAS = re.compile(r" \([^()]*square pixels\)")
"""What the resolver says of areas: nobody can read pixels of the original image off a picture that was resized."""
_NOTHING = "The picture shows nothing of the kind."


class NoAnswerError(InputError):
    """A dialect that cannot hold what a sample means."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One question and its answer.

    Args:
        id: of the sample.
        instruction: what is asked for, without control words.
        image: what the overlays were drawn on; prompts are in its pixels.
        picture: what the model's image processor is given.
        canvas: the (width, height) at which the model sees it.
        system: the system's turn, or "".
        user: the user's turn.
        answer: what the model is to write.
        prompts: the truth, in pixels of ``image``; none where the answer is words.
        choice: what the answer in words is chosen from.
    """

    id: str
    instruction: str
    image: Image
    picture: Picture
    canvas: Size
    system: str
    user: str
    answer: str
    prompts: Prompts
    choice: Choice | None = None

    def frame(self, dialect: Dialect) -> Frame:
        """Return the frame of the numbers in the answer: that of the whole picture, padding and all."""
        return dialect.frame(*self.picture.shape, self.canvas)


class ExampleWriter:
    """Makes examples of samples.

    Args:
        config: how questions are put and answers written.
        show: what the model is shown of an image; default: as one behind a server is, which sees what a file holds.

    Raises:
        InputError: limits of the canvas that leave no size, or a part that does not exist.
    """

    def __init__(self, config: AnswerConfig, show: Show | None = None) -> None:
        self.config, self.dialect = config, dialect_named(config.dialect)
        self.template: PromptTemplate = read_template(config.template or self.dialect.name)
        self.canvas = canvas_for(config.canvas, self.dialect)
        self.overlays: Sequence[Overlay] = [build(one) for one in config.overlays]
        self._show = show or self._as_a_server()
        self.points, self.negatives = points_written(self.dialect)
        self._has_thinking = bool(getattr(self.dialect.grammar, "tags", False))

    def _as_a_server(self) -> Show:
        sizing = ServerSizing(self.dialect, self.config.canvas, self.config.min_pixels, self.config.max_pixels)

        def show(image: Image) -> tuple[Picture, Size]:
            picture = sizing.picture(image)
            return picture, picture.size

        return show

    def write(self, item: SampleInContext, seed: int = 0) -> Example:
        """Make the example of a sample; points on targets are drawn by the seed, the first lies deepest inside.

        Raises:
            NoAnswerError: the dialect cannot hold the answer: points of a dataset that has boxes only, several targets
                where it has room for one.
        """
        sample = item.sample
        if sample.choice is not None:
            return self._in_words(sample, sample.choice)
        image = self._drawn(sample.image())
        picture, canvas = self._show(image)
        instruction, _ = clean_instruction(sample.instruction, control_words(sample.instruction), sample.id)
        system, user = self.template.fill(instruction, canvas)
        try:
            prompts = self._truth(sample, seed).to(image.frame)
            # The picture's extent counts in pixels of the image, so only the corners change, not the numbers.
            seen = Prompts(picture.extent, tuple(replace(one, frame=picture.extent) for one in prompts))
            if self.config.whole_pixels:
                seen = on_whole_pixels(seen, canvas)
            frame = self.dialect.frame(*picture.shape, canvas)
            thinking = explanation(item) if self.config.thinking and self._has_thinking else ""
            answer = self.dialect.encode(seen, frame, thinking=thinking)
        except FiducialError as error:
            raise NoAnswerError(f"sample {sample.id}: no answer in dialect {self.dialect.name!r}: {error}") from None
        return Example(sample.id, instruction, image, picture, canvas, system, user, answer, prompts)

    def _in_words(self, sample: Sample, choice: Choice) -> Example:
        image = sample.image()
        picture, canvas = self._show(image)
        words, _ = clean_instruction(sample.instruction, control_words(sample.instruction), sample.id)
        none = Prompts(image.frame)
        return Example(sample.id, words, image, picture, canvas, "", words, choice.reply, none, choice)

    def _drawn(self, image: Image) -> Image:
        # As the pipeline does: lines drawn before a picture shrinks would blur.
        if self.overlays and self.canvas:
            image = image.stretched(self.canvas)
        for overlay in self.overlays:
            image = overlay(image)
        return image

    def _truth(self, sample: Sample, seed: int) -> Prompts:
        source = TruthPrompts(points=self.points, negatives=self.negatives, seed=seed)
        prompts = source(sample).prompts
        return Prompts(prompts.frame, tuple(self._with_enough_points(one) for one in left_to_right(prompts)))

    def _with_enough_points(self, prompt: Prompt) -> Prompt:
        """Repeat the last point of a target that has fewer pixels than the dialect wants points."""
        missing = self.points - len(prompt.positive_points)
        if missing <= 0 or not prompt.positive_points:
            return prompt
        return prompt.with_points(prompt.positive_points[-1:] * missing)


def on_whole_pixels(prompts: Prompts, canvas: Size) -> Prompts:
    """Move boxes and points of a picture to the nearest whole pixels of the (width, height) at which it is seen.

    A box stays at least a pixel wide and high.
    """
    seen = prompts.to(Frame.pixels(*canvas))
    moved = []
    for one in seen:
        box = one.box
        if box is not None:
            x1, y1 = min(round(box[0]), canvas[0] - 1), min(round(box[1]), canvas[1] - 1)
            box = (float(x1), float(y1), float(max(round(box[2]), x1 + 1)), float(max(round(box[3]), y1 + 1)))
        points = tuple((float(round(x)), float(round(y))) for x, y in one.points)
        moved.append(replace(one, box=box, points=points))
    return Prompts(seen.frame, tuple(moved)).to(prompts.frame)


def left_to_right(prompts: Iterable[Prompt]) -> list[Prompt]:
    """Order prompts by the middle of their boxes, from the left: the order of a dataset cannot be seen in a picture."""
    return sorted(prompts, key=lambda one: (0.0, 0.0) if one.box is None else (one.box[0] + one.box[2], one.box[1]))


def points_written(dialect: Dialect) -> tuple[int, int]:
    """Return how many positive and negative points the dialect writes for each target."""
    grammar: Any = dialect.grammar
    if isinstance(grammar, MolmoGrammar):
        return 1, 0
    keys = grammar.points if isinstance(grammar, JsonGrammar) and not grammar.either else ()
    positive, negative = (sum(key.count for key in keys if key.kind == kind) for kind in (1, 0))
    return positive, negative


def explanation(item: SampleInContext) -> str:
    """Say in plain words how the targets are chosen, where the resolver chooses the same, and where they lie.

    Example:
        >>> from fiducial.datasets import open_dataset
        >>> from fiducial.training.augmentation import in_context
        >>> explanation(in_context(open_dataset("scenes:shapes?count=1&seed=3"), 0))  # doctest: +ELLIPSIS
        'Chose ...'
    """
    boxes = [prompt.box for prompt in item.sample.prompts() if prompt.box is not None]
    return explained(item.resolution(), boxes, item.sample.frame)


def explained(found: Resolution | None, boxes: Sequence[Box], frame: Frame) -> str:
    """Say how the resolver chose, if it chose these boxes, and where they lie in a frame of the picture."""
    chosen = _AREAS.sub("", found.text) if found is not None else ""
    return " ".join(filter(None, [chosen, where(boxes, frame)])) or _NOTHING


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed of an epoch's draws of points."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
