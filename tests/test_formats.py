"""Formats over HTTP: what comes back keeps them, with thinking and without."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from .conftest import Serve
from .support import lines

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
HOT = {"temperature": 5, "top_k": 0, "top_p": 1, "num_predict": 400}


def chat(format: Any, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Tell me about Ada."}]
    return {"model": "tiny", "messages": messages, "format": format, "stream": False, "options": HOT, **more}


@pytest.mark.parametrize("think", [None, True, False])
async def test_an_answer_keeps_its_schema_however_hot_the_model(serving: Serve, think: bool | None) -> None:
    async with serving() as client:
        for seed in range(6):
            body = chat(PERSON, think=think)
            body["options"] = {**HOT, "seed": seed}

            reply = (await client.post("/api/chat", json=body)).json()

            if reply["done_reason"] == "stop":
                person = json.loads(reply["message"]["content"])
                assert set(person) == {"name", "age"}
                assert 0 <= person["age"] <= 120
                assert len(person["name"]) <= 12
            else:
                assert reply["done_reason"] == "length"


async def test_thinking_is_told_from_the_json(serving: Serve) -> None:
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}
    async with serving() as client:
        body = chat({**schema, "additionalProperties": False}, think=True)
        body["options"] = {"temperature": 0}

        message = (await client.post("/api/chat", json=body)).json()["message"]

        # Whether and what it thinks is the model's affair; none of it may be in the answer.
        assert isinstance(json.loads(message["content"])["sure"], bool)


async def test_a_schema_that_cannot_be_kept_is_refused_with_keyword_and_place(serving: Serve) -> None:
    async with serving() as client:
        schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": r"(a|b)\1"}}}

        native = await client.post("/api/chat", json=chat(schema))
        openai = await client.post(
            "/v1/chat/completions",
            json={
                "model": "tiny",
                "messages": [{"role": "user", "content": "Hi"}],
                "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
            },
        )

        assert (native.status_code, openai.status_code) == (400, 400)
        for text in (native.json()["error"], openai.json()["error"]["message"]):
            assert "/properties/a/pattern" in text


LOOSE = [
    ({"regex": "(red|green){2}!?"}, r"(red|green){2}!?"),
    ({"guided_regex": "[a-c]{3}"}, r"[a-c]{3}"),
    ({"choice": ["yes", "no", "perhaps"]}, "yes|no|perhaps"),
    ({"structured_outputs": {"choice": ["on", "off"]}}, "on|off"),
    ({"grammar": 'root ::= "<" [0-9]{2} ">" | "none"'}, "<[0-9]{2}>|none"),
    ({"json_schema": {"enum": [1, "a"]}}, r'1(\.0)?|"a"'),
]


@pytest.mark.parametrize(("fields", "pattern"), LOOSE)
async def test_every_route_keeps_every_kind_of_form(serving: Serve, fields: dict[str, Any], pattern: str) -> None:
    messages = [{"role": "user", "content": "Say it."}]
    hot = {"model": "tiny", "options": HOT, "stream": False, **fields}
    still = hot | {"options": {"temperature": 0}}  # it thinks first, and so it will come to an end with that
    async with serving() as client:
        chatted = (await client.post("/api/chat", json={**hot, "messages": messages, "think": False})).json()
        generated = (await client.post("/api/generate", json={**hot, "prompt": "Say it.", "think": False})).json()
        body = {**hot, "messages": messages, "reasoning_effort": "none"}
        openai = (await client.post("/v1/chat/completions", json=body)).json()
        text = (await client.post("/v1/completions", json={**still, "prompt": "Say it."})).json()

    answers = [
        chatted["message"]["content"], generated["response"], openai["choices"][0]["message"]["content"],
        text["choices"][0]["text"],
    ]  # fmt: skip
    for answer in answers:
        assert re.fullmatch(pattern, answer)


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"grammar": 'root ::= "a" b'}, "grammar", "'b' is not defined at line 1, column 14"),
        ({"grammar": 'root ::= root "a"'}, "grammar", "left recursive"),
        ({"grammar": 'root ::= ""*'}, "grammar", "nothing to repeat"),
        ({"grammar": 'start ::= "a"'}, "grammar", "no rule 'root'"),
        ({"regex": r"(a)\1"}, "regex", "back-reference"),
        ({"guided_regex": "[b-a]"}, "guided_regex", "out of order"),
        ({"regex": "(?!)"}, "regex", "no text matches"),
        ({"json_schema": {"type": "text"}}, "json_schema", "unknown type (at /type)"),
        ({"json_schema": {"enum": []}}, "json_schema", "no value is valid"),
    ],
)
async def test_a_form_that_cannot_be_is_refused_before_the_first_token(
    serving: Serve, fields: dict[str, Any], field: str, message: str
) -> None:
    async with serving() as client:
        body = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], **fields}
        native = await client.post("/api/chat", json=body)
        openai = await client.post("/v1/chat/completions", json=body | {"stream": True})

    assert (native.status_code, openai.status_code) == (400, 400)
    assert message in native.json()["error"]
    assert message in openai.json()["error"]["message"]
    assert openai.json()["error"]["param"] == field


UNKEPT = {"type": "object", "properties": {"a": {"type": "string", "pattern": r"(x)\1", "maxLength": 2}}}


async def test_what_was_left_out_of_a_schema_is_told_where_the_server_is_set_to_warn(
    serving: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    left_out = ["/properties/a/pattern"]
    format = {"type": "json_schema", "json_schema": {"name": "a", "schema": UNKEPT}}
    openai = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "response_format": format}
    async with serving(on_unsupported="warn") as client:
        whole = (await client.post("/api/chat", json=chat(UNKEPT))).json()
        streamed = [line async for line in lines(await client.post("/api/chat", json=chat(UNKEPT, stream=True)))]
        of_openai = (await client.post("/v1/chat/completions", json=openai)).json()
        events = (await client.post("/v1/chat/completions", json=openai | {"stream": True})).text

        assert whole["format_ignored"] == streamed[-1]["format_ignored"] == of_openai["format_ignored"] == left_out
        assert events.count('"format_ignored":["/properties/a/pattern"]') == 1
        assert "format: an answer is not held to /properties/a/pattern" in caplog.text


async def test_what_is_strict_is_refused_even_then(serving: Serve) -> None:
    format = {"type": "json_schema", "json_schema": {"name": "a", "schema": UNKEPT, "strict": True}}
    openai = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "response_format": format}
    async with serving(on_unsupported="warn") as client:
        refused = await client.post("/v1/chat/completions", json=openai)

    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "response_format.json_schema.schema"


async def test_objects_are_open_where_the_server_is_set_so(serving: Serve) -> None:
    """A model that wants nothing more than another member gets it, or does not."""
    schema = {
        "type": "object",
        "properties": {"a": {"const": 1}},
        "propertyNames": {"enum": ["a", "b"]},
        "required": ["a"],
    }
    body = chat(schema, think=False)
    written = {}
    for objects in ("open", "closed"):
        async with serving(objects=objects) as client:
            wish = (await client.post("/tokenize", json={"model": "tiny", "content": "b"})).json()["tokens"]
            body["options"] = HOT | {"num_predict": 60, "logit_bias": {str(token): 100 for token in wish}}
            reply = (await client.post("/api/chat", json=body)).json()
            written[objects] = reply["message"]["content"].replace(" ", "")

    assert '"b":' in written["open"]
    assert json.loads(written["closed"]) == {"a": 1}


async def test_reasoning_and_a_response_format_combine(serving: Serve) -> None:
    format = {"type": "json_schema", "json_schema": {"name": "p", "schema": PERSON, "strict": True}}
    async with serving() as client:
        messages = [{"role": "user", "content": "Who is Ada?"}]
        settings = {"reasoning_effort": "high", "temperature": 0, "max_tokens": 200}
        body = {"model": "tiny", "messages": messages, "response_format": format, **settings}

        choice = (await client.post("/v1/chat/completions", json=body)).json()["choices"][0]

    assert choice["finish_reason"] == "stop"
    assert choice["message"]["reasoning"]
    assert set(json.loads(choice["message"]["content"])) == {"name", "age"}
