"""The few callables that pickles of plain values need, re-made so that nothing is ever imported."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SCALARS = (str, bytes, int, float, bool, type(None))


class Refusal(Exception):  # noqa: N818
    """Why a pickle is not read."""


@dataclass(frozen=True, slots=True)
class Global:
    """The name of one of ``CALLS``, on the stack until it is called."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class NumberType:
    """A NumPy dtype of one plain number, such as ``i8``."""

    code: str
    order: str = "<"


_NUMBER_CODES = {
    "b1": "?",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "f4": "f",
    "f8": "d",
}


def scalars(items: list[Any]) -> list[Any]:
    """Let keys and members of sets be scalars only: hashing nested tuples can be made to take forever."""
    for item in items:
        if type(item) not in SCALARS:
            raise Refusal(f"it holds a key or member of a set that is a {type(item).__name__}")
    return items


def _call_set(items: Any, _: Any) -> set[Any]:
    return set(_require_list(items))


def _call_frozenset(items: Any, _: Any) -> frozenset[Any]:
    return frozenset(_require_list(items))


def _require_list(items: Any) -> list[Any]:
    if items is None:
        return []
    if type(items) not in (list, tuple):
        raise Refusal("a set that is not made of a list")
    return scalars(list(items))


def _call_bytes(items: Any, _: Any) -> bytes:
    if items is not None:
        raise Refusal("bytes that are made of something")
    return b""


def _call_encode(text: Any, encoding: Any) -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise Refusal("it encodes something other than Latin-1 text")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise Refusal("a text that is not Latin-1") from None


def _call_dtype(code: Any, _: Any) -> NumberType:
    if type(code) is not str or code not in _NUMBER_CODES:
        raise Refusal(f"a NumPy type {str(code)[:20]!r} that is no plain number")
    return NumberType(code)


def _call_scalar(kind: Any, data: Any) -> Any:
    if type(kind) is not NumberType or type(data) not in (bytes, str):
        raise Refusal("a NumPy number that is none")
    raw = data if isinstance(data, bytes) else _call_encode(data, "latin1")
    try:
        return struct.unpack(kind.order + _NUMBER_CODES[kind.code], raw)[0]
    except struct.error:
        raise Refusal("a NumPy number of the wrong length") from None


CALLS: dict[tuple[str, str], Callable[[Any, Any], Any]] = {
    ("builtins", "set"): _call_set,
    ("__builtin__", "set"): _call_set,
    ("builtins", "frozenset"): _call_frozenset,
    ("__builtin__", "frozenset"): _call_frozenset,
    ("builtins", "bytes"): _call_bytes,
    ("__builtin__", "bytes"): _call_bytes,
    ("_codecs", "encode"): _call_encode,
    ("numpy", "dtype"): _call_dtype,
    ("numpy.core.multiarray", "scalar"): _call_scalar,
    ("numpy._core.multiarray", "scalar"): _call_scalar,
}
