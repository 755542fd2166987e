"""What servers do wrong, and what becomes of it."""

import contextlib
import gzip
import json
import re
import socket
import threading

import pytest

from fiducial.errors import ModelError
from fiducial.language.answers import Outcome
from fiducial.prompters import chat_client
from fiducial.prompters.chat_client import Cause, EndpointError

GOOD = "[[0.25, 0.25, 0.75, 0.5]]"


@pytest.fixture
def ask(make, picture):
    """Ask one question and return its answer."""
    return lambda **options: make(dialect="sjtu", **options).ask([picture()], ["the dog"])[0]


@pytest.fixture
def refuse(make, picture):
    """Ask one question that fails by configuration, and return the error."""

    def failing(**options):
        with pytest.raises(EndpointError) as caught:
            make(dialect="sjtu", **options).ask([picture()], ["the dog"])
        return caught.value

    return failing


def raw(data):
    """Write bytes as they are and hang up."""

    def write(handler):
        handler.wfile.write(data)
        handler.wfile.flush()
        with contextlib.suppress(OSError):
            handler.connection.shutdown(socket.SHUT_RDWR)

    return write


CUT = {
    "content-length": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{" + b" " * 20),
    "chunked": raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"cho\r\n'),
    "headers": raw(b"HTTP/1.1 200 OK\r\nContent-"),
    "nothing": raw(b""),
    "noise": raw(b"\x00\x01\x02 hello\r\n\r\n"),
}


# -- what passes by itself ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_statuses_are_tried_again(server, ask, written, waited, status):
    server.script = [(status, {"error": {"message": "busy"}}), (status, "busy"), written(GOOD)]
    answer = ask(retries=2)
    assert answer.outcome is Outcome.FOUND
    assert len(server.asked) == 3
    assert len(waited) == 2
    assert 0.25 <= waited[0] <= 0.5
    assert 0.5 <= waited[1] <= 1.0
    assert server.asked[0].body == server.asked[2].body


@pytest.mark.parametrize("cut", CUT)
def test_replies_that_break_off_are_tried_again(server, ask, written, cut):
    server.script = [CUT[cut], written(GOOD)]
    assert ask().outcome is Outcome.FOUND
    assert len(server.asked) == 2


@pytest.mark.parametrize("cut", CUT)
def test_a_server_that_always_breaks_off_has_failed(server, ask, cut):
    server.script = [CUT[cut]] * 3
    answer = ask(retries=2)
    assert answer.outcome is Outcome.FAILED
    assert "broke off" in answer.text
    assert "after 3 attempts" in answer.text
    assert "\n" not in answer.text
    assert len(answer.prompts) == 0


def test_retries_come_to_an_end(server, ask, waited):
    server.script = [(503, {"error": "the model is loading"})] * 9
    answer = ask(retries=4)
    assert answer.outcome is Outcome.FAILED
    assert answer.text == f"the server at {server.url} answered 503: the model is loading (after 5 attempts)"
    assert len(server.asked) == 5
    assert len(waited) == 4


def test_no_retries(server, ask, waited):
    server.script = [(500, "")]
    assert ask(retries=0).text == f"the server at {server.url} answered 500"
    assert waited == []


def test_retry_after_is_kept_to(server, ask, written, waited):
    server.script = [(429, {}, {"Retry-After": "7"}), (429, {}, {"Retry-After": "100000"}), written(GOOD)]
    assert ask().outcome is Outcome.FOUND
    assert waited == [7.0, 60.0]


def test_retry_after_as_a_date_that_has_passed(server, ask, written, waited):
    server.script = [(503, {}, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), written(GOOD)]
    assert ask().outcome is Outcome.FOUND
    assert len(waited) == 1
    assert waited[0] <= 0.5


def test_a_slow_server_is_given_up_and_tried_again(server, ask, written):
    server.script = [lambda handler: server.released.wait(20), written(GOOD)]
    assert ask(timeout=0.3).outcome is Outcome.FOUND
    server.script = [lambda handler: server.released.wait(20)] * 2
    answer = ask(timeout=0.2, retries=1)
    assert answer.outcome is Outcome.FAILED
    assert answer.text.endswith("gave no whole reply within 0.2 s (after 2 attempts)")


def test_a_server_that_drips_is_given_up(server, ask):
    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(OSError):
            while not server.released.wait(0.05):
                handler.wfile.write(b" ")

    server.script = [drip]
    answer = ask(timeout=0.4, retries=0)
    assert answer.outcome is Outcome.FAILED
    assert "gave no whole reply within 0.4 s" in answer.text


def test_a_server_that_drips_headers_is_given_up(server, ask):
    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        with contextlib.suppress(OSError):
            while not server.released.wait(0.05):
                handler.wfile.write(b"X-More: yes\r\n")

    server.script = [drip]
    answer = ask(timeout=0.4, retries=0)
    assert answer.outcome is Outcome.FAILED
    assert "gave no whole reply within 0.4 s" in answer.text


def test_the_deadline_counts_waits_too(server, ask, waited):
    server.script = [(503, {}, {"Retry-After": "30"})] * 5
    answer = ask(deadline=20, retries=4)
    assert waited == []
    assert len(server.asked) == 1
    assert answer.text.endswith("answered 503 (no time is left of the 20 s for one question)")


# -- what does not pass ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 405, 409, 413, 422])
def test_refusals_of_one_request_are_not_tried_again(server, ask, status):
    server.script = [(status, {"error": {"message": "the prompt has 70000 tokens", "code": status}})]
    answer = ask()
    assert answer.outcome is Outcome.FAILED
    assert str(status) in answer.text
    assert "the prompt has 70000 tokens" in answer.text
    assert len(server.asked) == 1


def test_a_picture_that_is_too_large(server, ask):
    server.script = [(413, "")]
    assert ask().text.endswith("answered 413 (too large): lower max_pixels, or take image_format='jpeg'")


@pytest.mark.parametrize("status", [401, 403])
def test_without_a_key_the_variable_is_named(server, refuse, status):
    server.script = [(status, {"error": {"message": "Unauthorized"}})]
    error = refuse()
    assert error.cause is Cause.ACCESS
    assert str(error) == (
        f"the server at {server.url} answered {status} (not allowed): no key was sent, for the environment variable "
        "FIDUCIAL_API_KEY is not set (Unauthorized)"
    )
    assert len(server.asked) == 1


def test_a_wrong_key_is_not_repeated(server, refuse, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-marker-123456")
    server.script = [(401, {"error": "wrong key sk-marker-123456"})]
    error = refuse(key_variable="MY_KEY")
    assert "the key of the environment variable MY_KEY was sent (wrong key [key])" in str(error)


def test_an_unknown_model(server, refuse):
    server.script = [(404, {"object": "error", "message": "The model `x` does not exist."})]
    error = refuse()
    assert error.cause is Cause.ADDRESS
    assert "404 (not found): The model `x` does not exist.: is the model's name right" in str(error)


def test_redirects_are_not_followed(server, refuse):
    target = f"http://me:pw@127.0.0.1:{server.port}/other?token=abc"
    server.script = [(307, "", {"Location": target})]
    error = refuse()
    assert error.cause is Cause.ADDRESS
    assert f"a redirect to 127.0.0.1:{server.port}/other, which is not followed" in str(error)
    assert len(server.asked) == 1


def test_a_redirect_to_nowhere(server, refuse):
    server.script = [(302, "")]
    assert "a redirect to nowhere" in str(refuse())


def test_nothing_listens(make, picture, waited):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(
        ModelError, match=rf"no connection to http://127.0.0.1:{port}/v1 .*is the server running"
    ) as caught:
        make(url=f"http://127.0.0.1:{port}/v1", retries=3).ask([picture()], ["x"])
    assert caught.value.cause is Cause.CONNECTION
    assert str(caught.value).endswith("(after 4 attempts)")
    assert len(waited) == 3


# -- replies of no use ----------------------------------------------------------------------------------

OF_NO_USE = [
    ("<!DOCTYPE html><html><body>Welcome</body></html>", "a web page, not with JSON: is the url right"),
    ("", "what is not JSON: nothing at all"),
    ("{'choices': 1}", "what is not JSON: {'choices': 1}"),
    ("[" * 100_000, r"what is not JSON: \[\[\["),
    (json.dumps([1]), r"no chat completion \(list\)"),
    (json.dumps(7), r"no chat completion \(int\)"),
    (json.dumps({}), "without any choice"),
    (json.dumps({"choices": []}), "without any choice"),
    (json.dumps({"choices": "none"}), "without any choice"),
    (json.dumps({"choices": None, "error": {"message": "upstream\nfailed"}}), "an error: upstream failed"),
    (json.dumps({"error": "overloaded"}), "an error: overloaded"),
    (json.dumps({"choices": [1]}), "holds no message"),
    (json.dumps({"choices": [{"text": "old protocol"}]}), "holds no message"),
]


@pytest.mark.parametrize(("body", "said"), OF_NO_USE, ids=range(len(OF_NO_USE)))
def test_replies_of_no_use(server, ask, body, said):
    server.script = [(200, body)]
    answer = ask()
    assert answer.outcome is Outcome.FAILED
    assert len(answer.prompts) == 0
    assert re.search(said, answer.text)
    assert "\n" not in answer.text
    assert len(answer.text) < 600
    assert len(server.asked) == 1


def test_a_web_page_as_an_error(server, ask):
    server.script = [(502, "<html><h1>Bad gateway</h1></html>", {"Content-Type": "text/html"})] * 3
    assert "answered 502: a web page (after 3 attempts)" in ask().text


def test_an_error_that_breaks_off_is_still_that_error(server, refuse):
    server.script = [raw(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 900\r\n\r\n{")]
    assert "answered 401 (not allowed)" in str(refuse())


def test_a_reply_without_end_is_not_read_to_its_end(server, ask, monkeypatch):
    monkeypatch.setattr(chat_client, "MAX_REPLY_BYTES", 100_000)
    sent = []

    def endless(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            while not server.released.is_set():
                handler.wfile.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
                sent.append(4096)

    server.script = [endless]
    answer = ask()
    assert answer.outcome is Outcome.FAILED
    assert "replied with more than 100,000 bytes: not read further" in answer.text
    assert len(server.asked) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br\x1b[31m", "identity, gzip"])
def test_a_packed_reply_is_refused_and_never_unpacked(server, ask, written, encoding):
    def reply(status, data):
        head = f"HTTP/1.1 {status}\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(data)}\r\n\r\n"
        return raw(head.encode() + data)

    data = gzip.compress(json.dumps(written(GOOD)).encode())
    server.script = [reply("200 OK", data)]
    answer = ask()
    assert answer.outcome is Outcome.FAILED
    assert "packed its reply (" in answer.text or "\x1b" in encoding  # which h11 refuses by itself
    assert answer.text.isprintable()
    server.script = [reply("400 Bad Request", data)]
    assert ask().outcome is Outcome.FAILED


@pytest.mark.parametrize(
    "reply",
    [
        {"error": {"message": "\x1b[31mred\x1b[0m" + "x" * 5000}},
        {"choices": [{"message": {"content": None, "refusal": "\x1b[31mred\u202e" + "x" * 5000}}]},
    ],
)
def test_terminal_commands_in_a_good_status_are_taken_out_too(server, ask, reply):
    server.script = [(200, reply)]
    text = ask().text
    assert text.isprintable()
    assert "red" in text
    assert len(text) < 600


def test_terminal_commands_in_a_servers_words_are_taken_out(server, ask):
    server.script = [(400, {"error": "\x1b[31mred\x1b[0m\nsecond\r\nline \u202e backwards" + "x" * 5000})]
    text = ask().text
    assert text.isprintable()
    assert "red" in text
    assert len(text) < 600


# -- replies that say something -------------------------------------------------------------------------


def test_a_reply_cut_at_the_limit_is_truncated(server, ask, written):
    server.reply = lambda asked: written("[[0.25, 0.25, 0.75, 0.5], [0.1, 0.", finish_reason="length")
    answer = ask(max_new_tokens=9)
    assert answer.outcome is Outcome.TRUNCATED
    assert len(answer.prompts) == 1
    assert answer.repairs[-1].startswith("the reply was cut at max_new_tokens=9")


def test_thinking_that_took_all_the_tokens(server, ask, written):
    server.reply = lambda asked: written(None, finish_reason="length", reasoning_content="Let me see ...")
    answer = ask()
    assert answer.outcome is Outcome.TRUNCATED
    assert answer.thinking == "Let me see ..."


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_thinking_that_the_server_kept_apart(server, ask, written, key):
    server.reply = lambda asked: written(GOOD, **{key: "It is brown."})
    answer = ask()
    assert answer.outcome is Outcome.FOUND
    assert answer.thinking == "It is brown."
    assert answer.raw == GOOD


def test_thinking_in_two_places(server, make, picture, written):
    reply = '<think>second</think>\n<answer>\n[{"bbox_2d": [1, 2, 300, 400], "point_2d": [20, 30]}]\n</answer>'
    server.reply = lambda asked: written(reply, reasoning_content="first")
    answer = make("visionreasoner").ask([picture()], ["x"])[0]
    assert answer.thinking == "first\n\nsecond"


def test_content_in_parts(server, ask, written):
    parts = [
        {"type": "thinking", "text": "no [[0, 0, 1, 1]]"},
        {"type": "text", "text": GOOD[:9]},
        7,
        {"text": GOOD[9:]},
        {"type": "text", "text": None},
    ]
    server.reply = lambda asked: written(parts)
    answer = ask()
    assert answer.raw == GOOD
    assert answer.outcome is Outcome.FOUND


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"content": None, "refusal": "I cannot\nhelp"}, "the model refused: I cannot help"),
        ({"content": [{"type": "refusal", "refusal": "No."}, {"type": "refusal"}]}, "the model refused: No."),
        ({"content": GOOD, "finish_reason": "content_filter"}, "withheld the reply"),
        ({"content": None, "tool_calls": [{"id": "1"}]}, "called a tool instead of replying"),
    ],
)
def test_refusals_are_failures_with_a_reason(server, ask, written, message, said):
    server.reply = lambda asked: written(**message)
    answer = ask()
    assert answer.outcome is Outcome.FAILED
    assert said in answer.text


def test_words_without_coordinates_and_nothing_at_all(server, ask, written):
    server.script = [written("I see a dog."), written(""), written(None), written("[]")]
    outcomes = [ask().outcome for _ in range(4)]
    assert outcomes == [Outcome.MALFORMED, Outcome.MALFORMED, Outcome.MALFORMED, Outcome.NO_TARGET]


# -- batches --------------------------------------------------------------------------------------------


def test_one_failure_leaves_the_others(server, make, picture, written):
    def reply(asked):
        return (400, {"error": "too long"}) if "bad" in asked.words else written(GOOD)

    server.reply = reply
    answers = make(dialect="sjtu").ask([picture()] * 5, ["a", "b", "bad", "d", "e"])
    assert [answer.outcome.value for answer in answers] == ["found", "found", "failed", "found", "found"]
    assert "too long" in answers[2].text


def test_one_forbidden_picture_leaves_the_others(server, make, picture, written):
    def reply(asked):
        return (403, {"error": "moderated"}) if "bad" in asked.words else written(GOOD)

    server.reply = reply
    answers = make(dialect="sjtu", concurrency=1).ask([picture()] * 4, ["bad", "b", "bad", "d"])
    assert [answer.outcome.value for answer in answers] == ["failed", "found", "failed", "found"]


def test_when_nobody_is_let_in_it_is_said_once(server, make, picture):
    server.reply = lambda asked: (401, {})
    with pytest.raises(EndpointError, match="answered 401") as caught:
        make(dialect="sjtu", concurrency=2).ask([picture()] * 50, ["x"] * 50)
    assert isinstance(caught.value, ModelError)
    assert "\n" not in str(caught.value)
    assert 3 <= len(server.asked) <= 4


def test_nothing_is_held_back_once_a_request_got_further(server, make, picture):
    server.reply = lambda asked: (400, {}) if "first" in asked.words else (401, {})
    answers = make(dialect="sjtu", concurrency=1).ask([picture()] * 6, ["first", *["x"] * 5])
    assert [answer.outcome.value for answer in answers] == ["failed"] * 6
    assert len(server.asked) == 6


def test_a_held_back_request_is_sent_when_another_got_through(server, make, picture, written):
    """Three requests are refused while one is still under way: those held back meanwhile are asked after all."""
    refused = threading.Semaphore(0)

    def reply(asked):
        if "slow" in asked.words:
            for _ in range(3):
                refused.acquire(timeout=20)
            server.released.wait(0.3)  # until the rest has been held back
            return written(GOOD)
        if "bad" in asked.words:
            refused.release()
            return (401, {})
        return written(GOOD)

    server.reply = reply
    answers = make(dialect="sjtu", concurrency=2).ask([picture()] * 8, ["slow", *["bad"] * 3, *"wxyz"])
    assert [answer.outcome.value for answer in answers] == ["found", *["failed"] * 3, *["found"] * 4]
    assert len(server.asked) == 8


def test_different_failures_of_all_are_answers(server, make, picture):
    server.reply = lambda asked: (401, {}) if "a" in asked.words.split() else (400, {})
    answers = make(dialect="sjtu").ask([picture()] * 2, ["a", "b"])
    assert [answer.outcome.value for answer in answers] == ["failed", "failed"]


# -- structured output ----------------------------------------------------------------------------------


def test_a_server_that_knows_no_schema(server, refuse):
    server.script = [(400, {"error": {"message": "'response_format.type' must be 'text' or 'json_object'"}})]
    error = refuse(structured=True)
    assert error.cause is Cause.STRUCTURE
    assert str(error).endswith("(a server that knows no json_schema needs structured=False)")


def test_another_fault_of_a_structured_request(server, ask):
    server.script = [(422, {"detail": "the picture is too large"})]
    answer = ask(structured=True)
    assert answer.outcome is Outcome.FAILED
    assert "the picture is too large (a server that knows no json_schema needs structured=False)" in answer.text
