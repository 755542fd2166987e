"""Who may ask a server, how much at once, and how large a request may be."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fiducial.remote import Key, is_loopback
from fiducial.server.problems import ProblemError

if TYPE_CHECKING:
    from fastapi import Request

    from fiducial.server.configs import ServerConfig

RETRY_AFTER = {"Retry-After": "1"}
"""What a busy server asks for, in seconds."""


class Gate:
    """Lets requests in.

    Args:
        config: the limits.
        key: what requests have to bring; "" for nothing, and then only programs of this machine may ask.
    """

    def __init__(self, config: ServerConfig, key: Key) -> None:
        self.config = config
        self.inside = 0
        self._key = key.value.encode()

    def check(self, request: Request) -> None:
        """Refuse who may not ask.

        Without a key, a page in this machine's browser could ask under a name of its own that leads here, or send a
        form: the name in the request has to be this machine's, and the page that asks, if one does, this server's own.
        """
        if not self._key:
            # Not request.url: where it cannot read the header it takes this machine's own address.
            asked = request.headers.get("Host", "")
            if not is_loopback(host := _host_in(asked)):
                raise ProblemError(403, f"this server is for this machine alone, and was asked as {host!r:.80}")
            # What a form of another page sends, a browser sends without asking here first.
            origin = request.headers.get("Origin")
            if origin is not None and origin.partition("://")[2].lower() != asked.lower():
                raise ProblemError(403, f"this server answers its own page alone, and was asked by {origin!r:.80}")
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._key):
            raise ProblemError(
                401, "the key is missing or wrong: Authorization: Bearer KEY", headers={"WWW-Authenticate": "Bearer"}
            )

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place for a request, before its body is read; 429 where all are taken."""
        if self.inside >= self.config.queue:
            raise ProblemError(429, f"{self.inside} requests are being answered: ask again later", headers=RETRY_AFTER)
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    async def read(self, request: Request, kinds: str | tuple[str, ...], limit: int, what: str) -> bytes:
        """Read a body, and no more of it than is allowed.

        Args:
            request: whose.
            kinds: the content types that it may be of.
            limit: most bytes.
            what: names the limit in the problem.
        """
        from starlette.requests import ClientDisconnect

        found, known = content_type(request), (kinds,) if isinstance(kinds, str) else kinds
        if found not in known:
            raise ProblemError(415, f"a body of type {' or '.join(known)} is expected, got {found[:80] or 'none'}")
        too_large = ProblemError(413, f"the body is larger than {limit:,} bytes, {what}")
        declared = request.headers.get("Content-Length", "")
        if declared.isdigit() and int(declared) > limit:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self.config.read_seconds):
                async for piece in request.stream():
                    body += piece
                    if len(body) > limit:
                        raise too_large
        except TimeoutError:
            raise ProblemError(408, f"the request did not arrive within {self.config.read_seconds:g} s") from None
        except ClientDisconnect:
            raise ProblemError(400, "the request broke off") from None  # nobody is left to read it
        return bytes(body)


def content_type(request: Request) -> str:
    """Return the type of a request's body in lower case, without its parameters; "" for none."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _host_in(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:  # a bracket that does not close
        return header
