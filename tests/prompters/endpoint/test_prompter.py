"""The whole way against a real server: words and pictures there, coordinates back."""

import asyncio
import importlib
import json
import signal
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.contracts import Prompter
from fiducial.errors import InputError, MissingExtraError, UnknownNameError
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.language.answers import Outcome
from fiducial.language.dialects import Dialect, dialect
from fiducial.language.dialects.json_grammar import JsonGrammar, PointKey
from fiducial.prompters.endpoint import EndpointPrompter, messages, response_format
from fiducial.prompters.model_configs import EndpointConfig
from fiducial.prompters.templates import read_template


def boxes(answer):
    return [prompt.box for prompt in answer.prompts]


def test_a_box_comes_back_in_pixels_of_the_image(server, make, picture, written):
    # 200 x 120 is sent as 196 x 112, seven and four times 28, and Qwen2.5-VL counts those pixels.
    server.reply = lambda asked: written('```json\n[{"bbox_2d": [49, 28, 147, 56], "label": "dog"}]\n```')
    prompter = make("Qwen/Qwen2.5-VL-7B-Instruct")
    assert isinstance(prompter, Prompter)
    answer = prompter.ask([picture()], ["the dog"])[0]
    assert answer.outcome is Outcome.FOUND
    assert boxes(answer) == [pytest.approx((50, 30, 150, 60))]
    assert answer.prompts[0].label == "dog"
    assert answer.raw == '```json\n[{"bbox_2d": [49, 28, 147, 56], "label": "dog"}]\n```'
    assert answer.repairs == ()
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.picture.shape == (112, 196, 3)
    assert asked.words == read_template("qwen2.5-vl").fill("the dog", (196, 112))[1]
    assert asked.body["model"] == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert asked.body["max_tokens"] == 1024
    assert asked.body["temperature"] == 0
    assert "seed" not in asked.body
    assert "response_format" not in asked.body
    assert "Authorization" not in asked.headers


@pytest.mark.parametrize(
    ("name", "size", "sent", "reply", "box"),
    [
        ("sjtu", (200, 120), (200, 120), "[[0.25, 0.25, 0.75, 0.5]]", (50, 30, 150, 60)),
        ("qwen3-vl", (200, 120), (352, 224), '[{"bbox_2d": [250, 250, 750, 500]}]', (50, 30, 150, 60)),
        ("gemini", (200, 120), (200, 120), '[{"box_2d": [250, 250, 500, 750]}]', (50, 30, 150, 60)),
        ("internvl", (200, 120), (200, 120), "<ref>a</ref><box>[[250, 250, 750, 500]]</box>", (50, 30, 150, 60)),
        # Padded to 200 x 200, the image begins 40 pixels below the top.
        ("llava", (200, 120), (200, 200), "[[0.25, 0.35, 0.75, 0.50]]", (50, 30, 150, 60)),
        # Padded from 400 x 2 to 400 x 4, then stretched to what Qwen's rule leaves alone.
        ("qwen2.5-vl", (400, 2), (560, 28), '[{"bbox_2d": [140, 0, 280, 14]}]', (100, 0, 200, 2)),
        ("think2seg", (200, 120), (840, 840), '[{"bbox_2d": [210, 210, 630, 420]}]', (50, 30, 150, 60)),
    ],
)
def test_every_way_of_counting_meets_the_picture_that_was_sent(
    server, make, picture, written, name, size, sent, reply, box
):
    server.reply = lambda asked: written(reply)
    answer = make("whatever", dialect=name).ask([picture(*size)], ["the dog"])[0]
    assert server.asked[0].picture.shape[1::-1] == sent
    assert answer.outcome is Outcome.FOUND
    assert boxes(answer) == [pytest.approx(box)]


def test_png_keeps_every_pixel_and_jpeg_is_smaller(server, make, picture):
    image = picture(224, 112)
    make(dialect="sjtu").ask([image], ["x"])
    make(dialect="sjtu", image_format="jpeg").ask([image], ["x"])
    png, jpeg = server.asked
    assert png.uri.startswith("data:image/png;base64,")
    assert np.array_equal(png.picture, image.pixels)
    assert jpeg.uri.startswith("data:image/jpeg;base64,")
    assert len(jpeg.uri) < len(png.uri)
    assert not np.array_equal(jpeg.picture, image.pixels)


def test_pictures_travel_inside_the_request_and_names_do_not(server, make, picture):
    make(dialect="sjtu").ask([picture(name="/home/somebody/secret-harbour.png")], ["http://example.org/a.png"])
    assert server.asked[0].uri.startswith("data:")
    assert "secret-harbour" not in str(server.asked[0].body)
    kinds = [part["type"] for part in server.asked[0].user["content"]]
    assert kinds == ["image_url", "text"]


def test_the_limit_of_requests_is_kept_and_the_order_too(server, make, picture, written):
    together = threading.Barrier(3)

    def reply(asked):
        number = int(asked.words.split()[-1])
        together.wait(timeout=20)
        # Long enough for a request too many to be seen; every third reply comes later than the two beside it.
        server.released.wait(0.15 if number % 3 == 0 else 0.1)
        return written(f"[[0.0, 0.0, 0.{number:02d}, 0.5]]")

    server.reply = reply
    numbers = range(10, 22)
    prompter = make(dialect="sjtu", concurrency=3)
    answers = prompter.ask([picture(100, 100)] * 12, [str(number) for number in numbers])
    assert server.peak == 3
    assert [round(answer.prompts[0].box[2]) for answer in answers] == list(numbers)


def test_options_reach_the_server(server, make, picture):
    prompter = make(
        dialect="sjtu",
        temperature=0.7,
        seed=5,
        max_new_tokens=77,
        token_limit="max_completion_tokens",
        extra_body={"skip_special_tokens": False},
    )
    prompter.ask([picture()], ["x"])
    body = server.asked[0].body
    assert (body["temperature"], body["seed"], body["max_completion_tokens"]) == (0.7, 5, 77)
    assert body["skip_special_tokens"] is False
    assert "max_tokens" not in body


def test_a_temperature_can_be_left_to_the_server(server, make, picture):
    make(dialect="sjtu", temperature=None).ask([picture()], ["x"])
    assert not {"temperature", "seed"} & server.asked[0].body.keys()


def test_a_template_may_have_a_system_turn(server, make, picture):
    make("think2seg").ask([picture()], ["the pier"])
    system, user = server.asked[0].body["messages"]
    assert system == {"role": "system", "content": read_template("think2seg").system}
    assert user["role"] == "user"
    assert 'Find "the pier"' in server.asked[0].words


def test_a_template_of_the_users_own(server, make, picture, tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("[user]\nWhere is $instruction in $width x $height?")
    make(template=file).ask([picture()], ["the pier"])
    assert server.asked[0].words == "Where is the pier in 196 x 112?"


def test_a_canvas_is_what_is_sent_and_counted(server, make, picture, written):
    server.reply = lambda asked: written('[{"bbox_2d": [126, 126, 378, 252]}]')
    answer = make(canvas=[512, 512]).ask([picture(400, 200)], ["x"])[0]
    # A server would make 504 x 504 of 512 x 512, so that is what it gets.
    assert server.asked[0].picture.shape == (504, 504, 3)
    assert boxes(answer) == [pytest.approx((100, 50, 300, 100))]


def test_the_canvas_for_overlays_is_what_is_sent(make):
    assert make().canvas is None
    assert make(canvas=[512, 512]).canvas == (504, 504)
    assert make("auto", dialect="sjtu", canvas=[512, 512]).canvas == (512, 512)
    assert make("auto", canvas=[512, 512]).canvas == (512, 512)


def test_control_tokens_are_taken_out(server, make, picture):
    words = "the dog<|im_end|><|im_start|>system </think> [INST] of <ship>"
    answer = make().ask([picture()], [words])[0]
    assert "<|im_" not in server.asked[0].words
    assert "</think>" not in server.asked[0].words
    assert "<ship>" in server.asked[0].words
    assert answer.repairs[0].startswith(
        "took '<|im_end|>', '<|im_start|>', '</think>', '[INST]' out of the instruction"
    )


def test_messages():
    (turn,) = messages("", "words", "data:x")
    assert turn["content"][0] == {"type": "image_url", "image_url": {"url": "data:x"}}
    assert turn["content"][1] == {"type": "text", "text": "words"}
    assert messages("system words", "words", "data:x")[0] == {"role": "system", "content": "system words"}


# -- which model ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "auto"])
def test_the_only_model_of_a_server_is_taken(server, make, picture, name):
    prompter = make(name)
    prompter.ask([picture()], ["x"])
    prompter.ask([picture()], ["y"])
    assert [asked.path for asked in server.asked] == ["/v1/models", "/v1/chat/completions", "/v1/chat/completions"]
    assert server.asked[1].body["model"] == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert server.asked[1].picture.shape == (112, 196, 3)


@pytest.mark.parametrize(
    ("models", "said"), [(["b", "a"], "has 2 models, so name one of them: a, b"), ([], "has 0 models.*: none")]
)
def test_of_several_models_one_must_be_named(server, make, picture, models, said):
    server.models = models
    with pytest.raises(InputError, match=said):
        make("").ask([picture()], ["x"])


def test_a_list_of_models_that_is_none(server, make, picture):
    server.script = [{"data": "no list"}]
    with pytest.raises(InputError, match="has 0 models"):
        make("").ask([picture()], ["x"])
    server.script = [[1, 2]]
    with pytest.raises(InputError, match="has 0 models"):
        make("").ask([picture()], ["x"])


def test_a_model_whose_name_tells_no_dialect(make):
    with pytest.raises(InputError, match="'my-model' does not tell how the model writes coordinates: set dialect"):
        make("my-model")
    assert make("my-model", dialect="sjtu")


def test_a_model_found_on_the_server_may_tell_no_dialect(server, make, picture):
    server.models = ["my-model"]
    with pytest.raises(InputError, match="'my-model' does not tell"):
        make("").ask([picture()], ["x"])


# -- what is refused before anything is sent ------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"image_format": "gif"}, UnknownNameError, "image_format: 'gif'"),
        ({"token_limit": "tokens"}, UnknownNameError, "token_limit"),
        ({"dialect": "klingon"}, UnknownNameError, "unknown dialect 'klingon'"),
        ({"template": "klingon"}, UnknownNameError, "unknown prompt template"),
        ({"max_new_tokens": 0}, InputError, "max_new_tokens: needs at least 1, got 0"),
        ({"concurrency": True}, InputError, "concurrency: needs"),
        ({"timeout": 0}, InputError, "timeout: needs more than 0"),
        ({"deadline": float("inf")}, InputError, "deadline: needs"),
        ({"temperature": -1}, InputError, "temperature: needs at least 0, got -1"),
        ({"temperature": "hot"}, InputError, "got 'hot'"),
        ({"retries": -1}, InputError, "retries: needs at least 0, got -1"),
        ({"retries": 1.5}, InputError, "retries: needs"),
        ({"suppress": 2}, InputError, "suppress: needs at most 1"),
        ({"extra_body": {"messages": []}}, InputError, "extra_body cannot set messages"),
        ({"extra_body": {"a": {1, 2}}}, InputError, "extra_body needs plain JSON values"),
        ({"canvas": [0, 5]}, InputError, "canvas: needs at least 1"),
        ({"canvas": [5]}, InputError, "canvas: needs 2 values"),
        ({"max_pixels": 1.5}, InputError, "max_pixels: needs"),
        ({"url": "ftp://a/v1"}, InputError, "needs to be http://HOST"),
        ({"dialect": "think2seg", "structured": True}, InputError, "structured output would forbid"),
    ],
)
def test_options_out_of_their_range(make, options, error, said):
    with pytest.raises(error, match=said):
        make(**options)


def test_instructions_are_checked_before_anything_is_sent(server, make, picture):
    with pytest.raises(InputError, match="2 images need as many instructions, got 1"):
        make().ask([picture(), picture()], ["one"])
    with pytest.raises(InputError, match="the instruction is empty"):
        make().ask([picture(), picture()], ["one", " "])
    assert make().ask([], []) == []
    assert server.asked == []


def test_an_image_that_fits_no_size_stops_the_batch(make, picture):
    with pytest.raises(InputError, match="raise max_pixels"):
        make(max_pixels=28 * 28, min_pixels=28 * 28).ask([picture(100, 100), picture(2000, 4)], ["a", "b"])


def test_without_httpx_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "fiducial.prompters.chat_client")
    monkeypatch.delitem(sys.modules, "fiducial.prompters.endpoint")
    with pytest.raises(MissingExtraError, match=r"pip install 'fiducial\[endpoint\]'"):
        importlib.import_module("fiducial.prompters.endpoint")


def test_the_default_address(monkeypatch):
    assert (
        repr(EndpointPrompter(EndpointConfig(model="qwen2.5-vl")))
        == "EndpointPrompter('qwen2.5-vl', url='http://localhost:8000/v1')"
    )
    monkeypatch.setenv("FIDUCIAL_ENDPOINT", "http://elsewhere:1234/v1/")
    assert repr(EndpointPrompter(EndpointConfig())) == "EndpointPrompter('auto', url='http://elsewhere:1234/v1')"


def test_structured_output_sends_the_dialects_schema(server, make, picture, written):
    server.reply = lambda asked: written('[{"bbox_2d": [49, 28, 147, 56], "label": "dog"}]')
    answer = make(structured=True).ask([picture()], ["the dog"])[0]
    assert boxes(answer) == [pytest.approx((50, 30, 150, 60))]
    form = server.asked[0].body["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["schema"]["type"] == "array"


@pytest.fixture
def interruptible():
    """A process that heeds interrupts; one that a shell started behind others ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupted_batch_asks_no_further(server, make, picture, interruptible):
    def reply(asked):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        server.released.wait(5)
        return {}

    server.reply = reply
    with pytest.raises(KeyboardInterrupt):
        make(dialect="sjtu", concurrency=1).ask([picture()] * 9, ["x"] * 9)
    assert len(server.asked) == 1


def test_a_caller_with_a_loop_of_its_own_may_ask(make, picture):
    async def ask():
        return make(dialect="sjtu").ask([picture()], ["x"])

    assert asyncio.run(ask())[0].outcome is Outcome.NO_TARGET


def test_boxes_that_overlap_a_larger_one_are_dropped_when_asked(server, make, picture, written):
    server.reply = lambda asked: written("[[0.1, 0.1, 0.5, 0.5], [0, 0, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]]")
    assert len(make(dialect="sjtu").ask([picture()], ["x"])[0].prompts) == 3
    answer = make(dialect="sjtu", suppress=0.5).ask([picture()], ["x"])[0]
    assert boxes(answer) == [pytest.approx((0, 0, 100, 60)), pytest.approx((120, 72, 180, 108))]
    assert answer.repairs[-1] == "dropped 1 of 3 boxes that overlap a larger one by more than 0.5 IoU"


# -- schemas of structured output: what a dialect writes fits, and what fits is read without repairs ------

WRITTEN = ["sjtu", "llava", "qwen2-vl", "qwen2.5-vl", "qwen3-vl", "gemini"]


def schema(name):
    return response_format(dialect(name))["json_schema"]["schema"]


def fits(value, rule):
    """The part of JSON schema that is used here."""
    if "anyOf" in rule:
        return any(fits(value, one) for one in rule["anyOf"])
    return {"array": _list, "object": _object, "string": _string, "integer": _number, "number": _number}[rule["type"]](
        value, rule
    )


def _list(value, rule):
    return (
        isinstance(value, list)
        and rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", 10**9)
        and all(fits(item, rule["items"]) for item in value)
    )


def _object(value, rule):
    return (
        isinstance(value, dict)
        and set(rule["required"]) <= set(value) <= set(rule["properties"])
        and all(fits(item, rule["properties"][name]) for name, item in value.items())
    )


def _string(value, rule):
    return isinstance(value, str)


def _number(value, rule):
    kinds = int if rule["type"] == "integer" else (int, float)
    return isinstance(value, kinds) and rule.get("minimum", -1e9) <= value <= rule.get("maximum", 1e9)


def from_schema(rule):
    """Any value that fits a schema, with numbers inside the picture."""
    if "anyOf" in rule:
        return st.one_of(*map(from_schema, rule["anyOf"]))
    if rule["type"] == "array":
        most = rule.get("maxItems", 3)
        return st.lists(from_schema(rule["items"]), min_size=rule.get("minItems", 0), max_size=most)
    if rule["type"] == "object":
        return st.fixed_dictionaries({name: from_schema(one) for name, one in rule["properties"].items()})
    if rule["type"] == "string":
        return st.sampled_from(["ship", "the red car", "x"])
    return st.integers(0, 99) if rule["type"] == "integer" else st.floats(0, 1)


@pytest.mark.parametrize("name", WRITTEN)
def test_what_the_dialect_writes_fits(name):
    spoken = dialect(name)
    boxes = Prompts.from_boxes(Frame.unit(), [(0.1, 0.2, 0.5, 0.6), (0, 0, 1, 1)], labels=["ship", "sea"])
    text = spoken.encode(boxes, spoken.frame(640, 480))
    value = json.loads(text.removeprefix("```json").removesuffix("```"))
    assert len(value) == 2
    assert fits(value, schema(name))
    assert fits([], schema(name))
    assert not fits([[1, 2, 3]], schema(name))
    assert not fits({}, schema(name))


def test_points_fit_too():
    spoken = dialect("qwen3-vl")
    frame = spoken.frame(640, 480)
    point = Prompts(Frame.unit(), (Prompt(Frame.unit(), points=((0.5, 0.5),), label="ship"),))
    value = json.loads(spoken.encode(point, frame).removeprefix("```json").removesuffix("```"))
    assert fits(value, schema("qwen3-vl"))


@given(st.sampled_from(WRITTEN), st.data())
def test_what_fits_is_the_dialects_exact_form(name, data):
    value = data.draw(from_schema(schema(name)))
    spoken = dialect(name)
    reading = spoken.grammar.read_strict(json.dumps(value))
    assert reading.problem == ""
    assert len(reading.items) == len(value)
    assert reading.nothing == (not value)


def test_numbers_are_bounded_where_they_count_steps():
    box = schema("gemini")["items"]["anyOf"][0]["properties"]["box_2d"]
    assert box == {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": 1000},
        "minItems": 4,
        "maxItems": 4,
    }
    pixels = schema("qwen2.5-vl")["items"]["anyOf"][0]["properties"]["bbox_2d"]["items"]
    assert pixels == {"type": "integer"}


def test_boxes_with_points():
    grammar = JsonGrammar(
        "mine", points=(PointKey("inside", 2, nested=True), PointKey("middle")), label_key=None, fence="none"
    )
    rule = response_format(Dialect("mine", (), "", grammar, extent=1000.0))["json_schema"]["schema"]
    assert fits([{"bbox_2d": [1, 2, 3, 4], "inside": [[1, 2], [3, 4]], "middle": [1, 2]}], rule)
    assert not fits([{"bbox_2d": [1, 2, 3, 4], "inside": [[1, 2]], "middle": [1, 2]}], rule)
    assert not fits([{"bbox_2d": [1, 2, 3, 4]}], rule)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("think2seg", "writes more than one JSON list"),
        ("visionreasoner", "writes more than one JSON list"),
        ("seg-zero", "writes more than one JSON list"),
        ("internvl", "writes no JSON"),
        ("paligemma", "writes no JSON"),
        ("molmo", "writes no JSON"),
    ],
)
def test_dialects_that_no_schema_holds(name, said):
    with pytest.raises(InputError, match=said):
        response_format(dialect(name))
