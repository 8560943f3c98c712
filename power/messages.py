"""A conversation, as every API means it: messages, tool calls, tools.

Native, OpenAI and Anthropic bodies are translated into these; templates are
rendered from them.  Arguments and tools stay plain JSON values, in the order
they came in, so that nothing of a schema is lost on the way to a prompt.
"""

from __future__ import annotations

from typing import Any

import msgspec


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call the model made (or is said to have made)."""

    name: str
    arguments: dict[str, Any]
    id: str = ""
    written: str = ""  # its arguments as the model wrote them, where they were told while it did


class CallPart(msgspec.Struct, frozen=True, kw_only=True):
    """Some more of a call that is being written: its name and no arguments first, then nothing but those."""

    id: str
    name: str = ""
    arguments: str = ""  # the next bit of their JSON


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One turn."""

    role: str
    content: str = ""
    thinking: str = ""
    images: tuple[bytes, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""  # role "tool": which tool answered
    tool_call_id: str = ""  # role "tool": which call it answers


Tool = dict[str, Any]
"""A tool in OpenAI's shape, `{"type": "function", "function": {...}}`, untouched."""


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """How free a model is to call the tools it is offered."""

    must: bool = False  # its answer is calls and nothing else
    names: tuple[str, ...] = ()  # of the tools that it may call; empty: all
    parallel: bool = True  # several at once
