import json
import socket
from contextlib import suppress
from dataclasses import replace

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from fiducial.remote import UNKNOWN_IMAGE
from recipe_server import ENCODED, IMAGE, KEY, PNG, Held, asking, assert_problem, cut_at, form, served, serving, waiting

BOX = {"box": [2, 3, 12, 9]}


@pytest.fixture(scope="module")
def http():
    with asking(max_prompts=8) as client:
        yield client


@pytest.fixture(scope="module")
def small():
    with asking(max_bytes=4000) as client:
        yield client


# -- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "values", "status", "words"),
    [
        ("/v1/segment", {"instruction": "x"}, 422, "send a picture"),
        ("/v1/segment", {"image": ENCODED}, 422, "instruction: Field required"),
        ("/v1/segment", {"image": ENCODED, "instruction": "  "}, 422, "the instruction is empty"),
        ("/v1/segment", {"image": ENCODED, "instruction": "x" * 2001}, 422, "instruction: String should have at most"),
        ("/v1/segment", {"image": ENCODED, "instruction": 5}, 422, "valid string"),
        ("/v1/segment", {"image": ENCODED, "instruction": "x", "model": "y"}, 422, "model: Extra inputs"),
        ("/v1/segment", {"image": "http://127.0.0.1/a.png", "instruction": "x"}, 422, "image"),
        ("/v1/segment", {"image": {"url": "http://127.0.0.1/a.png"}, "instruction": "x"}, 422, "Extra inputs"),
        ("/v1/segment", {"image": {"path": "/etc/passwd"}, "instruction": "x"}, 422, "Extra inputs"),
        ("/v1/segment", {"image": {"base64": "!"}, "instruction": "x"}, 422, "no base64"),
        ("/v1/segment", {"image": {"base64": ""}, "instruction": "x"}, 422, "image: the file is empty"),
        ("/v1/segment", {"image": {"base64": "aGFsbG8="}, "instruction": "x"}, 422, "image: not a picture"),
        ("/v1/segment", {"image": ENCODED, "instruction": "x", "options": {"threshold": 2}}, 422, "less than or equal"),
        ("/v1/segment", {"image": ENCODED, "instruction": "x", "options": {"steps": 2}}, 422, "options.steps"),
        ("/v1/cut", {"image": ENCODED, "prompts": {"targets": [{}]}}, 422, "a prompt needs a box"),
        ("/v1/cut", {"image": ENCODED, "prompts": {"targets": [{"box": [5, 5, 1, 1]}]}}, 422, "x1 < x2"),
        ("/v1/cut", {"image": ENCODED, "prompts": {"targets": [{"box": ["1", 2, 3, 4]}]}}, 422, "valid number"),
        ("/v1/cut", {"image": ENCODED, "prompts": {"targets": [{"box": [1, 2, 3]}]}}, 422, "box"),
        ("/v1/cut", {"image": ENCODED, "prompts": {"frame": "feet", "targets": [BOX]}}, 422, "prompts.frame"),
        ("/v1/cut", {"image": ENCODED, "prompts": {"targets": [{"box": [90, 90, 99, 99]}]}}, 422, "outside the image"),
        ("/v1/cut", {"image": ENCODED, "prompts": {"targets": [BOX] * 9}}, 422, "more targets than the limit of 8"),
        ("/v1/cut", {"image": {"digest": "sha256:" + "0" * 64}, "prompts": {}}, 404, "send it (again)"),
        ("/v1/cut", {"image": {"digest": "../../etc/passwd"}, "prompts": {}}, 422, "digest: String should match"),
        ("/v1/parse", {"reply": "x", "dialect": "sjtu", "width": 0, "height": 5}, 422, "width"),
        ("/v1/download", {"image": ENCODED, "result": {}, "format": "exe"}, 422, "format"),
    ],
)
def test_requests_that_make_no_sense_are_told_where(http, path, values, status, words):
    kind = UNKNOWN_IMAGE if status == 404 else "about:blank"
    assert_problem(http.post(path, json=values), status, words, kind)


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        (b"{", {"Content-Type": "application/json"}, 422, "Invalid JSON"),
        (b"[" * 4000, {"Content-Type": "application/json"}, 422, "recursion limit"),
        (b'{"instruction": "\xff"}', {"Content-Type": "application/json"}, 422, "Invalid JSON"),
        (b'{"instruction": "x", "image": {"base64": NaN}}', {"Content-Type": "application/json"}, 422, "base64"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "application/json or multipart/form-data is expected"),
        (b"{}", {}, 415, "got none"),
        (b"", {"Content-Type": "multipart/form-data"}, 422, "the form cannot be read: No boundary"),
        (b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 422, "breaks off"),
        (b"x" * 4001, {"Content-Type": "application/json"}, 413, "larger than 4,000 bytes, the limit --max-bytes"),
    ],
)
def test_bodies_that_are_none(small, content, headers, status, words):
    assert_problem(small.post("/v1/segment", content=content, headers=headers), status, words)


def test_forms_hold_a_request_and_a_picture_and_nothing_else(http):
    words = {"instruction": "the ship"}
    assert_problem(http.post("/v1/segment", files=form(words, picture=None)), 422, "send a picture")
    assert_problem(http.post("/v1/segment", files={"picture": PNG}), 422, "got 'picture'")
    assert_problem(http.post("/v1/segment", files=form({**words, "image": ENCODED})), 422, "leave one of them out")
    three = [("request", (None, "{}")), ("image", PNG), ("image", PNG)]
    assert_problem(http.post("/v1/segment", files=three), 422, "more than 2 parts")
    named = http.post("/v1/segment", files=form(words, name="..\\..\\etc/passwd.png")).json()
    assert named["image"]["name"] == "passwd.png"


def test_large_pictures_are_refused_before_they_are_decoded():
    with asking(max_pixels=599) as http:
        answer = http.post("/v1/images", files=form(None))
        assert_problem(answer, 422, "raise max_pixels (--max-pixels)")
        assert "/tmp" not in answer.text


def test_who_has_no_key_gets_nothing_and_who_has_it_is_served_under_any_name():
    with asking(key=KEY, host="gpu.example.org") as http:
        for method, path in [("GET", one) for one in ("/v1/recipes", "/v1/scenes", "/v1/images/0", "/metrics")] + [
            ("POST", f"/v1/{one}") for one in ("segment", "cut", "parse", "write", "download", "images")
        ]:
            for header in ({}, {"Authorization": "Bearer marker-1"}, {"Authorization": "Basic marker-123456"}):
                answer = http.request(method, path, headers=header)
                assert_problem(answer, 401, "Authorization: Bearer KEY")
                assert KEY not in answer.text
        assert http.get("/healthz").status_code == http.get("/readyz").status_code == 200
        http.headers["Authorization"] = f"Bearer {KEY}"
        answer = http.post("/v1/segment", files=form({"instruction": "the ship"}))
        assert answer.status_code == 200


def test_without_a_key_other_pages_of_a_browser_cannot_ask(http):
    words = form({"instruction": "the ship"})
    for origin in ("http://evil.example", "null", "http://localhost:9", "https://localhost.evil.example"):
        refused = http.post("/v1/segment", files=words, headers={"Origin": origin})
        assert_problem(refused, 403, "its own page alone")
        assert "Access-Control-Allow-Origin" not in refused.headers
    assert http.post("/v1/segment", files=words, headers={"Origin": "http://localhost"}).status_code == 200
    assert_problem(http.get("/v1/recipes", headers={"Host": "evil.example"}), 403, "'evil.example'")


# -- over a real connection -------------------------------------------------------------------------------


def send(port, *pieces):
    """Send bytes with pauses, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as stream:
        for piece in pieces:
            stream.sendall(piece)
        received = b""
        with suppress(ConnectionResetError):
            while piece := stream.recv(65536):
                received += piece
        return received


def test_headers_and_bodies_that_never_come_give_their_places_back(monkeypatch):
    monkeypatch.setattr("fiducial.server.running.HEADER_SECONDS", 0.2)
    with serving(queue=1, read_seconds=0.2) as running:
        head = b"POST /v1/parse HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        assert send(running.port, b"GET /healthz HT") == b""
        assert send(running.port, b"") == b""
        assert send(running.port, head + b"Content-Length: 99\r\nConnection: close\r\n\r\n{").startswith(
            b"HTTP/1.1 408"
        )
        chunked = head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\n{\r\n"
        assert send(running.port, chunked).startswith(b"HTTP/1.1 408")
        assert running.state.server.gate.inside == 0
        gate = running.state.server.gate
        gate.config = replace(gate.config, read_seconds=60.0)
        body = json.dumps({"reply": "[]", "dialect": "sjtu", "width": 9, "height": 9}).encode()
        length = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        assert b'"no_target"' in send(running.port, head + length + body)


def test_what_is_no_http_or_has_giant_headers_breaks_nothing():
    with serving(key=KEY) as running:
        for sent in (
            b"\x16\x03\x01" * 99 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
            b"POST /v1/cut HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        ):
            answer = send(running.port, sent)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
            assert KEY.encode() not in answer
        alive = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert b"ready" in send(running.port, alive)


def test_who_goes_away_while_waiting_is_taken_out_of_the_line():
    held = Held()
    head = b"POST /v1/cut HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    with serving(served(segmenter=held)) as running, held.letting():
        running.state.server.store.keep(IMAGE)
        bodies = [json.dumps(cut_at(x)).encode() for x in range(3)]
        streams = [socket.create_connection(("127.0.0.1", running.port), timeout=60) for _ in bodies]
        for number, (stream, body) in enumerate(zip(streams, bodies, strict=True)):
            stream.sendall(head + f"{len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            waiting(running, number + 1)
        streams[1].close()
        waiting(running, 2, 2)  # its place is free, and what it asked for is passed over in its turn
        held.let.set()
        for stream in (streams[0], streams[2]):
            assert stream.recv(12) == b"HTTP/1.1 200"
            stream.close()
        assert held.calls == [1, 1]
