"""How many requests the recipe server answers for 1, 4 and 16 clients, and what putting cuts together gains.

The server is a process of its own with the embedded recipe. Each client is a thread that asks for one thing after the
other over a connection of its own; about one request in twenty is one that has to be refused. A client that is told
that the server is full asks again after a tenth of a second, and its time goes on. Memory is that of the server's
process, after a warm-up that includes the largest batch of the network and behind each number of clients.

    python benchmarks/server.py --minutes 10
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import cv2
import psutil
from recording import record

from fiducial.synthetic.scenes import SceneDataset

CLIENTS = (1, 4, 16)
KEY = "benchmark-key-3f9a"
IMAGES = 8
"""Pictures that are asked about by turns."""
FULL_WAIT = 0.1
JSON = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
WORDS = ("the largest ship", "every vehicle", "the two leftmost storage tanks", "all ships except the smallest")
Answered = tuple[int, bytes]


@contextmanager
def server(*words: str) -> Iterator[tuple[psutil.Process, int]]:
    """Run a server; it is stopped at the end, if it was not before."""
    command = [sys.executable, "-m", "fiducial", "serve", "--port", "0", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "FIDUCIAL_SERVICE_KEY": KEY}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    assert process.stdout is not None
    said = process.stdout.readline()
    found = re.search(r"http://[^:]+:(\d+)", said)
    if found is None:
        raise SystemExit(f"the server did not start: {said!r}")
    try:
        yield psutil.Process(process.pid), int(found[1])
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(120)


class Asking:
    """One connection to a server."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def __call__(self, path: str, values: Any = None, *, body: bytes | None = None, kind: str = "") -> Answered:
        """Ask, and return status and body."""
        headers = {**JSON, **({"Content-Type": kind} if kind else {})}
        sent = body if values is None else json.dumps(values).encode()
        self._http.request("GET" if sent is None else "POST", path, sent, headers)
        answer = self._http.getresponse()
        return answer.status, answer.read()


def pictures(count: int) -> list[bytes]:
    """Draw pictures of 640 x 640 pixels, as PNG files."""
    scenes = SceneDataset("aerial", count, 7, 640)
    return [cv2.imencode(".png", scenes.scene(number).image.pixels[..., ::-1])[1].tobytes() for number in range(count)]


def form(values: Any, picture: bytes) -> tuple[bytes, str]:
    """Write a form with a request and a picture."""
    head = f'--cut\r\nContent-Disposition: form-data; name="request"\r\n\r\n{json.dumps(values)}\r\n--cut\r\n'
    file = 'Content-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    return (head + file).encode() + picture + b"\r\n--cut--\r\n", "multipart/form-data; boundary=cut"


def keep(port: int, files: list[bytes]) -> list[str]:
    """Send pictures, and return their digests."""
    ask = Asking(port)
    found = []
    for file in files:
        body, kind = form({}, file)
        found.append(json.loads(ask("/v1/images", body=body, kind=kind)[1])["digest"])
    return found


# -- load -------------------------------------------------------------------------------------------------


def box(rng: random.Random) -> dict[str, Any]:
    """Return a box that nobody has asked for before."""
    x, y = rng.uniform(20, 420), rng.uniform(20, 420)
    return {"box": [x, y, x + rng.uniform(40, 180), y + rng.uniform(40, 180)]}


def one_request(ask: Asking, rng: random.Random, digests: list[str], files: list[bytes]) -> tuple[str, int, int]:
    """Make a request of the mixture; returns what it was, the status that it has to have, and the one it had."""
    image = {"digest": rng.choice(digests)}
    draw = rng.random()
    if draw < 0.05:
        wrong: list[tuple[int, Callable[[], Answered]]] = [
            (422, lambda: ask("/v1/cut", {"image": image, "prompts": {"targets": [{"box": [9, 9, 1, 1]}]}})),
            (422, lambda: ask("/v1/segment", {"image": {"base64": "aGFsbG8="}, "instruction": "x"})),
            (404, lambda: ask("/v1/cut", {"image": {"digest": "0" * 64}, "prompts": {}})),
            (415, lambda: ask("/v1/parse", body=b"{}", kind="text/plain")),
        ]
        expected, asked = rng.choice(wrong)
        return "bad", expected, asked()[0]
    if draw < 0.6:
        return "cut", 200, ask("/v1/cut", {"image": image, "prompts": {"targets": [box(rng)]}})[0]
    if draw < 0.75:
        return "segment", 200, ask("/v1/segment", {"image": image, "instruction": rng.choice(WORDS)})[0]
    if draw < 0.8:
        body, kind = form({"prompts": {"targets": [box(rng)]}}, rng.choice(files))
        return "picture", 200, ask("/v1/cut", body=body, kind=kind)[0]
    if draw < 0.95:
        reply = {"reply": "[[0.1, 0.2, 0.5, 0.6]]", "dialect": "sjtu", "width": 640, "height": 640}
        return "parse", 200, ask("/v1/parse", reply)[0]
    return "recipes", 200, ask("/v1/recipes")[0]


def load(port: int, clients: int, seconds: float, digests: list[str], files: list[bytes]) -> dict[str, Any]:
    """Let clients ask for some time."""
    times: dict[str, list[float]] = defaultdict(list)
    surprises: Counter[str] = Counter()
    full: Counter[str] = Counter()
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        rng, ask = random.Random(f"{clients}/{number}/{time.time_ns()}"), Asking(port)
        while time.perf_counter() < end:
            started = time.perf_counter()
            kind, expected, status = one_request(ask, rng, digests, files)
            while status == 429:
                full["told to come back"] += 1
                time.sleep(FULL_WAIT)
                kind, expected, status = one_request(ask, rng, digests, files)
            times[kind].append(time.perf_counter() - started)
            if status != expected:
                surprises[f"{kind}: {status}"] += 1

    with ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(work, number) for number in range(clients)]:
            done.result()
    every = [one for some in times.values() for one in some]
    return {
        "requests": len(every),
        "requests_per_second": round(len(every) / seconds, 2),
        "milliseconds": {"all": percentiles(every), **{kind: percentiles(some) for kind, some in times.items()}},
        "bad_requests": len(times["bad"]),
        "answers_of_another_status_than_asked_for": dict(surprises),
        "told_that_the_server_is_full": sum(full.values()),
    }


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return p50, p95 and p99 in milliseconds."""
    if len(seconds) < 2:
        return {"p50": round(1000 * sum(seconds), 1)}
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {f"p{at}": round(1000 * cuts[at - 1], 1) for at in (50, 95, 99)}


def measure_load(minutes: float, files: list[bytes]) -> dict[str, Any]:
    """Measure all numbers of clients against one server."""
    found: dict[str, Any] = {"minutes_each": minutes}
    with server() as (process, port):
        digests = keep(port, files)
        # Warm: the network's memory grows with the largest batch that it has seen, of 16 crops at most.
        many = {"image": {"digest": digests[0]}, "prompts": {"targets": [box(random.Random(n)) for n in range(16)]}}
        Asking(port)("/v1/cut", many)
        load(port, max(CLIENTS), min(60.0, 60 * minutes), digests, files)
        memory = [process.memory_info().rss]
        for clients in CLIENTS:
            found[f"{clients} client{'s' * (clients > 1)}"] = load(port, clients, 60 * minutes, digests, files)
            memory.append(process.memory_info().rss)
    found["resident_megabytes_before_and_after_each"] = [round(one / 2**20) for one in memory]
    return found


# -- put together -----------------------------------------------------------------------------------------


def measure_together(seconds: float, files: list[bytes]) -> dict[str, Any]:
    """Compare cuts of 16 clients about one picture, put together and one by one."""
    found: dict[str, Any] = {"clients": 16, "seconds_each": seconds}
    for name, words in (("together", ()), ("one by one", ("--max-prompts", "1"))):
        with server(*words) as (process, port):
            (digest,) = keep(port, files[:1])
            answered: Counter[int] = Counter()
            end = time.perf_counter() + seconds
            before = sum(process.cpu_times()[:2])

            def work(number: int, port: int = port, digest: str = digest, end: float = end) -> None:
                rng, ask = random.Random(number), Asking(port)
                while time.perf_counter() < end:
                    asked = {"image": {"digest": digest}, "prompts": {"targets": [box(rng)]}}
                    answered[ask("/v1/cut", asked)[0]] += 1  # noqa: B023  # the loop waits for it

            with ThreadPoolExecutor(16) as pool:
                list(pool.map(work, range(16)))
            text = Asking(port)("/metrics")[1].decode()
            numbers = {
                name: float(re.search(rf"^fiducial_worked_{name} (\S+)", text, re.M)[1])
                for name in ("requests", "calls")
            }  # type: ignore[index]
            found[name] = {
                "cuts_per_second": round(answered[200] / seconds, 2),
                "other_answers": sum(answered.values()) - answered[200],
                "requests_per_call": round(numbers["requests"] / numbers["calls"], 2),
                "processor_milliseconds_per_cut": round(
                    1000 * (sum(process.cpu_times()[:2]) - before) / answered[200], 1
                ),
            }
    return found


def main() -> None:
    """Measure and write the numbers down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    files = pictures(IMAGES)
    measured = {
        "picture": [640, 640],
        "load_average_at_the_start": [round(one, 1) for one in os.getloadavg()],
        "load": measure_load(options.minutes, files),
        "cuts_put_together": measure_together(30 * options.minutes / 2, files),
        "load_average_at_the_end": [round(one, 1) for one in os.getloadavg()],
    }
    record("server", measured, ("onnxruntime", "fastapi", "uvicorn"))


if __name__ == "__main__":
    main()
