"""OpenAI's requests, translated."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from power.api.choices import answers_to
from power.api.openai_bodies import (
    chat_body,
    completion_body,
    generation_of_chat,
    generations_of_completion,
)
from power.api.requests import decode
from power.errors import BadRequest
from power.generate import Generation
from power.messages import Message, ToolCall, ToolChoice

HELLO = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "f"}}
PICTURE = "iVBORw0KGgo="
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}],
}


def chat(**fields: Any) -> Generation:
    body = decode(chat_body, msgspec.json.encode({"model": "m", "messages": [HELLO]} | fields))
    [only] = answers_to([generation_of_chat(body)], body)
    return only


def completions(**fields: Any) -> list[Generation]:
    body = decode(completion_body, msgspec.json.encode({"model": "m", "prompt": "Hello"} | fields))
    return answers_to(generations_of_completion(body), body)


def completion(**fields: Any) -> Generation:
    [only] = completions(**fields)
    return only


@pytest.mark.parametrize("translate", [chat, completion])
@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"temperature": 0.5, "top_p": 0.1}, {"temperature": 0.5, "top_p": 0.1}),
        ({"temperature": None, "seed": None}, {}),
        ({"max_tokens": 5}, {"num_predict": 5}),
        ({"seed": -3, "stop": "end"}, {"seed": -3, "stop": "end"}),
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"presence_penalty": -2, "frequency_penalty": 2}, {"presence_penalty": -2.0, "frequency_penalty": 2.0}),
        ({"logit_bias": {"5": -100}}, {"logit_bias": {"5": -100.0}}),
        ({"num_ctx": 512, "options": {"top_k": 3}}, {"num_ctx": 512, "top_k": 3}),
        ({"options": {"temperature": 0.1}}, {"temperature": 0.1}),
        ({"options": {"temperature": 0.1}, "temperature": 0.2}, {"temperature": 0.2}),
    ],
)
def test_sampling_fields_become_options(translate: Any, fields: dict[str, Any], options: dict[str, Any]) -> None:
    # OpenAI's own defaults are sent along, since its clients rely on them and not on the model's.
    assert translate(**fields).options == {"temperature": 1.0, "top_p": 1.0} | options


def test_the_newer_limit_outranks_the_older() -> None:
    assert chat(max_tokens=5, max_completion_tokens=3).options["num_predict"] == 3


@pytest.mark.parametrize(
    ("fields", "think"),
    [
        ({}, None),
        ({"reasoning_effort": ""}, None),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "minimal"}, "low"),
        ({"reasoning_effort": "high"}, "high"),
        ({"reasoning_effort": "xhigh"}, "max"),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, "low"),
        ({"reasoning": {}, "reasoning_effort": "high"}, "high"),
    ],
)
def test_effort_becomes_thinking(fields: dict[str, Any], think: bool | str | None) -> None:
    assert chat(**fields).think == think


@pytest.mark.parametrize(("choice", "tools"), [(None, (TOOL,)), ("auto", (TOOL,)), ("none", ())])
def test_tools_can_be_chosen_not_to_be_used(choice: str | None, tools: tuple[Any, ...]) -> None:
    assert chat(tools=[TOOL], tool_choice=choice).tools == tools


NAMED = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice()),
        ("required", ToolChoice(must=True)),
        ("any", ToolChoice(must=True)),
        (NAMED, ToolChoice(must=True, names=("f",))),
        ({"type": "function", "name": "f"}, ToolChoice(must=True, names=("f",))),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED]}},
            ToolChoice(names=("f",)),
        ),
        ({"type": "allowed_tools", "mode": "required", "tools": [NAMED]}, ToolChoice(must=True, names=("f",))),
    ],
)
def test_a_call_can_be_demanded(choice: Any, expected: ToolChoice) -> None:
    assert chat(tools=[TOOL], tool_choice=choice).tool_choice == expected


def test_calls_can_be_asked_for_one_by_one() -> None:
    assert not chat(tools=[TOOL], parallel_tool_calls=False).tool_choice.parallel


@pytest.mark.parametrize(
    ("fields", "n_probs"), [({}, None), ({"logprobs": True}, 0), ({"logprobs": True, "top_logprobs": 20}, 20)]
)
def test_a_chat_asks_for_logprobs_with_two_fields(fields: dict[str, Any], n_probs: int | None) -> None:
    assert chat(**fields).n_probs == n_probs


def test_a_completion_asks_for_logprobs_with_one() -> None:
    assert completion().n_probs is None
    assert completion(logprobs=0).n_probs == 0
    assert completion(logprobs=3).n_probs == 3


def test_keep_alive_means_what_it_means_natively() -> None:
    assert chat().keep_alive is None
    assert chat(keep_alive=0).keep_alive == 0
    assert completion(keep_alive="5m").keep_alive == 300
    assert completion(keep_alive=-1).keep_alive == math.inf


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"model": None}, "model"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"max_tokens": 2**31}, "max_tokens"),
        ({"max_tokens": -2}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"seed": 2**63}, "seed"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", 5]}, "stop[1]"),
        ({"logit_bias": "5"}, "logit_bias"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"n": 65}, "n"),
        ({"n": 0}, "n"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}}, "tool_choice"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": 1}, "tool_choice"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"reasoning": {"effort": "extreme"}}, "reasoning.effort"),
        ({"keep_alive": []}, "keep_alive"),
        ({"messages": [{"content": "x"}]}, "messages[0]"),
        ({"messages": [HELLO, {"role": "user"}]}, "messages[1].content"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a/b"}}]}]},
            "messages[0].content[0]",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,!"}]}
                ]
            },
            "messages[0].content[0]",
        ),
        (
            {"messages": [CALLED | {"tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
    ],
)
def test_a_chat_that_cannot_be_served_names_the_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        chat(**fields)

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompt": [1, -2]}, "prompt"),
        ({"prompt": ["a", 5]}, "prompt"),
        ({"prompt": ["a", ""]}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"best_of": 0}, "best_of"),
        ({"best_of": 33, "prompt": ["a", "b"]}, "best_of"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"n": 33, "prompt": ["a", "b"]}, "n"),
        ({"logprobs": 21}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"model": ""}, "model"),
    ],
)
def test_a_completion_that_cannot_be_served_names_the_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        completion(**fields)

    assert caught.value.field == field


def test_a_list_of_one_prompt_is_a_prompt() -> None:
    assert completion(prompt=["Hello"]).prompt == "Hello"


def test_token_ids_go_in_as_they_are() -> None:
    one = completion(prompt=[5, 6])
    assert (one.prompt, one.context, one.raw) == ("", (5, 6), True)
    assert completions(prompt=[[5, 6], "a"])[0] == one


def test_several_answers_do_not_draw_the_same() -> None:
    wanted = completions(prompt=["a", "b"], n=2, seed=7)

    assert [(g.prompt, g.options["seed"]) for g in wanted] == [("a", 7), ("a", 8), ("b", 7), ("b", 8)]


def test_parts_of_a_message_stay_one_message() -> None:
    parts = [
        {"type": "text", "text": "What"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
        {"type": "text", "text": "is this?"},
    ]

    messages = chat(messages=[{"role": "user", "content": parts}]).messages

    assert messages == (Message(role="user", content="What\nis this?", images=(b"\x89PNG\r\n\x1a\n",)),)


def test_a_tool_s_answer_knows_which_tool_it_is_from() -> None:
    answer = {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "42"}]}

    messages = chat(messages=[HELLO, CALLED, answer]).messages

    assert messages is not None
    assert messages[1].tool_calls == (ToolCall(name="f", arguments={"x": 1}, id="call_1"),)
    assert messages[2] == Message(role="tool", content="42", tool_name="f", tool_call_id="call_1")


def test_a_developer_is_the_system() -> None:
    assert chat(messages=[{"role": "developer", "content": "Be brief."}]).messages == (
        Message(role="system", content="Be brief."),
    )


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_earlier_reasoning_is_kept(name: str) -> None:
    assert chat(messages=[{"role": "assistant", "content": "4", name: "2+2"}]).messages == (
        Message(role="assistant", content="4", thinking="2+2"),
    )
