"""Running an application until it is told to stop; what runs then is finished first."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from fiducial.errors import InputError, MissingExtraError

try:
    import h11
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ModuleNotFoundError as error:
    raise MissingExtraError("a server", "serve", f"no module {error.name!r}") from error

if TYPE_CHECKING:
    from fastapi import FastAPI

HEADER_SECONDS = 30.0
"""How long the header of a request may take to arrive, from the connection or from its first byte on."""
KEEP_ALIVE = 600
"""Seconds for which an idle connection is kept: a trainer writes completions for minutes between two requests."""


class PatientProtocol(H11Protocol):
    """HTTP that does not wait without end for a header, of which somebody sends a letter a minute."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base has it
        """Begin to wait for a header."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the clock runs until they are a whole header."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._wait()
        else:
            self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._rest()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _rest(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class Server:
    """One application at one address; the port is taken when it is made, so that it can be told.

    Args:
        app: answers requests.
        host: a name or address of this machine.
        port: 0 takes a free one.

    Raises:
        InputError: the address cannot be listened at.
    """

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._socket = _listen(host, port)
        config = uvicorn.Config(
            app,
            http=PatientProtocol,
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
        )
        self._server = uvicorn.Server(config)
        named = f"[{host}]" if ":" in host else host
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://{named}:{self.port}"

    def run(self, ready: Callable[[], object] = lambda: None) -> None:
        """Answer requests until :meth:`stop`, SIGINT or SIGTERM; then finish those that run.

        Args:
            ready: is called when requests that are made from then on will be answered.
        """
        with closing(self._socket):
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGINT, signal.SIGTERM):  # being stopped is how a server ends, not an error
                    signal.signal(number, lambda *_: self.stop())
            self._socket.listen(self._server.config.backlog)  # connections wait from here on
            ready()
            self._server.run([self._socket])

    def stop(self) -> None:
        """Take no further requests, and end when the running ones are answered; any thread may call it."""
        self._server.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, kind, protocol)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
        except OSError:
            taken.close()
            raise
    except OSError as error:
        raise InputError(
            f"cannot listen at {host}, port {port} ({error.strerror or error}): take another --port"
        ) from None
    return taken
