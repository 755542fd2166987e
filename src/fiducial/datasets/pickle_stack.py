"""The state of the machine that reads pickles: the data, a stack with marks on it, and a memo."""

from __future__ import annotations

from typing import Any

from fiducial.datasets.pickle_calls import Refusal

MARK = object()


class Machine:
    """What the operations work on.

    Args:
        data: the pickle.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    # -- reading --------------------------------------------------------------------------------

    def take(self, count: int) -> bytes:
        """Read that many bytes of the data."""
        piece = self.data[self.at : self.at + count]
        if len(piece) != count:
            raise Refusal(f"it breaks off: {count:,} bytes are announced, {len(piece):,} are left")
        self.at += count
        return piece

    def byte(self) -> int:
        """Read a whole number of one byte, by far the most frequent."""
        if self.at == len(self.data):
            raise Refusal("it breaks off before its end")
        value = self.data[self.at]
        self.at += 1
        return value

    def number(self, size: int) -> int:
        """Read a little-endian whole number of ``size`` bytes that is not negative."""
        return self.byte() if size == 1 else int.from_bytes(self.take(size), "little")

    def line(self) -> bytes:
        """Read up to the end of the line."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise Refusal("it breaks off inside a line")
        piece = self.data[self.at : end]
        self.at = end + 1
        return piece

    # -- the stack ------------------------------------------------------------------------------

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take a value from the stack."""
        if not self.stack or self.stack[-1] is MARK:
            raise Refusal("it takes from an empty stack")
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        """Take everything above the last mark, and the mark."""
        stack = self.stack
        for index in range(len(stack) - 1, -1, -1):
            if stack[index] is MARK:
                items = stack[index + 1 :]
                del stack[index:]
                return items
        raise Refusal("it goes back to a mark that is not there")

    def top(self, kind: type[Any]) -> Any:
        """Return the container on top, which has to be of this kind."""
        if not self.stack or type(self.stack[-1]) is not kind:
            raise Refusal(f"it adds to something that is no {kind.__name__}")
        return self.stack[-1]
