"""A server as a pipeline: what ``fiducial serve`` answers with, asked from a notebook or a program.

>>> import fiducial.client
>>> pipe = fiducial.client.Client("http://127.0.0.1:8100")
>>> result = pipe("ships.png", "the two largest ships")  # doctest: +SKIP
>>> pipe.cut("ships.png", result.prompts[:1]).mask.area  # doctest: +SKIP
2987
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompts
from fiducial.images import Image
from fiducial.language import Answer, Outcome
from fiducial.language.answers import check_instruction
from fiducial.pipeline import ImageLike, as_image
from fiducial.remote import UNKNOWN_IMAGE
from fiducial.results import Segmentation
from fiducial.results.reading import read_prompts, read_segmentation, require_kind
from fiducial.service_configs import PlaceConfig
from fiducial.services import Service, ServiceError

_JSON = "application/json"
_SENDINGS = 3


@dataclass(frozen=True, slots=True)
class ServedRecipe:
    """A recipe that a server answers with.

    Args:
        name: how it is asked for.
        summary: one sentence for people.
        segments: whether it can be asked by instruction.
        cuts: whether it can be given coordinates.
        dialects: in which its model writes; none where it gives coordinates itself.
        refiners: those that a request may ask for, in the order in which they work.
    """

    name: str
    summary: str
    segments: bool
    cuts: bool
    dialects: tuple[str, ...]
    refiners: tuple[str, ...]


class Client:
    """Asks a server as a :class:`fiducial.Pipeline` is asked; any number of threads may use it, and it is pickled.

    A picture is read here, sent once, and named by its digest afterwards; results are about the picture as it is here.
    A server that is starting or busy is waited for.

    Args:
        url: ``http://HOST:PORT``.
        recipe: one of :meth:`recipes`; None takes the server's first.
        refine: refiners by name; None takes the recipe's own.
        threshold: leave out targets whose score lies below it, in 0..1.
        options: ``key_variable``, ``allow_insecure``, ``patience`` and ``timeout`` of
            :class:`fiducial.service_configs.PlaceConfig`.

    Raises:
        InputError: the URL is none.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8100",
        *,
        recipe: str | None = None,
        refine: Sequence[str] | None = None,
        threshold: float | None = None,
        **options: Any,
    ) -> None:
        self.service = Service(PlaceConfig(url=url, **options))
        chosen = {"refine": None if refine is None else [*refine], "threshold": threshold}
        self._asked: dict[str, Any] = {"recipe": recipe, "options": chosen}

    def __call__(self, image: ImageLike, instruction: str) -> Segmentation:
        """Segment one image.

        Args:
            image: a file, an array or tensor, or an Image.
            instruction: what to segment, in words.

        Raises:
            InputError: the image cannot be read, or the instruction is empty or too long.
            ServiceError: the server refuses the request, or was waited for in vain.
        """
        words = check_instruction(instruction)
        return self._about(as_image(image), "/v1/segment", {"instruction": words})

    def segment(self, images: Sequence[ImageLike], instructions: str | Sequence[str]) -> list[Segmentation]:
        """Segment several images, one after the other; the instructions are one per image, or one for all."""
        words = [instructions] * len(images) if isinstance(instructions, str) else list(instructions)
        if len(words) != len(images):
            raise InputError(f"{len(images)} images need as many instructions, got {len(words)}")
        return [self(image, text) for image, text in zip(images, words, strict=True)]

    def cut(self, image: ImageLike, prompts: Prompts, instruction: str = "") -> Segmentation:
        """Cut masks from given coordinates.

        Args:
            image: a file, an array or tensor, or an Image.
            prompts: in any frame of this image.
            instruction: words to keep with the result.

        Raises:
            InputError: the image cannot be read.
            ServiceError: the server refuses the request (a box wholly outside the image), or was waited for in vain.
        """
        values = {"prompts": _targets(prompts), "instruction": instruction}
        return self._about(as_image(image), "/v1/cut", values)

    def parse(
        self, reply: str, dialect: str, size: tuple[int, int], *, canvas: tuple[int, int] | None = None,
        strict: bool = False,
    ) -> Answer:  # fmt: skip
        """Read a model's reply.

        Args:
            reply: letter by letter.
            dialect: how the model writes coordinates, such as ``"qwen2.5-vl"``.
            size: width and height of the original image in pixels.
            canvas: width and height that the model was shown; None takes the dialect's own rule.
            strict: accept exactly the form, mend nothing.

        Returns:
            The answer, its prompts in pixels of the original image.
        """
        width, height = size
        asked = {"reply": reply, "dialect": dialect, "width": width, "height": height, "canvas": canvas}
        told = self._post("/v1/parse", {**asked, "strict": strict})
        try:
            return Answer(
                Outcome(str(told.get("outcome"))),
                read_prompts(told.get("prompts"), Frame.pixels(width, height), "prompts"),
                thinking=require_kind(told.get("thinking"), str, "thinking"),
                text=require_kind(told.get("text"), str, "text"),
                raw=reply,
                repairs=tuple(map(str, require_kind(told.get("repairs"), list, "repairs"))),
            )
        except (InputError, ValueError) as error:
            raise self.service.senseless(InputError(str(error))) from None

    def write(self, prompts: Prompts, dialect: str, size: tuple[int, int], *, thinking: str = "") -> str:
        """Write prompts, in any frame of an image of ``size`` (width, height) pixels, as a model family would."""
        width, height = size
        asked = {"prompts": _targets(prompts), "dialect": dialect, "width": width, "height": height}
        return str(self._post("/v1/write", {**asked, "thinking": thinking}).get("text", ""))

    def recipes(self) -> list[ServedRecipe]:
        """List what the server answers with; the first is what it takes where none is named."""
        found = self.service.read_list(self.service.ask("GET", "/v1/recipes"))
        try:
            return [
                ServedRecipe(
                    name=str(one["name"]),
                    summary=str(one["summary"]),
                    segments=bool(one["segments"]),
                    cuts=bool(one["cuts"]),
                    dialects=tuple(map(str, one["dialects"])),
                    refiners=tuple(str(refiner["name"]) for refiner in one["refiners"]),
                )
                for one in found
            ]
        except (KeyError, TypeError) as error:
            raise self.service.senseless(InputError(f"a recipe has no {error}")) from None

    def close(self) -> None:
        """Close the connections; asking again opens new ones."""
        self.service.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _about(self, image: Image, path: str, values: dict[str, Any]) -> Segmentation:
        """Ask about an image by its digest; send it where the server does not have it."""
        asked = {**self._asked, **values, "image": {"digest": image.digest}}
        for _ in range(_SENDINGS):
            try:
                told = self._post(path, asked)
            except ServiceError as error:
                if error.kind != UNKNOWN_IMAGE:
                    raise
                self._send(image)
                continue
            try:
                return read_segmentation(told, image)
            except InputError as error:
                raise self.service.senseless(error) from None
        raise ServiceError(
            f"{self.service.at} let {image.name} go {_SENDINGS} times before it answered: its store is too small for "
            "what is asked at once; raise --store-bytes there"
        )

    def _send(self, image: Image) -> None:
        import cv2

        file = cv2.imencode(".png", image.pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        encoded = base64.b64encode(file).decode("ascii")
        self._post("/v1/images", {"image": {"base64": encoded, "name": image.name[-200:]}})
        self.service.count(images=1)

    def _post(self, path: str, values: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(values, allow_nan=False).encode()
        return self.service.read(self.service.ask("POST", path, body, _JSON))


def _targets(prompts: Prompts) -> dict[str, Any]:
    frame = prompts.frame
    edges = {"kind": "edges", "left": frame.left, "top": frame.top, "right": frame.right, "bottom": frame.bottom}
    return {"frame": edges, "targets": prompts.as_json()}
