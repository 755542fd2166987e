"""Errors that a caller can act on: each says what was wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_LONGEST = 200  # letters of a name: what was given in its place may be a whole file


class FiducialError(Exception):
    """Base class of every error that fiducial raises on purpose."""


class InputError(FiducialError):
    """What the caller gave cannot be used: a file, a name, a number, an option."""


class FrameError(InputError):
    """Coordinates of two different frames were mixed, or a frame is impossible."""


class GeometryError(InputError):
    """A box, point, mask or run-length code is not valid geometry."""


class ImageError(InputError):
    """A picture cannot be read: missing, empty, truncated, too large, or no picture at all."""


class UnknownNameError(InputError):
    """A recipe, dialect, prompter, segmenter or other name that nobody registered."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """Name what was asked for and what would have been understood.

        Args:
            kind: what sort of name it is, such as ``"recipe"``.
            name: the name that was not found.
            known: every name of that kind; the closest is suggested.
        """
        self.kind = kind
        self.name = name = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."
        self.known = tuple(sorted(known))
        close = difflib.get_close_matches(name.lower(), self.known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}? " if close else ""
        super().__init__(f"unknown {kind} {name!r}: {hint}known: {', '.join(self.known) or 'none'}")


class MissingExtraError(InputError):
    """A part needs packages that are not installed."""

    def __init__(self, part: str, extra: str, detail: str = "") -> None:
        """Say which part needs which extra.

        Args:
            part: the part that was asked for, such as ``"segmenter 'sam2'"``.
            extra: the extra of the ``fiducial`` package that brings what is missing.
            detail: the import error's own words.
        """
        why = f" ({detail})" if detail else ""
        super().__init__(f"{part} needs packages that are missing{why}: pip install 'fiducial[{extra}]'")


@contextmanager
def extra_needed(part: str, extra: str) -> Iterator[None]:
    """Say which extra brings a package that is not installed, where a part imports it; see :class:`MissingExtraError`.

    Raises:
        MissingExtraError: a package of others is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("fiducial"):
            raise
        raise MissingExtraError(part, extra, f"no module {error.name!r}") from error


class ModelError(FiducialError):
    """A model or a server failed: weights missing, out of memory, no connection.

    ``for_all`` says that every other request would fail in the same way, so that asking again is of no use.
    """

    for_all = False


class HubError(ModelError):
    """Weights are neither on this machine nor to be had from the hub."""
