"""What a request holds: a picture, and the words and coordinates about it, as JSON or as a form with a file."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError
from python_multipart import create_form_parser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File

from fiducial.errors import ImageError
from fiducial.images import Image, decode_image
from fiducial.server.gate import content_type
from fiducial.server.problems import ProblemError
from fiducial.server.schemas import Encoded, Given, Known

if TYPE_CHECKING:
    from fastapi import Request

    from fiducial.server.store import ImageStore

JSON = "application/json"
FORM = "multipart/form-data"
_MOST_PARTS = 2
M = TypeVar("M", bound=Given)


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture that came as a file of a form."""

    data: bytes
    name: str


def read_body(model: type[M], request: Request, body: bytes) -> tuple[M, Upload | None]:
    """Read a request's body.

    Args:
        model: what it has to hold.
        request: whose; its headers say in which form the body is.
        body: JSON, or a form with the file ``image`` and the JSON text ``request``.

    Returns:
        What it holds, and the picture where it came as a file.

    Raises:
        ProblemError: 422 with the place for what is no such thing.
    """
    if content_type(request) != FORM:
        return read_model(model, body), None
    fields, files = _parts(request.headers.get("Content-Type", ""), body)
    if not set(fields) <= {"request"} or not set(files) <= {"image"}:
        found = ", ".join(sorted(f"{name!r:.40}" for name in (*fields, *files)))
        raise ProblemError(422, f"a form has the field 'request' (JSON) and the file 'image', got {found}")
    read = read_model(model, fields.get("request", b"{}"))
    upload = files.get("image")
    if upload is not None and getattr(read, "image", None) is not None:
        raise ProblemError(422, "image: it is named in the request and sent as a file: leave one of them out")
    return read, upload


def read_model(model: type[M], text: bytes) -> M:
    """Read JSON into a model; 422 with the place where it does not fit."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        said = [f"{'.'.join(map(str, one['loc'])) or 'the request'}: {one['msg']}" for one in found[:4]]
        more = f"; and {len(found) - len(said)} more" if len(found) > len(said) else ""
        raise ProblemError(422, "; ".join(said) + more) from None


def find_image(given: Encoded | Known | None, upload: Upload | None, store: ImageStore) -> Image:
    """Return the image that a request is about: sent as a file or in base64, which are kept, or known by its digest.

    Raises:
        ProblemError: 422 for none, or for no picture; 404 where the digest is not, or no longer, known.
    """
    if isinstance(given, Known):
        return store.get(given.digest.removeprefix("sha256:"))
    if isinstance(given, Encoded):
        try:
            upload = Upload(base64.b64decode(given.base64, validate=True), given.name)
        except (binascii.Error, ValueError):
            raise ProblemError(422, "image.base64: is no base64") from None
    if upload is None:
        raise ProblemError(422, "image: send a picture (as a file of a form, or in base64) or the digest of one")
    try:
        image = decode_image(upload.data, upload.name, max_pixels=store.max_pixels)
    except ImageError as error:
        raise ProblemError(422, f"image: {error}") from None
    store.keep(image)
    return image


def _parts(header: str, body: bytes) -> tuple[dict[str, bytes], dict[str, Upload]]:
    """Take a form apart in memory: its fields and its files by name."""
    fields: dict[str, bytes] = {}
    files: dict[str, Upload] = {}

    def count() -> None:
        if len(fields) + len(files) >= _MOST_PARTS:
            raise FormParserError(f"more than {_MOST_PARTS} parts")

    def on_field(field: Field) -> None:
        count()
        fields[_text(field.field_name)] = field.value or b""

    def on_file(file: File) -> None:
        count()
        file.file_object.seek(0)
        files[_text(file.field_name)] = Upload(file.file_object.read(), _text(file.file_name) or "image")

    ended: list[bool] = []
    try:
        parser = create_form_parser(
            {"Content-Type": header.encode("latin-1")},
            on_field,
            on_file,
            config={"MAX_MEMORY_FILE_SIZE": len(body) + 1},  # the body is bounded: nothing goes to the disk
        )
        parser.on_end = lambda: ended.append(True)
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise ProblemError(422, f"the form cannot be read: {error}") from None
    if not ended:
        raise ProblemError(422, "the form breaks off before its last boundary")
    return fields, files


def _text(name: bytes | None) -> str:
    return (name or b"").decode("utf-8", "replace")
