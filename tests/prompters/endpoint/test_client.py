"""Addresses and keys: what is taken, what is refused, and what is never said."""

import pytest

from fiducial.errors import InputError
from fiducial.prompters.endpoint.client import Address, Key, find_key, read_address

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
