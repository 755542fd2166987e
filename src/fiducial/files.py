"""Files, once for all: written whole or not at all, read with clear errors, locked by one process."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from fiducial.errors import InputError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

try:
    import fcntl
except ImportError:  # not a POSIX system: the caller has to take care there
    fcntl = None  # type: ignore[assignment]


MAX_BYTES = 4 * 2**30
"""Of a text file; the annotations of a large dataset are half a gigabyte."""
MAX_DIGITS = 40
"""Of a whole number in JSON, of any number in YAML."""
MAX_YAML = 2**18
"""Letters of a YAML text: PyYAML reads some hundred thousand a second."""
MAX_NODES, MAX_DEPTH = 10_000, 50
"""Values of a YAML text, and how deep they may be nested."""
_PIECE = 2**20
_LONG_NUMBER = re.compile(rf"[0-9]{{{MAX_DIGITS + 1}}}")
_LONG_NUMBER_OF_BYTES = re.compile(_LONG_NUMBER.pattern.encode())


# -- writing ------------------------------------------------------------------------------------


def write_atomically(path: str | Path, data: bytes | str) -> Path:
    """Write a file, text as UTF-8, so that nobody ever sees half of it, not even after a crash; returns the path.

    Raises:
        InputError: as for :func:`writing`.
    """
    with writing(path) as file:
        file.write(data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data)
    return Path(path)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file that takes its name when it is whole.

    The data goes to a hidden file in the same folder, is forced to the disk, and takes the name only then.

    Raises:
        InputError: the file cannot be written (no permission, no room, no such folder); what was there before
            is left as it was.
    """
    path = Path(path)
    hidden = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        try:
            # Not tempfile: its files are for their owner only, these should follow the umask.
            with open(hidden, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(hidden, path)
        finally:
            hidden.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Force the new name itself to the disk, where the system can do that."""
    if os.name != "posix":
        return
    # Some network file systems refuse; the file is whole and in its place by then.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace_folder(folder: Path, new: Path) -> None:
    """Put a new folder in the place of one, if there is one; stopped in between, the old one is ``.NAME.before``."""
    before = folder.with_name(f".{folder.name}.before")
    shutil.rmtree(before, ignore_errors=True)
    if folder.exists():
        folder.replace(before)
    new.replace(folder)
    shutil.rmtree(before, ignore_errors=True)


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


def json_text(values: Any) -> str:
    """Write plain values as strict, indented JSON with a line break at its end; NaN and infinity raise ValueError."""
    return json.dumps(values, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def rounded(value: float | None, digits: int) -> float | None:
    """Round a number for JSON; None stays None, what is not finite becomes None."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits) + 0.0  # no negative zero


# -- reading ------------------------------------------------------------------------------------


def read_whole(path: Path | Traversable, most: int = MAX_BYTES) -> bytes:
    """Read a file of at most so many bytes.

    Raises:
        InputError: it holds more, or is a device, which may have no end.
        OSError: it cannot be read.
    """
    if isinstance(path, Path) and path.is_char_device():
        raise InputError(f"{path}: is a device, not a file")
    with path.open("rb") as file:
        kind = os.fstat(file.fileno()) if isinstance(path, Path) else None
        if kind is None or (stat.S_ISREG(kind.st_mode) and kind.st_size <= most):
            whole: bytes = file.read()
            return whole
        pieces, room = [b""], most
        while room >= 0 and not stat.S_ISREG(kind.st_mode) and (piece := file.read(_PIECE)):  # a pipe
            pieces.append(piece)
            room -= len(piece)
    if room < 0 or stat.S_ISREG(kind.st_mode):
        raise InputError(f"{path}: holds more than {most >> 20:,} MiB, which is not read")
    return b"".join(pieces)


def read_text(path: Path | Traversable, *, fallback: str | None = None) -> str:
    """Read a UTF-8 text file, with or without a byte order mark; ``fallback`` is the encoding of files that are not.

    Raises:
        InputError: missing, not readable, without end, or not text.
    """
    try:
        data = read_whole(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValueError as error:  # a name that no file can have
        raise InputError(f"{str(path)!r}: no such file ({error})") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if fallback is None:
            raise InputError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    return data.decode(fallback, errors="replace")


def parse_json(
    text: str | bytes,
    where: object,
    *,
    kind: type[Any] | None = None,
    hook: Callable[[dict[str, Any]], Any] | None = None,
) -> Any:
    """Read JSON.

    Args:
        text: the JSON.
        where: names it in errors: a path, or a path and a line.
        kind: what the top level has to be, ``dict`` or ``list``.
        hook: is given each object as soon as it is complete and may return something smaller.

    Raises:
        InputError: it is not valid JSON, nested too deeply, with a whole number of more than ``MAX_DIGITS`` digits, or
            of another kind.

    Example:
        >>> parse_json("[" * 5000, "answers.json")
        Traceback (most recent call last):
        fiducial.errors.InputError: answers.json: not valid JSON: nested too deeply
    """
    try:
        long = _LONG_NUMBER.search(text) if isinstance(text, str) else _LONG_NUMBER_OF_BYTES.search(text)
        value = json.loads(text, object_hook=hook, parse_int=_whole_number if long else None)
    except ValueError as error:
        raise InputError(f"{where}: not valid JSON: {error}") from None
    except RecursionError:
        raise InputError(f"{where}: not valid JSON: nested too deeply") from None
    return _of_kind(value, kind, where, "an object")


def _whole_number(digits: str) -> int:
    """Read a whole number; what no computer counts with would be found out where it is used, in a hundred ways."""
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _of_kind(value: Any, kind: type[Any] | None, where: object, mapping: str) -> Any:
    if kind is not None and not isinstance(value, kind):
        wanted = "a list" if kind is list else mapping
        raise InputError(f"{where}: {wanted} is expected at the top, got {type(value).__name__}")
    return value


def read_json(
    path: Path,
    *,
    kind: type[Any] | None = None,
    hook: Callable[[dict[str, Any]], Any] | None = None,
    fallback: str | None = None,
) -> Any:
    """Read a JSON file; arguments as for :func:`read_text` and :func:`parse_json`."""
    return parse_json(read_text(path, fallback=fallback), path, kind=kind, hook=hook)


def read_json_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Read a JSONL file: the number, from 1, of each line that is not empty, and its object."""
    lines = enumerate(read_text(path).split("\n"), start=1)  # not splitlines: a text may hold U+2028
    return [(number, parse_json(line, f"{path}, line {number}", kind=dict)) for number, line in lines if line.strip()]


def parse_yaml(text: str, where: object, *, kind: type[Any] | None = None, own: bool = False) -> Any:
    r"""Read YAML's plain values; ``where`` names the text in errors, ``kind`` is what the top level has to be.

    A file of the package's ``own`` is read by libyaml where it is there: ten times faster, but it bounds no nesting.

    Raises:
        InputError: it is not valid YAML, nested too deeply, or too much: more than ``MAX_YAML`` letters, or more than
            ``MAX_NODES`` values once what ``*NAME`` repeats is written out.

    Example:
        >>> parse_yaml("a: &a [x, x]\nb: *a", "recipe.yaml")
        {'a': ['x', 'x'], 'b': ['x', 'x']}
    """
    import yaml

    if len(text) > MAX_YAML:
        raise InputError(f"{where}: not valid YAML (more than {MAX_YAML:,} letters)")
    try:
        value = yaml.load(text, Loader=yaml.CSafeLoader) if own and hasattr(yaml, "CSafeLoader") else _yaml_value(text)
    except RecursionError:
        raise InputError(f"{where}: not valid YAML (nested too deeply)") from None
    except (yaml.YAMLError, ArithmeticError, ValueError) as error:  # ValueError: also a date that does not exist
        raise InputError(f"{where}: not valid YAML ({' '.join(str(error).split())[:300]})") from None
    except (AttributeError, LookupError, TypeError) as error:  # PyYAML's own at !!bool maybe, !!int "", !!timestamp x
        raise InputError(f"{where}: not valid YAML (a value is not what its tag says: {error!r})") from None
    return _of_kind(value, kind, where, "a mapping")


def _yaml_value(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses early: the time that the scanner takes grows with the square of how deep brackets are nested."""

        depth = count = 0

        def fetch_flow_collection_start(self, kind: Any) -> None:
            """Begin a list or mapping in brackets."""
            if self.flow_level >= MAX_DEPTH:
                raise RecursionError
            super().fetch_flow_collection_start(kind)

        def compose_node(self, parent: Any, index: Any) -> Any:
            """Make a node."""
            self.depth, self.count = self.depth + 1, self.count + 1
            if self.depth > MAX_DEPTH:
                raise RecursionError
            if self.count > MAX_NODES:
                raise ValueError(f"more than {MAX_NODES:,} values")
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    loader = Loader(text)
    node = loader.get_single_node()
    if node is None:
        return None
    _unfolded(node, {})
    return loader.construct_document(node)


def _unfolded(node: Any, known: dict[int, int | None]) -> int:
    """Count the values of a composed YAML node with what is repeated, before anything is made of it; ValueError."""
    size = known.get(id(node), 0)
    if size is None:
        raise ValueError("it holds itself")
    if size:
        return size
    known[id(node)] = None  # while its parts are counted
    if isinstance(node.value, str):
        size = 1
        if node.tag.endswith((":int", ":float")) and len(node.value) > MAX_DIGITS:
            raise ValueError(f"a number of {len(node.value):,} digits")
    else:
        keys = [pair[0] for pair in node.value if isinstance(pair, tuple) and isinstance(pair[0].value, str)]
        given = Counter((key.tag, key.value) for key in keys if key.value != "<<")
        if given and (most := given.most_common(1)[0])[1] > 1:
            raise ValueError(f"{most[0][1]!r} is given twice")
        parts = [part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))]
        size = 1 + sum(_unfolded(part, known) for part in parts)
    if size > MAX_NODES:
        raise ValueError(f"more than {MAX_NODES:,} values once what is repeated is written out")
    known[id(node)] = size
    return size


def read_yaml(path: Path | Traversable, *, kind: type[Any] | None = None, own: bool = False) -> Any:
    """Read a YAML file's plain values; arguments as for :func:`read_text` and :func:`parse_yaml`."""
    return parse_yaml(read_text(path), path, kind=kind, own=own)


# -- appending ----------------------------------------------------------------------------------


class LineFile:
    """A file of lines to which one process appends.

    Each line is forced to the disk before :meth:`append` returns, so whatever kills the process afterwards, it is
    there. A last line that was cut off is dropped when the file is opened again. A lock keeps a second process out;
    the system lifts it when the process ends, however it ends.

    Raises:
        InputError: the file cannot be written, or another process writes to it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file = open(self.path, "a+b", buffering=0)  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror or error})") from None
        try:
            lock_file(self._file.fileno(), self.path)
            self._drop_torn_line()
        except InputError:
            self._file.close()
            raise

    def append(self, line: bytes) -> None:
        """Write one line, its end included, and wait until the disk has it."""
        try:
            while line:  # a raw write may take only a part
                line = line[self._file.write(line) or 0 :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror or error})") from None

    def close(self) -> None:
        """Let go of the file and its lock."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drop_torn_line(self) -> None:
        end = self._file.seek(0, os.SEEK_END)
        tail, start = b"", end
        while start > 0 and b"\n" not in tail:
            step = min(1 << 16, start)
            start -= step
            self._file.seek(start)
            tail = self._file.read(step) + tail
        kept = start + tail.rfind(b"\n") + 1
        if kept < end:
            self._file.truncate(kept)
            os.fsync(self._file.fileno())


# -- locking ------------------------------------------------------------------------------------


def lock_file(descriptor: int, path: Path) -> None:
    """Take the lock of an open file, which the system lifts when the process ends; ``path`` names it in errors.

    Raises:
        InputError: another process holds the lock.
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
