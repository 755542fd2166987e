"""The reward service from the trainer's side: asked as the one in this process is, and waited for when it is gone."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fiducial.errors import InputError, MissingExtraError, ModelError
from fiducial.files import parse_json
from fiducial.geometry import Prompts
from fiducial.images import Image
from fiducial.remote import Address, Reply, check_address, excerpt, exchange, look_up_key, read_retry_after
from fiducial.rewards.configs import SERVICE_KEY_VARIABLE, ServiceConfig
from fiducial.rewards.service import Cut
from fiducial.rewards.wire import UNKNOWN_IMAGE, image_path, read_cuts, write_completions

try:
    import httpx
    import tenacity
except ModuleNotFoundError as error:
    raise MissingExtraError("a reward service", "endpoint", f"no module {error.name!r}") from error

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 2**28
"""The most bytes of an answer that are read."""
FIRST_WAIT = 0.5
"""Seconds before the second attempt, at most; they double from attempt to attempt."""
MAX_WAIT = 10.0
"""The longest wait in seconds between two attempts, whatever the service says."""
MOST_SENDINGS = 10
"""How often one image is sent for one request before the service's store is taken for too small."""
PASSING = frozenset({408, 429, 502, 503, 504})
"""The statuses that may be another one a moment later."""


class ServiceError(ModelError):
    """A reward service gave no answer of use; every other request would fare alike.

    ``passing`` says that asking again may help, ``wait`` for how many seconds the service asked to be left alone.
    """

    for_all = True

    def __init__(self, message: str, *, passing: bool = False, wait: float = 0.0) -> None:
        super().__init__(message)
        self.passing = passing
        self.wait = wait


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
        threading.Thread(target=_run, args=(self._loop,), name="reward service", daemon=True).start()
        self._stop = weakref.finalize(self, _stop, self._loop, self.owner)

    def exchange(self, method: str, url: str, body: bytes | None, headers: dict[str, str], seconds: float) -> Reply:
        """Make one request; an interrupt cancels it."""
        limits = {"seconds": seconds, "most_bytes": MAX_ANSWER_BYTES}
        waiting = asyncio.run_coroutine_threadsafe(
            exchange(self._http, method, url, body, headers, **limits), self._loop
        )
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


class RemoteMaskService:
    """A :class:`fiducial.rewards.service.MaskService` behind HTTP; any number of threads may use it, and it is pickled.

    Connections are kept open between requests, never over a pickle or a fork. A service that was killed, is starting
    or busy is waited for, and the same request made again, so that no completion is lost; an image that it does not
    know is sent first. ``counts`` says what was done from here: ``prompts`` asked for, ``failed`` completions,
    ``images`` sent, ``repeated`` requests.

    Args:
        config: where the service is, and how long it is waited for.
        sleep: waits for seconds.
        clock: tells seconds.
    """

    def __init__(
        self,
        config: ServiceConfig,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.counts: Counter[str] = Counter()
        self._sleep, self._clock = sleep, clock
        variable = config.key_variable or ""
        self._address = check_address(config.url, "the reward service's url", variable or SERVICE_KEY_VARIABLE)
        self._at = f"the reward service at {self._address.url}"
        self._connections: _Connections | None = None
        self._lock = threading.Lock()

    @property
    def concurrency(self) -> int:
        """How many threads that ask at once gain something."""
        return self.config.concurrency

    def cut(self, image: Image, completions: Sequence[Prompts]) -> list[Cut]:
        """Cut one mask per prompt of each completion, as :meth:`fiducial.rewards.service.MaskService.cut` does.

        Raises:
            ServiceError: the service refuses the request, or was waited for in vain.
        """
        for prompts in completions:
            image.frame.require(prompts.frame, "the prompts of a completion")
        asked = [index for index, prompts in enumerate(completions) if len(prompts)]
        found: list[Cut] = [()] * len(completions)
        if asked:
            cuts = self._ask(image, [completions[index] for index in asked])
            for index, cut in zip(asked, cuts, strict=True):
                found[index] = cut
        failed = sum(isinstance(cut, ModelError) for cut in found)
        self._count(prompts=sum(map(len, completions)), failed=failed)
        return found

    def about(self) -> dict[str, Any]:
        """Return what the service says about itself: its segmenter, limits and counts."""
        return dict(self._json(self._patiently("GET", "/v1/service")[1]))

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

    def _count(self, **numbers: int) -> None:
        with self._lock:
            self.counts.update(numbers)

    def _ask(self, image: Image, completions: list[Prompts]) -> list[Cut]:
        """Ask for masks; send the image where the service does not have it."""
        path, body = image_path(image.digest), write_completions(completions)
        for _ in range(MOST_SENDINGS):
            known, answer = self._patiently("POST", f"{path}/masks", body, "application/json")
            if known:
                try:
                    return read_cuts(answer, image, completions)
                except InputError as error:
                    raise ServiceError(f"{self._at} answered what makes no sense: {error}") from None
            pixels = np.ascontiguousarray(image.pixels).tobytes()
            size = f"?width={image.width}&height={image.height}"
            self._patiently("PUT", path + size, pixels, "application/octet-stream")
            self._count(images=1)
        raise ServiceError(
            f"{self._at} let {image.name} go {MOST_SENDINGS} times before it was cut: its store is too small for what "
            "is asked at once; raise --store-bytes there, or ask for less at once (concurrency)"
        )

    # -- one request ------------------------------------------------------------------------------------

    def _patiently(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[bool, bytes]:
        """Make a request until it is answered for good, or patience ends."""
        draws = random.Random(path)  # so that clients that failed together do not come back together
        first: list[float] = []

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            drawn = min(FIRST_WAIT * 2.0 ** min(state.attempt_number - 1, 10), MAX_WAIT) * draws.uniform(0.5, 1.0)
            return max(drawn, min(error.wait, MAX_WAIT)) if isinstance(error, ServiceError) else drawn

        def stop(state: tenacity.RetryCallState) -> bool:
            first[:] = first or [self._clock()]
            return self._clock() + state.upcoming_sleep > first[0] + self.config.patience

        def note(state: tenacity.RetryCallState) -> None:
            self._count(repeated=1)
            if state.attempt_number == 1 and state.outcome is not None:
                said = state.outcome.exception()
                logger.warning("%s; it is asked again for up to %g s", said, self.config.patience)

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
                f"{error} (asked {attempts} times in {self.config.patience:g} s: start it again with `fiducial serve "
                "reward`, or raise the service's patience)"
            ) from None

    def _once(self, method: str, path: str, body: bytes | None, kind: str) -> tuple[bool, bytes]:
        """Make a request once: whether the image in question was known, and the body of the answer."""
        variables = () if not self.config.key_variable else (self.config.key_variable,)
        key = look_up_key(self._address, variables, allow_insecure=self.config.allow_insecure)
        headers = {"Content-Type": kind} if kind else {}
        if key.value:
            headers["Authorization"] = f"Bearer {key.value}"
        url = self._address.url + path
        try:
            reply = self._connected().exchange(method, url, body, headers, self.config.timeout)
        except TimeoutError:
            raise ServiceError(f"{self._at} gave no whole answer in {self.config.timeout:g} s", passing=True) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = key.hide(excerpt(str(error))) or type(error).__name__
            passing = isinstance(error, httpx.TransportError) and "CERTIFICATE" not in why.upper()
            raise ServiceError(f"{self._at} cannot be reached ({why})", passing=passing) from None
        if not reply.whole:
            raise ServiceError(f"{self._at} answered more than {MAX_ANSWER_BYTES:,} bytes: ask for less at once")
        if reply.status in (200, 204):
            return True, reply.body
        problem = self._problem(reply.body)
        if reply.status == 404 and problem.get("type") == UNKNOWN_IMAGE:
            return False, b""
        words = key.hide(excerpt(str(problem.get("detail") or problem.get("title") or "")))
        said = f"{self._at} answered {reply.status}{f': {words}' if words else ''}"
        if reply.status in (401, 403):
            said += f" ({key.story})"
        elif not words:
            said += " (is it a reward service?)"
        wait = read_retry_after(reply.headers.get("Retry-After"))
        raise ServiceError(said, passing=reply.status in PASSING, wait=wait)

    def _connected(self) -> _Connections:
        """Return this process's connections; those of a parent process are not to be touched."""
        with self._lock:
            if self._connections is None or self._connections.owner != os.getpid():
                self._connections = _Connections(self._address)
            return self._connections

    def _problem(self, answer: bytes) -> dict[str, Any]:
        try:
            return dict(parse_json(answer, "the answer", kind=dict))
        except InputError:  # a page of something between, whose words are of no use
            return {}

    def _json(self, answer: bytes) -> dict[str, Any]:
        try:
            return dict(parse_json(answer, "the answer", kind=dict))
        except InputError as error:
            raise ServiceError(f"{self._at} answered what makes no sense: {error}") from None
