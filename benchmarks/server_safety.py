"""What the recipe server does with hostile requests, and what becomes of requests when it is told to stop.

Hostile requests come over loopback from eight threads: forms and pictures that break off or are spoiled, giant headers
and thousands of them, JSON that is deep or of other types, bytes that are no HTTP, paths, slow bodies. What they get
back is searched for paths of this machine, for tracebacks and for the server's key. Stopping is measured in rounds:
some requests are inside by the server's own count when it gets SIGTERM, and all of them have to be answered; others are
made afterwards.

    python benchmarks/server_safety.py
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import random
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from recording import record

from server import KEY, Asking, box, form, keep, pictures, server

# -- hostile ----------------------------------------------------------------------------------------------


def hostile(rng: random.Random, picture: bytes) -> tuple[str, bytes]:
    """Write a request that nobody should have to answer: what it is, and its bytes."""
    kind = rng.randrange(12)
    forms = ("/v1/segment", "/v1/cut", "/v1/images")
    path = rng.choice(forms if kind in (0, 1, 2, 6) else (*forms, "/v1/parse", "/v1/write", "/v1/download"))
    key = f"Authorization: Bearer {KEY}\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{key}"
    form_body, form_kind = form({"instruction": "the ship"}, picture)

    def sent(body: bytes, kind: str = "application/json", length: int | None = None) -> bytes:
        size = len(body) if length is None else length
        return f"{head}Content-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode() + body

    deep = rng.choice(("[", '{"a":', '{"image":[')) * rng.randrange(100, 20000)
    values = [
        None,
        1,
        -1e308,
        "x" * 3000,
        [],
        {},
        [[]],
        "/etc/passwd",
        "http://127.0.0.1:1/",
        "\ud800",
        True,
        [None] * 50,
    ]
    keys = (
        "image",
        "instruction",
        "prompts",
        "reply",
        "dialect",
        "width",
        "height",
        "result",
        "format",
        "recipe",
        "options",
    )
    inner = {"instruction": "x"}
    headers = "".join(f"X-{n}: {n}\r\n" for n in range(rng.randrange(500, 5000)))
    part = "--cut\r\n" + "".join(f"X-{n}: y\r\n" for n in range(500)) + "\r\n\r\n--cut--"
    up = f"GET /page/{'..%2f' * rng.randrange(1, 9)}etc/passwd HTTP/1.1\r\nHost: localhost\r\n{key}"
    cases: list[tuple[str, Callable[[], bytes]]] = [
        ("truncated form", lambda: sent(form_body[: rng.randrange(len(form_body))], form_kind)),
        ("truncated picture", lambda: sent(form(inner, picture[: rng.randrange(len(picture))])[0], form_kind)),
        ("broken picture", lambda: sent(form(inner, spoiled(picture, rng))[0], form_kind)),
        ("body that ends early", lambda: sent(b'{"ima', length=1000)),
        ("giant header", lambda: f"{head}X: {'a' * rng.randrange(60_000, 200_000)}\r\n\r\n".encode()),
        ("many headers", lambda: f"{head}{headers}\r\n".encode()),
        ("headers of a part", lambda: sent(part.encode(), form_kind)),
        ("deep JSON", lambda: sent(deep.encode())),
        ("wrong types", lambda: sent(json.dumps({rng.choice(keys): rng.choice(values) for _ in range(4)}).encode())),
        ("no HTTP", lambda: rng.randbytes(rng.randrange(1, 2000)) + b"\r\n\r\n"),
        ("a path", lambda: f"{up}Connection: close\r\n\r\n".encode()),
        ("no key", lambda: sent(b"{}").replace(KEY.encode(), rng.randbytes(8).hex().encode())),
    ]
    name, make = cases[kind]
    return name, make()


def spoiled(picture: bytes, rng: random.Random) -> bytes:
    """Change some bytes of a picture file."""
    changed = bytearray(picture)
    for _ in range(rng.randrange(1, 40)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def exchange(port: int, sent: bytes, *, pause: float = 0.0) -> bytes:
    """Send bytes, in two halves with a pause between them, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as stream:
        try:
            stream.sendall(sent[: len(sent) // 2])
            time.sleep(pause)
            stream.sendall(sent[len(sent) // 2 :])
            received = bytearray()
            while piece := stream.recv(65536):
                received += piece
            return bytes(received)
        except (BrokenPipeError, ConnectionResetError):  # it was refused before it was whole
            return b""
        except TimeoutError:
            return b"HTTP/1.1 no answer in a minute"


def measure_hostile(count: int, files: list[bytes]) -> dict[str, Any]:
    """Send hostile requests, and see that nothing breaks and nothing is told."""
    small = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8))[1].tobytes()
    secrets = [
        KEY.encode(),
        str(Path.home()).encode() + b"/",
        b"/tmp/",
        b"site-packages",
        str(Path.cwd()).encode(),
        b"Traceback",
    ]
    kinds: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    leaks: list[str] = []
    with server("--read-seconds", "0.5") as (process, port):
        started, memory = process.create_time(), [process.memory_info().rss]

        def work(number: int) -> None:
            rng = random.Random(number)
            slow = number % 200 == 7
            name, sent = ("slow body", b"") if slow else hostile(rng, small)
            if slow:
                head = f"POST /v1/parse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
                more = "Connection: close\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\nxx"
                sent = (head + more).encode()
            answer = exchange(port, sent, pause=0.8 if slow else 0.0)
            kinds[name] += 1
            statuses[answer.partition(b" ")[2][:3].decode("latin-1") or "closed"] += 1
            leaks.extend(f"{name}: {secret!r}" for secret in secrets if secret in answer)

        lock = threading.Lock()
        numbers = iter(range(count))

        def some() -> None:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                work(number)

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(some) for _ in range(8)]:
                done.result()
        memory.append(process.memory_info().rss)
        time.sleep(1)  # what is still inside is given up by then
        (digest,) = keep(port, files[:1])
        asked = {"image": {"digest": digest}, "prompts": {"targets": [{"box": [10, 10, 200, 200]}]}}
        status = Asking(port)("/v1/cut", asked)[0]
        alive = process.is_running() and process.create_time() == started
    return {
        "requests": count,
        "kinds": dict(sorted(kinds.items())),
        "answers": dict(sorted(statuses.items())),
        "answers_500": statuses["500"],
        "leaks_of_a_path_or_the_key": leaks[:20],
        "crashes": 0 if alive and status == 200 else 1,
        "resident_megabytes_before_and_after": [round(one / 2**20) for one in memory],
    }


# -- being stopped ----------------------------------------------------------------------------------------


def measure_stopping(rounds: int, files: list[bytes]) -> dict[str, Any]:
    """Send SIGTERM while requests are inside, others go on arriving, and count what was answered."""
    inside = answered = 0
    later: Counter[str] = Counter()
    codes = []
    encoded = base64.b64encode(files[0]).decode()
    for number in range(rounds):
        with server() as (process, port):
            rng = random.Random(number)

            def ask(asked: Any, port: int = port) -> int:
                return Asking(port)("/v1/cut", asked)[0]

            some = [
                {"image": {"base64": encoded}, "prompts": {"targets": [box(rng) for _ in range(8)]}} for _ in range(12)
            ]
            with ThreadPoolExecutor(24) as pool:
                taken = [pool.submit(ask, one) for one in some]
                watch = Asking(port)
                deadline = time.perf_counter() + 60
                while (now := count_inside(watch)) < 8 and time.perf_counter() < deadline:
                    pass
                # Those that are inside by now, and those that were answered before, have to be answered.
                finished = sum(one.done() for one in taken)
                process.send_signal(signal.SIGTERM)
                late = [pool.submit(ask, one) for one in some]
                results = [outcome(one) for one in taken]
                later.update(outcome(one) for one in late)
                codes.append(process.wait(120))
            inside += now
            answered += max(0, min(now, sum(one == "200" for one in results) - finished))
    return {
        "rounds": rounds,
        "inside_when_told_to_stop": inside,
        "of_these_answered": answered,
        "requests_made_afterwards": dict(later),
        "exit_codes": sorted({str(code) for code in codes}),
    }


def count_inside(ask: Asking) -> int:
    """Return how many requests are inside, as the server counts them."""
    found = re.search(rb"^fiducial_inside (\S+)", ask("/metrics")[1], re.M)
    return int(float(found[1])) if found else 0


def outcome(asked: Any) -> str:
    """Return the status of a request, or how it failed."""
    try:
        return str(asked.result())
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__


def main() -> None:
    """Measure and write the numbers down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hostile", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    files = pictures(1)
    measured = {
        "load_average_at_the_start": [round(one, 1) for one in os.getloadavg()],
        "hostile": measure_hostile(options.hostile, files),
        "stopping": measure_stopping(options.rounds, files),
    }
    record("server_safety", measured, ("onnxruntime", "fastapi", "uvicorn"))


if __name__ == "__main__":
    main()
