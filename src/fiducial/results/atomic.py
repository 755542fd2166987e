"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from fiducial.errors import InputError


def write_atomically(path: str | Path, data: bytes | str) -> Path:
    """Write a file so that nobody ever sees half of it, not even after a crash.

    The data goes to a hidden file in the same folder, is forced to the disk, and takes the name only then.

    Args:
        path: the file; its folder has to exist.
        data: the whole content; text is written as UTF-8.

    Returns:
        The path.

    Raises:
        InputError: the file cannot be written (no permission, no room, no such folder); what was there before
            is left as it was.
    """
    path = Path(path)
    content = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    hidden = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        try:
            # Not tempfile: its files are for their owner only, these should follow the umask.
            with open(hidden, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(hidden, path)
        finally:
            hidden.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def make_folder(folder: str | Path) -> Path:
    """Make a folder, and those above it, unless it is there.

    Raises:
        InputError: it cannot be made.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: the folder cannot be made ({error.strerror or error})") from error
    return folder


def _sync_folder(folder: Path) -> None:
    """Force the new name itself to the disk, where the system can do that.

    Some network file systems refuse; the file is whole and in its place by then, so that is no failure.
    """
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
