"""Formats over HTTP: what comes back keeps them, with thinking and without."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Serve

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


async def test_thinking_comes_first_and_is_told_from_the_json(serving: Serve) -> None:
    async with serving() as client:
        body = chat("json", think=True)
        body["options"] = {"temperature": 0}

        message = (await client.post("/api/chat", json=body)).json()["message"]

        assert message["thinking"]
        assert isinstance(json.loads(message["content"]), dict)


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
