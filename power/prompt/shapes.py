"""Conversations in the shapes that Hugging Face's templates expect, of which there are several.

Templates differ in what they take: most want a call's arguments as an object,
some as JSON text; some fail on a tool without a description, on a system message
in the middle, on two calls at once.  The shape that loses nothing comes first.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from power.messages import Message, Tool, ToolCall


class Shape(NamedTuple):
    """A way to write what templates disagree on."""

    arguments_as_text: bool = False
    complete_tools: bool = False  # missing descriptions and parameters filled in with empty ones
    merge_turns: bool = False  # one system message, in front; neighbours of one role made one
    single_calls: bool = False  # each call in a message of its own, with its result behind it
    plain_turns: bool = False  # nothing but user and assistant in turn, and the user first
    short_ids: bool = False  # calls have ids of nine letters and digits: Mistral's form
    answered: bool = False  # between a tool's result and the user's next words, the assistant has said something
    no_content: bool = False  # calls without words have no content rather than an empty one


SHAPES = (
    Shape(),
    Shape(arguments_as_text=True),
    Shape(complete_tools=True),
    Shape(arguments_as_text=True, complete_tools=True),
    Shape(merge_turns=True),
    Shape(arguments_as_text=True, complete_tools=True, merge_turns=True),
    Shape(single_calls=True),
    Shape(no_content=True),
    Shape(short_ids=True),
    Shape(short_ids=True, answered=True, merge_turns=True),
    Shape(merge_turns=True, plain_turns=True),
)


def as_dicts(conversation: Sequence[Message], template: str, shape: Shape) -> Iterator[dict[str, Any]]:
    """Messages as templates expect them.

    Calls without an id get one, and a tool's message that does not say which
    call it answers is taken to answer the oldest open one.
    """
    open_calls: list[tuple[str, str]] = []  # id and name, oldest first
    for number, message in enumerate(_reshaped(conversation, shape)):
        calls = [(call, call.id or _short(f"call{number:02}{n:03}")) for n, call in enumerate(message.tool_calls)]
        content = None if shape.no_content and calls and not message.content else message.content
        written: dict[str, Any] = {"role": _role(message.role, template), "content": content}
        if message.thinking:
            written["reasoning_content"] = written["thinking"] = message.thinking
        if calls:
            written["tool_calls"] = [_call_as_dict(call, call_id, shape) for call, call_id in calls]
            open_calls += [(call_id, call.name) for call, call_id in calls]
        if message.role == "tool":
            written |= _answered(message, open_calls)
        yield written


def _reshaped(conversation: Sequence[Message], shape: Shape) -> Sequence[Message]:
    if shape.single_calls:
        conversation = _with_single_calls(conversation)
    if shape.short_ids:
        conversation = _with_short_ids(conversation)
    if shape.plain_turns:
        conversation = _plain(conversation)
    if shape.merge_turns:
        conversation = _merged(conversation)
    return _answered_for(conversation) if shape.answered else conversation


def _with_single_calls(conversation: Sequence[Message]) -> list[Message]:
    """For templates that take one call a message: calls and results in turn, in the order of the calls."""
    single: list[Message] = []
    waiting: list[Message] = []  # further calls of the message before
    for message in conversation:
        if len(message.tool_calls) > 1:
            parts = [msgspec.structs.replace(message, content="", tool_calls=(call,)) for call in message.tool_calls]
            single.append(msgspec.structs.replace(parts[0], content=message.content))
            waiting = parts[1:]
        elif message.role == "tool" and single and single[-1].role == "tool" and waiting:
            single += (waiting.pop(0), message)
        else:
            single.append(message)
    return single


def _with_short_ids(conversation: Sequence[Message]) -> list[Message]:
    """For templates that refuse ids of any other length; calls and results still find each other."""
    return [
        msgspec.structs.replace(
            message,
            tool_call_id=_short(message.tool_call_id),
            tool_calls=tuple(msgspec.structs.replace(call, id=_short(call.id)) for call in message.tool_calls),
        )
        for message in conversation
    ]


def _short(call_id: str) -> str:
    if not call_id or re.fullmatch(r"[a-zA-Z0-9]{9}", call_id):
        return call_id
    return hashlib.sha256(call_id.encode(errors="replace")).hexdigest()[:9]


def _answered_for(conversation: Sequence[Message]) -> list[Message]:
    """For templates that insist on turns: whoever interrupts the calling of tools finds the assistant silent."""
    answered: list[Message] = []
    for message in conversation:
        last = answered[-1] if answered else None
        if message.role == "user" and last and (last.role == "tool" or last.tool_calls):
            answered.append(Message(role="assistant", content="..."))
        answered.append(message)
    return answered


def _plain(conversation: Sequence[Message]) -> list[Message]:
    """For templates that know no system and no tools: what those say is said by the user."""
    plain = [
        message if message.role == "assistant" else Message(role="user", content=message.content, images=message.images)
        for message in conversation
    ]
    return plain if plain and plain[0].role == "user" else [Message(role="user"), *plain]


def _merged(conversation: Sequence[Message]) -> list[Message]:
    """For templates that take one system message and strictly alternating turns."""
    system = [message.content for message in conversation if message.role in ("system", "developer")]
    merged = [Message(role="system", content="\n\n".join(system))] if system else []
    for message in conversation:
        last = merged[-1] if merged else None
        if message.role in ("system", "developer"):
            continue
        if last and message.role == last.role == "user":
            content = f"{last.content}\n\n{message.content}"
            merged[-1] = msgspec.structs.replace(last, content=content, images=last.images + message.images)
        else:
            merged.append(message)
    return merged


def _answered(message: Message, open_calls: list[tuple[str, str]]) -> dict[str, str]:
    """Which call a tool's message answers; that one is closed."""
    fits = [
        call
        for call in open_calls
        if message.tool_call_id in ("", call[0]) and (message.tool_call_id or message.tool_name in ("", call[1]))
    ]
    call_id, name = fits[0] if fits else ("", "")
    if fits:
        open_calls.remove(fits[0])
    answered = {"tool_call_id": message.tool_call_id or call_id, "name": message.tool_name or name}
    return {key: value for key, value in answered.items() if value}


def _call_as_dict(call: ToolCall, call_id: str, shape: Shape) -> dict[str, Any]:
    arguments: Any = copy.deepcopy(call.arguments)
    if shape.arguments_as_text:
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _role(role: str, template: str) -> str:
    # OpenAI's newer name for system; templates that do not know it mostly refuse it.
    known = re.search("['\"]developer['\"]", template)
    return "system" if role == "developer" and not known else role


def _complete(tool: Tool) -> Tool:
    tool = copy.deepcopy(tool)
    function = tool.get("function")
    if not isinstance(function, dict):
        return tool
    function.setdefault("description", "")
    parameters = function.setdefault("parameters", {"type": "object"})
    if isinstance(parameters, dict):
        parameters.setdefault("required", [])
        properties = parameters.setdefault("properties", {})
        for schema in properties.values() if isinstance(properties, dict) else ():
            if isinstance(schema, dict):
                schema.setdefault("description", "")
    return tool


def tool_variables(tools: Sequence[Tool], shape: Shape) -> dict[str, Any]:
    if not tools:
        return {"functions": "[]"}
    # Copies, for each attempt: a template may take from the lists it is given.
    shaped = [_complete(tool) if shape.complete_tools else copy.deepcopy(tool) for tool in tools]
    return {"tools": shaped, "functions": json.dumps(shaped, ensure_ascii=False)}  # firefunction's name for them
