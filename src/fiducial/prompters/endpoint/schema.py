"""Structured output: the JSON schema of what a dialect writes, for servers that can hold a model to one."""

from __future__ import annotations

from typing import Any

from fiducial.errors import InputError
from fiducial.language.dialects import Dialect
from fiducial.language.dialects.json_grammar import JsonGrammar, ListGrammar, PointKey


def response_format(dialect: Dialect) -> dict[str, Any]:
    """Return the ``response_format`` of a request that wants the dialect's form and nothing else.

    The form is a list at the top, as the dialect writes it; vLLM, SGLang and Ollama take that. Where a dialect has
    labels each item needs one. The numbers are bounded where the dialect counts whole steps of the picture, so that
    they cannot leave it.

    Raises:
        InputError: the dialect writes no JSON, or writes thinking before it, which a schema would forbid.

    Example:
        >>> from fiducial.language.dialects import dialect
        >>> schema = response_format(dialect("qwen3-vl"))["json_schema"]["schema"]
        >>> [sorted(kind["properties"]) for kind in schema["items"]["anyOf"]]
        [['bbox_2d', 'label'], ['label', 'point_2d']]
    """
    schema = {"type": "array", "items": _item(dialect)}
    return {"type": "json_schema", "json_schema": {"name": "prompts", "strict": True, "schema": schema}}


def _item(dialect: Dialect) -> dict[str, Any]:
    grammar = dialect.grammar
    if isinstance(grammar, ListGrammar):
        return _numbers(4, {"type": "number"})
    if not isinstance(grammar, JsonGrammar):
        raise InputError(f"dialect {dialect.name!r} writes no JSON: structured output cannot hold it")
    if grammar.tags or grammar.fence == "required" or grammar.single:
        raise InputError(
            f"dialect {dialect.name!r} writes more than one JSON list (thinking, tags, a fence): structured output "
            "would forbid that; take it without, or another dialect"
        )
    number: dict[str, Any] = {"type": "integer"}
    if dialect.extent is not None:
        number |= {"minimum": 0, "maximum": int(dialect.extent)}
    box = {grammar.box_key: _numbers(4, number)}
    points = {key.name: _points(key, number) for key in grammar.points}
    if not grammar.either:
        return _object(box | points, grammar.label_key)
    return {"anyOf": [_object(one, grammar.label_key) for one in (box, *({name: row} for name, row in points.items()))]}


def _points(key: PointKey, number: dict[str, Any]) -> dict[str, Any]:
    row = _numbers(2, number)
    return {"type": "array", "items": row, "minItems": key.count, "maxItems": key.count} if key.nested else row


def _object(properties: dict[str, Any], label: str | None) -> dict[str, Any]:
    fields = properties | ({label: {"type": "string"}} if label else {})
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _numbers(count: int, number: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": number, "minItems": count, "maxItems": count}
