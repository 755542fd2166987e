"""A stack machine that reads pickles of plain values and knows no way to import or call anything else."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fiducial.datasets.pickle_calls import CALLS, Global, NumberType, Refusal, scalars
from fiducial.datasets.pickle_stack import MARK, Machine

MAX_OPERATIONS = 20_000_000
_MAX_DIGITS = 32


def run(machine: Machine) -> Any:
    """Carry out the operations up to the end and return the value they leave.

    Raises:
        Refusal: the data breaks off, or asks for something that is no plain value.
    """
    data, table, end = machine.data, _OPERATIONS, len(machine.data)
    for _ in range(MAX_OPERATIONS):
        at = machine.at
        if at >= end:
            raise Refusal("it breaks off before its end")
        machine.at = at + 1
        operation = table.get(data[at])
        if operation is None:
            raise Refusal(f"the operation {chr(data[at])!r} is not one of plain values")
        if operation is _stop:
            return machine.pop()
        operation(machine)
    raise Refusal(f"more than {MAX_OPERATIONS:,} operations")


# -- operations ---------------------------------------------------------------------------------


def _stop(machine: Machine) -> None:
    """Mark the end; ``run`` looks for it."""


def _constant(value: Any) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(value)


def _new(kind: Callable[[], Any]) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(kind())


def _integer(size: int) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(machine.number(size))


def _signed(machine: Machine) -> None:
    machine.push(int.from_bytes(machine.take(4), "little", signed=True))


def _text(size: int, encoding: str) -> Callable[[Machine], None]:
    def operation(machine: Machine) -> None:
        machine.stack.append(_decoded(machine.take(machine.number(size)), encoding))

    return operation


def _bytes(size: int) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(machine.take(machine.number(size)))


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding, "surrogatepass" if encoding == "utf-8" else "strict")
    except UnicodeDecodeError as error:
        raise Refusal(f"a text is not {encoding} ({error.reason})") from None


def _text_line(machine: Machine) -> None:
    machine.push(_decoded(machine.line(), "raw-unicode-escape"))


def _quoted_line(machine: Machine) -> None:
    line = machine.line().strip()
    if len(line) < 2 or line[0] != line[-1] or line[0] not in b"'\"":
        raise Refusal("a text without quotes")
    try:
        machine.push(_decoded(codecs.escape_decode(line[1:-1])[0], "latin-1"))
    except ValueError:
        raise Refusal("a text with a broken escape") from None


def _number_line(machine: Machine) -> None:
    line = machine.line().strip().rstrip(b"L")
    if line in (b"00", b"01"):
        machine.push(line == b"01")
        return
    if len(line) > _MAX_DIGITS:
        raise Refusal(f"a number of {len(line):,} digits")
    try:
        machine.push(int(line))
    except ValueError:
        raise Refusal("a whole number that is none") from None


def _float_line(machine: Machine) -> None:
    try:
        machine.push(float(machine.line()))
    except ValueError:
        raise Refusal("a number that is none") from None


def _long(machine: Machine) -> None:
    size = machine.byte()
    if size > _MAX_DIGITS:
        raise Refusal(f"a number of {size} bytes")
    machine.push(int.from_bytes(machine.take(size), "little", signed=True))


def _append(machine: Machine) -> None:
    value = machine.pop()
    machine.top(list).append(value)


def _appends(machine: Machine) -> None:
    items = machine.pop_to_mark()
    machine.top(list).extend(items)


def _set_items(machine: Machine) -> None:
    items = machine.pop_to_mark()
    _fill(machine.top(dict), items)


def _set_item(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _fill(machine.top(dict), [key, value])


def _fill(mapping: dict[Any, Any], items: list[Any]) -> None:
    if len(items) % 2:
        raise Refusal("a key without a value")
    scalars(items[::2])
    mapping.update(zip(items[::2], items[1::2], strict=True))


def _add_items(machine: Machine) -> None:
    items = machine.pop_to_mark()
    machine.top(set).update(scalars(items))


def _marked(kind: Callable[[list[Any]], Any]) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(kind(machine.pop_to_mark()))


def _dictionary(items: list[Any]) -> dict[Any, Any]:
    mapping: dict[Any, Any] = {}
    _fill(mapping, items)
    return mapping


def _tuple(count: int) -> Callable[[Machine], None]:
    def operation(machine: Machine) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.push(tuple(reversed(items)))

    return operation


def _put(size: int) -> Callable[[Machine], None]:
    def operation(machine: Machine) -> None:
        index = machine.number(size)
        machine.memo[index] = _peek(machine)

    return operation


def _put_line(machine: Machine) -> None:
    machine.memo[_index(machine)] = _peek(machine)


def _memoize(machine: Machine) -> None:
    machine.memo[len(machine.memo)] = _peek(machine)


def _get(size: int) -> Callable[[Machine], None]:
    def operation(machine: Machine) -> None:
        _recall(machine, machine.number(size))

    return operation


def _get_line(machine: Machine) -> None:
    _recall(machine, _index(machine))


def _index(machine: Machine) -> int:
    line = machine.line()
    if not line.isdigit() or len(line) > 12:
        raise Refusal("a place in the memo that is no number")
    return int(line)


def _peek(machine: Machine) -> Any:
    if not machine.stack or machine.stack[-1] is MARK:
        raise Refusal("it remembers an empty stack")
    return machine.stack[-1]


def _recall(machine: Machine, index: int) -> None:
    if index not in machine.memo:
        raise Refusal(f"it recalls number {index}, which it never remembered")
    machine.push(machine.memo[index])


def _global_line(machine: Machine) -> None:
    _push_global(machine, _decoded(machine.line(), "utf-8"), _decoded(machine.line(), "utf-8"))


def _global_stack(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise Refusal("a global whose name is no text")
    _push_global(machine, module, name)


def _instance(machine: Machine) -> None:
    module, name = _decoded(machine.line(), "utf-8"), _decoded(machine.line(), "utf-8")
    raise Refusal(_foreign(module, name))


def _push_global(machine: Machine, module: str, name: str) -> None:
    if (module, name) not in CALLS:
        raise Refusal(_foreign(module, name))
    machine.push(Global(module, name))


def _foreign(module: str, name: str) -> str:
    return f"it asks for {module[:80]}.{name[:80]}, and only plain values are read"


def _reduce(machine: Machine) -> None:
    arguments, callable_ = machine.pop(), machine.pop()
    if type(callable_) is not Global or type(arguments) is not tuple:
        raise Refusal("it calls something that is no known global")
    machine.push(CALLS[callable_.module, callable_.name](*_padded(arguments)))


def _build(machine: Machine) -> None:
    state, kind = machine.pop(), machine.pop()
    known = type(kind) is NumberType and type(state) is tuple and len(state) > 1
    if not known or state[1] not in ("<", ">", "|", "="):
        raise Refusal("it changes the state of an object")
    machine.push(replace(kind, order="<" if state[1] in "|=" else state[1]))


def _padded(arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    return (*arguments, None, None)[:2]


def _protocol(machine: Machine) -> None:
    version = machine.byte()
    if version > 5:
        raise Refusal(f"protocol {version} is unknown")


def _frame(machine: Machine) -> None:
    machine.take(8)


def _pop_one(machine: Machine) -> None:
    if not machine.stack:
        raise Refusal("it takes from an empty stack")
    machine.stack.pop()


def _pop_marked(machine: Machine) -> None:
    machine.pop_to_mark()


def _float(machine: Machine) -> None:
    machine.push(struct.unpack(">d", machine.take(8))[0])


_OPERATIONS: dict[int, Callable[[Machine], None]] = {
    ord(code): operation
    for code, operation in {
        "\x80": _protocol,
        "\x95": _frame,
        ".": _stop,
        "(": _constant(MARK),
        "0": _pop_one,
        "1": _pop_marked,
        "N": _constant(None),
        "\x88": _constant(True),
        "\x89": _constant(False),
        "I": _number_line,
        "L": _number_line,
        "J": _signed,
        "K": _integer(1),
        "M": _integer(2),
        "\x8a": _long,
        "F": _float_line,
        "G": _float,
        "S": _quoted_line,
        "T": _text(4, "latin-1"),
        "U": _text(1, "latin-1"),
        "V": _text_line,
        "X": _text(4, "utf-8"),
        "\x8c": _text(1, "utf-8"),
        "\x8d": _text(8, "utf-8"),
        "B": _bytes(4),
        "C": _bytes(1),
        "\x8e": _bytes(8),
        "]": _new(list),
        "l": _marked(list),
        "a": _append,
        "e": _appends,
        "}": _new(dict),
        "d": _marked(_dictionary),
        "s": _set_item,
        "u": _set_items,
        ")": _new(tuple),
        "t": _marked(tuple),
        "\x85": _tuple(1),
        "\x86": _tuple(2),
        "\x87": _tuple(3),
        "\x8f": _new(set),
        "\x90": _add_items,
        "\x91": _marked(lambda items: frozenset(scalars(items))),
        "p": _put_line,
        "q": _put(1),
        "r": _put(4),
        "\x94": _memoize,
        "g": _get_line,
        "h": _get(1),
        "j": _get(4),
        "c": _global_line,
        "\x93": _global_stack,
        "i": _instance,
        "R": _reduce,
        "b": _build,
    }.items()
}
