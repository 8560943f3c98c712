"""Where cases that do not belong to this project can be put to it, by hand or by another program.

They come as plain JSON values, as the native API has them, and go the way that a request goes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from power.grammar import Answer, AnswerReader, Dialect
from power.grammar.dialects import Syntax, written
from power.messages import Message, ToolCall
from power.prompt import find_dialect, find_marks
from power.prompt.choose import Choice
from power.prompt.gotemplate import render_messages
from power.stream.blocks import Thinking
from power.stream.channels import speaks_in_channels
from power.stream.thinking import prompt_opens_thinking
from tests.support import sdist


def render_go(template: str, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] | None = None) -> str:
    """The prompt that a Go template makes of a conversation. Raises GoTemplateError."""
    return render_messages(template, [_message(message) for message in messages], tools or ())


def _message(message: dict[str, Any]) -> Message:
    calls = tuple(
        ToolCall(name=call["function"]["name"], arguments=call["function"]["arguments"], id=call.get("id", ""))
        for call in message.get("tool_calls") or ()
    )
    names = ("role", "content", "thinking", "tool_name", "tool_call_id")
    texts: dict[str, Any] = {name: message.get(name) or "" for name in names}
    return Message(tool_calls=calls, **texts)


def stream_case(case: dict[str, Any]) -> CaseReader:
    """What reads a model's answer, for a case of data/toolcalls: `feed(text)` and `finish()` return what is new."""
    return CaseReader(case)


class CaseReader:
    """The server's reader, made for a template or for a parser's name, and its answers as plain values."""

    def __init__(self, case: dict[str, Any]) -> None:
        self._cut_off = not case["complete"]
        self._hides_thinking = not case["template"] and case["enable_thinking"] is False
        how = _of_template(case) if case["template"] else _of_parser(case)
        self._reader = AnswerReader(tools=case["tools"] or (), prompt=case["prompt_tail"] or "", **how)
        self._first = _continued(case, self._reader, how["thinking"]) if case["continue_final_message"] else Answer()

    def feed(self, text: str) -> dict[str, Any]:
        return self._delta(self._reader.feed(text))

    def finish(self) -> dict[str, Any]:
        return self._delta(self._reader.flush(cut_off=self._cut_off))

    def _delta(self, answer: Answer) -> dict[str, Any]:
        first, self._first = self._first, Answer()
        return {
            "thinking": "" if self._hides_thinking else first.thinking + answer.thinking,
            "content": first.content + answer.content,
            "tool_calls": [{"name": call.name, "arguments": call.arguments} for call in answer.tool_calls],
        }


def _continued(case: dict[str, Any], reader: AnswerReader, how: Thinking | None) -> Answer:
    """A last message of the assistant is continued; llama.cpp gives it out once more, and so does this."""
    message = case["messages"][-1]
    thinking, content = message.get("reasoning_content") or "", message.get("content") or ""
    if how is None:
        return Answer(content=content)
    if how.channels:
        begun = f"{thinking}<|end|><|start|>assistant<|channel|>final<|message|>{content}" if content else thinking
        return reader.feed(begun)
    return reader.feed(f"{thinking}{how.close}{content}" if content else thinking)


def _of_template(case: dict[str, Any]) -> dict[str, Any]:
    choice = Choice("jinja", _template(case["template"]))
    marks = find_marks(choice) if case["extract_thinking"] else None
    thinking = marks and Thinking(
        open=marks.open,
        close=marks.close,
        ending=marks.ending,
        begun=case["continue_final_message"] or prompt_opens_thinking(case["prompt_tail"], (marks.open, marks.close)),
        channels=speaks_in_channels(choice.text),
    )
    return {"dialect": find_dialect(choice), "thinking": thinking, "only_text": not case["tools"]}


def _of_parser(case: dict[str, Any]) -> dict[str, Any]:
    if case["parser"] == "tools":
        return {"dialect": _tagged(case["tags"]["tool_tag"]), "thinking": None}
    known = written(case["parser"])
    assert known is not None, case["parser"]
    thinks = case["enable_thinking"] is not False and (case.get("parser_flags") or {}).get("hasThinkingSupport", True)
    last = case.get("last_message") or {}
    said = last.get("role") == "assistant" and bool(last.get("content"))
    thinking = None if said else known.thinking
    if thinking is not None and not thinks:  # the prompt opens none, and what is thought all the same is left out
        thinking = replace(thinking, begun=False)
    return {"dialect": known.dialect, "thinking": thinking, "may_repeat": known.may_repeat}


def _tagged(tag: str) -> Dialect:
    """By what Ollama knows of a Go template: the text that stands before its calls."""
    return Dialect(syntax=Syntax.OBJECT, section_open=tag.rstrip("{["), section_close=_closing(tag))


def _closing(tag: str) -> str:
    bare = tag.rstrip(" {[")
    return re.sub(r"^([<\[])", r"\1/", bare)


@lru_cache
def _template(name: str) -> str:
    return (sdist() / "vendor/llama.cpp/models/templates" / name).read_text(encoding="utf-8")
