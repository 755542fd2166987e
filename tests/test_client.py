import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from fakes import BoxPrompter, BoxSegmenter
from fiducial import Frame, Outcome, Pipeline, Prompts
from fiducial.client import Client
from fiducial.errors import InputError, ModelError
from fiducial.images import Image
from fiducial.language.dialects import dialect
from fiducial.services import ServiceError
from recipe_server import KEY, served, serving

IMAGE = Image(np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8), "here/harbour.png")
BOX = Prompts.from_boxes(Frame.unit(), [(0.1, 0.2, 0.5, 0.8)], labels=["ship"], scores=[0.75])


@pytest.fixture(scope="module")
def app():
    with serving(served("one"), served("two", BoxPrompter((0, 0, 5, 5)))) as running:
        yield running


def plain(result):
    values = result.as_json()
    return {key: value for key, value in values.items() if key not in ("seconds", "recipe")}


def test_a_server_answers_as_the_pipeline_does(app):
    local = Pipeline(prompter=BoxPrompter((2, 3, 12, 9)), segmenter=BoxSegmenter())
    with Client(app.url) as pipe:
        results = [pipe(IMAGE, "the ship"), *pipe.segment([IMAGE, IMAGE.pixels], ["the ship", "a ship"])]
        cut = pipe.cut(IMAGE, BOX, "as given")
        assert pipe.service.counts["images"] == 1
    assert [plain(one) for one in results[:2]] == [plain(local(IMAGE, "the ship"))] * 2
    assert plain(cut) == plain(local.cut(IMAGE, BOX, "as given"))
    assert results[0].image is IMAGE
    assert (results[0].recipe, results[2].instruction) == ("one", "a ship")
    assert set(results[0].seconds) == {"prompt", "encode", "decode", "refine", "total"}


def test_recipe_refiners_and_threshold_are_chosen_once(app):
    pipe = Client(app.url, recipe="two", refine=["cfpg"], threshold=0.6)
    assert pipe(IMAGE, "the ship").outcome is Outcome.NO_TARGET
    kept = Client(app.url, recipe="two", refine=["cfpg"], threshold=0.4)(IMAGE, "the ship")
    assert kept.prompts[0].box == (0, 0, 5, 5)
    assert kept.refinements[0][0].refiner == "cfpg"
    assert [(one.name, one.segments, one.cuts, one.refiners) for one in pipe.recipes()] == [
        ("one", True, True, ("cfpg",)), ("two", True, True, ("cfpg",))
    ]  # fmt: skip


def test_replies_are_read_and_written(app):
    pipe = Client(app.url)
    text = pipe.write(BOX, "gemini", (200, 100))
    assert text == dialect("gemini").encode(BOX.to(Frame.pixels(200, 100)), dialect("gemini").frame(200, 100))
    answer = pipe.parse(text, "gemini", (200, 100))
    assert (answer.outcome, answer.prompts[0].box, answer.raw) == (Outcome.FOUND, (20, 20, 100, 80), text)
    assert pipe.parse("nothing of use", "gemini", (200, 100), strict=True).outcome is Outcome.MALFORMED


def test_a_picture_that_had_to_go_is_sent_again_and_one_that_never_fits_is_an_error():
    other = Image(IMAGE.pixels[::-1].copy())
    with serving(store_bytes=IMAGE.pixels.nbytes) as running:
        pipe = Client(running.url)
        assert all(pipe.cut(image, BOX).masks for image in (IMAGE, other, IMAGE))
        assert pipe.service.counts["images"] == 3
    with serving(store_bytes=100) as running, pytest.raises(ServiceError, match="raise --store-bytes"):
        Client(running.url).cut(IMAGE, BOX)


def test_any_number_of_threads_and_processes_may_use_it(app):
    pipe = pickle.loads(pickle.dumps(Client(app.url)))  # noqa: S301
    with ThreadPoolExecutor(6) as pool:
        found = list(
            pool.map(lambda x: pipe.cut(IMAGE, Prompts.from_boxes(IMAGE.frame, [(x, 0, x + 5, 5)])), range(12))
        )
    assert [one.masks[0].box[0] for one in found] == list(range(12))


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda pipe: pipe(IMAGE, "  "), InputError, "the instruction is empty"),
        (lambda pipe: pipe("gone.png", "the ship"), InputError, "gone.png: no such file"),
        (lambda pipe: pipe.segment([IMAGE], []), InputError, "as many instructions"),
        (
            lambda pipe: pipe.cut(IMAGE, Prompts.from_boxes(IMAGE.frame, [(90, 90, 99, 99)])),
            ModelError,
            "answered 422:",
        ),
        (lambda pipe: pipe.parse("", "quen", (1, 1)), ModelError, "unknown dialect 'quen'"),
        (lambda pipe: Client(pipe.service.place.url, recipe="nine")(IMAGE, "x"), ModelError, "unknown recipe"),
        (lambda pipe: Client("ftp://here"), InputError, "the server's url needs to be http://HOST:PORT"),
    ],
)
def test_what_is_wrong_is_said_where_it_is_asked(app, ask, error, words):
    with pytest.raises(error, match=words):
        ask(Client(app.url))


def test_the_key_is_sent_and_never_told(monkeypatch):
    monkeypatch.delenv("FIDUCIAL_SERVICE_KEY", raising=False)
    with serving(key=KEY) as running:
        with pytest.raises(ServiceError, match="FIDUCIAL_SERVICE_KEY is not set"):
            Client(running.url)(IMAGE, "the ship")
        monkeypatch.setenv("FIDUCIAL_SERVICE_KEY", KEY)
        pipe = Client(running.url)
        assert pipe(IMAGE, "the ship").masks
        assert KEY not in repr(vars(pipe)) + repr(vars(pipe.service))
