"""What a client of fiducial's own servers can be given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fiducial.config import Config, option
from fiducial.remote import SERVICE_KEY_VARIABLE, check_address


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceConfig(Config):
    """Where a server is, and how long it is waited for; its URL alone means the same."""

    called: ClassVar[str] = "the server"
    command: ClassVar[str] = "fiducial serve"

    url: str = option(help="where it is: http://HOST:PORT", positional=True)
    key_variable: str | None = option(
        SERVICE_KEY_VARIABLE, "environment variable that holds the server's key; none sends none"
    )
    allow_insecure: bool = option(False, "send the key over plain http to another machine too")
    patience: float = option(
        600.0, "how long a server that is gone or busy is waited for, per request", unit="seconds", minimum=0
    )
    timeout: float = option(
        300.0, "limit of one request, from connecting to the last byte; then it is made again", unit="seconds", above=0
    )

    def check(self) -> None:
        """Refuse a URL that is none."""
        check_address(self.url, f"{self.called}'s url", self.key_variable or SERVICE_KEY_VARIABLE)
