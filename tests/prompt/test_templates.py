"""All the chat templates that llama.cpp tests with: as `transformers` renders them, and whatever the conversation."""

from __future__ import annotations

import copy
import html
import json
from pathlib import Path
from typing import Any

import pytest
from transformers.utils.chat_template_utils import _compile_jinja_template

from power.errors import BadRequest
from power.messages import Message, Tool, ToolCall
from power.prompt import ChatTemplate, render_chat
from tests.prompt.models import model
from tests.support import sdist

TEMPLATES = sorted((sdist() / "vendor/llama.cpp/models/templates").glob("*.jinja"))
# There `transformers` escapes tool declarations as HTML (`&#34;name&#34;`): its `tojson` gives a plain text, which
# is then added to one that was marked as safe. No model was trained on that; llama.cpp writes JSON.
ESCAPED = "meetkai-functionary-medium-v3.1"

TOOLS: list[Tool] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "City"},
                    "days": {"type": "integer"},
                    "unit": {"type": "string", "enum": ["C", "F"]},
                },
                "required": ["city"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "now", "description": "Current time", "parameters": {"type": "object", "properties": {}},
        },
    },
]  # fmt: skip
ARGUMENTS = {"city": "Paris", "days": 2}
USER = {"role": "user", "content": "Hello"}


def called(arguments: Any) -> dict[str, Any]:
    call = {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


RESULT = {"role": "tool", "tool_call_id": "call00001", "name": "get_weather", "content": '{"temp": 21}'}
PARTS = [{"type": "text", "text": "Hello"}]
BRIEF = {"role": "system", "content": "Be brief."}
ANSWER = {"role": "assistant", "content": "Hi"}
SITUATIONS: dict[str, dict[str, Any]] = {
    "plain": {"messages": [USER]},
    "no generation prompt": {"messages": [USER, ANSWER], "add_generation_prompt": False},
    "system and turns": {"messages": [BRIEF, USER, ANSWER, {"role": "user", "content": "More"}]},
    "tools": {"messages": [BRIEF, USER], "tools": TOOLS},
    "result": {"messages": [USER, called(ARGUMENTS), RESULT], "tools": TOOLS},
    "arguments as text": {"messages": [USER, called(json.dumps(ARGUMENTS)), RESULT], "tools": TOOLS},
    "after a result": {"messages": [USER, called(ARGUMENTS), RESULT, ANSWER, USER], "tools": TOOLS},
    "thinking before": {"messages": [USER, {**ANSWER, "reasoning_content": "Hm."}, USER]},
    "thinking on": {"messages": [USER], "enable_thinking": True},
    "thinking off": {"messages": [USER], "enable_thinking": False},
    "parts": {"messages": [{"role": "system", "content": PARTS}, {"role": "user", "content": PARTS}]},
}


@pytest.fixture(scope="module", params=TEMPLATES, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    template: Path = request.param
    return template


def test_it_is_what_transformers_makes_of_it(path: Path) -> None:
    text = path.read_text()
    oracle, ours = _compile_jinja_template(text), ChatTemplate(text)
    for name, situation in SITUATIONS.items():
        variables = {"add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", **situation}
        try:
            expected = oracle.render(**copy.deepcopy(variables))
        except Exception:  # whatever the template and Jinja raise
            continue

        rendered = ours.render(copy.deepcopy(variables))
        assert rendered == (html.unescape(expected) if path.stem == ESCAPED else expected), name


CALL = ToolCall(name="get_weather", arguments=ARGUMENTS)
NOW = ToolCall(name="now", arguments={})


def say(role: str, content: str) -> Message:
    return Message(role=role, content=content)


CONVERSATIONS: dict[str, tuple[list[Message], list[Tool]]] = {
    "plain": ([say("user", "<1>")], []),
    "turns": ([say("system", "<1>"), say("user", "<2>"), say("assistant", "<3>"), say("user", "<4>")], []),
    "tools": ([say("system", "<1>"), say("user", "<2>")], TOOLS),
    "bare tool": ([say("user", "<1>")], [{"type": "function", "function": {"name": "ping"}}]),
    "two users": ([say("user", "<1>"), say("user", "<2>")], []),
    "assistant first": ([say("assistant", "x"), say("user", "<1>")], []),
    "system later": ([say("user", "<1>"), say("assistant", "<2>"), say("system", "<3>"), say("user", "<4>")], []),
    "developer": ([say("developer", "<1>"), say("user", "<2>")], []),
    "call": ([say("user", "<1>"), Message(role="assistant", tool_calls=(CALL,)), say("tool", "x")], TOOLS),
    "two calls": (
        [say("user", "<1>"), Message(role="assistant", tool_calls=(CALL, NOW)), say("tool", "x"), say("tool", "y")],
        TOOLS,
    ),
}


def test_it_takes_any_conversation(path: Path) -> None:
    served = model(path.read_text())
    for name, (conversation, tools) in CONVERSATIONS.items():
        for think in (None, False, True, "high"):
            prompt = render_chat(served, conversation, tools, think)

            for message in conversation:
                assert not message.content.startswith("<") or message.content in prompt, (name, message)


def test_a_conversation_may_be_long(path: Path) -> None:
    """Some templates look back at all messages before each, or write all of them anew."""
    served = model(path.read_text())
    turns = [say("assistant" if n % 2 else "user", f"<{n}>{' word' * 40}") for n in range(401)]
    work = [say("user", "<0>")]
    for n in range(200):
        work += (Message(role="assistant", tool_calls=(CALL,)), say("tool", f"<{n}>{' word' * 40}"))

    for conversation, tools in ((turns, []), (work, TOOLS)):
        prompt = render_chat(served, conversation, tools)

        assert all(message.content in prompt for message in conversation)


def test_there_are_as_many_as_expected() -> None:
    assert len(TEMPLATES) >= 70


def test_a_template_that_refuses_says_why() -> None:
    strict = "{% if tools %}{{ raise_exception('No tools, please') }}{% endif %}"

    with pytest.raises(BadRequest, match="No tools, please"):
        render_chat(model(strict), [say("user", "hi")], TOOLS)
