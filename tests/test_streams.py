import threading

import pytest

from fiducial.streams import in_chunks, one_ahead


def test_chunks_take_no_more_than_they_return():
    items = iter(range(7))
    chunks = in_chunks(items, 3)
    assert next(chunks) == [0, 1, 2]
    assert next(items) == 3
    assert [*chunks] == [[4, 5, 6]]
    assert [*in_chunks([], 3)] == []
    assert [*in_chunks("ab", 0)] == [["a"], ["b"]]


def test_the_next_one_is_worked_on_meanwhile_and_no_more():
    begun = [threading.Event() for _ in range(4)]

    def work(number):
        begun[number].set()
        return number * 10

    found = one_ahead(work, range(4))
    assert next(found) == (0, 0)
    assert begun[1].wait(10)
    assert not begun[2].is_set()
    assert [*found] == [(1, 10), (2, 20), (3, 30)]


def test_what_goes_wrong_comes_in_its_turn():
    def work(number):
        if number == 1:
            raise ValueError("one")
        return number

    found = one_ahead(work, range(3))
    assert next(found) == (0, 0)
    with pytest.raises(ValueError, match="one"):
        next(found)
    assert [*found] == []


def test_who_stops_is_not_kept_waiting():
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def work(number):
        if number:
            begun.set()
            go.wait(30)
            done.set()
        return number

    found = one_ahead(work, range(3))
    next(found)
    assert begun.wait(30)
    found.close()
    assert not done.is_set()
    go.set()
    assert done.wait(30)
