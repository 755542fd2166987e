"""When to try again, and how long to wait before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.prompters.endpoint.retrying import Backoff, Breaker, Cause, EndpointError, read_retry_after

PASSING = EndpointError("busy", passing=True)
REFUSED = EndpointError("no", Cause.ACCESS)


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def sleep(self, seconds):
        self.now += seconds

    def read(self):
        return self.now


def failing(times, error=PASSING):
    lefts = []

    def attempt(seconds):
        lefts.append(seconds)
        if len(lefts) <= times:
            raise error
        return "reply"

    return attempt, lefts


def test_waits_double_up_to_the_longest_and_are_drawn_by_seed():
    backoff = Backoff(first=1, longest=10)

    def first_waits(question):
        waits = backoff.waits(question)
        return [next(waits) for _ in range(6)]

    for wait, whole in zip(first_waits("a"), [1, 2, 4, 8, 10, 10], strict=True):
        assert whole / 2 <= wait <= whole
    assert first_waits("a") == first_waits("a")
    assert first_waits("a") != first_waits("b")
    assert Backoff(seed=1).waits("a").__next__() != Backoff(seed=2).waits("a").__next__()


def test_a_success_after_failures():
    clock = Clock()
    attempt, lefts = failing(2)
    assert Backoff(3, sleep=clock.sleep, clock=clock.read).run(attempt, deadline=100) == "reply"
    assert lefts == [100, pytest.approx(100 - lefts[0] + lefts[1]), 100 - clock.now]
    assert 0.75 <= clock.now <= 1.5


def test_the_last_error_counts_its_attempts_and_keeps_its_cause():
    attempt, lefts = failing(9, EndpointError("busy", Cause.CONNECTION, passing=True))
    with pytest.raises(EndpointError, match=r"^busy \(after 3 attempts\)$") as caught:
        Backoff(2, sleep=lambda _: None).run(attempt, deadline=100)
    assert caught.value.cause is Cause.CONNECTION
    assert len(lefts) == 3


def test_what_does_not_pass_is_not_tried_again():
    attempt, lefts = failing(9, REFUSED)
    with pytest.raises(EndpointError, match=r"^no$"):
        Backoff(5, sleep=lambda _: pytest.fail("slept")).run(attempt, deadline=100)
    assert len(lefts) == 1


@given(
    retries=st.integers(0, 8),
    deadline=st.floats(0.01, 300),
    asked=st.lists(st.floats(0, 500) | st.none(), min_size=9, max_size=9),
)
def test_no_question_takes_longer_than_its_deadline(retries, deadline, asked):
    clock = Clock()
    waits = iter(asked)

    def attempt(seconds):
        assert seconds > 0
        raise EndpointError("busy", passing=True, wait=next(waits))

    backoff = Backoff(retries, sleep=clock.sleep, clock=clock.read)
    with pytest.raises(EndpointError, match="busy"):
        backoff.run(attempt, deadline=deadline)
    assert clock.now < deadline


def test_the_servers_wait_is_kept_to_and_capped():
    clock = Clock()
    attempt, _ = failing(1, EndpointError("busy", passing=True, wait=1e9))
    assert Backoff(longest=5, sleep=clock.sleep, clock=clock.read).run(attempt, deadline=100) == "reply"
    assert clock.now == 5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("5", 5.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_retry_after(text, seconds):
    assert read_retry_after(text, lambda: 100.0) == seconds


@given(st.text())
def test_retry_after_takes_any_text(text):
    seconds = read_retry_after(text)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("options", [{"retries": -1}, {"retries": 1.5}, {"retries": True}, {"first": -1.0}])
def test_numbers_out_of_range(options):
    with pytest.raises(InputError, match=r"retries needs|waits need"):
        Backoff(**options)
    with pytest.raises(InputError, match="waits need"):
        Backoff(longest=float("nan"))


def test_a_breaker_stops_after_three_failures_of_configuration():
    breaker = Breaker()
    for _ in range(2):
        breaker.note(REFUSED)
    assert breaker.stopped is None
    breaker.note(REFUSED)
    assert breaker.stopped is REFUSED
    breaker.note(None)
    assert breaker.passed
    assert breaker.stopped is None


def test_a_breaker_does_not_stop_where_one_request_got_further():
    breaker = Breaker()
    breaker.note(PASSING)
    for _ in range(5):
        breaker.note(REFUSED)
    assert breaker.stopped is None
    breaker.check()
    breaker.halt()
    with pytest.raises(EndpointError, match="interrupted"):
        breaker.check()
