"""Dialects: how one model family writes coordinates as text, both ways."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompts
from fiducial.language.answers import Answer, Outcome
from fiducial.language.dialects.answering import ParsedReply, to_answer
from fiducial.language.dialects.exact import NotExact
from fiducial.language.dialects.replies import MAX_CHARACTERS, Notes, Reply, split_reply

MAX_ASPECT = 200
"""The largest ratio of the sides that Qwen's processors take."""


@dataclass(frozen=True)
class Sizing:
    """Which size a model is shown: the image's own, unless a subclass has another rule."""

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height in pixels of what the model sees."""
        return width, height


@dataclass(frozen=True)
class Square(Sizing):
    """The image is squashed to a square of ``side`` pixels, whatever its aspect."""

    side: int

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the square's size."""
        return self.side, self.side


@dataclass(frozen=True)
class SmartResize(Sizing):
    """Qwen's rule, ``smart_resize`` in transformers: an area within bounds, the aspect nearly kept.

    Both sides are multiples of ``factor``, patch size times merge size.
    """

    factor: int
    min_pixels: int
    max_pixels: int

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the size to which the processor resizes; one side may be 200 times the other at most."""
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise InputError(
                f"a {width} x {height} image is too narrow: Qwen's processors take sides up to 1 : {MAX_ASPECT}; cut it"
            )
        new_width, new_height = (round(side / self.factor) * self.factor for side in (width, height))
        if new_width * new_height > self.max_pixels:
            shrink = math.sqrt(width * height / self.max_pixels)
            new_width, new_height = (
                max(self.factor, math.floor(side / shrink / self.factor) * self.factor) for side in (width, height)
            )
        elif new_width * new_height < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (width * height))
            new_width, new_height = (math.ceil(side * grow / self.factor) * self.factor for side in (width, height))
        return new_width, new_height


class Grammar(Protocol):
    """The text form of a dialect; it knows nothing of frames."""

    @property
    def single(self) -> bool:
        """Whether an answer names one target: of several answers the last counts then."""

    @property
    def closing(self) -> str:
        """What every exact reply ends with and holds nowhere else, or "" where the form has no such text."""

    def write(self, prompts: Prompts, thinking: str) -> str:
        """Write prompts, already in the dialect's frame."""

    def read(self, reply: Reply, notes: Notes) -> ParsedReply:
        """Read whatever a model made of the form; thinking and its tags are taken off already."""

    def read_strict(self, text: str) -> ParsedReply:
        """Read the form itself, letter by letter, or raise NotExact."""

    def end(self, text: str) -> int | None:
        """Return where an exact reply with which the text begins would end so that no longer one is exact, or None.

        Whether it is exact is for :meth:`read_strict` to say; the time is linear in the text's length.
        """


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one model family writes coordinates.

    Args:
        name: such as ``"qwen2.5-vl"``.
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
    sizing: Sizing = Sizing()

    def encode(self, prompts: Prompts, frame: Frame, *, thinking: str = "") -> str:
        """Write prompts, in any frame of the image, as this model family would.

        Numbers are rounded to the dialect's step; a box thinner than one step is widened to it; boxes
        are clipped to the image. What the dialect cannot hold (see ``summary``) and scores are left out.

        Args:
            prompts: in any frame of the image.
            frame: the dialect's frame of that image, as :meth:`frame` gives it.
            thinking: goes between the thinking tags, where the dialect has them.

        Raises:
            GeometryError: a prompt cannot be written at all, such as a point in a dialect of boxes, or
                one that lies wholly outside the image.
        """
        if any(mark in thinking.lower() for mark in ("<think", "</think", "<answer", "</answer")):
            raise InputError("the thinking holds a <think> or <answer> tag, which would end it")
        return self.grammar.write(prompts.to(frame), thinking)

    def decode(self, text: str, frame: Frame, *, strict: bool = False) -> Answer:
        """Read a whole reply in time linear in its length; nothing is ever raised for what it holds.

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
        parsed = exact = self._read_strict(text)
        answer = to_answer(exact, frame, text, Notes(), strict=True, clip=self.extent is None)
        if strict or answer.outcome is not Outcome.MALFORMED:
            return answer  # what the exact form reads is never mended
        notes = Notes()
        if exact.problem:
            reply = split_reply(text, notes, single=self.grammar.single)
            parsed = self.grammar.read(reply, notes)
            parsed.thinking, parsed.cut_off = reply.thinking, parsed.cut_off or reply.cut_off
        answer = to_answer(parsed, frame, text, notes)
        if exact.problem and not answer.repairs and answer.outcome in (Outcome.FOUND, Outcome.NO_TARGET):
            # Nothing is mended without a word: where no repair was named, the exact form says what differs.
            return replace(answer, repairs=(f"not quite the form: {exact.problem}",))
        return answer

    @property
    def closing(self) -> str:
        """What every exact reply ends with and holds nowhere else, such as ``</answer>``; "" where there is nothing so.

        A bracket is none: the first closing bracket of a list need not be its last.
        """
        return self.grammar.closing

    def end(self, text: str) -> int | None:
        """Return the character behind which a reply needs nothing more, or None while it does.

        That is the earliest place up to which the text is exact, as ``strict`` reads it, and from which on nothing but
        white space could follow without spoiling it: behind ``</answer>`` where the form has tags, behind the
        outermost list or its fence elsewhere. Forms that may always go on, such as tagged boxes one after the other,
        end nowhere, unless they say that there is nothing. A reply that differs from the form ends nowhere either:
        what follows may be a part of the answer. Drafts in the thinking are no answers.

        Example:
            >>> from fiducial.language.dialects import dialect
            >>> text = "[[0.1, 0.2, 0.3, 0.4]] is the ship."
            >>> text[: dialect("sjtu").end(text)]
            '[[0.1, 0.2, 0.3, 0.4]]'
            >>> dialect("sjtu").end("[0.1, 0.2, 0.3, 0.4], [0.5") is None  # a list around them was forgotten
            True
        """
        end = self.grammar.end(text)
        return None if end is None or self._read_strict(text[:end]).problem else end

    def _read_strict(self, text: str) -> ParsedReply:
        try:
            if len(text) > MAX_CHARACTERS:
                raise NotExact(f"the reply is longer than {MAX_CHARACTERS} characters")
            return self.grammar.read_strict(text.strip())
        except NotExact as error:
            return ParsedReply(problem=str(error))

    def canvas(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height in pixels at which the model is really shown an image."""
        if width <= 0 or height <= 0:
            raise InputError(f"an image needs a positive size, got {width} x {height}")
        return self.sizing.size(width, height)

    def frame(self, width: int, height: int, canvas: tuple[int, int] | None = None) -> Frame:
        """Return the frame in which this family writes coordinates of an image, shown at ``canvas`` (width, height)."""
        if self.extent is not None:
            return Frame.thousand(self.extent)
        return Frame.canvas(*(canvas or self.canvas(width, height)))
