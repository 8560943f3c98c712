"""The fields that say what an answer has to be like, read from bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from power.api.native_bodies import chat_body as native_body
from power.api.native_bodies import generation_of_messages
from power.api.openai_bodies import chat_body, completion_body, generation_of_chat, generations_of_completion
from power.errors import BadRequest
from power.grammar import Constraint, SchemaError

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
TEXT = json.dumps(SCHEMA)
MESSAGES = [{"role": "user", "content": "Hi"}]


def native(**fields: Any) -> Constraint | None:
    body = {"model": "m", "messages": MESSAGES, **fields}
    return generation_of_messages(native_body.decode(json.dumps(body))).constraint


def openai(**fields: Any) -> Constraint | None:
    body = {"model": "m", "messages": MESSAGES, **fields}
    return generation_of_chat(chat_body.decode(json.dumps(body))).constraint


def completion(**fields: Any) -> Constraint | None:
    body = {"model": "m", "prompt": "Hi", **fields}
    [generation] = generations_of_completion(completion_body.decode(json.dumps(body)))
    return generation.constraint


@pytest.mark.parametrize(
    ("format", "constraint"),
    [
        (None, None),
        ("", None),
        ("json", Constraint(kind="json", field="format")),
        (SCHEMA, Constraint(kind="schema", text=TEXT, field="format")),
        ({}, Constraint(kind="schema", text="{}", field="format")),
    ],
)
def test_ollama_s_format_is_json_or_a_schema(format: Any, constraint: Constraint | None) -> None:
    assert native(format=format) == constraint


@pytest.mark.parametrize("format", ["yaml", 5, ["json"], True])
def test_a_format_of_another_kind_is_refused(format: Any) -> None:
    with pytest.raises(BadRequest, match=r"invalid format: .*; expected"):
        native(format=format)


@pytest.mark.parametrize(
    ("wanted", "constraint"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, Constraint(kind="json", field="response_format")),
        (
            {"type": "json_object", "schema": SCHEMA},
            Constraint(kind="schema", text=TEXT, field="response_format.schema"),
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
            Constraint(kind="schema", text=TEXT, field="response_format.json_schema.schema"),
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            Constraint(kind="schema", text=TEXT, field="response_format.json_schema.schema", strict=True),
        ),
    ],
)
def test_openai_s_response_format(wanted: Any, constraint: Constraint | None) -> None:
    assert openai(response_format=wanted) == completion(response_format=wanted) == constraint


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"type": "xml"}, "response_format.type"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {"name": "n"}}, "response_format.json_schema.schema"),
    ],
)
def test_a_response_format_without_its_parts_is_refused_by_their_names(wanted: Any, field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        openai(response_format=wanted)

    assert caught.value.field == field


@pytest.mark.parametrize("read", [native, openai, completion])
@pytest.mark.parametrize(
    ("fields", "kind", "text", "field"),
    [
        ({"grammar": 'root ::= "a"'}, "gbnf", 'root ::= "a"', "grammar"),
        ({"guided_grammar": 'root ::= "a"'}, "gbnf", 'root ::= "a"', "guided_grammar"),
        ({"json_schema": SCHEMA}, "schema", TEXT, "json_schema"),
        ({"guided_json": SCHEMA}, "schema", TEXT, "guided_json"),
        ({"guided_json": TEXT}, "schema", TEXT, "guided_json"),
        ({"regex": "a+"}, "regex", "a+", "regex"),
        ({"guided_regex": "a+"}, "regex", "a+", "guided_regex"),
        ({"choice": ["é", "no"]}, "choice", '["é", "no"]', "choice"),
        ({"guided_choice": ["no"]}, "choice", '["no"]', "guided_choice"),
        ({"structured_outputs": {"json": SCHEMA}}, "schema", TEXT, "structured_outputs.json"),
        ({"structured_outputs": {"regex": "a", "json": None}}, "regex", "a", "structured_outputs.regex"),
        ({"structured_outputs": {"choice": ["a"]}}, "choice", '["a"]', "structured_outputs.choice"),
        ({"structured_outputs": {"grammar": "g"}}, "gbnf", "g", "structured_outputs.grammar"),
        ({"structured_outputs": {"json_object": True}}, "json", "", "structured_outputs.json_object"),
    ],
)
def test_other_servers_fields_are_read_on_every_route(
    read: Any, fields: dict[str, Any], kind: Any, text: str, field: str
) -> None:
    assert read(**fields) == Constraint(kind=kind, text=text, field=field)


@pytest.mark.parametrize(
    "fields", [{"grammar": ""}, {"grammar": None, "regex": None}, {"structured_outputs": {"json_object": False}}]
)
def test_what_is_empty_says_nothing(fields: dict[str, Any]) -> None:
    assert openai(**fields) is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"grammar": 5}, "grammar"),
        ({"regex": ["a"]}, "regex"),
        ({"choice": []}, "choice"),
        ({"choice": "a"}, "choice"),
        ({"choice": ["a", 1]}, "choice"),
        ({"json_schema": 5}, "json_schema"),
        ({"guided_json": "{"}, "guided_json"),
        ({"guided_json": "[" * 100_000}, "guided_json"),
        ({"structured_outputs": {"structural_tag": {}}}, "structured_outputs.structural_tag"),
        ({"structured_outputs": {"json_object": 1}}, "structured_outputs.json_object"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        openai(**fields)

    assert caught.value.field == field
    assert field in caught.value.message


@pytest.mark.parametrize(
    ("read", "fields", "first", "second"),
    [
        (native, {"format": "json", "regex": "a"}, "format", "regex"),
        (openai, {"response_format": {"type": "json_object"}, "choice": ["a"]}, "response_format", "choice"),
        (completion, {"grammar": "g", "guided_json": {}}, "grammar", "guided_json"),
        (openai, {"structured_outputs": {"regex": "a", "json": {}}}, "outputs.regex", "structured_outputs.json"),
    ],
)
def test_two_forms_at_once_are_refused_by_both_names(read: Any, fields: Any, first: str, second: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(**fields)

    assert first in caught.value.message
    assert second in caught.value.message
    assert caught.value.field == second


def test_a_number_that_no_reader_knows_is_refused() -> None:
    with pytest.raises(SchemaError):
        generation_of_messages(
            native_body.decode(b'{"model": "m", "messages": [], "format": {"type": "number", "minimum": 1e999}}')
        )
