"""One server's chat completions over HTTP: where it is, with which key, when to try again, what a failure means."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, TypeVar

from fiducial.errors import InputError, MissingExtraError, ModelError
from fiducial.files import parse_json
from fiducial.prompters.model_configs import KEY_VARIABLE
from fiducial.remote import Address, Key, Reply, check_address, excerpt, exchange, look_up_key, read_retry_after

try:
    import httpx
    import tenacity
    from anyio.from_thread import start_blocking_portal
except ModuleNotFoundError as error:
    raise MissingExtraError("prompter 'endpoint'", "endpoint", f"no module {error.name!r}") from error

DEFAULT_URL = "http://localhost:8000/v1"
URL_VARIABLE = "FIDUCIAL_ENDPOINT"
OPENAI_VARIABLE = "OPENAI_API_KEY"
MAX_REPLY_BYTES = 4 * 1024 * 1024
"""The most bytes of a reply that are read."""
RETRIED = frozenset({429, 500, 502, 503, 504})
"""The statuses that may be another one a moment later."""
FIRST_WAIT = 0.5
"""Seconds before the second attempt, at most; they double from attempt to attempt."""
MAX_WAIT = 60.0
"""The longest wait in seconds, whatever the server says."""

_STRUCTURE_WORDS = re.compile(r"response_format|json_schema|schema|grammar|guided|structured", re.IGNORECASE)

T = TypeVar("T")


class Cause(StrEnum):
    """Why a request gave no reply: the configuration, in some way, or something about this one request."""

    ACCESS = "access"  # the key is missing, wrong, or may not use this model
    ADDRESS = "address"  # there is no such model, or no such server path, or it has moved
    CONNECTION = "connection"  # nothing listens there, or it cannot be found
    STRUCTURE = "structure"  # the server does not take the schema of structured output
    REPLY = "reply"  # refused, cut, too slow, not readable


class EndpointError(ModelError):
    """A request to a server gave no reply.

    Unless the ``cause`` is ``REPLY`` the next request would fail alike; ``passing`` says that trying again may help,
    ``wait`` for how many seconds the server asked to be left alone.
    """

    def __init__(self, message: str, cause: Cause = Cause.REPLY, *, passing: bool = False, wait: float = 0.0) -> None:
        super().__init__(message)
        self.cause = cause
        self.for_all = cause is not Cause.REPLY
        self.passing = passing
        self.wait = wait


# -- where, and with which key --------------------------------------------------------------------------


def read_address(url: str | None, environment: Mapping[str, str] = os.environ) -> Address:
    """Check a server's URL; None takes that of the environment, else ``http://localhost:8000/v1``.

    Raises:
        InputError: no http or https URL of a host, or one with a name, a password, a query or a fragment: those would
            be written into the files of a run.

    Example:
        >>> read_address("https://api.example.org/v1/").url
        'https://api.example.org/v1'
    """
    given = (url if url is not None else environment.get(URL_VARIABLE, "")).strip() or DEFAULT_URL
    found = check_address(given, "the endpoint's url", KEY_VARIABLE, "http://HOST:PORT/v1")
    return replace(found, url=found.url.removesuffix("/chat/completions").rstrip("/"))


def find_key(
    address: Address,
    variable: str | None = KEY_VARIABLE,
    *,
    allow_insecure: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Key:
    """Look a server's key up in the environment; no variable, no key.

    OPENAI_API_KEY is looked at too, but for OpenAI's own hosts only: anybody else would be handed a key that is not
    theirs.

    Raises:
        InputError: a key that no header can hold, or one that would be sent in the clear to another machine.
    """
    if not variable:
        return Key("")
    openai = address.secure and (address.host == "openai.com" or address.host.endswith(".openai.com"))
    variables = tuple(dict.fromkeys((variable, OPENAI_VARIABLE) if openai else (variable,)))
    return look_up_key(address, variables, allow_insecure=allow_insecure, environment=environment)


# -- trying again ---------------------------------------------------------------------------------------


async def retry(
    attempt: Callable[[float], Awaitable[T]],
    *,
    retries: int,
    deadline: float,
    seed: str = "",
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Call until it succeeds, fails for good, or time is up.

    Waits are drawn between a half and the whole of 0.5, 1, 2, ... seconds, so that requests that failed together do
    not come back together; where the server says how long to wait they are at least that long, up to a minute.

    Args:
        attempt: is given the seconds that are left, and raises EndpointError when it fails.
        retries: most attempts after the first.
        deadline: seconds for all attempts and the waits between them.
        seed: of the draws; each question has its own, so that the order of replies changes nothing.
        sleep: waits for seconds.
        clock: tells seconds.

    Raises:
        EndpointError: that of the last attempt, with the number of attempts where there were several.
    """
    draws, end = random.Random(seed), clock() + deadline
    out_of_time = False

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        drawn = min(FIRST_WAIT * 2.0 ** (state.attempt_number - 1), MAX_WAIT) * draws.uniform(0.5, 1.0)
        return max(drawn, min(error.wait, MAX_WAIT)) if isinstance(error, EndpointError) else drawn

    def stop(state: tenacity.RetryCallState) -> bool:
        nonlocal out_of_time
        out_of_time = clock() + state.upcoming_sleep >= end
        return out_of_time or state.attempt_number > retries

    async def once() -> T:
        return await attempt(end - clock())

    again = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, EndpointError) and error.passing),
        wait=wait,
        stop=stop,
        sleep=sleep,
        reraise=True,
    )
    try:
        return await again(once)
    except EndpointError as error:
        attempts = again.statistics["attempt_number"]
        tries = f"after {attempts} attempts" if attempts > 1 else ""
        spent = f"no time is left of the {deadline:g} s for one question" if out_of_time else ""
        said = ", ".join(filter(None, (tries, spent)))
        raise EndpointError(f"{error} ({said})" if said else str(error), error.cause) from error


def run_apart(work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Run asynchronous work in a thread, as the caller's may have a loop already; an interrupt cancels the work."""
    with start_blocking_portal() as portal:
        return portal.call(work, *arguments)


# -- one request ----------------------------------------------------------------------------------------


class ChatClient:
    """Speaks to one server; closed by its ``async with``. ``timeout``: seconds from connecting to the last byte.

    Redirects are not followed, since the key and the picture would go where nobody sent them. Proxies of the
    environment are used, except for this machine itself.
    """

    def __init__(self, address: Address, key: Key, *, timeout: float) -> None:
        self._address = address
        self._at = f"the server at {address.url}"
        self._key = key
        self._timeout = timeout
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "fiducial"}
        if key.value:
            headers["Authorization"] = f"Bearer {key.value}"
        self._http = httpx.AsyncClient(
            headers=headers,
            follow_redirects=False,
            trust_env=not address.local,
            verify=address.secure,  # plain http has no certificates, and reading those of the system takes its time
            timeout=None,  # each of httpx's limits is for one read: a server that drips would never meet it
            limits=httpx.Limits(max_connections=None),
        )

    async def __aenter__(self) -> ChatClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def ask(
        self, path: str, body: bytes | None = None, *, seconds: float = math.inf, structured: bool = False
    ) -> Any:
        """Send JSON to a path below the server's URL, or nothing, once; the JSON of the reply comes without the key.

        ``structured`` says that the body asks for structured output, which some servers refuse. All that can go wrong
        is an EndpointError.
        """
        limit = max(0.001, min(self._timeout, seconds))
        headers = {"Content-Type": "application/json"} if body is not None else {}
        method = "GET" if body is None else "POST"
        try:
            url = self._address.url + path
            reply = await exchange(self._http, method, url, body, headers, seconds=limit, most_bytes=MAX_REPLY_BYTES)
        except TimeoutError:
            raise EndpointError(f"{self._at} gave no whole reply within {limit:.3g} s", passing=True) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._broken(error) from None
        text = self._key.hide(self._text(reply))
        if reply.status != 200:
            raise self._refusal(reply, text, structured)
        return self._parse(text, reply.headers.get("Content-Type", ""))

    def _text(self, reply: Reply) -> str:
        """Return the text of a body."""
        if not reply.whole:
            raise EndpointError(f"{self._at} replied with more than {MAX_REPLY_BYTES:,} bytes: not read further")
        encoding = reply.headers.get("Content-Encoding", "").strip().lower()
        if encoding in ("", "identity"):
            return reply.body.decode("utf-8", errors="replace")
        if reply.status == 200:  # a few kilobytes may hold gigabytes
            raise EndpointError(f"{self._at} packed its reply ({excerpt(encoding)}) unasked: switch that off there")
        return ""

    def _parse(self, text: str, kind: str) -> Any:
        try:
            value = parse_json(text, self._at)
            # Written anew without escapes, so that no spelling of the key goes unseen.
            anew = self._key.hide(json.dumps(value, ensure_ascii=False)) if self._key.value else ""
            return parse_json(anew, self._at) if anew else value
        except (InputError, RecursionError):
            pass
        if _is_page(text, kind):
            raise EndpointError(f"{self._at} replied with a web page, not with JSON: is the url right?")
        raise EndpointError(f"{self._at} replied with what is not JSON: {excerpt(text) or 'nothing at all'}")

    def _refusal(self, reply: Reply, text: str, structured: bool) -> EndpointError:
        """Say what a status other than 200 means."""
        status = reply.status
        page = _is_page(text, reply.headers.get("Content-Type", ""))
        words = "a web page" if page else self._key.hide(_server_words(text))
        said = f": {words}" if words else ""
        answered = f"{self._at} answered {status}"
        if 300 <= status < 400:
            # Without its query, which may hold secrets.
            location = re.split(r"[?#]", self._key.hide(reply.headers.get("Location", "")))[0].rpartition("@")[2]
            leads = f"a redirect to {excerpt(location) or 'nowhere'}, which is not followed"
            return EndpointError(f"{answered}, {leads}: set the url to where the server really is", Cause.ADDRESS)
        if status in RETRIED:
            wait = read_retry_after(reply.headers.get("Retry-After"))
            return EndpointError(f"{answered}{said}", passing=True, wait=wait)
        if status in (401, 403):
            more = f" ({words})" if words else ""
            return EndpointError(f"{answered} (not allowed): {self._key.story}{more}", Cause.ACCESS)
        if status == 404:
            hint = "is the model's name right, and does the url end in /v1?"
            return EndpointError(f"{answered} (not found){said}: {hint}", Cause.ADDRESS)
        if status == 413:
            return EndpointError(f"{answered} (too large){said}: lower max_pixels, or take image_format='jpeg'")
        if structured and status in (400, 422):
            cause = Cause.STRUCTURE if _STRUCTURE_WORDS.search(words) else Cause.REPLY
            return EndpointError(f"{answered}{said} (a server that knows no json_schema needs structured=False)", cause)
        return EndpointError(f"{answered}{said}")

    def _broken(self, error: Exception) -> EndpointError:
        """Say what went wrong below HTTP."""
        why = self._key.hide(excerpt(str(error))) or type(error).__name__
        if isinstance(error, httpx.ConnectError):
            message = f"no connection to {self._address.url} ({why}): is the server running, and the url right?"
            return EndpointError(message, Cause.CONNECTION, passing="CERTIFICATE" not in why.upper())
        if isinstance(error, (httpx.NetworkError, httpx.RemoteProtocolError)):
            return EndpointError(f"{self._at} broke off ({why})", passing=True)
        return EndpointError(f"{self._at} cannot be asked ({why})")


def _server_words(text: str) -> str:
    """Find the server's own explanation in the body of an error."""
    try:
        found = parse_json(text, "the reply")
    except InputError:
        return excerpt(text)
    for name in ("error", "message", "detail"):
        while isinstance(found, dict) and name in found:
            found = found[name]
    return excerpt(found if isinstance(found, str) else json.dumps(found) if found else "")


def _is_page(text: str, kind: str) -> bool:
    return "html" in kind.lower() or text.lstrip()[:5].lower() in ("<html", "<!doc")
