"""What the commands print goes through here: closed or full outputs, readers that leave, commands to the terminal."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from fiducial.errors import InputError

_COMMANDING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Signs that command a terminal, or that turn the direction of what stands around them; no tab and no line break."""


def plain(text: str) -> str:
    r"""Take out of a text what would command a terminal; models, servers and files may have written it.

    Example:
        >>> plain("a\x1b[31m red\u202e ship")
        'a[31m red ship'
    """
    return _COMMANDING.sub("", text)


def say(text: str) -> None:
    """Print on stderr what may hold words of models, servers or files."""
    print(plain(text), file=sys.stderr)


class _Output:
    """A text stream of the process; ``gone`` once its reader has left, as ``head`` does: what follows is dropped.

    Raises:
        InputError: stdout cannot be written for another reason. Where stderr cannot, nobody is left to be told.
    """

    def __init__(self, stream: TextIO, *, printed: bool) -> None:
        self._stream, self._printed = stream, printed
        self.gone = False

    def write(self, text: str) -> int:
        """Write a text, without what commands a terminal where it is for people's eyes."""
        with self._guarded():
            self._stream.write(plain(text) if self._printed else text)
        return len(text)

    def flush(self) -> None:
        """Hand everything over."""
        with self._guarded():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.gone = True
            with contextlib.suppress(OSError, ValueError):  # what is still to be written goes nowhere
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if self._printed and not isinstance(error, BrokenPipeError):
                raise InputError(f"what is printed cannot be written ({error.strerror or error})") from None


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Guard stdout and stderr while a command runs; what the terminal cannot write comes out escaped."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stderr = cast(TextIO, _Output(sys.stderr or open(os.devnull, "w"), printed=False))  # noqa: SIM115
    try:
        if sys.stdout is not None:
            sys.stdout = cast(TextIO, _Output(sys.stdout, printed=True))
        yield
    finally:
        sys.stdout, sys.stderr = before


def check_output() -> None:
    """Refuse to begin where stdout is closed: files that are opened would take its place."""
    if sys.stdout is None:
        raise InputError("stdout is closed: send it to a file, or to /dev/null")


def nobody_reads() -> bool:
    """Tell whether the reader of stdout has left."""
    return bool(getattr(sys.stdout, "gone", False))


def read_input(limit: int) -> str:
    """Read the whole of stdin as UTF-8; what is no text comes as replacement characters.

    Args:
        limit: most bytes.

    Raises:
        InputError: stdin is closed or cannot be read, or holds more.
    """
    if sys.stdin is None:
        raise InputError("stdin is closed: give the reply through a pipe or from a file (< reply.txt)")
    try:
        data = sys.stdin.buffer.read(limit + 1)
    except OSError as error:
        raise InputError(f"stdin cannot be read ({error.strerror or error})") from None
    if len(data) > limit:
        raise InputError(f"stdin holds more than {limit >> 20} MiB, which no reply of a model has")
    return data.decode("utf-8", errors="replace")
