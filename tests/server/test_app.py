import base64
import io
import json
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from fakes import BoxPrompter, BoxSegmenter
from fiducial import Frame, Mask, Prompt, Prompts
from fiducial.errors import ModelError
from fiducial.images import decode_image
from fiducial.language.dialects import DIALECTS, dialect
from fiducial.results.reading import read_segmentation
from fiducial.server import schemas
from fiducial.server.configs import RecipeServerConfig
from fiducial.server.documents import EXAMPLES
from recipe_server import (
    ENCODED,
    HEIGHT,
    IMAGE,
    PIXELS,
    WIDTH,
    Held,
    asking,
    assert_problem,
    cut_at,
    form,
    png,
    served,
    waiting,
)

BOX = {"box": [2, 3, 12, 9]}


@pytest.fixture(scope="module")
def http():
    with asking() as client:
        yield client


# -- segment and cut --------------------------------------------------------------------------------------


def test_a_picture_is_sent_once_as_a_file_or_in_base64_and_asked_about_by_its_digest(http):
    first = http.post("/v1/segment", files=form({"instruction": " the ship "}))
    assert first.status_code == 200
    told = first.json()
    assert told["image"] == {
        "name": "harbour.png", "digest": f"sha256:{IMAGE.digest}", "width": WIDTH, "height": HEIGHT
    }  # fmt: skip
    assert (told["instruction"], told["recipe"], told["outcome"]) == ("the ship", "boxes", "found")
    result = read_segmentation({**told, "image": ""}, IMAGE)
    assert result.masks == (Mask.from_box((2, 3, 12, 9), HEIGHT, WIDTH),)
    assert result.scores == (0.5,)
    for image in (ENCODED, {"digest": f"sha256:{IMAGE.digest}"}, {"digest": IMAGE.digest}):
        again = http.post("/v1/segment", json={"image": image, "instruction": "the ship"}).json()
        assert again["masks"] == told["masks"]
    kept = http.post("/v1/images", files=form(None)).json()
    assert kept == told["image"]
    assert (decode_image(http.get(f"/v1/images/{kept['digest']}").content).pixels == PIXELS).all()


@pytest.mark.parametrize(
    ("frame", "box"),
    [
        ("pixels", [3, 4, 15, 16]),
        ("unit", [0.1, 0.2, 0.5, 0.8]),
        ("thousand", [100, 200, 500, 800]),
        ("centred", [-0.8, -0.6, 0.0, 0.6]),
        ({"kind": "canvas", "width": 60, "height": 10}, [6, 2, 30, 8]),
        ({"kind": "crop", "x": 1, "y": 2}, [2, 2, 14, 14]),
        ({"kind": "letterbox", "width": 60, "height": 60}, [6, 18, 30, 42]),
        ({"kind": "dialect", "dialect": "qwen3-vl"}, [100, 200, 500, 800]),
        ({"kind": "edges", "left": 30, "top": 0, "right": 0, "bottom": 20}, [15, 4, 27, 16]),
    ],
)
def test_prompts_are_cut_in_any_frame(http, frame, box):
    asked = {"image": ENCODED, "prompts": {"frame": frame, "targets": [{"box": box, "label": "ship"}]}}
    told = http.post("/v1/cut", json=asked).json()
    assert told["prompts"][0]["box"] == pytest.approx([3, 4, 15, 16], abs=0.02)
    assert told["prompts"][0]["label"] == "ship"
    assert Mask.from_coco(told["masks"][0]).area == 144
    assert told["text"] == "coordinates given by the caller"


def test_masks_are_run_lengths_or_pictures_or_left_out(http):
    asked = {"image": ENCODED, "prompts": {"targets": [BOX, {"points": [[5, 5], [9, 9]], "point_labels": [1, 0]}]}}
    exact = http.post("/v1/cut", json=asked).json()["masks"]
    drawn = http.post("/v1/cut", json={**asked, "masks": "png"}).json()["masks"]
    for code, picture in zip(exact, drawn, strict=True):
        values = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(picture["png"]))).convert("L"))
        assert set(np.unique(values)) == {0, 255}
        assert Mask.from_dense(values > 0) == Mask.from_coco(code)
        assert picture["size"] == [HEIGHT, WIDTH]
    assert http.post("/v1/cut", json={**asked, "masks": "none"}).json()["masks"] == []


def test_options_choose_refiners_and_a_threshold():
    segmenter = BoxSegmenter()
    with asking(served(segmenter=segmenter)) as http:
        asked = {"image": ENCODED, "prompts": {"targets": [BOX]}}
        plain = http.post("/v1/cut", json=asked).json()
        refined = http.post("/v1/cut", json={**asked, "options": {"refine": ["cfpg"]}}).json()
        assert (plain["refinements"], refined["refinements"][0][0]["refiner"]) == ([[]], "cfpg")
        assert_problem(http.post("/v1/cut", json={**asked, "options": {"refine": ["mbo"]}}), 422, "known: cfpg")
        words = {"image": ENCODED, "instruction": "the ship", "options": {"threshold": 0.6}}
        none = http.post("/v1/segment", json=words).json()
        assert (none["outcome"], none["masks"]) == ("no_target", [])
        assert none["repairs"] == ["1 target left out, as their score lies below the threshold of 0.6"]
        kept = http.post("/v1/segment", json={**words, "options": {"threshold": 0.5}}).json()
        assert (kept["outcome"], len(kept["masks"]), kept["repairs"]) == ("found", 1, [])
        assert len(segmenter.encoded) == 1


def test_a_model_that_fails_is_an_outcome_and_a_bug_is_a_problem_that_tells_nothing(caplog):
    with asking(served(prompter=BoxPrompter(error=ModelError("out of memory")))) as http:
        told = http.post("/v1/segment", json={"image": ENCODED, "instruction": "the ship"}).json()
        assert (told["outcome"], told["text"]) == ("failed", "out of memory")
    with asking(served(prompter=BoxPrompter(error=ZeroDivisionError("/home/somebody")))) as http:
        answer = http.post("/v1/segment", json={"image": ENCODED, "instruction": "the ship"})
        assert_problem(answer, 500, "unexpected ZeroDivisionError: the server's log says more")
        assert "somebody" not in answer.text
        assert http.get("/readyz").status_code == 200


def test_recipes_are_chosen_by_name_among_those_that_are_served():
    with asking(served("one"), served("two", BoxPrompter((0, 0, 5, 5)))) as http:
        assert [one["name"] for one in http.get("/v1/recipes").json()] == ["one", "two"]
        asked = {"image": ENCODED, "instruction": "the ship"}
        boxes = [
            http.post("/v1/segment", json=asked | more).json()["prompts"][0]["box"]
            for more in ({}, {"recipe": "one"}, {"recipe": "two"})
        ]
        assert boxes == [[2, 3, 12, 9], [2, 3, 12, 9], [0, 0, 5, 5]]
        for name in ("three", "nano?device=cuda", "/etc/passwd"):
            assert_problem(http.post("/v1/segment", json={**asked, "recipe": name}), 422, "unknown recipe")


def test_what_a_recipe_cannot_do_is_said_before_it_waits():
    with asking(without("cuts", "prompter"), without("draws", "segmenter")) as http:
        words = {"image": ENCODED, "instruction": "the ship", "recipe": "cuts"}
        assert_problem(http.post("/v1/segment", json=words), 422, "has no prompter")
        cut = {"image": ENCODED, "prompts": {"targets": [BOX]}, "recipe": "draws"}
        assert_problem(http.post("/v1/cut", json=cut), 422, "take cuts")


def without(name, part):
    one = served(name)
    return replace(one, pipeline=replace(one.pipeline, **{part: None}))


# -- many at once -----------------------------------------------------------------------------------------


def test_cuts_of_one_image_that_wait_together_are_one_call_and_each_gets_its_own():
    held = Held()
    with asking(served(segmenter=held)) as http, ThreadPoolExecutor(8) as pool, held.letting():
        http.post("/v1/images", files=form(None))
        first = pool.submit(http.post, "/v1/cut", json=cut_at(0))
        assert held.begun.wait(60)
        others = [pool.submit(http.post, "/v1/cut", json=cut_at(x)) for x in (5, 6, 7, 5)]
        outside = pool.submit(http.post, "/v1/cut", json=cut_at(500))
        waiting(http.app, 6)
        held.let.set()
        boxes = [one.result(60).json()["prompts"][0]["box"][0] for one in (first, *others)]
        assert boxes == [0, 5, 6, 7, 5]
        assert_problem(outside.result(60), 422, "outside the image")
        assert held.calls == [1, 3]  # one of them was asked for twice


def test_a_full_server_says_when_to_come_back_and_answers_what_it_took():
    held = Held()
    with asking(served(segmenter=held), queue=2) as http, ThreadPoolExecutor(8) as pool, held.letting():
        http.post("/v1/images", files=form(None))
        taken = [pool.submit(http.post, "/v1/cut", json=cut_at(0))]
        assert held.begun.wait(60)
        taken.append(pool.submit(http.post, "/v1/cut", json=cut_at(1)))
        waiting(http.app, 2)
        refused = http.post("/v1/cut", json=cut_at(2))
        assert_problem(refused, 429, "2 requests are being answered")
        assert refused.headers["Retry-After"] == "1"
        assert http.get("/healthz").status_code == http.get("/readyz").status_code == 200
        assert "fiducial_inside 2.0" in http.get("/metrics").text
        held.let.set()
        assert [one.result(60).status_code for one in taken] == [200, 200]


def test_a_request_that_takes_too_long_is_told_so_and_the_line_goes_on():
    held = Held()
    with asking(served(segmenter=held), seconds=0.05) as http, held.letting():
        http.post("/v1/images", files=form(None))
        late = [http.post("/v1/cut", json=cut_at(x)) for x in (0, 1)]
        for answer in late:
            assert_problem(answer, 503, "no answer within 0.05 s")
            assert answer.headers["Retry-After"] == "1"
        held.let.set()
        http.app.state.server.config = RecipeServerConfig()
        assert http.post("/v1/cut", json=cut_at(2)).status_code == 200
        assert held.calls == [1, 1]  # the second was taken out of the line


# -- words, scenes, files ---------------------------------------------------------------------------------


def test_a_reply_is_read_and_mended_and_coordinates_are_written(http):
    asked = {"dialect": "sjtu", "width": 200, "height": 100}
    told = http.post("/v1/parse", json={**asked, "reply": "The ship: [[0.1, 0.2, 0.5, 0.6]"}).json()
    assert told["prompts"][0]["box"] == [20, 20, 100, 60]
    assert told["repairs"]
    strict = http.post("/v1/parse", json={**asked, "reply": "no list", "strict": True}).json()
    assert (strict["outcome"], strict["prompts"]) == ("malformed", [])
    prompts = {"frame": "unit", "targets": [{"box": [0.1, 0.2, 0.5, 0.6], "label": "ship"}]}
    for name in ("sjtu", "gemini", "qwen2.5-vl", "paligemma"):
        text = http.post("/v1/write", json={**asked, "dialect": name, "prompts": prompts}).json()["text"]
        frame = Frame.pixels(200, 100)
        one = Prompts(frame, (Prompt(Frame.unit(), (0.1, 0.2, 0.5, 0.6), label="ship").to(frame),))
        assert text == dialect(name).encode(one, dialect(name).frame(200, 100))
    point = {"targets": [{"points": [[3, 4]]}]}
    assert_problem(http.post("/v1/write", json={**asked, "prompts": point}), 422, "point")
    assert_problem(http.post("/v1/parse", json={**asked, "dialect": "quen", "reply": ""}), 422, "unknown dialect")
    assert [one["name"] for one in http.get("/v1/dialects").json()] == list(DIALECTS)


def test_a_scene_comes_with_its_truth_and_is_known_by_its_digest(http):
    scenes = {one["name"]: one for one in http.get("/v1/scenes").json()}
    ships = scenes["ships"]
    picture = decode_image(http.get("/v1/scenes/ships.png").content)
    assert (picture.width, picture.height) == (ships["width"], ships["height"])
    assert f"sha256:{picture.digest}" == ships["image"]["digest"]
    masks = [Mask.from_coco(code) for code in ships["masks"]]
    assert (len(masks), ships["labels"]) == (3, ["ship"] * 3)
    assert Mask.empty(picture.height, picture.width).union(*masks) == Mask.from_coco(ships["truth"])
    assert not Mask.from_coco(scenes["no-blue-ship"]["truth"])
    assert http.post("/v1/cut", json=cut_at(1) | {"image": {"digest": ships["image"]["digest"]}}).status_code == 200
    assert_problem(http.get("/v1/scenes/shops.png"), 404, "did you mean 'ships'?")


def test_a_result_that_was_edited_is_downloaded_in_every_format(http):
    result = http.post("/v1/cut", json={"image": ENCODED, "prompts": {"targets": [{**BOX, "label": "<b>ship"}]}}).json()
    result["prompts"][0]["label"] = "boat"
    asked = {"image": {"digest": IMAGE.digest}, "result": {**result, "provenance": ["moved"]}}
    found = {}
    for name in ("overlay", "masks", "json", "coco", "labelme"):
        answer = http.post("/v1/download", json={**asked, "format": name})
        assert answer.status_code == 200, answer.text
        found[name] = answer.content
        stem = re.search(r'filename="([^"]+)"', answer.headers["Content-Disposition"])[1]
        assert stem.startswith("harbour.png.")
    assert PIL.Image.open(io.BytesIO(found["overlay"])).width >= WIDTH
    with zipfile.ZipFile(io.BytesIO(found["masks"])) as archive:
        assert archive.namelist() == ["harbour.png.mask.png", "harbour.png.instances.png"]
        union = np.asarray(PIL.Image.open(io.BytesIO(archive.read("harbour.png.mask.png"))))
    assert (union > 0).sum() == 60
    coco = json.loads(found["coco"])
    assert coco["images"] == [{"id": 1, "file_name": "harbour.png", "width": WIDTH, "height": HEIGHT}]
    assert (coco["annotations"][0]["bbox"], coco["categories"][0]["name"]) == ([2, 3, 10, 6], "boat")
    assert json.loads(found["labelme"])["shapes"][0]["label"] == "boat"
    assert json.loads(found["json"])["outcome"] == "found"
    wrong = {**result, "masks": [Mask.from_box((0, 0, 2, 2), 5, 5).to_coco()]}
    assert_problem(http.post("/v1/download", json={**asked, "result": wrong, "format": "coco"}), 422, "masks, 0")
    assert_problem(http.post("/v1/download", json={**asked, "result": {}, "format": "coco"}), 422, "prompts")


# -- the document, the page, the numbers ------------------------------------------------------------------


def test_the_document_describes_every_body_and_its_examples_are_answered(http):
    document = http.get("/openapi.json").json()
    http.post("/v1/images", files=form(None))
    paths = {path.rpartition("/")[2]: path for path in document["paths"] if path.startswith("/v1/")}
    known = document["components"]["schemas"]
    for model, example in EXAMPLES.items():
        path = paths[model.__name__.removesuffix("Request").lower().replace("store", "images")]
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert content["schema"]["$ref"].rpartition("/")[2] == model.__name__
        asked = json.loads(json.dumps(content["example"]))
        if path == "/v1/download":
            asked["image"] = {"base64": base64.b64encode(png(PIXELS[:1, :2])).decode()}
        elif "digest" in asked.get("image", {}):
            asked["image"] = {"base64": base64.b64encode(png(np.zeros((400, 500, 3), np.uint8))).decode()}
        answer = http.post(path, json=asked)
        assert answer.status_code == 200, answer.text
        assert example == content["example"]
    references = re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document))
    assert set(references) <= set(known)
    assert {"Segmented", "Problem", "Target", "Letterbox"} <= set(known)
    (told,) = known["Segmented"]["examples"]
    assert schemas.Segmented.model_validate(told).outcome == "found"
    asked = {"image": ENCODED, "prompts": {"targets": [BOX]}}
    assert set(told) == set(http.post("/v1/cut", json=asked).json())
    for path, routes in document["paths"].items():
        for route in routes.values():
            assert route["summary"], path
            assert "401" in route["responses"] or path in ("/healthz", "/readyz")


def test_answers_are_what_the_document_says(http):
    asked = {"image": ENCODED, "prompts": {"targets": [BOX]}, "options": {"refine": ["cfpg"]}}
    for masks in ("rle", "png", "none"):
        schemas.Segmented.model_validate(http.post("/v1/cut", json={**asked, "masks": masks}).json())
    for path, model in (("recipes", schemas.RecipeFacts), ("dialects", schemas.DialectFacts)):
        for one in http.get(f"/v1/{path}").json():
            model.model_validate(one)
    for one in http.get("/v1/scenes").json():
        schemas.SceneFacts.model_validate(one)


def test_every_answer_is_closed_to_other_pages(http):
    for answer in (http.get("/v1/recipes"), http.get("/v1/nothing"), http.post("/v1/cut"), http.get("/healthz")):
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_page_is_a_closed_list_of_files(tmp_path, http):
    from fiducial.server.files import page_files

    (tmp_path / "sub").mkdir()
    for name in ("index.html", "sub/a.js", "b.css", "secret.py", "plain"):
        (tmp_path / name).write_text(name)
    found = page_files(tmp_path)
    assert {name: file.type.partition(";")[0] for name, file in found.items()} == {
        "index.html": "text/html", "sub/a.js": "text/javascript", "b.css": "text/css"
    }  # fmt: skip
    for path in ("../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "app.py"):
        answer = http.get(f"/page/{path}")
        assert answer.status_code == 404
        assert "import" not in answer.text


def test_counts_are_told_to_prometheus(http):
    from prometheus_client.parser import text_string_to_metric_families

    http.post("/v1/segment", json={"image": ENCODED, "instruction": "the ship"})
    http.get("/v1/some/where")
    text = http.get("/metrics").text
    read = [one for family in text_string_to_metric_families(text) for one in family.samples]
    found = {(one.name, *sorted(one.labels.values())): one.value for one in read}
    assert found["fiducial_requests_total", "/v1/segment", "200"] >= 1
    assert found["fiducial_requests_total", "404", "other"] >= 1
    assert found["fiducial_outcomes_total", "boxes", "found"] >= 1
    assert found["fiducial_request_seconds_count", "/v1/segment"] >= 1
    assert found["fiducial_images",] >= 1
    assert found["fiducial_image_bytes",] >= PIXELS.nbytes
    assert "/v1/some/where" not in text
