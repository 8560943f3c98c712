"""Many schemas, a real model and heat, over HTTP: whatever ends is valid."""

# ruff: noqa: E501 -- tables of schemas read best as long lines

from __future__ import annotations

import json
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
import trio

from .conftest import Serve
from .support import lines

TEXT = {"type": "string", "maxLength": 12}
TREE = {
    "type": "object",
    "properties": {"v": {"type": "integer", "minimum": 0, "maximum": 9}, "kids": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["v"],
}  # fmt: skip
POINT = {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x", "y"]}
SCHEMAS: list[dict[str, Any]] = [
    {"type": "null"},
    {"type": "boolean"},
    {"type": "integer"},
    {"type": "integer", "minimum": -3, "exclusiveMaximum": 1000},
    {"type": "integer", "multipleOf": 7, "minimum": 0, "maximum": 9999},
    {"type": "number", "minimum": 0.5, "maximum": 2.25},
    {"type": ["string", "null"], "maxLength": 5},
    {"type": "string", "minLength": 3, "maxLength": 6},
    {"type": "string", "pattern": "^[A-Z][a-z]+( [A-Z][a-z]+)?$", "maxLength": 20},
    {"type": "string", "pattern": "^(?!no)[a-z]{2,8}$"},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "time"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "ipv4"},
    {"type": "string", "format": "uuid"},
    {"type": "string", "format": "email", "maxLength": 24},
    {"enum": ["red", "green", 3, None, [1], {"a": True}]},
    {"const": {"deep": [{"er": "é🐈"}]}},
    {"not": {"type": ["array", "object", "string"]}},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    {"type": "array", "prefixItems": [{"const": 1}, TEXT], "items": False, "minItems": 2},
    {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 2},
    {"type": "array", "items": {"enum": ["a", "b"]}, "contains": {"const": "b"}, "minContains": 2, "maxItems": 4},
    {"type": "object", "properties": {"name": TEXT, "age": {"type": "integer", "minimum": 0}}, "required": ["name"]},
    {"type": "object", "additionalProperties": {"type": "boolean"}, "maxProperties": 2},
    {"type": "object", "patternProperties": {"^x_": {"type": "null"}}, "additionalProperties": False, "minProperties": 1},
    {"type": "object", "propertyNames": {"pattern": "^[ab]{1,3}$"}, "additionalProperties": {"const": 0}},
    {"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}}, "dependentRequired": {"a": ["b"]}},
    {"type": "object", "properties": {"k": {"enum": ["i", "s"]}, "v": {}}, "required": ["k", "v"],
     "if": {"properties": {"k": {"const": "i"}}}, "then": {"properties": {"v": {"type": "integer"}}},
     "else": {"properties": {"v": TEXT}}},
    {"oneOf": [{"type": "integer", "multipleOf": 2}, {"type": "integer", "multipleOf": 3}], "minimum": 0, "maximum": 60},
    {"anyOf": [POINT, {"type": "string", "const": "origin"}]},
    {"allOf": [POINT, {"properties": {"x": {"maximum": 0}}}]},
    {"$defs": {"t": TEXT}, "type": "array", "items": {"$ref": "#/$defs/t"}, "maxItems": 2},
    TREE,
    {"type": "object", "properties": {"p": POINT, "q": POINT}, "required": ["p", "q"], "additionalProperties": False},
    {"type": "object", "allOf": [{"properties": {"a": {"const": 1}}}], "unevaluatedProperties": {"type": "null"}},
    {"type": "array", "prefixItems": [{"type": "null"}], "unevaluatedItems": {"const": 7}, "maxItems": 3},
    {"type": "object", "properties": {f"p{i}": {"enum": [i, None]} for i in range(12)}, "required": ["p0", "p11"]},
    {"type": "string", "enum": [f"option number {i}" for i in range(60)]},
    {"type": "object", "properties": {"kind": {"const": "end"}, "note": {"type": "string", "pattern": "^$|!$", "maxLength": 9}}},
]  # fmt: skip
RUNS = 5  # of each schema
AT_ONCE = 8


def request(schema: dict[str, Any], *, seed: int) -> dict[str, Any]:
    return {
        "model": "tiny",
        "messages": [{"role": "user", "content": f"Tell me about number {seed}."}],
        "think": False,
        "stream": False,
        "format": schema,
        "options": {"temperature": 1, "top_k": 0, "top_p": 1, "seed": seed, "num_predict": 60},
    }


@pytest.mark.parametrize("first", range(0, len(SCHEMAS), 10))
async def test_every_answer_that_ends_is_valid_and_the_others_say_that_they_were_cut(
    serving: Serve, first: int
) -> None:
    replies: dict[tuple[int, int], dict[str, Any]] = {}
    jobs = [(index, seed) for index in range(first, first + 10) for seed in range(RUNS)]

    async with serving(num_parallel=AT_ONCE) as client:

        async def work() -> None:
            while jobs:
                index, seed = jobs.pop()
                reply = await client.post("/api/chat", json=request(SCHEMAS[index], seed=seed))
                replies[index, seed] = reply.json()

        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(work)

    assert len(replies) == 10 * RUNS
    for (index, _), reply in replies.items():
        if reply["done_reason"] == "stop":
            value = json.loads(reply["message"]["content"])
            jsonschema.validate(value, SCHEMAS[index], cls=jsonschema.Draft202012Validator)
            jsonschema_rs.validate(SCHEMAS[index], value, validate_formats=True)
        else:
            assert reply["done_reason"] == "length"
            assert reply["eval_count"] == 60
    assert sum(reply["done_reason"] == "stop" for reply in replies.values()) > 25


async def test_streams_together_each_keep_their_own_form(serving: Serve) -> None:
    chosen = [SCHEMAS[index] for index in (4, 8, 12, 17, 21, 23, 33, 37)]
    texts: dict[int, str] = {}
    async with serving(num_parallel=AT_ONCE) as client:

        async def stream(index: int) -> None:
            body = request(chosen[index], seed=1) | {"stream": True}
            async with client.stream("POST", "/api/chat", json=body) as response:
                chunks = [chunk async for chunk in lines(response)]
            if chunks[-1]["done_reason"] == "stop":
                texts[index] = "".join(chunk["message"]["content"] for chunk in chunks)

        async with trio.open_nursery() as nursery:
            for index in range(len(chosen)):
                nursery.start_soon(stream, index)

    assert len(texts) >= 4
    for index, text in texts.items():
        jsonschema.validate(json.loads(text), chosen[index], cls=jsonschema.Draft202012Validator)
