"""Read the pickles of referring-expression datasets: plain values only, in bounded time and memory.

A pickle is a program that may call anything. Here it may not: operations that plain values do not need are unknown,
and so is every global but the few by which old writers spell sets, bytes and NumPy numbers; those are re-made below,
so that nothing is imported. The reader is the standard library's own in Python: the one in C hashes tuples of tuples
before anyone can look at them (for ever, or until the stack overflows) and allocates a memo as large as any index.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiducial.errors import InputError
from fiducial.files import read_whole

MAX_BYTES = 256 * 2**20
MAX_OPERATIONS = 20_000_000
MAX_DEPTH = 16
SLACK = 10_000
"""Containers that any file may make; beyond these each needs as many bytes of the file as an honest one."""
_MAX_BITS = 256
_SCALARS = frozenset({str, bytes, int, float, bool, type(None)})
_NUMBERS = dict(zip(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"], "?bhiqBHIQfd", strict=True))
_KNOWN = """PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT LONG LONG1 BININT BININT1 BININT2 FLOAT
    BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES
    BINBYTES8 EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    EMPTY_SET ADDITEMS FROZENSET PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET GLOBAL STACK_GLOBAL INST"""
_EVERY, _OTHER, _NEXT_TO_LAST = slice(None), slice(None, None, 2), slice(-2, -1)
_KEYS = {"SETITEM": _NEXT_TO_LAST, "SETITEMS": _OTHER, "DICT": _OTHER, "ADDITEMS": _EVERY, "FROZENSET": _EVERY}
_STANDARD: Any = pickle._Unpickler
_BROKEN = (AttributeError, EOFError, IndexError, OverflowError, TypeError, ValueError, struct.error)


class _Refusal(pickle.UnpicklingError):
    """Why a pickle is not read."""


def load_plain(path: Path) -> Any:
    """Read a pickle of plain values nested at most ``MAX_DEPTH`` deep; texts of old pickles are read as Latin-1.

    Raises:
        InputError: missing, too large, broken, or it holds anything else; a global that it asks for is named.
    """
    try:
        data = read_whole(path, MAX_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        value = _Reader(data).load()
        _measure([value], 0, {})
    except pickle.UnpicklingError as refusal:
        raise InputError(f"{path}: the pickle is refused: {refusal}") from None
    except _BROKEN as error:
        problem = f"{type(error).__name__}: {error}"[:160]
        raise InputError(f"{path}: the pickle is broken or cut off ({problem})") from None
    return value


def _measure(container: Any, depth: int, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Return how deep a container nests and to how much it unfolds; what is shared is walked once."""
    if id(container) in known:
        return known[id(container)]
    if type(container) not in (list, tuple, dict, set, frozenset):
        raise _Refusal("it holds something that is no plain value")
    height, size = 0, len(container)
    for item in container.values() if type(container) is dict else container:
        if type(item) not in _SCALARS:
            if depth == MAX_DEPTH:
                raise _Refusal(f"it is nested more than {MAX_DEPTH} deep")
            inner_height, inner_size = _measure(item, depth + 1, known)
            height, size = max(height, inner_height + 1), size + inner_size
    if height > MAX_DEPTH or size > MAX_OPERATIONS:
        raise _Refusal(f"it is nested more than {MAX_DEPTH} deep, or unfolds to more than {MAX_OPERATIONS:,} values")
    known[id(container)] = height, size
    return height, size


class _Reader(_STANDARD):  # type: ignore[misc]
    """The standard reader with closed lists of operations and globals, and with budgets."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self.dispatch = _Operations(_OPERATIONS, SLACK + len(data) // 3)
        # What calls copy stands in the file: honest files never copy more than their own length.
        self.copies_left = len(data)

    def find_class(self, module: str, name: str) -> _Global:
        function = _GLOBALS.get((module.replace("__builtin__", "builtins").replace("._core.", ".core."), name))
        if function is None:
            raise _Refusal(f"it asks for {module[:80]}.{name[:80]}, and only plain values are read")
        return _Global(function)

    def spend(self, value: Any, *kinds: type) -> Any:
        """Return what a call is about to copy, if it is of the right kind and within the budget."""
        if type(value) not in kinds:
            raise _Refusal(f"a call is given a {type(value).__name__}")
        self.copies_left -= len(value)
        if self.copies_left < 0:
            raise _Refusal("its calls copy more than the file holds")
        return value

    def load_reduce(self) -> None:
        arguments, called = self.stack.pop(), self.stack[-1]
        if type(called) is not _Global or type(arguments) is not tuple:
            raise _Refusal("it calls something that is no known global")
        self.stack[-1] = called.function(self, *(*arguments, None, None)[:2])

    def load_build(self) -> None:
        state, changed = self.stack.pop(), self.stack[-1]
        if type(changed) is not _NumberType or type(state) is not tuple or state[1] not in ("<", ">", "|", "="):
            raise _Refusal("it changes the state of an object")
        self.stack[-1] = _NumberType(("<" if state[1] in "|=" else state[1]) + changed.format[-1])


class _Operations(dict[int, Callable[[_Reader], None]]):
    """The known operations of the standard reader, counted."""

    def __init__(self, known: dict[int, Callable[[_Reader], None]], containers: int) -> None:
        super().__init__(known)
        self.left, self.containers = MAX_OPERATIONS, containers

    def __getitem__(self, code: int) -> Callable[[_Reader], None]:
        self.left -= 1
        if self.left < 0:
            raise _Refusal(f"more than {MAX_OPERATIONS:,} operations")
        if code in _ROOM:  # one byte of the file is a hundred of memory
            self.containers -= _ROOM[code]
            if self.containers < 0:
                raise _Refusal("it makes more lists, mappings and sets than the file can fill")
        return super().__getitem__(code)

    def __missing__(self, code: int) -> Any:
        raise _Refusal(f"the operation {chr(code)!r} is not one of plain values")


def _keys_checked(operation: Callable[[_Reader], None], keys: slice) -> Callable[[_Reader], None]:
    """Let keys and members of sets be scalars only."""

    def checked(reader: _Reader) -> None:
        _scalars(reader.stack[keys])
        operation(reader)

    return checked


def _size_checked(operation: Callable[[_Reader], None]) -> Callable[[_Reader], None]:
    def checked(reader: _Reader) -> None:
        operation(reader)
        if abs(reader.stack[-1]) >> _MAX_BITS:
            raise _Refusal(f"a number of more than {_MAX_BITS} bits")

    return checked


_ROOM = {pickle.MARK[0]: 1, pickle.EMPTY_LIST[0]: 1, pickle.EMPTY_DICT[0]: 1, pickle.EMPTY_SET[0]: 8}
_OPERATIONS: dict[int, Callable[[_Reader], None]] = {
    **{getattr(pickle, name)[0]: _STANDARD.dispatch[getattr(pickle, name)[0]] for name in _KNOWN.split()},
    pickle.REDUCE[0]: _Reader.load_reduce,
    pickle.BUILD[0]: _Reader.load_build,
}
for _name, _which in _KEYS.items():
    _OPERATIONS[getattr(pickle, _name)[0]] = _keys_checked(_OPERATIONS[getattr(pickle, _name)[0]], _which)
for _code in (pickle.INT[0], pickle.LONG[0], pickle.LONG1[0]):
    _OPERATIONS[_code] = _size_checked(_OPERATIONS[_code])


# -- the known globals: functions of the reader and two arguments, None where there is none --


@dataclass(eq=False)
class _Global:
    """A known global until it is called."""

    function: Callable[[_Reader, Any, Any], Any]


@dataclass(eq=False)
class _NumberType:
    """A NumPy dtype of one plain number, as the :mod:`struct` module writes it."""

    format: str


def _scalars(items: Any) -> Any:
    for item in items:
        if type(item) not in _SCALARS:
            raise _Refusal(f"it holds a key or member of a set that is a {type(item).__name__}")
    return items


def _members(reader: _Reader, items: Any) -> Any:
    return _scalars(reader.spend(() if items is None else items, list, tuple))


def _no_bytes(_: _Reader, given: Any, __: Any) -> bytes:
    if given is not None:
        raise _Refusal("bytes that are made of something")
    return b""


def _latin_1(reader: _Reader, text: Any, encoding: Any) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise _Refusal("it encodes something other than Latin-1 text")
    encoded: bytes = reader.spend(text, str).encode("latin-1")
    return encoded


def _number_type(_: _Reader, code: Any, __: Any) -> _NumberType:
    if type(code) is not str or code not in _NUMBERS:
        raise _Refusal("a NumPy type that is no plain number")
    return _NumberType("<" + _NUMBERS[code])


def _number(reader: _Reader, kind: Any, data: Any) -> Any:
    if type(kind) is not _NumberType:
        raise _Refusal("a NumPy number that is none")
    return struct.unpack(kind.format, data if type(data) is bytes else _latin_1(reader, data, "latin1"))[0]


_GLOBALS: dict[tuple[str, str], Callable[[_Reader, Any, Any], Any]] = {
    ("builtins", "set"): lambda reader, items, _: set(_members(reader, items)),
    ("builtins", "frozenset"): lambda reader, items, _: frozenset(_members(reader, items)),
    ("builtins", "bytes"): _no_bytes,
    ("_codecs", "encode"): _latin_1,
    ("numpy", "dtype"): _number_type,
    ("numpy.core.multiarray", "scalar"): _number,
}
