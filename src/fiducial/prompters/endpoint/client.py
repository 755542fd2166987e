"""One request to a server: where it goes, with which key, how much is read, and what its failure means."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fiducial.errors import InputError, MissingExtraError
from fiducial.prompters.endpoint.retrying import RETRIED, Cause, EndpointError, read_retry_after

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "http://localhost:8000/v1"
URL_VARIABLE = "FIDUCIAL_ENDPOINT"
KEY_VARIABLE = "FIDUCIAL_API_KEY"
OPENAI_VARIABLE = "OPENAI_API_KEY"
MAX_REPLY_BYTES = 4 * 1024 * 1024
"""The most bytes of a reply that are read."""

_EXCERPT = 300
_SECRET_LENGTH = 6
"""Shorter keys are placeholders such as "none"; taking them out of every text would only spoil it."""
_STRUCTURE_WORDS = re.compile(r"response_format|json_schema|schema|grammar|guided|structured", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is.

    Args:
        url: scheme, host, port and path, without a final slash.
        host: the host's name or number, in lower case.
        secure: whether it is reached over TLS.
    """

    url: str
    host: str
    secure: bool

    @property
    def local(self) -> bool:
        """Whether it is this machine itself, so that nothing sent there can be read on the way."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")


def read_address(url: str | None, environment: Mapping[str, str] | None = None) -> Address:
    """Check a server's URL.

    Args:
        url: such as ``http://localhost:8000/v1``; None takes the environment's FIDUCIAL_ENDPOINT, else that default.
            A final ``/chat/completions`` is taken off.
        environment: instead of that of this process.

    Raises:
        InputError: no http or https URL of a host, or one that holds a name, a password, a query or a fragment: those
            would be written into the files of a run.

    Example:
        >>> read_address("https://api.example.org/v1/").url
        'https://api.example.org/v1'
    """
    found = os.environ if environment is None else environment
    given = (url if url is not None else found.get(URL_VARIABLE, "")).strip() or DEFAULT_URL
    try:
        parts = urlsplit(given)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise InputError("the endpoint's url cannot be read: write http://HOST:PORT/v1") from None
    # Secrets may stand in what is refused here, so it is not repeated in the message.
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise InputError(
            "the endpoint's url holds a user name, a query or a fragment: write just http://HOST:PORT/v1; "
            f"a key belongs in the environment variable {KEY_VARIABLE}"
        )
    if parts.scheme not in ("http", "https") or not host or not given.isprintable() or " " in given or "\\" in given:
        raise InputError(f"the endpoint's url needs to be http://HOST:PORT/v1 or https://HOST/v1, got {given!r}")
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    named = f"[{host}]" if ":" in host else host
    where = named if port is None else f"{named}:{port}"
    return Address(f"{parts.scheme}://{where}{path}", host, parts.scheme == "https")


@dataclass(frozen=True, slots=True)
class Key:
    """A server's key; it is in no text that this object gives.

    Args:
        value: the key, or "" for none.
        variables: the environment variables that were looked at, in order.
        variable: the one that held it.
    """

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
        names = " and ".join(self.variables)
        verb = "is" if len(self.variables) == 1 else "are"
        return f"no key was sent, for the environment variable {names} {verb} not set"

    def hide(self, text: str) -> str:
        """Take the key out of a text that somebody else wrote."""
        return text.replace(self.value, "[key]") if len(self.value) >= _SECRET_LENGTH else text


def find_key(
    address: Address,
    variable: str | None = KEY_VARIABLE,
    *,
    allow_insecure: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Key:
    """Look a server's key up in the environment.

    Args:
        address: the server. OPENAI_API_KEY is looked at too, but for OpenAI's own hosts only: anybody else would be
            handed a key that is not theirs.
        variable: the environment variable; None or "" sends no key.
        allow_insecure: send the key in the clear to another machine too.
        environment: instead of that of this process.

    Raises:
        InputError: a key that no header can hold, or one that would be sent in the clear to another machine.
    """
    found = os.environ if environment is None else environment
    if not variable:
        return Key("")
    openai = address.secure and (address.host == "openai.com" or address.host.endswith(".openai.com"))
    variables = tuple(dict.fromkeys((variable, OPENAI_VARIABLE) if openai else (variable,)))
    holding = next((name for name in variables if found.get(name, "").strip()), "")
    value = found[holding].strip() if holding else ""
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise InputError(f"the key in the environment variable {holding} holds signs that no key has: set it anew")
    if value and not (address.secure or address.local or allow_insecure):
        raise InputError(
            f"the key of {holding} would travel to {address.host} in the clear: use https, or key_variable='' to send "
            "none, or allow_insecure=True if the network between is your own"
        )
    return Key(value, variables, holding)


def load_httpx() -> Any:
    """Import httpx, which an extra brings.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import httpx
    except ModuleNotFoundError as error:
        raise MissingExtraError("prompter 'endpoint'", "endpoint", f"no module {error.name!r}") from error
    return httpx


class Client:
    """Speaks to one server; may be used by several threads, and is closed by its ``with``.

    Redirects are not followed, since the key and the picture would go where nobody sent them. Proxies of the
    environment are used, except for this machine itself.

    Args:
        address: the server.
        key: its key.
        timeout: seconds for one request, from the connection to the reply's last byte; a reply that begins and then
            stalls may take twice as long to be given up.
        connections: the most connections at once.
    """

    def __init__(self, address: Address, key: Key, *, timeout: float, connections: int = 1) -> None:
        self._httpx = load_httpx()
        self._address = address
        self._key = key
        self._timeout = timeout
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "fiducial"}
        if key.value:
            headers["Authorization"] = f"Bearer {key.value}"
        self._http: httpx.Client = self._httpx.Client(
            headers=headers,
            follow_redirects=False,
            trust_env=not address.local,
            verify=address.secure,  # plain http has no certificates, and reading those of the system takes its time
            limits=self._httpx.Limits(max_connections=connections),
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, *, seconds: float) -> Any:
        """Ask for what stands at a path; arguments, returns and raises as for :meth:`post`."""
        return self._request("GET", path, None, seconds, structured=False)

    def post(self, path: str, body: bytes, *, seconds: float, structured: bool = False) -> Any:
        """Send JSON and read JSON, once.

        Args:
            path: below the server's URL, such as ``/chat/completions``.
            body: JSON in UTF-8.
            seconds: that are left; the request's own timeout counts too.
            structured: whether the body asks for structured output, which some servers refuse.

        Returns:
            The JSON value of the reply, without the key wherever it may have stood.

        Raises:
            EndpointError: no connection, no reply in time, a status other than 200, a reply that is cut, too long or
                not JSON.
        """
        return self._request("POST", path, body, seconds, structured=structured)

    def _request(self, method: str, path: str, body: bytes | None, seconds: float, *, structured: bool) -> Any:
        limit = max(0.001, min(self._timeout, seconds))
        end = time.monotonic() + limit
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            with self._http.stream(
                method, self._address.url + path, content=body, headers=headers, timeout=limit
            ) as response:
                text = self._key.hide(self._read(response, end, limit))
                if response.status_code == 200:
                    return self._parse(text, response.headers.get("Content-Type", ""))
                raise self._refusal(response, text, structured)
        except (self._httpx.HTTPError, self._httpx.InvalidURL) as error:
            raise self._broken(error, limit) from None

    def _read(self, response: httpx.Response, end: float, limit: float) -> str:
        """Read a body, no longer and for no longer than is allowed; that of an error may be cut."""
        read, good = bytearray(), response.status_code == 200
        try:
            for piece in response.iter_bytes():
                read += piece
                if len(read) > MAX_REPLY_BYTES:
                    raise EndpointError(
                        f"{self._at} replied with more than {MAX_REPLY_BYTES:,} bytes: not read further"
                    )
                if time.monotonic() > end:
                    raise EndpointError(self._too_slow(limit), passing=True)
        except self._httpx.TransportError:
            if good:
                raise
        return read.decode("utf-8", errors="replace")

    def _parse(self, text: str, kind: str) -> Any:
        try:
            value = json.loads(text)
            # Written anew without escapes, so that no spelling of the key goes unseen.
            return json.loads(self._key.hide(json.dumps(value, ensure_ascii=False))) if self._key.value else value
        except (ValueError, RecursionError):
            pass
        if _is_page(text, kind):
            raise EndpointError(f"{self._at} replied with a web page, not with JSON: is the url right?")
        raise EndpointError(f"{self._at} replied with what is not JSON: {_excerpt(text) or 'nothing at all'}")

    def _refusal(self, response: httpx.Response, text: str, structured: bool) -> EndpointError:
        """Say what a status other than 200 means."""
        status = response.status_code
        page = _is_page(text, response.headers.get("Content-Type", ""))
        words = "a web page" if page else self._key.hide(_server_words(text))
        said = f": {words}" if words else ""
        answered = f"{self._at} answered {status}"
        if 300 <= status < 400:
            return EndpointError(
                f"{answered}, a redirect to {self._target(response)}, which is not followed: set the url to where the "
                "server really is",
                Cause.ADDRESS,
            )
        if status in RETRIED:
            wait = read_retry_after(response.headers.get("Retry-After"))
            return EndpointError(f"{answered}{said}", passing=True, wait=wait)
        if status in (401, 403):
            return EndpointError(
                f"{answered} (not allowed): {self._key.story}{f' ({words})' if words else ''}", Cause.ACCESS
            )
        if status == 404:
            hint = "is the model's name right, and does the url end in /v1?"
            return EndpointError(f"{answered} (not found){said}: {hint}", Cause.ADDRESS)
        if status == 413:
            return EndpointError(f"{answered} (too large){said}: lower max_pixels, or take image_format='jpeg'")
        if structured and status in (400, 422):
            cause = Cause.STRUCTURE if _STRUCTURE_WORDS.search(words) else Cause.REPLY
            return EndpointError(f"{answered}{said} (a server that knows no json_schema needs structured=False)", cause)
        return EndpointError(f"{answered}{said}")

    def _broken(self, error: Exception, limit: float) -> EndpointError:
        """Say what went wrong below HTTP."""
        why = self._key.hide(_excerpt(str(error))) or type(error).__name__
        if isinstance(error, self._httpx.TimeoutException):
            return EndpointError(self._too_slow(limit), passing=True)
        if isinstance(error, self._httpx.ConnectError):
            message = f"no connection to {self._address.url} ({why}): is the server running, and the url right?"
            return EndpointError(message, Cause.CONNECTION, passing="CERTIFICATE" not in why.upper())
        if isinstance(error, (self._httpx.NetworkError, self._httpx.RemoteProtocolError)):
            return EndpointError(f"{self._at} broke off ({why})", passing=True)
        return EndpointError(f"{self._at} cannot be asked ({why})")

    @property
    def _at(self) -> str:
        return f"the server at {self._address.url}"

    def _too_slow(self, limit: float) -> str:
        return f"{self._at} gave no whole reply within {limit:.3g} s"

    def _target(self, response: httpx.Response) -> str:
        """Name where a redirect leads, without its query, which may hold secrets."""
        location = self._key.hide(response.headers.get("Location", ""))
        return _excerpt(re.split(r"[?#]", location)[0].rpartition("@")[2]) or "nowhere"


def _server_words(text: str) -> str:
    """Find the server's own explanation in the body of an error."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return _excerpt(text)
    for name in ("error", "message", "detail"):
        while isinstance(found, dict) and name in found:
            found = found[name]
    return _excerpt(found if isinstance(found, str) else json.dumps(found) if found else "")


def _is_page(text: str, kind: str) -> bool:
    return "html" in kind.lower() or text.lstrip()[:5].lower() in ("<html", "<!doc")


def _excerpt(text: str) -> str:
    """Return the beginning of a foreign text on one line, without signs that could command a terminal."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 4 * _EXCERPT]).split())
    return line if len(line) <= _EXCERPT else f"{line[:_EXCERPT]} ..."
