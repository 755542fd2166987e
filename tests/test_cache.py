from __future__ import annotations

from fiducial.cache import LRUCache


def test_what_was_used_last_stays():
    cache = LRUCache[str, int](2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert [cache.get(name) for name in "abc"] == [1, None, 3]
    assert len(cache) == 2


def test_sizes_add_up_and_what_is_too_large_is_not_kept():
    cache = LRUCache[str, bytes](10, len)
    cache.put("a", b"12345")
    cache.put("a", b"123")
    assert cache.size == 3
    cache.put("b", b"1" * 11)
    assert cache.get("b") is None
    cache.put("c", b"1" * 8)
    assert (cache.get("a"), cache.size, len(cache)) == (None, 8, 1)
