"""Events as bytes: what every encoder makes of them, and of a failure in the middle."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.api import native_replies, openai_replies, openai_text_replies
from power.api.answer import Encoder, encoded, put_together
from power.api.encode import json_bytes
from power.errors import WorkerDied
from power.events import Finished, Logprob, Text
from power.messages import ToolCall

END = Finished(
    reason="stop",
    n_prompt=9,
    n_cached=4,
    n_generated=3,
    load_ns=1,
    queue_ns=2,
    prefill_ns=3,
    decode_ns=4,
    total_ns=10,
)
CALL = ToolCall(name="f", arguments={"x": "é"}, id="call_12345678")
LOGPROB = Logprob("Hi", -0.25, (72, 105))

Events = list[Text | Finished]


class Broken(Exception):
    """Nothing anybody planned."""


async def stream(events: Events, encoder: Encoder, failure: Exception | None = None) -> str:
    """All that a client reads of the events, which end with `failure` if there is one."""

    async def source() -> AsyncGenerator[Text | Finished, None]:
        for event in events[1:]:
            yield event
        if failure:
            raise failure

    return b"".join([chunk async for chunk in encoded(events[0], source(), encoder)]).decode()


def native_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def sse_events(text: str) -> list[Any]:
    assert text.endswith("\n\n")
    events = [event.removeprefix("data: ") for event in text.removesuffix("\n\n").split("\n\n")]
    return [event if event == "[DONE]" else json.loads(event) for event in events]


async def test_a_chat_s_thinking_content_and_calls_go_into_the_message() -> None:
    events: Events = [Text(thinking="hm"), Text(content="Hi", thinking="!"), Text(), Text(tool_calls=(CALL, CALL)), END]

    *chunks, last = native_lines(await stream(events, native_replies.ChatEncoder("m")))

    assert [chunk["message"] for chunk in chunks] == [
        {"role": "assistant", "content": "", "thinking": "hm"},
        {"role": "assistant", "content": "Hi", "thinking": "!"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": CALL.id, "function": {"index": index, "name": "f", "arguments": {"x": "é"}}} for index in (0, 1)
            ],
        },
    ]
    assert last["done_reason"] == "stop"
    assert (last["total_duration"], last["load_duration"], last["prompt_eval_duration"], last["eval_duration"]) == (
        10,
        1,
        3,
        4,
    )
    assert (last["prompt_eval_count"], last["eval_count"]) == (9, 3)


async def test_an_openai_chat_has_thinking_before_content_in_events_of_their_own() -> None:
    events: Events = [Text(content="Hi", thinking="hm", content_logprobs=(LOGPROB,)), Text(tool_calls=(CALL,)), END]

    chunks = sse_events(await stream(events, openai_replies.ChatEncoder("m", include_usage=True)))

    *choices, finish = [chunk["choices"][0] for chunk in chunks[:5]]
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": "", "reasoning": "hm", "reasoning_content": "hm"},
        {"content": "Hi"},
        {
            "content": "",
            "tool_calls": [{"id": CALL.id, "index": 0, "type": "function", "function": {"name": "f", "arguments": ""}}],
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x":"é"}'}}]},
    ]
    assert choices[1]["logprobs"] == {
        "content": [{"token": "Hi", "logprob": -0.25, "bytes": [72, 105], "top_logprobs": []}]
    }
    assert "logprobs" not in choices[0]
    assert finish == {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
    assert chunks[5]["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    assert chunks[6] == "[DONE]"


async def test_an_empty_answer_still_opens_with_a_role() -> None:
    first, finish, _ = sse_events(await stream([END], openai_replies.ChatEncoder("m")))

    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert finish["choices"][0]["finish_reason"] == "stop"


async def test_a_completion_s_thinking_is_not_lost() -> None:
    events: Events = [
        Text(thinking="hm"),
        Text(content="Hi", content_logprobs=(LOGPROB,)),
        Text(content="!", content_logprobs=(LOGPROB,)),
        END,
    ]

    thought, hi, more, finish, _ = sse_events(await stream(events, openai_text_replies.CompletionEncoder("m")))

    assert thought["choices"] == [{"text": "", "index": 0, "reasoning": "hm", "finish_reason": None, "logprobs": None}]
    assert hi["choices"][0]["logprobs"] == {
        "tokens": ["Hi"],
        "token_logprobs": [-0.25],
        "top_logprobs": [{}],
        "text_offset": [0],
    }
    assert more["choices"][0]["logprobs"]["text_offset"] == [2]
    assert finish["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("end", list("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"))
async def test_no_text_breaks_a_line(end: str) -> None:
    text = f"a{end}b"
    events: Events = [Text(content=text), END]

    chunk, _ = native_lines(await stream(events, native_replies.ChatEncoder("m")))
    event = (await stream(events, openai_replies.ChatEncoder("m"))).splitlines()[0]

    assert chunk["message"]["content"] == text
    assert json.loads(event.removeprefix("data: "))["choices"][0]["delta"]["content"] == text


ENCODERS: list[Any] = [
    native_replies.ChatEncoder,
    native_replies.GenerateEncoder,
    openai_replies.ChatEncoder,
    openai_text_replies.CompletionEncoder,
]


@pytest.mark.parametrize("make", ENCODERS)
@pytest.mark.parametrize(
    ("failure", "message"),
    [(WorkerDied("the model's process ended"), "the model's process ended"), (Broken(), "internal error")],
)
async def test_a_failure_in_the_middle_is_the_last_thing_said(make: Any, failure: Exception, message: str) -> None:
    text = await stream([Text(content="Hi")], make("m"), failure)

    if make.content_type == "text/event-stream":
        first, last = sse_events(text)
        assert first["choices"]
        assert last.keys() == {"error"}
        assert message in last["error"]["message"]
    else:
        first, last = native_lines(text)
        assert first["done"] is False
        assert last.keys() == {"error"}
        assert message in last["error"]


TEXTS = st.builds(
    Text,
    content=st.text(max_size=4),
    thinking=st.text(max_size=4),
    tool_calls=st.lists(st.just(CALL), max_size=2).map(tuple),
    logprobs=st.lists(st.just(LOGPROB), max_size=2).map(tuple),
)


@given(st.lists(TEXTS, max_size=5))
async def test_a_stream_adds_up_to_the_whole_answer_in_chat(texts: list[Text]) -> None:
    events: Events = [*texts, END]
    answer = put_together((), events)
    lines = native_lines(await stream(events, native_replies.ChatEncoder("m")))
    deltas = [
        event["choices"][0]["delta"] for event in sse_events(await stream(events, openai_replies.ChatEncoder("m")))[:-1]
    ]
    native = json.loads(json_bytes(native_replies.ChatEncoder("m").whole(answer)))["message"]
    openai = json.loads(
        json_bytes(openai_replies.ChatEncoder("m").whole([answer], openai_replies.usage_of(answer.finished)))
    )["choices"][0]["message"]

    messages = [line["message"] for line in lines]
    for field, empty in (("content", ""), ("thinking", ""), ("tool_calls", [])):
        assert joined(messages, field, empty) == native.get(field, empty)
    for field in ("content", "reasoning"):
        assert joined(deltas, field, "") == openai.get(field, "")
    assert joined_calls(deltas) == openai.get("tool_calls", [])
    assert native["content"] == openai["content"] == answer.content


def joined(parts: list[dict[str, Any]], field: str, empty: Any) -> Any:
    for part in parts:
        empty = empty + part.get(field, type(empty)())
    return empty


def joined_calls(deltas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Calls as OpenAI's clients put them together: what comes under an index is added to what came before."""
    calls: dict[int, dict[str, Any]] = {}
    for piece in (piece for delta in deltas for piece in delta.get("tool_calls", [])):
        if (call := calls.setdefault(piece["index"], piece)) is not piece:
            call["function"]["arguments"] += piece["function"]["arguments"]
    return list(calls.values())
