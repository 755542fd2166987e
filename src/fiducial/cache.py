"""What was computed lately, kept up to a limit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LRUCache(Generic[K, V]):
    """Keeps the most recently used values; any number of threads may use it.

    Args:
        max_size: most size of all values together; a single value that is larger is not kept.
        size_of: size of a value. Default: 1 each, so that ``max_size`` counts values.

    Example:
        >>> cache = LRUCache[str, int](2)
        >>> for name, value in (("a", 1), ("b", 2), ("c", 3)):
        ...     cache.put(name, value)
        >>> cache.get("a"), cache.get("b"), len(cache)
        (None, 2, 2)
    """

    def __init__(self, max_size: int, size_of: Callable[[V], int] = lambda value: 1) -> None:
        self.max_size = max_size
        self.size = 0
        self._size_of = size_of
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """Return the value of a key, or None."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep a value in place of an older one of the same key; let those go that were not used for longest."""
        size = self._size_of(value)
        if size > self.max_size:
            return
        with self._lock:
            if key in self._values:
                self.size -= self._size_of(self._values.pop(key))
            self._values[key] = value
            self.size += size
            while self.size > self.max_size:
                self.size -= self._size_of(self._values.popitem(last=False)[1])

    def __len__(self) -> int:
        return len(self._values)
