"""Calls that are demanded, forbidden and left to the model, with the real client and the embedded model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import ollama
import openai
import pytest

from power.grammar.compose import literal
from tests.prompt.test_go_dialects import HEAD, TAIL, TEMPLATES

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 20},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
        "units": {"enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city", "units"],
}
ALARM = {
    "type": "object",
    "properties": {
        "at": {"type": "object", "properties": {"hour": {"type": "integer"}, "half": {"type": "boolean"}}},
        "labels": {"type": "array", "items": {"enum": ["work", "home"]}, "maxItems": 3},
    },
    "required": ["labels"],
}
DONE = {"role": "tool", "content": "done"}
SCHEMAS = {"get_forecast": WEATHER, "set_alarm": ALARM, "stop": {"type": "object", "properties": {}}}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "description": "d", "parameters": schema}}
    for name, schema in SCHEMAS.items()
]
PROMPTS = ("Hello!", "What is the weather in Paris?", "Wake me at 7.", "What is 3 + 4?")


def asked(prompt: str, **fields: Any) -> dict[str, Any]:
    body = {"model": "tiny", "messages": [{"role": "user", "content": prompt}], "tools": TOOLS, "seed": 1}
    return {**body, "extra_body": {"num_ctx": 2048}, "max_tokens": 400, "reasoning_effort": "none", **fields}


def called(message: Any) -> list[tuple[str, dict[str, Any]]]:
    calls = [call.function for call in message.tool_calls or () if call.type == "function"]
    return [(call.name, json.loads(call.arguments)) for call in calls]


def check(calls: list[tuple[str, dict[str, Any]]]) -> None:
    for name, arguments in calls:
        jsonschema.validate(arguments, SCHEMAS[name])


@pytest.mark.parametrize("effort", ["none", "medium"])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_call_that_is_required_is_made_and_valid(openai_client: openai.OpenAI, prompt: str, effort: str) -> None:
    body = asked(prompt, tool_choice="required", reasoning_effort=effort, parallel_tool_calls=False)

    choice = openai_client.chat.completions.create(**body).choices[0]

    assert choice.finish_reason == "tool_calls"
    assert not choice.message.content
    calls = called(choice.message)
    assert len(calls) == 1
    check(calls)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_named_tool_is_called(openai_client: openai.OpenAI, name: str) -> None:
    body = asked("Hello!", tool_choice={"type": "function", "function": {"name": name}}, parallel_tool_calls=False)

    choice = openai_client.chat.completions.create(**body).choices[0]

    calls = called(choice.message)
    assert [called_name for called_name, _ in calls] == [name]
    check(calls)


def test_a_required_call_is_streamed_as_it_is_given_whole(openai_client: openai.OpenAI) -> None:
    body = asked("Wake me.", tool_choice="required", temperature=0, parallel_tool_calls=False)
    whole = openai_client.chat.completions.create(**body).choices[0].message
    deltas = [
        call.function
        for chunk in openai_client.chat.completions.create(**body, stream=True)
        for call in chunk.choices[0].delta.tool_calls or ()
        if call.function
    ]

    assert deltas[0].name
    streamed = [(deltas[0].name, json.loads("".join(delta.arguments or "" for delta in deltas)))]
    assert streamed == called(whole)


@pytest.mark.parametrize("parallel", [True, False])
def test_the_bits_of_a_streamed_call_are_its_arguments_to_the_letter(
    openai_client: openai.OpenAI, parallel: bool
) -> None:
    body = asked("Wake me at 7.", tool_choice="required", temperature=0, parallel_tool_calls=parallel, max_tokens=120)
    whole = openai_client.chat.completions.create(**body).choices[0]

    streamed = bits(openai_client, body)

    assert whole.message.tool_calls
    functions = [call.function for call in whole.message.tool_calls if call.type == "function"]
    assert streamed == [(function.name, function.arguments) for function in functions]


def bits(client: openai.OpenAI, body: dict[str, Any]) -> list[tuple[str, str]]:
    """The calls of a stream, each put together of its bits: a name in the first, arguments in the others."""
    calls: dict[int, tuple[str, str]] = {}
    for chunk in client.chat.completions.create(**body, stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            assert call.function
            name, arguments = calls.get(call.index, ("", ""))
            assert bool(call.function.name) == (call.index not in calls) == bool(call.id)
            calls[call.index] = name + (call.function.name or ""), arguments + (call.function.arguments or "")
    return list(calls.values())


def test_each_of_several_answers_in_a_stream_has_calls_of_its_own(openai_client: openai.OpenAI) -> None:
    only = {"type": "function", "function": {"name": "stop"}}
    body = asked("Wake me.", tool_choice=only, parallel_tool_calls=False, n=2)
    calls: dict[int, str] = {}

    for chunk in openai_client.chat.completions.create(**body, stream=True):
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or ():
                assert call.index == 0
                assert call.function
                calls[choice.index] = calls.get(choice.index, "") + (call.function.arguments or "")

    assert [json.loads(arguments) for arguments in calls.values()] == [{}, {}]


def test_a_call_that_the_limit_cuts_off_is_told_as_far_as_it_came(
    openai_client: openai.OpenAI, http: httpx.Client
) -> None:
    """As OpenAI does; natively, where arguments are objects, it is the text that it is."""
    only = {"type": "function", "function": {"name": "set_alarm"}}
    for limit in range(4, 80):
        body = asked("Wake me.", tool_choice=only, temperature=0, parallel_tool_calls=False, max_tokens=limit)
        choice = openai_client.chat.completions.create(**body).choices[0]
        told = [call.function.arguments for call in choice.message.tool_calls or () if call.type == "function"]
        if told and told[0].strip("{ "):
            break
    assert choice.finish_reason == "length"
    [arguments] = told
    with pytest.raises(json.JSONDecodeError):
        json.loads(arguments)
    asked_natively = {key: body[key] for key in ("messages", "tools", "tool_choice", "parallel_tool_calls")}
    options = {"num_predict": limit, "num_ctx": 2048, "temperature": 0, "seed": 1}

    native = http.post(
        "/api/chat", json={"model": "tiny", "think": False, "stream": False, "options": options, **asked_natively}
    ).json()

    assert not choice.message.content
    assert bits(openai_client, body) == [("set_alarm", arguments)]
    assert native["done_reason"] == "length"
    assert "tool_calls" not in native["message"]
    assert native["message"]["content"].endswith(arguments)


def test_a_streamed_answer_that_calls_ends_for_that_reason(openai_client: openai.OpenAI) -> None:
    body = asked("Wake me.", tool_choice="required", temperature=0, parallel_tool_calls=False)

    choices = [chunk.choices[0] for chunk in openai_client.chat.completions.create(**body, stream=True)]

    calls = [call for choice in choices for call in choice.delta.tool_calls or ()]
    assert [choice.finish_reason for choice in choices] == [None] * (len(choices) - 1) + ["tool_calls"]
    assert {call.index for call in calls} == {0}
    assert calls[0].id
    assert calls[0].type == "function"
    assert not any(choice.delta.content for choice in choices)


def test_a_streamed_answer_that_could_call_and_does_not_just_stops(openai_client: openai.OpenAI) -> None:
    body = asked("Hello!", extra_body={"num_ctx": 2048, "grammar": 'root ::= "Good morning."'})

    choices = [chunk.choices[0] for chunk in openai_client.chat.completions.create(**body, stream=True)]

    said = "".join(choice.delta.content or "" for choice in choices)
    called = [call for choice in choices for call in choice.delta.tool_calls or ()]
    assert choices[-1].finish_reason == ("tool_calls" if called else "stop")
    assert called or said == "Good morning."


@pytest.fixture(scope="module")
def reader(http: httpx.Client) -> Iterator[str]:
    """A model whose answers are read by a parser, whatever it is asked."""
    created = http.post("/api/create", json={"model": "reader", "from": "tiny", "parser": "qwen3", "stream": False})
    assert created.status_code == 200, created.text
    yield "reader"
    http.request("DELETE", "/api/delete", json={"model": "reader"})


@pytest.mark.parametrize("raw", [False, True])
def test_generate_gives_calls_at_its_end_and_without_ids(http: httpx.Client, reader: str, raw: bool) -> None:
    call = '<tool_call>\n{"name": "stop", "arguments": {"now": true}}\n</tool_call>'
    grammar = f'root ::= "I will." {literal(call + call.replace("true", "false"))}'
    body = {"model": reader, "prompt": "Stop!", "grammar": grammar, "think": False, "raw": raw}

    lines = [json.loads(line) for line in http.post("/api/generate", json=body).iter_lines()]
    whole = http.post("/api/generate", json={**body, "stream": False}).json()

    calls = [
        {"function": {"index": n, "name": "stop", "arguments": {"now": now}}} for n, now in enumerate((True, False))
    ]
    if raw:  # nothing is known of how a raw prompt is answered
        calls = []
    assert whole.get("tool_calls", []) == lines[-1].get("tool_calls", []) == calls
    assert not any("tool_calls" in line for line in lines[:-1])
    assert "".join(line["response"] for line in lines) == whole["response"]
    assert whole["response"].startswith("I will.")
    assert raw or whole["response"] == "I will."


@pytest.mark.parametrize("way", ["tags", "list", "bare", "name outside"])
def test_a_model_with_a_go_template_calls_as_that_writes(http: httpx.Client, way: str) -> None:
    template = HEAD + TEMPLATES[way] + TAIL
    created = http.post("/api/create", json={"model": "gone", "from": "tiny", "template": template, "stream": False})
    assert created.status_code == 200, created.text
    body: dict[str, Any] = {
        "model": "gone",
        "messages": [{"role": "user", "content": "Wake me at 7."}],
        "tools": TOOLS,
        "tool_choice": "required",
        "stream": False,
        "options": {"num_predict": 300, "num_ctx": 2048, "temperature": 0},
    }

    message = http.post("/api/chat", json={**body, "parallel_tool_calls": False}).json()["message"]
    named = http.post("/api/chat", json={**body, "messages": [*body["messages"], message, DONE]}).json()["message"]

    assert message["content"] == ""
    check([(call["function"]["name"], call["function"]["arguments"]) for call in message["tool_calls"]])
    assert len(message["tool_calls"]) == 1
    check([(call["function"]["name"], call["function"]["arguments"]) for call in named["tool_calls"]])


def test_with_none_no_tool_is_offered_or_called(openai_client: openai.OpenAI) -> None:
    body = asked("What is the weather in Paris?", tool_choice="none", max_tokens=30, temperature=0)

    choice = openai_client.chat.completions.create(**body).choices[0]

    assert not choice.message.tool_calls


@pytest.mark.parametrize("prompt", PROMPTS)
def test_calls_that_the_model_makes_by_itself_are_valid_too(openai_client: openai.OpenAI, prompt: str) -> None:
    choice = openai_client.chat.completions.create(**asked(prompt, tool_choice="auto", temperature=0)).choices[0]

    check(called(choice.message))
    assert choice.message.content or choice.message.tool_calls


def test_a_schema_that_cannot_be_compiled_only_forbids_to_demand_the_call(openai_client: openai.OpenAI) -> None:
    odd = {"type": "object", "properties": {"x": {"type": "string", "pattern": r"(?=a)b\1"}}}
    tools = [{"type": "function", "function": {"name": "odd", "description": "d", "parameters": odd}}]

    openai_client.chat.completions.create(**asked("Hello!", tools=tools, max_tokens=5))
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.chat.completions.create(**asked("Hello!", tools=tools, tool_choice="required"))

    assert "odd" in str(caught.value)
    assert "/properties/x/pattern" in str(caught.value)


def test_a_tool_that_is_not_there_cannot_be_named(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="nothing"):
        openai_client.chat.completions.create(
            **asked("Hello!", tool_choice={"type": "function", "function": {"name": "nothing"}})
        )


def test_the_native_api_takes_the_same_choice(http: httpx.Client) -> None:
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Hello!"}],
        "tools": TOOLS,
        "tool_choice": {"type": "function", "function": {"name": "stop"}},
        "parallel_tool_calls": False,
        "stream": False,
        "think": False,
        "options": {"num_predict": 200, "num_ctx": 2048},
    }

    message = http.post("/api/chat", json=body).json()["message"]

    assert [call["function"]["name"] for call in message["tool_calls"]] == ["stop"]


def test_an_answer_with_tools_may_still_have_a_format(ollama_client: ollama.Client) -> None:
    answer = ollama_client.chat(
        "tiny",
        [{"role": "user", "content": "What is the weather in Paris?"}],
        tools=TOOLS,
        think=False,
        format={"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]},
        options={"num_predict": 200, "num_ctx": 2048, "temperature": 0},
    )

    assert answer.message.tool_calls or json.loads(answer.message.content or "").keys() == {"ok"}


def test_a_call_its_result_and_the_answer(openai_client: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    body = asked("", messages=messages, tool_choice="required", parallel_tool_calls=False, temperature=0)
    call = openai_client.chat.completions.create(**body).choices[0].message
    assert call.tool_calls
    result = {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": '{"temperature": "21 C"}'}
    messages += [call.model_dump(exclude_none=True), result]

    answer = openai_client.chat.completions.create(**{**body, "tool_choice": "none"}).choices[0]

    assert answer.message.content
    assert not answer.message.tool_calls


def test_a_history_may_be_kept_as_openai_keeps_it(http: httpx.Client) -> None:
    def prompt(content: Any, arguments: Any) -> str:
        call = {"function": {"name": "stop", "arguments": arguments}}
        messages = [
            {"role": "user", "content": content},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "content": "stopped"},
        ]
        body = {"model": "tiny", "messages": messages, "tools": TOOLS, "_debug_render_only": True}
        answer = http.post("/api/chat", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["_debug_info"])

    as_ollama = prompt("Stop it.", {"now": True})

    assert prompt([{"type": "text", "text": "Stop it."}], '{"now": true}') == as_ollama
