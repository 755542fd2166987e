"""A lock on an open file, held by one process and lifted by the system when that process ends."""

from __future__ import annotations

from pathlib import Path

from fiducial.errors import InputError

try:
    import fcntl
except ImportError:  # not a POSIX system: the caller has to take care there
    fcntl = None  # type: ignore[assignment]


def lock(descriptor: int, path: Path) -> None:
    """Take the lock of an open file, or say who seems to hold it.

    Args:
        descriptor: of the open file.
        path: names it in errors.

    Raises:
        InputError: another process holds it.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"{path}: another process is writing to it: wait for it, or give this run a folder of its own"
        ) from None
    except OSError:
        return  # some network file systems know no locks
