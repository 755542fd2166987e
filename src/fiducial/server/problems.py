"""What a server says when it cannot do what was asked: problem details as RFC 9457 has them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fiducial.errors import FiducialError, InputError
from fiducial.remote import excerpt

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"
PLAIN = "about:blank"
"""The type of a problem that its status says all about (RFC 9457, section 4.2.1)."""


class ProblemError(FiducialError):
    """A request cannot be answered as it was meant.

    Args:
        status: of HTTP.
        detail: what was wrong, and what to do.
        kind: the URI of the problem's type, for programs.
        headers: further ones of the answer.
    """

    def __init__(self, status: int, detail: str, kind: str = PLAIN, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.headers = dict(headers or {})


def answer(status: int, detail: str, kind: str = PLAIN, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Make the answer that tells a problem."""
    from fastapi.responses import JSONResponse

    body = {"type": kind, "title": HTTPStatus(status).phrase, "status": status, "detail": excerpt(detail)}
    return JSONResponse(body, status, dict(headers or {}), MEDIA_TYPE)


def tell_problems(app: FastAPI) -> None:
    """Let an application answer with a problem whatever goes wrong; what nobody foresaw is logged, and not told."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    async def on_problem(request: Request, error: Any) -> JSONResponse:
        return answer(error.status, str(error), error.kind, error.headers)

    async def on_input(request: Request, error: Any) -> JSONResponse:
        return answer(422, str(error))

    async def on_http(request: Request, error: Any) -> JSONResponse:
        return answer(error.status_code, f"{request.method} {request.url.path}: {error.detail}", headers=error.headers)

    async def on_invalid(request: Request, error: Any) -> JSONResponse:
        said = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        return answer(422, "; ".join(said))

    async def on_surprise(request: Request, error: Any) -> JSONResponse:
        return answer(500, f"unexpected {type(error).__name__}: the server's log says more")

    app.add_exception_handler(ProblemError, on_problem)
    app.add_exception_handler(InputError, on_input)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Exception, on_surprise)
