"""A real HTTP server on this machine that speaks the protocol, and misbehaves when told to."""

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image as PillowImage

from fiducial.images import Image
from fiducial.prompters.endpoint import EndpointPrompter
from fiducial.prompters.model_configs import EndpointConfig


def completion(content, *, finish_reason="stop", **message):
    """A chat completion as servers write it."""
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": finish_reason,
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


class Asked:
    """One request as the server got it."""

    def __init__(self, method, path, headers, body):
        self.method = method
        self.path = path
        self.headers = dict(headers)
        self.body = json.loads(body) if body else None

    @property
    def user(self):
        return self.body["messages"][-1]

    @property
    def words(self):
        return next(part["text"] for part in self.user["content"] if part["type"] == "text")

    @property
    def uri(self):
        return next(part["image_url"]["url"] for part in self.user["content"] if part["type"] == "image_url")

    @property
    def picture(self):
        """The picture that was sent, as (h, w, 3) uint8."""
        return np.asarray(PillowImage.open(io.BytesIO(base64.b64decode(self.uri.partition(",")[2]))).convert("RGB"))


class FakeServer:
    """Answers with what stands in ``script``, then with ``reply(asked)``.

    What is answered is a JSON value, a pair of status and body, a triple with headers too, or a function that is
    given the handler and writes what it likes.
    """

    def __init__(self):
        self.models = ["Qwen/Qwen2.5-VL-7B-Instruct"]
        self.script = []
        self.reply = lambda asked: completion("[]")
        self.asked = []
        self.released = threading.Event()
        self.active = self.peak = 0
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                server._handle(self, "GET")

            def do_POST(self):
                server._handle(self, "POST")

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def port(self):
        return self._http.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def close(self):
        self.released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _handle(self, handler, method):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        asked = Asked(method, handler.path, handler.headers, body)
        with self._lock:
            self.asked.append(asked)
            self.active += 1
            self.peak = max(self.peak, self.active)
            answer = self.script.pop(0) if self.script else None
        try:
            if answer is None:
                answer = {"data": [{"id": n} for n in self.models]} if method == "GET" else self.reply(asked)
        finally:
            with self._lock:
                self.active -= 1
        send(handler, answer)


def send(handler, answer):
    if callable(answer):
        handler.close_connection = True
        answer(handler)
        return
    parts = answer if isinstance(answer, tuple) else (200, answer)
    status, body, headers = (*parts, {})[:3]
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **headers}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


@pytest.fixture
def server():
    running = FakeServer()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("FIDUCIAL_API_KEY", "OPENAI_API_KEY", "FIDUCIAL_ENDPOINT", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def waited():
    """The seconds that were waited for between attempts; nothing really sleeps."""
    return []


@pytest.fixture
def make(server, waited):
    """Build a prompter of the server that waits for nothing."""

    async def sleep(seconds):
        waited.append(seconds)

    def prompter(model="qwen2.5-vl", **options):
        config = EndpointConfig(model=model, **{"url": server.url, "timeout": 20.0, "retries": 2, **options})
        return EndpointPrompter(config, sleep=sleep)

    return prompter


@pytest.fixture
def picture():
    """Build an image of noise."""

    def noise(width=200, height=120, seed=0, name=None):
        values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Image(values, name=name or f"{width}x{height}.png")

    return noise


@pytest.fixture
def written():
    """Write chat completions, as :func:`completion`."""
    return completion
