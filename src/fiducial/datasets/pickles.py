"""Read the pickles of referring-expression datasets without ever running one.

A pickle is a program for a small stack machine, and the standard machine may call anything. Ours knows
plain values only: lists, dictionaries, tuples, sets, text, bytes, numbers. Every global but the few that
old writers need to spell such values is refused by its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fiducial.datasets.pickle_calls import SCALARS, Global, NumberType, Refusal
from fiducial.datasets.pickle_machine import run
from fiducial.datasets.pickle_stack import Machine
from fiducial.errors import InputError

MAX_BYTES = 256 * 2**20
MAX_DEPTH = 16


def load_plain(path: Path) -> Any:
    """Read a pickle of plain values.

    Args:
        path: a pickle of protocol 0 to 5; texts of old pickles are read as Latin-1.

    Returns:
        Lists, dictionaries, tuples, sets, frozensets, str, bytes, int, float, bool and None, nested
        no deeper than ``MAX_DEPTH``.

    Raises:
        InputError: missing, larger than ``MAX_BYTES``, broken, or it holds anything else; a global
            that it asks for is named.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: a pickle of more than {MAX_BYTES >> 20} MiB is refused")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    machine = Machine(data)
    try:
        value = run(machine)
        _check_depth(value)
    except Refusal as refusal:
        raise InputError(f"{path}: the pickle is refused at byte {machine.at}: {refusal}") from None
    return value


def _check_depth(value: Any) -> None:
    """Refuse values that nest too deeply or hold themselves; what is shared is looked at once a level."""
    level = [[value]]
    for _ in range(MAX_DEPTH + 1):
        inner = {id(item): item for container in level for item in _items(container)}
        if not inner:
            return
        level = list(inner.values())
    raise Refusal(f"it is nested more than {MAX_DEPTH} deep")


def _items(container: Any) -> list[Any]:
    """Return what a container holds that is no scalar."""
    values = container.values() if isinstance(container, dict) else container
    found = [item for item in values if type(item) not in SCALARS]
    for item in found:
        if type(item) in (Global, NumberType):
            raise Refusal("it holds something that is no plain value")
    return found
