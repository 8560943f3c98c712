"""Where cases that do not belong to this project can be put to it, by hand or by another program.

They come as plain JSON values, as the native API has them, and go the way that a request goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from power.messages import Message, ToolCall
from power.prompt.gotemplate import render_messages


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
