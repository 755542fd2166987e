"""fiducial's own servers from the other side: asked over HTTP, and waited for when they are gone or busy."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

from fiducial.errors import InputError, MissingExtraError, ModelError
from fiducial.files import parse_json
from fiducial.remote import (
    SERVICE_KEY_VARIABLE,
    Address,
    Reply,
    check_address,
    excerpt,
    exchange,
    look_up_key,
    read_retry_after,
)
from fiducial.service_configs import PlaceConfig

try:
    import httpx
    import tenacity
except ModuleNotFoundError as error:
    raise MissingExtraError("asking a server", "endpoint", f"no module {error.name!r}") from error

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 2**28
"""The most bytes of an answer that are read."""
FIRST_WAIT = 0.5
"""Seconds before the second attempt, at most; they double from attempt to attempt."""
MAX_WAIT = 10.0
"""The longest wait in seconds between two attempts, whatever the server says."""
PASSING = frozenset({408, 429, 502, 503, 504})
"""The statuses that may be another one a moment later."""


class ServiceError(ModelError):
    """A server gave no answer of use; every other request would fare alike.

    ``passing`` says that asking again may help, ``wait`` for how many seconds the server asked to be left alone,
    ``status`` what it answered (0: nothing) and ``kind`` the type of its problem.
    """

    for_all = True

    def __init__(
        self, message: str, *, passing: bool = False, wait: float = 0.0, status: int = 0, kind: str = ""
    ) -> None:
        super().__init__(message)
        self.passing, self.wait = passing, wait
        self.status, self.kind = status, kind


class _Connections:
    """Connections of one process, kept open, in a loop of their own; any number of threads may ask at once."""

    def __init__(self, address: Address) -> None:
        self.owner = os.getpid()
        self._http = httpx.AsyncClient(
            headers={"Accept-Encoding": "identity", "User-Agent": "fiducial"},
            follow_redirects=False,  # the key and the pictures would go where nobody sent them
            trust_env=not address.local,
            verify=address.secure,
            timeout=None,  # exchange() has one limit for the whole request
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=None),
        )
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_run, args=(self._loop,), name="fiducial service", daemon=True).start()
        self._stop = weakref.finalize(self, _stop, self._loop, self.owner)

    def exchange(self, method: str, url: str, body: bytes | None, headers: dict[str, str], seconds: float) -> Reply:
        """Make one request; an interrupt cancels it."""
        asked = exchange(self._http, method, url, body, headers, seconds=seconds, most_bytes=MAX_ANSWER_BYTES)
        waiting = asyncio.run_coroutine_threadsafe(asked, self._loop)
        try:
            return waiting.result()
        except BaseException:
            waiting.cancel()
            raise

    def close(self) -> None:
        """Close them."""
        if self._stop.alive:
            asyncio.run_coroutine_threadsafe(self._http.aclose(), self._loop).result()
            self._stop()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop, owner: int) -> None:
    if owner == os.getpid():  # the loop of a parent process is not to be touched
        loop.call_soon_threadsafe(loop.stop)


class Service:
    """A server behind HTTP; any number of threads may ask it, and it is pickled.

    Connections are kept open between requests, never over a pickle or a fork. A server that was killed, is starting or
    busy is waited for, and the same request made again: no request of these servers changes anything. ``repeated``
    counts those.

    Args:
        place: where it is.
        sleep: waits for seconds.
        clock: tells seconds.
    """

    def __init__(
        self,
        place: PlaceConfig,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place = place
        self.counts: Counter[str] = Counter()
        self._sleep, self._clock = sleep, clock
        self._address = check_address(place.url, f"{place.called}'s url", place.key_variable or SERVICE_KEY_VARIABLE)
        self.at = f"{place.called} at {self._address.url}"
        self._connections: _Connections | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections; asking again opens new ones."""
        with self._lock:
            if self._connections is not None and self._connections.owner == os.getpid():
                self._connections.close()
            self._connections = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_connections": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def count(self, **numbers: int) -> None:
        """Add to ``counts``; any thread may do so."""
        with self._lock:
            self.counts.update(numbers)

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        """Make a request until it is answered for good, or patience ends.

        Args:
            method: of HTTP.
            path: below the server's URL.
            body: what is sent.
            kind: the body's content type.

        Returns:
            The body of the answer, whose status was 200 or 204.

        Raises:
            ServiceError: any other answer, or none.
        """
        draws = random.Random(path)  # so that clients that failed together do not come back together
        first: list[float] = []

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            drawn = min(FIRST_WAIT * 2.0 ** min(state.attempt_number - 1, 10), MAX_WAIT) * draws.uniform(0.5, 1.0)
            return max(drawn, min(error.wait, MAX_WAIT)) if isinstance(error, ServiceError) else drawn

        def stop(state: tenacity.RetryCallState) -> bool:
            first[:] = first or [self._clock()]
            return self._clock() + state.upcoming_sleep > first[0] + self.place.patience

        def note(state: tenacity.RetryCallState) -> None:
            self.count(repeated=1)
            if state.attempt_number == 1 and state.outcome is not None:
                said = state.outcome.exception()
                logger.warning("%s; it is asked again for up to %g s", said, self.place.patience)

        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, ServiceError) and error.passing),
            wait=wait,
            stop=stop,
            sleep=self._sleep,
            before_sleep=note,
            reraise=True,
        )
        try:
            return again(self._once, method, path, body, kind)
        except ServiceError as error:
            attempts = again.statistics["attempt_number"]
            if not error.passing:
                raise
            raise ServiceError(
                f"{error} (asked {attempts} times in {self.place.patience:g} s: start it again with "
                f"`{self.place.command}`, or raise the service's patience)",
                status=error.status,
            ) from None

    def read(self, answer: bytes) -> dict[str, Any]:
        """Read an answer as a JSON object.

        Raises:
            ServiceError: it is none.
        """
        try:
            return dict(parse_json(answer, "the answer", kind=dict))
        except InputError as error:
            raise self.senseless(error) from None

    def read_list(self, answer: bytes) -> list[Any]:
        """Read an answer as a JSON list.

        Raises:
            ServiceError: it is none.
        """
        try:
            return list(parse_json(answer, "the answer", kind=list))
        except InputError as error:
            raise self.senseless(error) from None

    def senseless(self, error: InputError) -> ServiceError:
        """Return the error that an answer is not what it should be."""
        return ServiceError(f"{self.at} answered what makes no sense: {error}")

    def _once(self, method: str, path: str, body: bytes | None, kind: str) -> bytes:
        """Make a request once."""
        variables = () if not self.place.key_variable else (self.place.key_variable,)
        key = look_up_key(self._address, variables, allow_insecure=self.place.allow_insecure)
        headers = {"Content-Type": kind} if kind else {}
        if key.value:
            headers["Authorization"] = f"Bearer {key.value}"
        url = self._address.url + path
        try:
            reply = self._connected().exchange(method, url, body, headers, self.place.timeout)
        except TimeoutError:
            raise ServiceError(f"{self.at} gave no whole answer in {self.place.timeout:g} s", passing=True) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = key.hide(excerpt(str(error))) or type(error).__name__
            passing = isinstance(error, httpx.TransportError) and "CERTIFICATE" not in why.upper()
            raise ServiceError(f"{self.at} cannot be reached ({why})", passing=passing) from None
        if not reply.whole:
            raise ServiceError(f"{self.at} answered more than {MAX_ANSWER_BYTES:,} bytes: ask for less at once")
        if reply.status in (200, 204):
            return reply.body
        problem = _problem(reply.body)
        words = key.hide(excerpt(str(problem.get("detail") or problem.get("title") or "")))
        said = f"{self.at} answered {reply.status}{f': {words}' if words else ''}"
        if reply.status in (401, 403):
            said += f" ({key.story})"
        elif not words:
            said += f" (is it {self.place.called.replace('the ', 'a ', 1)}?)"
        raise ServiceError(
            said,
            passing=reply.status in PASSING,
            wait=read_retry_after(reply.headers.get("Retry-After")),
            status=reply.status,
            kind=str(problem.get("type", "")),
        )

    def _connected(self) -> _Connections:
        """Return this process's connections; those of a parent process are not to be touched."""
        with self._lock:
            if self._connections is None or self._connections.owner != os.getpid():
                self._connections = _Connections(self._address)
            return self._connections


def _problem(answer: bytes) -> dict[str, Any]:
    try:
        return dict(parse_json(answer, "the answer", kind=dict))
    except InputError:  # a page of something between, whose words are of no use
        return {}
