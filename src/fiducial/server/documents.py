"""The server's OpenAPI document: bodies that are read by hand are described here, with an example each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from fiducial.geometry import Mask
from fiducial.server import problems, schemas
from fiducial.server.bodies import FORM, JSON

if TYPE_CHECKING:
    from fastapi import FastAPI

_REF = "#/components/schemas/{model}"
_KNOWN = {"digest": f"sha256:{'5e' * 32}"}
_TARGET = {"box": [170, 10, 445, 345], "points": [[300, 150]], "point_labels": [1], "label": "cup"}
EXAMPLES: dict[type[schemas.Given], dict[str, Any]] = {
    schemas.StoreRequest: {"image": {"base64": "UDUgMiAxIDI1NSBhYg==", "name": "tiny.pgm"}},
    schemas.SegmentRequest: {"image": _KNOWN, "instruction": "the two largest ships", "options": {"threshold": 0.5}},
    schemas.CutRequest: {"image": _KNOWN, "prompts": {"frame": "pixels", "targets": [_TARGET]}, "masks": "png"},
    schemas.ParseRequest: {"reply": "[[0.1, 0.2, 0.5, 0.6]]", "dialect": "sjtu", "width": 640, "height": 480},
    schemas.WriteRequest: {
        "prompts": {"frame": "unit", "targets": [{"box": [0.1, 0.2, 0.5, 0.6], "label": "ship"}]},
        "dialect": "gemini",
        "width": 640,
        "height": 480,
    },
    schemas.DownloadRequest: {
        "image": _KNOWN,
        "result": {"prompts": [{"box": [0, 0, 2, 1]}], "masks": [{"size": [1, 2], "counts": "02"}]},
        "format": "coco",
    },
}
"""A request of each kind; the tests send them."""
RESULT: dict[str, Any] = {
    "image": {"name": "coffee.png", **_KNOWN, "width": 600, "height": 400},
    "width": 600,
    "height": 400,
    "instruction": "",
    "recipe": "nano",
    "outcome": "found",
    "thinking": "",
    "text": "coordinates given by the caller",
    "prompts": [{"label": "cup", "score": None, **{key: _TARGET[key] for key in ("box", "points", "point_labels")}}],
    "masks": [Mask.from_box((170, 10, 445, 345), 400, 600).to_coco()],
    "scores": [0.93],
    "repairs": [],
    "refinements": [[]],
    "seconds": {"prompt": 0.0, "encode": 0.001, "decode": 0.081, "refine": 0.0, "total": 0.082},
}
"""What an answer to a cut looks like."""

_SAID = {
    400: "the request broke off",
    401: "the key is missing or wrong",
    403: "asked under another name than this machine's, or by another page",
    404: "no such image, scene or file; the type urn:fiducial:problem:unknown-image asks to send the image again",
    408: "the request did not arrive in time",
    413: "larger than a limit",
    415: "a body of another type",
    422: "what was sent makes no sense, and where",
    429: "all places are taken: ask again after Retry-After seconds",
    500: "a bug: the server's log says more",
    503: "no answer within the time limit, or the server is closing",
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": said,
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
    }
    for status, said in _SAID.items()
}
"""The problems that any request may have."""


def takes(model: type[schemas.Given]) -> dict[str, Any]:
    """Describe the body of a request for a route."""
    body: dict[str, Any] = {JSON: {"schema": {"$ref": _REF.format(model=model.__name__)}, "example": EXAMPLES[model]}}
    if issubclass(model, schemas.StoreRequest):
        request = {"type": "string", "contentMediaType": JSON, "description": f"JSON, a {model.__name__}"}
        image = {"type": "string", "contentMediaType": "application/octet-stream", "description": "a picture file"}
        form = {"type": "object", "properties": {"request": request, "image": image}}
        body[FORM] = {"schema": form}
    return {"requestBody": {"required": True, "content": body}}


def describe(app: FastAPI) -> dict[str, Any]:
    """Make the document, once; FastAPI knows the answers, this adds the bodies and the problems."""
    if app.openapi_schema is None:
        from fastapi.openapi.utils import get_openapi

        found = get_openapi(
            title=app.title,
            version=app.version,
            summary="Language in, coordinates between, masks out.",
            description="Coordinates are continuous: pixel (row i, column j) covers x in [j, j+1), y in [i, i+1).",
            routes=app.routes,
        )
        models: list[type[BaseModel]] = [*EXAMPLES, schemas.Problem]
        _, more = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
        known = found.setdefault("components", {}).setdefault("schemas", {})
        known.update(more["$defs"])
        known["Segmented"]["examples"] = [RESULT]
        key = {"type": "http", "scheme": "bearer", "description": "where the server was started with a key"}
        found["components"]["securitySchemes"] = {"key": key}
        found["security"] = [{"key": []}, {}]
        app.openapi_schema = found
    return app.openapi_schema
