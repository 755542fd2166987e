"""Dialects: how one model family writes coordinates as text, both ways."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompts
from fiducial.language.answers import Answer, Outcome
from fiducial.language.dialects.canvases import OwnSize, Sizing
from fiducial.language.parsing import Notes, Reading, to_answer


class Grammar(Protocol):
    """The text form of a dialect; it knows nothing of frames."""

    def write(self, prompts: Prompts, thinking: str) -> str:
        """Write prompts, already in the dialect's frame."""
        ...

    def read(self, text: str, notes: Notes) -> Reading:
        """Read whatever a model made of the form."""
        ...

    def read_strict(self, text: str) -> Reading:
        """Read the form itself, letter by letter; anything else is a problem."""
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one model family writes coordinates.

    Args:
        name: the dialect's name, such as ``"qwen2.5-vl"``.
        families: the model families that speak it: ``model_type`` of transformers, and everyday names.
        summary: one line on the form, and what it cannot hold.
        grammar: the text form.
        extent: the number at the image's right and bottom edge; None: pixels of the canvas.
        sizing: the size at which the model is shown the image.

    Example:
        >>> from fiducial.language.dialects import dialect
        >>> qwen = dialect("qwen2.5-vl")
        >>> qwen.canvas(640, 480)
        (644, 476)
        >>> answer = qwen.decode('[{"bbox_2d": [64, 48, 322, 238], "label": "ship"}]', qwen.frame(640, 480))
        >>> answer.to(Frame.pixels(640, 480)).prompts[0].label
        'ship'
    """

    name: str
    families: tuple[str, ...]
    summary: str
    grammar: Grammar
    extent: float | None = None
    sizing: Sizing = field(default_factory=OwnSize)

    def encode(self, prompts: Prompts, frame: Frame, *, thinking: str = "") -> str:
        """Write prompts as this model family would.

        Numbers are rounded to the dialect's step; a box thinner than one step is widened to it; boxes
        are clipped to the image. What the dialect cannot hold (see ``summary``) is left out. Scores
        are never written.

        Args:
            prompts: in any frame of the image.
            frame: the dialect's frame of that image, as :meth:`frame` gives it.
            thinking: goes between the thinking tags, where the dialect has them.

        Raises:
            GeometryError: a prompt cannot be written at all, such as a point in a dialect of boxes, or
                one that lies wholly outside the image.
            InputError: the thinking holds tags that would end it.
        """
        if any(mark in thinking.lower() for mark in ("<think", "</think", "<answer", "</answer")):
            raise InputError("the thinking holds a <think> or <answer> tag, which would end it")
        return self.grammar.write(prompts.to(frame), thinking)

    def decode(self, text: str, frame: Frame, *, strict: bool = False) -> Answer:
        """Read a reply; a reply of no use is an answer with an outcome that says so.

        Any text is read in time linear in its length, and nothing is ever raised for what it holds.

        Args:
            text: the whole reply.
            frame: the dialect's frame of the image that the model was shown.
            strict: accept exactly the dialect's form, from the first letter to the last (white space
                around it is free), as rewards need it; anything else is malformed, and ``text`` says why.
                Otherwise what models really write is mended, and every repair noted.

        Returns:
            The answer, its prompts in ``frame``. Numbers are clipped to the image, never rescaled. A strict
            reading clips too where the numbers are pixels of a canvas, but no number further past it than
            half of its extent, and elsewhere takes a number past the frame for a malformed reply.
        """
        notes = Notes()
        exact = self.grammar.read_strict(text)
        # What the exact form reads is never mended: only what breaks it is read again, tolerantly.
        reading = exact if strict or not exact.problem else self.grammar.read(text, notes)
        answer = to_answer(reading, frame, text, notes, strict=strict, clip=self.extent is None)
        if exact.problem and not answer.repairs and answer.outcome in (Outcome.FOUND, Outcome.NO_TARGET):
            # Nothing is mended without a word: where no repair was named, the exact form says what differs.
            return replace(answer, repairs=(f"not quite the form: {exact.problem}",))
        return answer

    def canvas(self, width: int, height: int, **limits: int) -> tuple[int, int]:
        """Return the size at which the model is really shown an image.

        Args:
            width: image width in pixels.
            height: image height in pixels.
            limits: other limits than the family's own: ``min_pixels``, ``max_pixels`` and ``factor``
                for the Qwen dialects, ``side`` for those that squash to a square.

        Returns:
            Width and height in pixels.

        Raises:
            InputError: a size that is not positive, an unknown limit, or an image that is too narrow.
        """
        if width <= 0 or height <= 0:
            raise InputError(f"an image needs a positive size, got {width} x {height}")
        return self.sizing.limited(limits).size(width, height)

    def frame(self, width: int, height: int, canvas: tuple[int, int] | None = None) -> Frame:
        """Return the frame in which this family writes coordinates of an image.

        Args:
            width: image width in pixels.
            height: image height in pixels.
            canvas: width and height of what the model is shown; default: what :meth:`canvas` says.
        """
        if self.extent is not None:
            return Frame.thousand(self.extent)
        return Frame.canvas(*(canvas or self.canvas(width, height)))

    def named(self, name: str) -> Dialect:
        """Return the same dialect under another name."""
        return replace(self, name=name)
