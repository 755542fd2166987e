"""How the page's mask follows while a corner is dragged: milliseconds from asking to the mask, and masks a second.

A server of the default recipe is a process of its own; Chromium, driven by Playwright, opens the page, takes a drawn
picture of 1000 x 800 pixels, draws a box and drags its corner. A step is one request of a drag, from sending the
coordinates to having the mask in the page. The baseline asks the same without the page's way of asking: the picture
itself is sent with the coordinates each time, as a PNG file. Processor seconds of a step are told too, the server's and
all of the browser's, which draws without a graphics card here: they depend less on what else the machine does.

    python benchmarks/page.py
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import httpx
import psutil
from playwright.sync_api import Page, sync_playwright
from recording import record

from fiducial.synthetic.scenes import SceneDataset

WIDTH, HEIGHT = 1000, 800
PATIENCE = 120_000
SETTLED = '#stage[aria-busy="false"]'
KEEP_STEPS = """() => {
    window.steps = [];
    const keep = (list) => window.steps.push(...list.getEntriesByName("cut").map((one) => one.duration));
    new PerformanceObserver(keep).observe({ type: "measure" });
}"""


def serve() -> tuple[subprocess.Popen[str], str]:
    """Start a server of the default recipe, and return it with its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fiducial", "serve", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    found = re.search(r"http://[^\s]+", said)
    if found is None:
        raise SystemExit(f"the server did not start: {said!r}")
    return process, found[0]


def processor_seconds(processes: Sequence[psutil.Process]) -> float:
    """Add up what processes and those that they started have used."""
    every = {one.pid: one for process in processes for one in (process, *process.children(recursive=True))}
    return sum(sum(one.cpu_times()[:2]) for one in every.values() if one.is_running())


def open_picture(page: Page, url: str, picture: Path) -> None:
    """Open the page, let it take the picture, and draw a box in its middle."""
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.wait_for_selector("[data-scene]")
    page.set_input_files("#file", picture)
    page.wait_for_selector("#chooser", state="hidden")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.wait_for_selector(SETTLED)


def drag(page: Page, moves: int, rate: float) -> tuple[list[float], float]:
    """Drag the corner to and fro; returns the milliseconds of each step, and the seconds that all took."""
    page.evaluate(KEEP_STEPS)
    handle = page.locator(".handle.se").bounding_box()
    assert handle is not None
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    started = time.perf_counter()
    for move in range(moves):
        page.mouse.move(x + 2 * (move % 30), y + (move % 40) + move / moves)  # no place twice, so that nothing is known
        time.sleep(max(0.0, started + (move + 1) / rate - time.perf_counter()))
    page.wait_for_selector(SETTLED)
    seconds = time.perf_counter() - started
    page.mouse.up()
    return page.evaluate("window.steps"), seconds


def send_whole(url: str, picture: bytes, count: int) -> list[float]:
    """Cut by a box that moves, the picture sent with it each time; returns the milliseconds of each."""
    taken = []
    with httpx.Client(base_url=url, timeout=120) as client:
        for number in range(count):
            target = {"box": [333.0, 267.0, 600.0 + 2 * number, 530.0 + number]}
            asked = json.dumps({"prompts": {"frame": "pixels", "targets": [target]}})
            started = time.perf_counter()
            client.post("/v1/cut", data={"request": asked}, files={"image": ("a.png", picture)}).raise_for_status()
            taken.append(1000 * (time.perf_counter() - started))
    return taken


def middle(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the ninetieth percentile and the smallest."""
    ordered = sorted(values)
    p90 = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    return {"median": round(statistics.median(ordered), 1), "p90": round(p90, 1), "smallest": round(ordered[0], 1)}


def measure(moves: int, rate: float) -> dict[str, Any]:
    """Drag, and send the picture each time."""
    pixels = SceneDataset("aerial", 4, 99, size=(HEIGHT, WIDTH)).scene(3).image.pixels
    picture = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
    server, url = serve()
    browsers = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
            file = Path(folder) / "aerial.png"
            file.write_bytes(picture)
            flags = ["--no-sandbox", "--disable-gpu"]
            browser = playwright.chromium.launch(executable_path=browsers, args=flags)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            open_picture(page, url, file)
            both = ([psutil.Process(server.pid)], psutil.Process().children())
            before = [processor_seconds(some) for some in both]
            steps, seconds = drag(page, moves, rate)
            used = [processor_seconds(some) - was for some, was in zip(both, before, strict=True)]
            browser.close()
        whole = send_whole(url, picture, 20)
    finally:
        server.terminate()
        server.wait(60)
    return {
        "picture": [WIDTH, HEIGHT],
        "moves": moves,
        "moves_per_second": rate,
        "steps": len(steps),
        "masks_per_second": round(len(steps) / seconds, 1),
        "milliseconds_of_a_step": middle(steps),
        "milliseconds_with_the_picture_sent_each_time": middle(whole),
        "times_as_fast_as_with_the_picture": round(statistics.median(whole) / statistics.median(steps), 2),
        "processor_milliseconds_of_a_step": {
            "server": round(1000 * used[0] / len(steps), 1),
            "browser": round(1000 * (used[1] - used[0]) / len(steps), 1),  # the server is a child of this process, too
        },
        "load_average_at_the_end": [round(one, 1) for one in os.getloadavg()],
    }


def main() -> None:
    """Measure and write the numbers down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moves", type=int, default=120)
    parser.add_argument("--rate", type=float, default=60.0, help="moves of the pointer a second")
    options = parser.parse_args()
    record("page", measure(options.moves, options.rate), ("fastapi", "uvicorn", "playwright", "onnxruntime"))


if __name__ == "__main__":
    main()
