"""Say in words what a template would leave out: calls, and the results of tools.

Some templates have no place for calls, or none for a tool's words.  A model whose
template writes no calls still has to see the ones it made, and in the form that it
makes them in; and a result that goes unseen is a question asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import msgspec

from power.errors import BadRequest
from power.grammar.dialects import HERMES, Dialect
from power.grammar.dialects.writing import write_calls
from power.messages import Message, ToolCall
from power.prompt import gotemplate
from power.prompt.choose import Choice
from power.prompt.dialects import find_dialect
from power.prompt.render import render_jinja

Kind = Literal["calls", "calls with words", "results", "orphans"]
NAME, KEY, RESULT = "vocare", "quidnam", "Responsum"  # words that no template has
_USER = Message(role="user", content="Quid?")
_CALL = Message(role="assistant", tool_calls=(ToolCall(name=NAME, arguments={KEY: 1}, id="call00000"),))
_RESULT = Message(role="tool", content=RESULT, tool_name=NAME, tool_call_id="call00000")
# A conversation of each kind, and words of which one at least has to be seen.
_PROBES: dict[Kind, tuple[tuple[Message, ...], tuple[str, ...]]] = {
    "calls": ((_USER, _CALL, _RESULT), (NAME, KEY)),
    "calls with words": ((_USER, msgspec.structs.replace(_CALL, content="Eo."), _RESULT), (NAME, KEY)),
    "results": ((_USER, _CALL, _RESULT), (RESULT,)),
    "orphans": ((_USER, msgspec.structs.replace(_RESULT, tool_name="", tool_call_id="")), (RESULT,)),
}


def told(conversation: Sequence[Message], template: Choice) -> list[Message]:
    """The conversation, with what the template does not show written into its words."""
    if not any(message.tool_calls or message.role == "tool" for message in conversation):
        return list(conversation)
    spoken: list[Message] = []
    called = False
    for message in conversation:
        if message.tool_calls:
            called = True
            shown = shows(template, "calls with words" if message.content else "calls")
            spoken.append(message if shown else _with_calls(message, find_dialect(template) or HERMES))
        elif message.role == "tool" and not shows(template, "results" if called else "orphans"):
            spoken.append(_as_user(message))
        else:
            spoken.append(message)
    return spoken


@lru_cache(maxsize=256)
def shows(template: Choice, kind: Kind) -> bool:
    """Whether a template writes what a conversation may hold."""
    conversation, words = _PROBES[kind]
    try:
        if template.engine == "go":
            prompt = gotemplate.render_messages(template.text, conversation, ())
        else:
            prompt = render_jinja(template.text, conversation)
    except BadRequest:
        return False
    return any(word in prompt for word in words)


def _with_calls(message: Message, dialect: Dialect) -> Message:
    calls = write_calls(dialect, message.tool_calls)
    content = f"{message.content}\n{calls}" if message.content else calls
    return msgspec.structs.replace(message, content=content, tool_calls=())


def _as_user(message: Message) -> Message:
    name = f" of {message.tool_name}" if message.tool_name else ""
    return Message(role="user", content=f"Result{name}: {message.content}")
