"""The page in a real browser: Chromium, driven by Playwright, before the real application with the default recipe."""

import shutil
import threading
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from fiducial.geometry import Mask

pytest.importorskip("playwright", reason="the page is tested by Playwright: pip install 'fiducial[dev]'")
pytest.importorskip("fastapi", reason="the page needs a server: pip install 'fiducial[serve]'")

WIDE = {"width": 1180, "height": 720}
PATIENCE = 60_000
"""Milliseconds until a page that does not do what it should has failed; nothing waits for longer than it has to."""


@cache
def default_recipe():
    """The default recipe, loaded once for all servers."""
    from fiducial.recipes import resolve
    from fiducial.server.configs import RecipeServerConfig

    return RecipeServerConfig().build_recipes([resolve("nano")])


@contextmanager
def serving(key=""):
    """Run a server of the default recipe in a thread of this process; gives its URL."""
    from fiducial.remote import Key
    from fiducial.server.app import recipe_app
    from fiducial.server.configs import RecipeServerConfig
    from fiducial.server.running import Server

    config = RecipeServerConfig(port=0)
    server = Server(
        recipe_app(default_recipe(), config, Key(key, ("FIDUCIAL_KEY",), "FIDUCIAL_KEY")), config.host, config.port
    )
    listening = threading.Event()
    thread = threading.Thread(target=server.run, args=(listening.set,), daemon=True)
    thread.start()
    assert listening.wait(60)
    try:
        yield server.url
    finally:
        server.stop()
        thread.join()


@contextmanager
def chromium():
    """Start a browser, or skip the test where there is none."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no Chromium here: apt-get install chromium, or playwright install chromium")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


class Seen:
    """One page that somebody has open.

    Args:
        browser: of Playwright.
        url: of the server.
        options: of the browser's context, such as ``viewport``.
    """

    def __init__(self, browser, url, **options):
        self.context = browser.new_context(**{"viewport": WIDE, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.errors, self.asked, self.dialogs = [], [], []
        self.page.on("console", lambda one: self.errors.append(one.text) if one.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.url = url
        self.page.goto(url)

    def close(self):
        self.context.close()

    def settle(self):
        """Wait until nothing is being asked or cut, and what there is is drawn."""
        self.page.wait_for_selector('#stage[aria-busy="false"]')
        self.drawn()

    def drawn(self):
        """Wait for the browser's next frame: the page draws its coordinates there, not at once."""
        self.page.evaluate("new Promise(requestAnimationFrame)")

    def count(self, selector):
        """How many elements are drawn."""
        self.drawn()
        return self.page.locator(selector).count()

    def open_scene(self, name):
        self.page.click(f'[data-scene="{name}"]')
        self.page.wait_for_selector("#chooser", state="hidden")

    def ask(self, words=None):
        """Type an instruction, the scene's own where none is given, and wait for the answer."""
        if words is not None:
            self.page.fill("#instruction", words)
        self.page.press("#instruction", "Enter")
        self.page.wait_for_selector("#answer .outcome")
        self.settle()

    def select(self, number):
        """Select a target, counted from 0."""
        self.page.locator(".targets .choose").nth(number).click()
        self.page.wait_for_selector("#coordinates .target.selected")

    def text(self):
        return self.page.input_value("#text")

    def fields(self):
        """The selected target's x1, y1, x2, y2."""
        return [
            float(one.input_value()) for one in self.page.locator(".target.selected .numbers:not(.point) input").all()
        ]

    def sources(self):
        """Who the selected target's x1, y1, x2, y2 are from."""
        inputs = self.page.locator(".target.selected .numbers:not(.point) input").all()
        return [one.get_attribute("data-from") for one in inputs]

    def iou(self):
        """The intersection over union with the truth that the page shows."""
        self.settle()
        return float(self.page.inner_text("#fact-truth").split()[-1])

    def on_screen(self, x, y):
        """Where a place of the image lies on the screen, by what the page says is under the pointer."""
        stage = self.page.locator("#coordinates").bounding_box()
        places = [(stage["x"] + stage["width"] * part, stage["y"] + stage["height"] * part) for part in (0.4, 0.6)]
        (ax, ay), (bx, _) = (self._under(place) for place in places)
        scale = (places[1][0] - places[0][0]) / (bx - ax)
        return places[0][0] + (x - ax) * scale, places[0][1] + (y - ay) * scale

    def _under(self, place):
        self.page.mouse.move(*place)
        _, x, _, y = self.page.inner_text("#fact-pointer").split()
        return float(x), float(y)

    def drag(self, start, end, steps=6):
        """Drag from a place on the screen to another."""
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move(*end, steps=steps)
        mouse.up()

    def handle(self, part):
        """The middle of a handle of the selected box, on the screen."""
        self.drawn()
        box = self.page.locator(f"#coordinates .handle.{part}").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def download(self, kind):
        """Take a file away; returns its bytes and its name."""
        self.settle()
        with self.page.expect_download() as waiting:
            self.page.click(f'[data-format="{kind}"]')
        return Path(waiting.value.path()).read_bytes(), waiting.value.suggested_filename


@cache
def scene_truth(name):
    """The true masks of one of the server's scenes, and their union."""
    from fiducial.server.scenes import Scenes

    scene = Scenes().find(name)
    masks = scene.sample.instances
    return masks, Mask(scene.image.height, scene.image.width).union(*masks)
