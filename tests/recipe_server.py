"""Recipe servers for tests: the real application, asked in this process, with parts that do something known."""

import base64
import io
import json
import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import PIL.Image

from fakes import BoxPrompter, BoxSegmenter
from fiducial.config import read_part
from fiducial.images import Image
from fiducial.pipeline import Pipeline
from fiducial.recipes import Recipe
from fiducial.remote import Key

KEY = "marker-123456"
WIDTH, HEIGHT = 30, 20
PIXELS = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
IMAGE = Image(PIXELS, "harbour.png")


def png(pixels=PIXELS):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


PNG = png()
ENCODED = {"base64": base64.b64encode(PNG).decode(), "name": "harbour.png"}


def assert_problem(response, status, words="", kind="about:blank"):
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    told = response.json()
    assert (told["status"], told["type"]) == (status, kind)
    assert words in told["detail"]


def form(values, picture=PNG, name="harbour.png"):
    files = {"request": (None, json.dumps(values))} if values is not None else {}
    return files | ({"image": (name, picture)} if picture is not None else {})


class Held(BoxSegmenter):
    """Cuts when it is let; notes how many prompts came in each call."""

    def __init__(self):
        super().__init__()
        self.begun, self.let, self.calls = threading.Event(), threading.Event(), []

    @contextmanager
    def letting(self):
        try:
            yield
        finally:
            self.let.set()  # else nothing would end

    def decode(self, embedding, prompts):
        self.begun.set()
        assert self.let.wait(60)
        self.calls.append(len(prompts))
        return super().decode(embedding, prompts)


def cut_at(x, **more):
    return {"image": {"digest": IMAGE.digest}, "prompts": {"targets": [{"box": [x, 0, x + 5, 5]}]}} | more


def waiting(app, count, queued=None):
    """Return when so many requests are inside, and so many of them (default: all but one) in the line."""
    server = app.state.server
    for _ in range(3000):
        if server.gate.inside == count and len(server.worker) == (count - 1 if queued is None else queued):
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{server.gate.inside} inside")


def served(name="boxes", prompter=None, segmenter=None, **parts):
    """Make a served recipe of fakes: it finds one box, and cuts boxes."""
    from fiducial.segmenters.remembering import RememberingSegmenter
    from fiducial.server.recipes import Served

    recipe = Recipe(name=name, prompter=read_part("prompter", "classic"), segmenter=read_part("segmenter", "grabcut"))
    pipeline = Pipeline(
        prompter=prompter or BoxPrompter((2, 3, 12, 9)),
        segmenter=RememberingSegmenter(segmenter or BoxSegmenter()),
        name=name,
    )
    return Served(recipe, replace(pipeline, **parts), {"cfpg": read_part("prompt_refiner", "cfpg")}, {})


def make_app(*some, key="", **options):
    """Make the application."""
    from fiducial.server.app import recipe_app
    from fiducial.server.configs import RecipeServerConfig
    from fiducial.server.recipes import Recipes

    config = RecipeServerConfig(**options)
    recipes = Recipes(some or [served()], config.max_prompts)
    return recipe_app(recipes, config, Key(key, (config.key_variable,), config.key_variable))


@contextmanager
def asking(*some, host="localhost", **options):
    """Ask an application in this process; the client is starlette's."""
    from starlette.testclient import TestClient

    with TestClient(make_app(*some, **options), base_url=f"http://{host}", raise_server_exceptions=False) as client:
        yield client


@contextmanager
def serving(*some, port=0, **options):
    """Run the real HTTP server in a thread of this process: the application with ``url``, ``port``, ``stop()``."""
    from fiducial.server.running import Server

    app = make_app(*some, **options)
    server = Server(app, "127.0.0.1", port)
    listening = threading.Event()
    thread = threading.Thread(target=server.run, args=(listening.set,), daemon=True)
    thread.start()
    assert listening.wait(60)

    def stop():
        server.stop()
        thread.join()

    app.url, app.port, app.stop = server.url, server.port, stop
    try:
        yield app
    finally:
        stop()
