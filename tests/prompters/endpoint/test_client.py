"""Addresses, keys and retries; a key is in nothing that is written, printed, logged or raised."""

import asyncio
import itertools
import json
import logging
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from fiducial.cli import main
from fiducial.config import read_part
from fiducial.errors import InputError
from fiducial.prompters.chat_client import Cause, EndpointError, find_key, read_address, retry
from fiducial.remote import Address, Key, read_retry_after

LOCAL = read_address("http://localhost:8000/v1")
REMOTE = read_address("http://gpu.example.org:8000/v1")
HOSTED = read_address("https://api.example.org/v1")
SECRET = {"FIDUCIAL_API_KEY": "sk-marker-123456"}


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        (" HTTPS://API.Example.org/v1/ ", "https://api.example.org/v1"),
        ("https://a/v1/chat/completions", "https://a/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://a", "http://a"),
        (None, "http://localhost:8000/v1"),
        ("", "http://localhost:8000/v1"),
    ],
)
def test_addresses(given, url):
    assert read_address(given, {}).url == url


def test_the_environment_names_a_server_where_nothing_else_does():
    environment = {"FIDUCIAL_ENDPOINT": "https://a/v1"}
    assert read_address(None, environment).url == "https://a/v1"
    assert read_address("https://b/v1", environment).url == "https://b/v1"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000/v1",
        "/v1",
        "file:///etc/passwd",
        "gopher://a/v1",
        "http://",
        "http:///v1",
        "http://a b/v1",
        "http://a\\@b/v1",
        "http://a/v1\x07",
    ],
)
def test_addresses_that_are_none(url):
    with pytest.raises(InputError, match="url"):
        read_address(url)


@pytest.mark.parametrize("url", ["http://a:99999/v1", "http://a:x/v1", "http://[::1/v1"])
def test_addresses_that_cannot_be_read(url):
    with pytest.raises(InputError, match="cannot be read"):
        read_address(url)


@pytest.mark.parametrize("url", ["https://me:hunter2@a/v1", "https://a/v1?key=hunter2", "https://a/v1#hunter2"])
def test_secrets_in_an_address_are_refused_and_not_repeated(url):
    with pytest.raises(InputError, match="a key belongs in the environment variable FIDUCIAL_API_KEY") as caught:
        read_address(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("192.168.0.1", False),
        ("0.0.0.0", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_what_is_this_machine(host, local):
    assert Address("", host, False).local is local


def test_the_key_of_the_environment():
    assert find_key(LOCAL, environment=SECRET).value == "sk-marker-123456"
    assert find_key(HOSTED, "MINE", environment={"MINE": " abc-def\n"}).value == "abc-def"
    assert find_key(HOSTED, environment={}) == Key("", ("FIDUCIAL_API_KEY",))
    assert find_key(HOSTED, "", environment=SECRET).value == ""
    assert find_key(HOSTED, None, environment=SECRET).value == ""


def test_openais_key_goes_to_openai_only():
    environment = {"OPENAI_API_KEY": "sk-openai"}
    assert find_key(read_address("https://api.openai.com/v1"), environment=environment).value == "sk-openai"
    assert find_key(read_address("https://eu.api.openai.com/v1"), environment=environment).value == "sk-openai"
    both = environment | SECRET
    assert find_key(read_address("https://api.openai.com/v1"), environment=both).variable == "FIDUCIAL_API_KEY"
    for url in ("https://openai.com.example.org/v1", "https://myopenai.com/v1", "http://localhost:8000/v1"):
        assert find_key(read_address(url), environment=environment).value == ""


def test_a_key_does_not_travel_in_the_clear():
    with pytest.raises(InputError, match=r"FIDUCIAL_API_KEY would travel to gpu.example.org in the clear") as caught:
        find_key(REMOTE, environment=SECRET)
    assert "marker" not in str(caught.value)
    assert find_key(REMOTE, environment=SECRET, allow_insecure=True).value == "sk-marker-123456"
    assert find_key(REMOTE, "", environment=SECRET).value == ""
    assert find_key(REMOTE, environment={}).value == ""


@pytest.mark.parametrize("value", ["abc\ndef", "abc def", "ключ-ключ", "abc\x00def", "abc\x7f"])
def test_keys_that_no_header_can_hold(value):
    with pytest.raises(InputError, match="variable FIDUCIAL_API_KEY holds signs that no key has") as caught:
        find_key(LOCAL, environment={"FIDUCIAL_API_KEY": value})
    assert value not in str(caught.value)


def test_what_is_told_of_a_key():
    key = find_key(LOCAL, environment=SECRET)
    assert "marker" not in repr(key) + str(key) + key.story
    assert key.story == "the key of the environment variable FIDUCIAL_API_KEY was sent"
    nothing = find_key(read_address("https://api.openai.com/v1"), environment={})
    assert nothing.story == (
        "no key was sent, for the environment variable FIDUCIAL_API_KEY and OPENAI_API_KEY are not set"
    )
    assert find_key(LOCAL, "").story == "no key was sent, for key_variable is empty"
    assert key.hide("a sk-marker-123456 b") == "a [key] b"
    assert Key("none").hide("none of these") == "none of these"


# -- when to try again, and how long to wait before it ---------------------------------------------------

PASSING = EndpointError("busy", passing=True)
REFUSED = EndpointError("no", Cause.ACCESS)


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    async def sleep(self, seconds):
        self.now += seconds
        self.slept.append(seconds)

    def run(self, times, error=PASSING, *, retries=4, deadline=100, seed=""):
        """Retry what fails so many times; return the seconds that each attempt was given."""
        lefts = []

        async def attempt(seconds):
            lefts.append(seconds)
            if len(lefts) <= times:
                raise next(errors)
            return "reply"

        errors = itertools.repeat(error) if isinstance(error, Exception) else error
        wanted = retry(attempt, retries=retries, deadline=deadline, seed=seed, sleep=self.sleep, clock=lambda: self.now)
        assert asyncio.run(wanted) == "reply"
        return lefts


def test_waits_double_up_to_the_longest_and_are_drawn_by_seed():
    def waits(seed):
        clock = Clock()
        clock.run(9, retries=9, deadline=1e6, seed=seed)
        return clock.slept

    for wait, whole in zip(waits("a"), [0.5, 1, 2, 4, 8, 16, 32, 60, 60], strict=True):
        assert whole / 2 <= wait <= whole
    assert waits("a") == waits("a")
    assert waits("a") != waits("b")


def test_a_success_after_failures():
    clock = Clock()
    lefts = clock.run(2)
    assert lefts == [100, pytest.approx(100 - clock.slept[0]), pytest.approx(100 - clock.now)]
    assert 0.75 <= clock.now <= 1.5


def test_the_last_error_counts_its_attempts_and_keeps_its_cause():
    clock = Clock()
    with pytest.raises(EndpointError, match=r"^busy \(after 3 attempts\)$") as caught:
        clock.run(9, EndpointError("busy", Cause.CONNECTION, passing=True), retries=2)
    assert caught.value.cause is Cause.CONNECTION
    assert len(clock.slept) == 2


def test_what_does_not_pass_is_not_tried_again():
    clock = Clock()
    with pytest.raises(EndpointError, match=r"^no$"):
        clock.run(9, REFUSED)
    assert clock.slept == []


@given(st.integers(0, 8), st.floats(0.01, 300), st.lists(st.floats(0, 500), min_size=9, max_size=9))
def test_no_question_takes_longer_than_its_deadline(retries, deadline, asked):
    clock = Clock()
    with pytest.raises(EndpointError, match="busy"):
        clock.run(
            9, (EndpointError("busy", passing=True, wait=wait) for wait in asked), retries=retries, deadline=deadline
        )
    assert clock.now < deadline


def test_the_servers_wait_is_kept_to_and_capped():
    clock = Clock()
    clock.run(1, EndpointError("busy", passing=True, wait=1e9))
    assert clock.slept == [60]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, 0.0),
        ("5", 5.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 99 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after(text, seconds):
    assert read_retry_after(text, lambda: 100.0) == seconds


@given(st.text())
def test_retry_after_takes_any_text(text):
    assert read_retry_after(text) >= 0


# -- what is left of a key ----

MARKER = "sk-marker/0123456789"


@pytest.fixture
def file(tmp_path):
    """A red square on grey."""
    pixels = np.full((120, 200, 3), 90, np.uint8)
    pixels[30:60, 50:150] = (220, 30, 30)
    path = tmp_path / "square.png"
    PillowImage.fromarray(pixels).save(path)
    return path


def echoing(handler_asked):
    """Say the headers back wherever a server could."""
    return {
        "choices": [
            {
                "message": {"content": f"[[0.25, 0.25, 0.75, 0.5]] {handler_asked.headers}", "reasoning": MARKER},
                "finish_reason": "stop",
            }
        ]
    }


def everything(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_the_key_is_in_nothing_that_a_run_leaves(server, file, tmp_path, monkeypatch, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("FIDUCIAL_API_KEY", MARKER)
    server.reply = echoing
    out = tmp_path / "out"
    words = ["segment", str(file), "the red square", "--recipe", "classic", "--prompter", "endpoint:my-model"]
    words += ["--set", f"prompter.url={server.url}", "--set", "prompter.dialect=sjtu", "--segmenter", "grabcut"]
    assert main([*words, "--out", str(out), "--format", "png,mask,json,coco"]) == 0
    assert main([*words, "--json"]) == 0
    assert server.asked[0].headers["Authorization"] == f"Bearer {MARKER}"
    printed = "".join(capfd.readouterr())
    assert "[key]" in printed
    left = everything(out)
    assert b"[key]" in left
    assert server.url.encode() in left
    for text in (printed, caplog.text, left.decode("latin-1")):
        assert MARKER not in text
        assert "marker" not in text
    record = json.loads(printed.strip().splitlines()[-1])
    assert record["outcome"] == "found"


def test_the_key_is_in_no_failure(server, file, tmp_path, monkeypatch, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("FIDUCIAL_API_KEY", MARKER)
    escaped = MARKER.replace("/", "\\/")
    server.reply = lambda asked: (401, f'{{"error": "no such key: {escaped}"}}')
    out = tmp_path / "out"
    words = ["segment", str(file), "the red square", "--recipe", "classic", "--prompter", "endpoint:my-model"]
    words += ["--set", f"prompter.url={server.url}", "--set", "prompter.dialect=sjtu", "--out", str(out)]
    assert main(words) == 1
    printed = "".join(capfd.readouterr())
    assert "the key of the environment variable FIDUCIAL_API_KEY was sent (no such key: [key])" in printed
    for text in (printed, caplog.text, everything(out).decode("latin-1")):
        assert "marker" not in text


def test_the_key_is_in_no_prompter_and_no_error(server, make, picture, monkeypatch):
    monkeypatch.setenv("FIDUCIAL_API_KEY", MARKER)
    prompter = make(dialect="sjtu")
    escaped = MARKER.replace("/", "\\/")
    server.script = [(200, f'{{"choices": [{{"message": {{"content": "{escaped}"}}}}]}}')]
    answer = prompter.ask([picture()], ["x"])[0]
    assert answer.raw == "[key]"
    assert "marker" not in repr(prompter) + str(vars(prompter))
    server.script = [(302, "", {"Location": f"https://a/{MARKER}"})]
    with pytest.raises(EndpointError) as caught:
        prompter.ask([picture()], ["x"])
    assert "marker" not in str(caught.value)
    assert "[key]" in str(caught.value)
    chain = caught.value
    while chain is not None:
        assert "marker" not in repr(chain)
        chain = chain.__cause__ or chain.__context__
    assert b"marker" not in pickle.dumps(prompter.address)


def test_a_key_that_is_set_later_is_used(server, make, picture, monkeypatch):
    prompter = make(dialect="sjtu")
    prompter.ask([picture()], ["x"])
    monkeypatch.setenv("FIDUCIAL_API_KEY", MARKER)
    prompter.ask([picture()], ["x"])
    assert [asked.headers.get("Authorization") for asked in server.asked] == [None, f"Bearer {MARKER}"]


def test_a_recipe_may_name_an_endpoint(server, file, tmp_path, capfd):
    server.reply = lambda asked: echoing(replace_headers(asked))
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "prompter:\n"
        "  name: endpoint\n"
        "  model: auto\n"
        f"  url: {server.url}\n"
        "  dialect: sjtu\n"
        "  canvas: [512, 512]\n"
        "segmenter: grabcut\n"
    )
    assert main(["segment", str(file), "the red square", "--recipe", str(recipe), "--out", str(tmp_path / "out")]) == 0
    assert "1 target" in capfd.readouterr().out
    assert server.asked[1].picture.shape == (512, 512, 3)
    assert server.asked[1].body["model"] == "Qwen/Qwen2.5-VL-7B-Instruct"


def test_unknown_options_are_one_line():
    with pytest.raises(InputError, match="unknown option of prompter 'endpoint': 'api_key'"):
        read_part("prompter", {"name": "endpoint", "model": "qwen2.5-vl", "api_key": "sk"})


def replace_headers(asked):
    asked.headers = {}
    return asked
