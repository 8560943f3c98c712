"""Conversations in the odd shapes that clients keep them in: no template refuses them or loses a call or a result."""

from __future__ import annotations

from functools import cache

import pytest

from power.messages import Message, ToolCall
from power.prompt import render_chat
from power.prompt.choose import Choice
from tests.support import sdist
from tools.template_table import tools

from .models import model

USER = Message(role="user", content="Quid?")
NEXT = Message(role="user", content="Et?")
RESULT = "RESULTAT"


def called(*ids: str, content: str = "") -> Message:
    names = ("get_weather", "set_alarm")
    calls = (ToolCall(name=name, arguments={"city": "Roma"}, id=id) for name, id in zip(names, ids, strict=False))
    return Message(role="assistant", content=content, tool_calls=tuple(calls))


def result(content: str = RESULT, *, tool_name: str = "", tool_call_id: str = "") -> Message:
    return Message(role="tool", content=content, tool_name=tool_name, tool_call_id=tool_call_id)


HISTORIES = {
    "ids of OpenAI's form": [USER, called("call_ab12cd34"), result(tool_call_id="call_ab12cd34"), NEXT],
    "no ids": [USER, called(""), result(), NEXT],
    "a name and no id": [USER, called(""), result(tool_name="get_weather"), NEXT],
    "results in another order": [USER, called("a", "b"), result("ALTER", tool_call_id="b"), result(tool_call_id="a")],
    "words with a call": [USER, called("a", content="Eo."), result(tool_call_id="a"), NEXT],
    "a system's words behind a result": [
        *(Message(role="system", content="SYS"), USER, called("call_1"), result(tool_call_id="call_1")),
        *(Message(role="system", content="SYST"), NEXT),
    ],
    "a result that nobody asked for": [USER, Message(role="assistant", content="Ita."), result(tool_call_id="x"), NEXT],
    "a result before all": [result(), USER],
}


@cache
def templates() -> dict[str, str]:
    files = sorted((sdist() / "vendor/llama.cpp/models/templates").glob("*.jinja"))
    return {file.stem: file.read_text(encoding="utf-8") for file in files}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_nothing_of_a_history_is_refused_or_lost(history: list[Message]) -> None:
    has_calls = any(message.tool_calls for message in history)
    for name, text in templates().items():
        prompt = render_chat(model(text), history, tools(), template=Choice("jinja", text))

        assert RESULT in prompt, name
        if has_calls:
            assert "get_weather" in prompt.rpartition(USER.content)[2], name


def test_a_call_without_a_result_is_remembered() -> None:
    history = [USER, called("a", content="Eo."), NEXT]
    for name, text in templates().items():
        prompt = render_chat(model(text), history, tools(), template=Choice("jinja", text))
        assert "get_weather" in prompt.rpartition(USER.content)[2], name
