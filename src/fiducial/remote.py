"""Servers elsewhere: where one is, with which key it is asked, one request and its limits, when to ask again."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fiducial.errors import InputError

if TYPE_CHECKING:
    import httpx

SERVICE_KEY_VARIABLE = "FIDUCIAL_SERVICE_KEY"
"""The environment variable in which servers of ours and their clients look for their key."""
UNKNOWN_IMAGE = "urn:fiducial:problem:unknown-image"
"""The type of the problem that an image is not, or no longer, in a server's store."""
_EXCERPT = 300
_SECRET_LENGTH = 6
"""Shorter keys are placeholders such as "none"; taking them out of every text would only spoil it."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is: URL without a final slash, host in lower case, and whether it is reached over TLS."""

    url: str
    host: str
    secure: bool

    @property
    def local(self) -> bool:
        """Whether it is this machine itself, so that nothing sent there can be read on the way."""
        return is_loopback(self.host)


def check_address(url: str, whose: str, variable: str, example: str = "http://HOST:PORT") -> Address:
    """Check a server's URL.

    Args:
        url: as somebody wrote it.
        whose: what errors call it, such as ``"the endpoint's url"``.
        variable: of the environment, where its key belongs.
        example: what it should look like.

    Raises:
        InputError: no http or https URL of a host, or one with a name, a password, a query or a fragment: those would
            be written into the files of a run.

    Example:
        >>> check_address("http://Localhost:8100/", "the url", "KEY").url
        'http://localhost:8100'
    """
    given = url.strip()
    try:
        parts = urlsplit(given)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise InputError(f"{whose} cannot be read: write {example}") from None
    # Secrets may stand in what is refused here, so it is not repeated in the message.
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise InputError(
            f"{whose} holds a user name, a query or a fragment: write just {example}; "
            f"a key belongs in the environment variable {variable}"
        )
    if parts.scheme not in ("http", "https") or not host or not given.isprintable() or " " in given or "\\" in given:
        secure = example.replace("http:", "https:").replace(":PORT", "")
        raise InputError(f"{whose} needs to be {example} or {secure}, got {given!r}")
    named = f"[{host}]" if ":" in host else host
    base = f"{parts.scheme}://{named}{'' if port is None else f':{port}'}"
    return Address(base + parts.path.rstrip("/"), host, parts.scheme == "https")


def is_loopback(host: str) -> bool:
    """Tell whether a host, in lower case, is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@dataclass(frozen=True, slots=True)
class Key:
    """A server's key, or "", the environment variables that were looked at, and the one that held it."""

    value: str = field(repr=False)
    variables: tuple[str, ...] = ()
    variable: str = ""

    @property
    def story(self) -> str:
        """Where the key came from, or where it was looked for."""
        if self.value:
            return f"the key of the environment variable {self.variable} was sent"
        if not self.variables:
            return "no key was sent, for key_variable is empty"
        verb = "is" if len(self.variables) == 1 else "are"
        return f"no key was sent, for the environment variable {' and '.join(self.variables)} {verb} not set"

    def hide(self, text: str) -> str:
        """Take the key out of a text that somebody else wrote."""
        return text.replace(self.value, "[key]") if len(self.value) >= _SECRET_LENGTH else text


def look_up_key(
    address: Address,
    variables: Sequence[str],
    *,
    allow_insecure: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Key:
    """Take a server's key from the first of some environment variables that is set; none set, no key.

    Raises:
        InputError: a key that no header can hold, or one that would be sent in the clear to another machine.
    """
    found = read_key(variables, environment)
    if found.value and not (address.secure or address.local or allow_insecure):
        raise InputError(
            f"the key of {found.variable} would travel to {address.host} in the clear: use https, or key_variable='' "
            "to send none, or allow_insecure=True if the network between is your own"
        )
    return found


def read_key(variables: Sequence[str], environment: Mapping[str, str] = os.environ) -> Key:
    """Read the first of some environment variables that is set.

    Raises:
        InputError: a key that no header can hold.
    """
    holding = next((name for name in variables if environment.get(name, "").strip()), "")
    value = environment[holding].strip() if holding else ""
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise InputError(f"the key in the environment variable {holding} holds signs that no key has: set it anew")
    return Key(value, tuple(variables), holding)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered: status, headers, the body as it travelled, and whether that is all of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool


async def exchange(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    *,
    seconds: float,
    most_bytes: int,
) -> Reply:
    """Make one request within one limit for all of it, however slowly its head or its body drips.

    Args:
        http: the connections, without limits of their own: each of httpx's is for one read.
        method: of HTTP.
        url: whole.
        body: what is sent, or None.
        headers: sent besides those of ``http``.
        seconds: from connecting to the last byte.
        most_bytes: of the body that are read.

    Returns:
        The reply, not unpacked. Its body is cut after ``most_bytes``, and where an error's broke off.

    Raises:
        TimeoutError: the limit was met.
        httpx.HTTPError: as httpx raises it.
    """
    import httpx

    read, whole = bytearray(), True
    async with (
        asyncio.timeout(seconds),
        http.stream(method, url, content=body, headers=dict(headers)) as response,
    ):
        try:
            async for piece in response.aiter_raw():
                read += piece
                if len(read) > most_bytes:
                    whole = False
                    break
        except httpx.TransportError:
            if response.is_success:
                raise
    return Reply(response.status_code, response.headers, bytes(read[:most_bytes]), whole)


def read_retry_after(text: str | None, now: Callable[[], float] = time.time) -> float:
    """Read a ``Retry-After`` header, seconds or a date as HTTP writes it, into seconds; 0 where nothing can be read.

    Example:
        >>> read_retry_after("2"), read_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", lambda: 50.0)
        (2.0, 10.0)
    """
    try:
        seconds = float(text or "")
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text or "").timestamp() - now()
        except (ValueError, OverflowError):
            return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


def excerpt(text: str) -> str:
    """Return the beginning of a foreign text on one line, without signs that could command a terminal."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 4 * _EXCERPT]).split())
    return line if len(line) <= _EXCERPT else f"{line[:_EXCERPT]} ..."
