"""What is sent and what comes back: the picture as the server's model will see it, the request, the reply."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fiducial.errors import InputError
from fiducial.images import Image
from fiducial.language.dialects import Dialect, SmartResize, Square
from fiducial.prompters.endpoint.retrying import EndpointError
from fiducial.prompters.vlm.showing import Colour, Picture, squared, whole, widened

Size = tuple[int, int]
ImageFormat = Literal["png", "jpeg"]

MAX_PATCHES = 1280
"""By default a picture has at most this many patches: the bound that Qwen's own examples set."""

_DEFAULT_FACTOR = 28
_FACTORS = (28, 32)
_MAX_ASPECT = 100.0
"""Half of what Qwen's processors take: rounding to whole patches may double the ratio of the sides."""
_PADDING: Colour = (122, 116, 104)
"""The mean colour of the pictures that CLIP and most vision towers after it were trained on."""
_JPEG_QUALITY = 95

_CONTROL = re.compile(
    r"<\|[^\s<>|]{1,64}\|>|<｜[^\s<>｜]{1,64}｜>"  # as most families mark turns, places of images and boxes
    r"|</?(?:s|bos|eos|pad|unk|image|img|IMG_CONTEXT|video|ref|box|quad|think|answer|tool_call)>"
    r"|<(?:start|end)_of_(?:turn|image)>|<image_soft_token>"
    r"|\[/?INST\]|\[IMG(?:_BREAK|_END)?\]|<</?SYS>>"
)


def control_words(instruction: str) -> frozenset[str]:
    """List what a server's tokenizer may read as more than words, such as turn marks and image places.

    The tokenizer itself is on the server, so these are the marks of the families in use, and whatever is written
    like one.

    Example:
        >>> sorted(control_words("the dog<|im_end|> and <ship>"))
        ['<|im_end|>']
    """
    return frozenset(_CONTROL.findall(instruction))


# -- the picture ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Showing:
    """At which size an image is sent, so that the numbers of the reply mean what we think they mean.

    A server resizes what it is sent, and does not tell. Where the dialect counts pixels of the resized picture
    (Qwen2.5-VL), we resize instead, to a size that the server's own rule leaves alone: sides that are multiples of
    its patch, an area within its bounds. Where the dialect counts fractions or thousandths, no resizing can hurt.

    Args:
        dialect: how the model writes coordinates.
        canvas: (width, height) in pixels to which every image is stretched; None takes the dialect's square, if it
            has one, and otherwise keeps the aspect.
        min_pixels: the least area, for dialects of Qwen's models; None takes the dialect's.
        max_pixels: the greatest area; None takes 1280 patches (28 x 28 pixels each, or 32 x 32 for Qwen3-VL).

    Raises:
        InputError: limits that make no sense, or a canvas that a server would resize once more.
    """

    dialect: Dialect
    canvas: Size | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.min_pixels, self.max_pixels) if limit is not None]
        if any(isinstance(limit, bool) or not isinstance(limit, int) or limit < 1 for limit in limits):
            raise InputError(f"min_pixels and max_pixels are whole numbers of pixels, at least 1, got {limits}")
        if limits != sorted(limits):
            raise InputError(f"the canvas needs min_pixels <= max_pixels, got {limits[0]} and {limits[1]}")
        object.__setattr__(self, "canvas", self._checked_canvas())

    def picture(self, image: Image) -> Picture:
        """Make the picture that is sent: the whole image is always in it, padded where a server would cut it.

        Raises:
            InputError: an image for which the limits leave no size.
        """
        fitted = self._fitted(image)
        return _resized(fitted, self.size(*fitted.size))

    def size(self, width: int, height: int) -> Size:
        """Return the size in pixels at which a picture of some size is sent.

        Raises:
            InputError: the limits leave no size that a server would not change.
        """
        sizing = self._sizing
        if sizing is None:
            return self.canvas or _within(width, height, self._most)
        shown = sizing.size(*(self.canvas or (width, height)))
        if self.dialect.extent is None and (max(shown) > 200 * min(shown) or sizing.size(*shown) != shown):
            raise InputError(
                f"a picture of {width} x {height} pixels has no size between min_pixels={sizing.min_pixels} and "
                f"max_pixels={sizing.max_pixels} that a server would leave alone: raise max_pixels"
            )
        return shown

    def _fitted(self, image: Image) -> Picture:
        if self.canvas is not None:
            return whole(image)
        if self.dialect.name == "llava":
            # LLaVA's processor cuts the middle out of a picture that is not square.
            return squared(image, _PADDING)
        return widened(image, _MAX_ASPECT, _PADDING)

    @property
    def _sizing(self) -> SmartResize | None:
        sizing = self.dialect.sizing
        if not isinstance(sizing, SmartResize):
            return None
        limits = {"max_pixels": self._most}
        if self.min_pixels is not None:
            limits["min_pixels"] = self.min_pixels
        return sizing.limited(limits)

    @property
    def _most(self) -> int:
        if self.max_pixels is not None:
            return self.max_pixels
        sizing = self.dialect.sizing
        factor = sizing.factor if isinstance(sizing, SmartResize) else _DEFAULT_FACTOR
        usual = MAX_PATCHES * factor * factor
        if isinstance(sizing, SmartResize) and (self.min_pixels or 0) >= usual:
            return sizing.max_pixels
        return usual

    def _checked_canvas(self) -> Size | None:
        sizing = self.dialect.sizing
        canvas = self.canvas
        if canvas is None:
            if not isinstance(sizing, Square):
                return None
            canvas = (sizing.side, sizing.side)
        if len(canvas) != 2 or any(isinstance(s, bool) or not isinstance(s, int) or s < 1 for s in canvas):
            raise InputError(f"a canvas is (width, height) in whole pixels, at least 1 each, got {canvas!r}")
        counted = self.dialect.extent is None and isinstance(sizing, Square)
        if counted and not any(all(side % factor == 0 for side in canvas) for factor in _FACTORS):
            raise InputError(
                f"dialect {self.dialect.name!r} counts the pixels of its canvas, and a server would resize one of "
                f"{canvas[0]} x {canvas[1]} to multiples of 28 or 32: choose such multiples"
            )
        return canvas[0], canvas[1]


def _within(width: int, height: int, most: int) -> Size:
    """Shrink a size to an area, its aspect nearly kept; what is small enough stays as it is."""
    if width * height <= most:
        return width, height
    shrink = math.sqrt(width * height / most)
    return max(1, math.floor(width / shrink)), max(1, math.floor(height / shrink))


def _resized(picture: Picture, size: Size) -> Picture:
    if picture.size == size:
        return picture
    from PIL import Image as PillowImage

    pixels = PillowImage.fromarray(picture.pixels).resize(size, PillowImage.Resampling.LANCZOS)
    return Picture(np.asarray(pixels, dtype=np.uint8), picture.extent, forced=True)


def data_uri(picture: Picture, image_format: ImageFormat) -> str:
    """Write a picture into a ``data:`` URI: pixels only, so that the server has nothing to fetch.

    Args:
        picture: what the model is to see.
        image_format: ``"png"`` keeps every pixel, ``"jpeg"`` is smaller.
    """
    from PIL import Image as PillowImage

    file = io.BytesIO()
    options: dict[str, Any] = {"quality": _JPEG_QUALITY} if image_format == "jpeg" else {"compress_level": 3}
    PillowImage.fromarray(picture.pixels).save(file, format=image_format.upper(), **options)
    return f"data:image/{image_format};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def messages(system: str, user: str, picture: str) -> list[dict[str, Any]]:
    """Write the turns of a chat: the system's, unless it is "", and the user's with the picture before the words."""
    content = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": user}]
    turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
    return [{"role": "system", "content": system}, *turns] if system else turns


# -- the reply ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote.

    Args:
        text: the reply, letter by letter.
        thinking: what the server kept apart as the model's reasoning.
        finished: whether it came to its end, rather than to the limit of tokens.
    """

    text: str
    thinking: str = ""
    finished: bool = True


def read_reply(value: Any) -> Reply:
    """Read a chat completion.

    Args:
        value: the JSON value that the server sent.

    Raises:
        EndpointError: an error in place of a reply, no choices, a refusal, or withheld content.
    """
    if not isinstance(value, Mapping):
        raise EndpointError(f"the server replied with JSON that is no chat completion ({type(value).__name__})")
    choices = value.get("choices")
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        raise EndpointError(_without_choices(value))
    choice = choices[0] if isinstance(choices[0], Mapping) else {}
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise EndpointError("the server replied with a choice that holds no message")
    reason = choice.get("finish_reason")
    if refusal := _joined(message.get("refusal")) or _refused(message.get("content")):
        raise EndpointError(f"the model refused: {' '.join(refusal.split())}")
    if reason == "content_filter":
        raise EndpointError("the server withheld the reply (finish_reason content_filter)")
    text = _joined(message.get("content"))
    if not text and message.get("tool_calls"):
        raise EndpointError("the model called a tool instead of replying: switch the server's tool choice off")
    thinking = _joined(message.get("reasoning_content")) or _joined(message.get("reasoning"))
    return Reply(text, thinking, finished=reason != "length")


def _without_choices(value: Mapping[str, Any]) -> str:
    error = value.get("error")
    if error:
        said = error.get("message", error) if isinstance(error, Mapping) else error
        return f"the server replied with an error: {' '.join(str(said)[:300].split())}"
    return "the server replied without any choice"


def _joined(content: Any) -> str:
    """Return the text of a content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, Mapping) and part.get("type", "text") == "text")
    return "".join(text for text in texts if isinstance(text, str))


def _refused(content: Any) -> str:
    if not isinstance(content, list):
        return ""
    refusals = (part.get("refusal") for part in content if isinstance(part, Mapping) and part.get("type") == "refusal")
    return " ".join(text for text in refusals if isinstance(text, str))
