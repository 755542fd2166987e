"""What a model is shown of an image, what it replied, and which numbers then mean which place in the image."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompts, boxes
from fiducial.images import Image
from fiducial.images.image import Resample, pad
from fiducial.language.answers import Answer, Outcome
from fiducial.language.dialects import Dialect, SmartResize, Square

Colour = tuple[int, int, int]
Size = tuple[int, int]

MAX_PATCHES = 1280
"""Patches of a picture for a server, at most, unless asked otherwise: the bound that Qwen's own examples set."""
_FACTORS = (28, 32)
_MAX_SERVER_ASPECT = 100.0
"""Half of what Qwen's processors take: rounding to whole patches may double the ratio of the sides."""
_SERVER_PADDING: Colour = (122, 116, 104)
"""The mean colour of the pictures that CLIP and most vision towers after it were trained on."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """The image, the instruction without control tokens, and notes on what was taken out of it."""

    image: Image
    instruction: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What is handed to a model's image processor."""

    pixels: NDArray[np.uint8]  # (h, w, 3) RGB
    extent: Frame  # where its corners lie in pixels of the original image; with padding it reaches past the image
    forced: bool = False  # whether it was stretched to a canvas that the caller asked for

    @property
    def size(self) -> Size:
        """(width, height) of ``pixels``."""
        return int(self.pixels.shape[1]), int(self.pixels.shape[0])

    @property
    def shape(self) -> Size:
        """(width, height) of the picture in pixels of the original image, padding and all."""
        return round(self.extent.width), round(self.extent.height)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote."""

    text: str  # letter by letter; box marks and the like are in it
    finished: bool = True  # it came to its end, rather than to the limit of tokens
    thinking: str = ""  # what a server kept apart as the model's reasoning


def read_reply(
    reply: Reply, dialect: Dialect, picture: Picture, seen: Size, question: Question, suppress: float | None, limit: str
) -> Answer:
    """Read what a model that saw a picture at a size of (width, height) wrote into an answer in pixels of the image.

    ``suppress`` is the IoU above which a box goes that overlaps a larger one, None keeps all; ``limit`` names what cut
    a reply that is not finished.
    """
    # Read in the frame of the picture, padding and all: that is what the model saw.
    answer = dialect.decode(reply.text, dialect.frame(*picture.shape, seen))
    if suppress is not None:
        answer = without_duplicates(answer, suppress)
    answer = on_image(answer, picture, question.image)
    thinking = "\n\n".join(filter(None, (reply.thinking, answer.thinking)))
    answer = replace(answer, thinking=thinking, repairs=question.notes + answer.repairs)
    if reply.finished:
        return answer
    return replace(answer, outcome=Outcome.TRUNCATED, repairs=(*answer.repairs, f"the reply was cut at {limit}"))


def without_duplicates(answer: Answer, threshold: float) -> Answer:
    """Drop prompts whose box overlaps a larger one by more than ``threshold`` IoU, as Think2Seg-RS does.

    The others keep their order; those without a box stay. ``repairs`` says how many went.
    """
    boxed = {place: prompt.box for place, prompt in enumerate(answer.prompts) if prompt.box is not None}
    places = list(boxed)
    lost = set(places) - {places[row] for row in boxes.nms_by_area(list(boxed.values()), threshold)} if boxed else set()
    if not lost:
        return answer
    left = tuple(prompt for place, prompt in enumerate(answer.prompts) if place not in lost)
    note = f"dropped {len(lost)} of {len(boxed)} boxes that overlap a larger one by more than {threshold:g} IoU"
    return replace(answer, prompts=Prompts(answer.prompts.frame, left), repairs=(*answer.repairs, note))


def on_image(answer: Answer, picture: Picture, image: Image) -> Answer:
    """Bring an answer about a picture onto the image that the picture shows.

    Boxes that reach into the padding are clipped to the image, what lies in the padding alone goes, and ``repairs``
    says so; where nothing is left of what was found, the outcome is ``malformed``.
    """
    placed = answer.to(picture.extent)
    if picture.extent == image.frame:
        return placed
    # The picture's extent counts in pixels of the image, so only the corners change, not the numbers.
    kept, notes = Prompts(image.frame, tuple(replace(prompt, frame=image.frame) for prompt in placed.prompts)).fitted()
    lost = answer.outcome is Outcome.FOUND and not kept
    return replace(
        placed,
        outcome=Outcome.MALFORMED if lost else answer.outcome,
        prompts=kept,
        text="every target lies in the padding, outside the image" if lost else answer.text,
        repairs=answer.repairs + notes,
    )


# -- pictures -------------------------------------------------------------------------------------------


def canvas_for(canvas: Size | None, dialect: Dialect) -> Size | None:
    """Return the (width, height) to which images are stretched: as asked, else the dialect's square, else None."""
    if canvas is None and isinstance(dialect.sizing, Square):
        return dialect.sizing.side, dialect.sizing.side
    return canvas


def whole(image: Image) -> Picture:
    """Show the image as it is."""
    return Picture(image.pixels, image.frame)


def stretched(picture: Picture, size: Size, resample: Resample = "lanczos") -> Picture:
    """Show a picture stretched to (width, height) pixels, its aspect not kept."""
    return Picture(Image(picture.pixels).stretched(size, resample).pixels, picture.extent, forced=True)


def squared(image: Image, colour: Colour) -> Picture:
    """Show the image in the middle of the smallest square that holds it, the rest in one colour."""
    side = max(image.width, image.height)
    return _padded(image, side, side, ((side - image.width) // 2, (side - image.height) // 2), colour)


def widened(image: Image, aspect: float, colour: Colour) -> Picture:
    """Show the image, padded at the right or the bottom until no side is ``aspect`` times the other."""
    shortest = math.ceil(max(image.width, image.height) / aspect)
    return _padded(image, max(image.width, shortest), max(image.height, shortest), (0, 0), colour)


def _padded(image: Image, width: int, height: int, corner: tuple[int, int], colour: Colour) -> Picture:
    if (width, height) == (image.width, image.height):
        return whole(image)
    x, y = corner
    return Picture(pad(image.pixels, width, height, corner, colour), Frame(-x, -y, width - x, height - y))


@dataclass(frozen=True, slots=True)
class ServerSizing:
    """At which size an image is sent to a server, so that the numbers of the reply mean what we think they mean.

    A server resizes what it is sent, and does not tell. Where the dialect counts pixels of the resized picture
    (Qwen2.5-VL), we resize instead, to a size that the server's own rule leaves alone: sides that are multiples of
    its patch, an area within its bounds. Where the dialect counts fractions or thousandths, no resizing can hurt.
    The options are those of :class:`fiducial.prompters.model_configs.EndpointConfig`.

    Raises:
        InputError: limits that make no sense, or a canvas that a server would resize once more.
    """

    dialect: Dialect
    canvas: Size | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    resample: Resample = "lanczos"

    def __post_init__(self) -> None:
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise InputError(f"the canvas needs min_pixels <= max_pixels, got {self.min_pixels} and {self.max_pixels}")
        canvas = canvas_for(self.canvas, self.dialect)
        counted = self.dialect.extent is None and isinstance(self.dialect.sizing, Square)
        if canvas and counted and not any(all(side % factor == 0 for side in canvas) for factor in _FACTORS):
            raise InputError(
                f"dialect {self.dialect.name!r} counts the pixels of its canvas, and a server would resize one of "
                f"{canvas[0]} x {canvas[1]} to multiples of 28 or 32: choose such multiples"
            )
        object.__setattr__(self, "canvas", canvas)

    def picture(self, image: Image) -> Picture:
        """Make the picture that is sent: the whole image is always in it, padded where a server would cut it."""
        if self.canvas is not None:
            picture = whole(image)
        elif self.dialect.name == "llava":
            # LLaVA's processor cuts the middle out of a picture that is not square.
            picture = squared(image, _SERVER_PADDING)
        else:
            picture = widened(image, _MAX_SERVER_ASPECT, _SERVER_PADDING)
        size = self.size(*picture.size)
        return picture if picture.size == size else stretched(picture, size, self.resample)

    def size(self, width: int, height: int) -> Size:
        """Return the size in pixels at which a picture of some size is sent.

        Raises:
            InputError: the limits leave no size that a server would not change.
        """
        sizing = self.dialect.sizing
        if not isinstance(sizing, SmartResize):
            shrink = max(1.0, math.sqrt(width * height / (self.max_pixels or MAX_PATCHES * _FACTORS[0] ** 2)))
            return self.canvas or (max(1, math.floor(width / shrink)), max(1, math.floor(height / shrink)))
        usual = MAX_PATCHES * sizing.factor**2
        limits = {"max_pixels": self.max_pixels or (usual if (self.min_pixels or 0) < usual else sizing.max_pixels)}
        if self.min_pixels is not None:
            limits["min_pixels"] = self.min_pixels
        sizing = replace(sizing, **limits)
        shown = sizing.size(*(self.canvas or (width, height)))
        if self.dialect.extent is None and (max(shown) > 200 * min(shown) or sizing.size(*shown) != shown):
            raise InputError(
                f"a picture of {width} x {height} pixels has no size between min_pixels={sizing.min_pixels} and "
                f"max_pixels={sizing.max_pixels} that a server would leave alone: raise max_pixels"
            )
        return shown
