import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
import httpx

from fakes import BoxSegmenter
from fiducial.errors import InputError, ModelError
from fiducial.remote import UNKNOWN_IMAGE
from fiducial.rewards.wire import read_cuts, write_completions
from fiducial.server.configs import RewardServerConfig
from fiducial.server.running import Server
from reward_server import HEIGHT, WIDTH, completions, picture, serving

JSON = {"Content-Type": "application/json"}
BYTES = {"Content-Type": "application/octet-stream"}
IMAGE = picture()
PIXELS = IMAGE.pixels.tobytes()
PUT = f"/v1/images/{IMAGE.digest}?width={WIDTH}&height={HEIGHT}"
POST = f"/v1/images/{IMAGE.digest}/masks"


class Held(BoxSegmenter):
    """Cuts when it is let."""

    def __init__(self):
        super().__init__()
        self.begun, self.let = threading.Event(), threading.Event()

    def decode(self, embedding, prompts):
        self.begun.set()
        assert self.let.wait(60)
        return super().decode(embedding, prompts)


@pytest.fixture(scope="module")
def service():
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def http(service):
    with httpx.Client(base_url=service.url, timeout=60) as session:
        yield session


def assert_problem(response, status, words, kind="about:blank"):
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    told = response.json()
    assert (told["status"], told["type"]) == (status, kind)
    assert told["title"]
    assert words in told["detail"]


def test_an_image_is_sent_once_and_asked_about_by_its_digest(service, http):
    body = write_completions(completions())
    assert http.put(PUT, content=PIXELS, headers=BYTES).status_code == 204
    answers = [http.post(POST, content=body, headers=JSON) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    expected = type(service)(BoxSegmenter()).cut(IMAGE, completions())
    assert read_cuts(answers[1].content, IMAGE, completions()) == expected
    told = http.get("/v1/service").json()
    assert told["segmenter"] == {"name": "grabcut"}
    assert told["counts"]["encoded"] == told["counts"]["images"] == 1
    assert told["limits"]["queue"] == 64


def test_large_images_arrive_whole(http):
    image = picture(2, 2500, 2000)
    path = f"/v1/images/{image.digest}"
    sent = http.put(f"{path}?width=2500&height=2000", content=image.pixels.tobytes(), headers=BYTES)
    assert sent.status_code == 204
    assert http.post(f"{path}/masks", content=b'{"completions": [[]]}', headers=JSON).json() == {
        "completions": [{"masks": []}]
    }


def test_health_needs_no_key_and_says_when_the_service_is_closing():
    with serving(key="secret-1") as running, httpx.Client(base_url=running.url) as http:
        assert http.get("/healthz").json() == {"status": "ok"}
        assert http.get("/readyz").json() == {"status": "ready"}
        assert_problem(http.get("/v1/service"), 401, "the key is missing or wrong")
        running.app.state.cutter.close()
        assert_problem(http.get("/readyz"), 503, "closing")
        assert http.get("/healthz").status_code == 200


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer secret-2", "Basic secret-1", "secret-1", "Bearer sécret"])
def test_who_has_no_key_gets_nothing(header):
    headers = {} if header is None else {"Authorization": header.encode()}
    with serving(key="secret-1") as running, httpx.Client(base_url=running.url, headers=headers) as http:
        for answer in (http.get("/v1/service"), http.put(PUT, content=PIXELS), http.post(POST, content=b"{}")):
            assert_problem(answer, 401, "Authorization: Bearer KEY")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert len(running.app.state.store) == 0


def test_who_has_the_key_is_served_under_any_name():
    headers = {"Authorization": "bearer secret-1", "Host": "gpu.example.org"}
    with serving(key="secret-1") as running:
        assert httpx.get(f"{running.url}/v1/service", headers=headers).status_code == 200


def test_without_a_key_pages_of_a_browser_cannot_ask_under_a_name_of_their_own(http):
    assert_problem(http.get("/v1/service", headers={"Host": "evil.example"}), 403, "'evil.example'")
    assert http.get("/v1/service", headers={"Host": "localhost:9"}).status_code == 200
    assert http.get("/v1/service", headers={"Host": "[::1]:9"}).status_code == 200
    for unreadable in ("[::1", "evil.example:", "evil.example:1:2", ""):
        assert_problem(http.get("/v1/service", headers={"Host": unreadable}), 403, "for this machine alone")
    http.put(PUT, content=PIXELS, headers=BYTES)
    assert_problem(http.post(POST, content=b"{}", headers={"Content-Type": "text/plain"}), 415, "application/json")


def test_other_machines_need_a_key():
    for host in ("0.0.0.0", "::", "gpu.example.org"):
        with pytest.raises(InputError, match=r"set the environment variable FIDUCIAL_SERVICE_KEY"):
            RewardServerConfig(segmenter="grabcut", host=host).key({})
        found = RewardServerConfig(segmenter="grabcut", host=host, key_variable="MINE").key({"MINE": " secret-1 "})
        assert found.value == "secret-1"
        assert "secret" not in repr(found)
    for host in ("127.0.0.1", "localhost", "::1", "LOCALHOST"):
        assert RewardServerConfig(segmenter="grabcut", host=host).key({}).value == ""
    with pytest.raises(InputError, match="holds signs that no key has"):
        RewardServerConfig(segmenter="grabcut").key({"FIDUCIAL_SERVICE_KEY": "two words"})


DIGEST = IMAGE.digest


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "words"),
    [
        (PUT, PIXELS, JSON, 415, "application/octet-stream is expected, got application/json"),
        (PUT, PIXELS[:-1], BYTES, 422, "80 x 60 pixels of RGB are 14,400 bytes, got 14,399"),
        (PUT, PIXELS + b"x", BYTES, 413, "larger than 14,400 bytes, 80 x 60 pixels of RGB"),
        (PUT, PIXELS[:-1] + bytes([PIXELS[-1] ^ 1]), BYTES, 422, f"not {DIGEST}"),
        (f"/v1/images/{DIGEST}?width=60&height=80", PIXELS, BYTES, 422, "the pixels have the digest"),
        (f"/v1/images/{DIGEST}?width=0&height=80", b"", BYTES, 422, "query.width: Input should be greater"),
        (f"/v1/images/{DIGEST}?height=80", b"", BYTES, 422, "query.width: Field required"),
        (f"/v1/images/{DIGEST}?width=5001&height=5000", b"", BYTES, 413, "raise --max-pixels"),
        (f"/v1/images/{DIGEST.upper()}?width=1&height=1", b"123", BYTES, 422, "a digest has 64 signs"),
        ("/v1/images/..%2f..%2fetc?width=1&height=1", b"123", BYTES, 404, "Not Found"),
    ],
)
def test_images_that_are_none(http, path, content, headers, status, words):
    assert_problem(http.put(path, content=content, headers=headers), status, words)


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        (b"{}", {"Content-Type": "text/plain"}, 415, "application/json is expected, got text/plain"),
        (b"{}", {}, 415, "got none"),
        (b"{", JSON, 422, "not valid JSON"),
        (b"[]", JSON, 422, "an object is expected"),
        (b'{"completions": [[{}]]}', JSON, 422, "completion 0, prompt 0"),
        (b"x" * 1001, JSON, 413, "larger than 1,000 bytes, the limit --max-bytes"),
        (json.dumps({"completions": [[{}] * 6]}).encode(), JSON, 422, "6 prompts in one request are more than"),
    ],
)
def test_requests_that_are_none(content, headers, status, words):
    with serving(max_bytes=1000, max_prompts=5) as running, httpx.Client(base_url=running.url) as http:
        assert http.put(PUT, content=PIXELS, headers=BYTES).status_code == 204
        assert_problem(http.post(POST, content=content, headers=headers), status, words)
        if len(content) > 1000:  # the same without its length before it
            pieces = (content[k : k + 100] for k in range(0, len(content), 100))
            assert_problem(http.post(POST, content=pieces, headers=headers), status, words)


def test_paths_and_methods_that_do_not_exist_are_problems_too(http):
    assert_problem(http.get("/v1/nothing"), 404, "GET /v1/nothing")
    assert_problem(http.get(POST), 405, "Method Not Allowed")
    assert http.get("/docs").status_code == http.get("/openapi.json").status_code == 404


def test_an_image_that_is_not_known_or_had_to_go_is_asked_for():
    other = picture(1)
    body = write_completions(completions())
    with serving(store_bytes=len(PIXELS)) as running, httpx.Client(base_url=running.url) as http:
        assert_problem(http.post(POST, content=body, headers=JSON), 404, DIGEST, UNKNOWN_IMAGE)
        assert http.put(PUT, content=PIXELS, headers=BYTES).status_code == 204
        assert http.post(POST, content=body, headers=JSON).status_code == 200
        path = f"/v1/images/{other.digest}?width={WIDTH}&height={HEIGHT}"
        assert http.put(path, content=other.pixels.tobytes(), headers=BYTES).status_code == 204
        assert_problem(http.post(POST, content=body, headers=JSON), 404, DIGEST, UNKNOWN_IMAGE)
        wide = http.put(f"/v1/images/{DIGEST}?width={WIDTH}&height={HEIGHT + 1}", content=b"", headers=BYTES)
        assert_problem(wide, 413, "raise --store-bytes")


def test_a_failing_segmenter_is_an_answer_and_a_bug_is_a_problem_that_tells_nothing(caplog):
    class Buggy(BoxSegmenter):
        def decode(self, embedding, prompts):
            raise ZeroDivisionError("a path: /home/somebody")

    body = write_completions(completions())
    with serving(BoxSegmenter(error=ModelError("out of memory"))) as running:
        httpx.put(running.url + PUT, content=PIXELS, headers=BYTES)
        answer = httpx.post(running.url + POST, content=body, headers=JSON)
        assert answer.json()["completions"][1] == {"error": "out of memory", "for_all": False}
    with serving(Buggy()) as running:
        httpx.put(running.url + PUT, content=PIXELS, headers=BYTES)
        answer = httpx.post(running.url + POST, content=body, headers=JSON)
        assert_problem(answer, 500, "unexpected ZeroDivisionError: the server's log says more")
        assert httpx.get(running.url + "/readyz").status_code == 200
    assert "somebody" in caplog.text


def test_a_full_queue_says_when_to_come_back():
    held, body = Held(), write_completions(completions())
    with serving(held, queue=1) as running, ThreadPoolExecutor() as pool:
        httpx.put(running.url + PUT, content=PIXELS, headers=BYTES)
        first = pool.submit(httpx.post, running.url + POST, content=body, headers=JSON, timeout=60)
        assert held.begun.wait(60)
        try:
            refused = httpx.post(running.url + POST, content=body, headers=JSON)
            assert_problem(refused, 429, "1 requests are being answered")
            assert refused.headers["Retry-After"] == "1"
            assert httpx.get(running.url + "/readyz").status_code == 200  # busy is not broken
        finally:
            held.let.set()
        assert first.result(60).status_code == 200
        assert httpx.post(running.url + POST, content=body, headers=JSON).status_code == 200


def test_what_runs_is_answered_before_the_server_ends():
    held, body = Held(), write_completions(completions())
    with serving(held) as running, ThreadPoolExecutor() as pool:
        httpx.put(running.url + PUT, content=PIXELS, headers=BYTES)
        first = pool.submit(httpx.post, running.url + POST, content=body, headers=JSON, timeout=60)
        assert held.begun.wait(60)
        ending = pool.submit(running.stop)
        assert not first.done()
        held.let.set()
        ending.result(60)
        assert len(read_cuts(first.result(60).content, IMAGE, completions())) == 7
        with pytest.raises(httpx.ConnectError):
            httpx.get(running.url + "/healthz")


def test_a_request_that_never_arrives_gives_its_place_back():
    with serving(queue=1, read_seconds=0.05) as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=60) as slow:
            lines = (f"PUT {PUT} HTTP/1.1", "Host: localhost", "Content-Type: application/octet-stream")
            slow.sendall("\r\n".join([*lines, f"Content-Length: {len(PIXELS)}", "", "half"]).encode())
            assert b" 408 " in slow.recv(65536)
        gate = running.app.state.gate
        gate.config = replace(gate.config, read_seconds=60.0)
        assert httpx.put(running.url + PUT, content=PIXELS, headers=BYTES).status_code == 204


def test_a_taken_port_is_an_error_of_one_line(service):
    with pytest.raises(InputError, match=rf"cannot listen at 127.0.0.1, port {service.port}"):
        Server(service.app, "127.0.0.1", service.port)
    with pytest.raises(InputError, match=r"cannot listen at no.such.host.invalid"):
        Server(service.app, "no.such.host.invalid", 0)
