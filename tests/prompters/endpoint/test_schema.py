"""Schemas of structured output: what a dialect writes fits, and what fits is read without repairs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.language.dialects import Dialect, dialect
from fiducial.language.dialects.json_grammar import JsonGrammar, PointKey
from fiducial.prompters.endpoint.schema import response_format

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
