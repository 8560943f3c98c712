"""Known calls, as a template writes them.

Names, keys and values are words that no template has; what stands between them is
the template's.  The same turn is rendered with words and without, which tells what
belongs to a turn from what belongs to its calls.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

from power.errors import BadRequest
from power.grammar.dialects.marks import (
    aligned,
    chunks,
    common_prefix,
    common_suffix,
    is_mark,
    overlap,
    without_thinking,
)
from power.messages import Message, Tool, ToolCall
from power.stream.thinking import KNOWN_TAGS

USER, CONTENT, RESULT = "Quaestio", "Responsum", "Eventus"
NAMES, KEYS = ("zebra_first", "zebra_second"), ("kiwi", "lemon")
VALUES = (("vale first", "vale second"), ("vale third", "vale fourth"))
IDS = ("abcdefgh1", "abcdefgh2")  # nine letters and digits: what Mistral's templates insist on
TYPED: dict[str, Any] = {
    "integer": 417,
    "number": 2.75,
    "boolean": True,
    "null": None,
    "object": {"melon": "x"},
    "array": ["melon", 3],
}


class Render(Protocol):
    """A template: the text of a conversation. Raises BadRequest where it refuses."""

    def __call__(self, messages: Sequence[Message], tools: Sequence[Tool], *, generate: bool) -> str: ...


def probe_tools() -> list[Tool]:
    """The tools that the known calls are calls of."""
    properties = {key: {"type": "string", "description": "d"} for key in KEYS}
    parameters = {"type": "object", "properties": properties, "required": list(KEYS)}
    functions = [{"name": name, "description": "d", "parameters": parameters} for name in NAMES]
    return [{"type": "function", "function": function} for function in functions]


def probe_call(number: int, **others: Any) -> ToolCall:
    """One of the known calls, with some arguments replaced."""
    arguments = {**dict(zip(KEYS, VALUES[number], strict=True)), **others}
    return ToolCall(name=NAMES[number], arguments=arguments, id=IDS[number])


class Probe:
    """Renderings of known conversations."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._tools = probe_tools()
        self.whole_prompt = self._whole([], generate=True)
        self.prompt = self.whole_prompt.rpartition(USER)[2]
        plain = self._rendered([Message(role="assistant", content=CONTENT)])
        self._before_content, _, self.end = plain.rpartition(CONTENT)

    def calls(self, *calls: ToolCall, content: str = "") -> str:
        """What the template writes for a turn with these calls, behind the user's words; empty if it refuses."""
        return self._rendered([Message(role="assistant", content=content, tool_calls=calls)])

    def _rendered(self, messages: list[Message]) -> str:
        return self._whole(messages, generate=False).rpartition(USER)[2]

    def _whole(self, messages: list[Message], *, generate: bool) -> str:
        conversation = [Message(role="user", content=USER), *messages]
        try:
            return self._render(conversation, self._tools, generate=generate)
        except BadRequest:
            return ""

    def opening(self, before: str, with_content: str) -> str:
        """What opens the first call, of what stands before it without content and with some."""
        _, found, tail = with_content.rpartition(CONTENT)
        if found:
            opening = common_suffix(before, tail)
            closing = common_prefix(opening, self.end)  # of the content
            opening = opening if closing == self.end else opening[len(closing) :]
            # Where words and calls are two turns, the second one's header is none of the calls'.
            header = overlap(_before_thinking(self.prompt).rstrip(), opening.lstrip())
            return opening.lstrip().removeprefix(header) if re.search(r"\w{3}", header) else opening
        opened = aligned(before, common_prefix(before, self.prompt))
        return without_thinking(before[len(opened) :])

    def closing(self, tail: str) -> str:
        """What closes calls, of what stands behind the last one."""
        if not self.end.strip():
            return tail
        shared = common_suffix(tail, self.end)
        if not shared.strip():
            # The turn ends with a mark of its own where it has calls: <|eom_id|>, <|call|>.
            return "".join(chunks(tail.rstrip())[:-1])
        tail = tail[: -len(shared)]
        return tail.partition(self.end.strip())[0]

    def around_content(self) -> dict[str, tuple[str, ...]]:
        """The marks around an answer's words."""
        opened = aligned(self._before_content, common_prefix(self._before_content, self.prompt))
        # What closes something else before the words is not theirs.
        opening = re.sub(r"^(?:<\|close\|>[^<]*<\|sep\|>|</[^<>]*>|\s)+", "", self._before_content[len(opened) :])
        opening = without_thinking(opening).strip()
        ends = tuple(chunk for chunk in chunks(self.end) if is_mark(chunk))
        return {"content_open": (opening,) if opening else (), "content_close": ends[:2]}

    def around_results(self) -> tuple[str, ...]:
        """The tokens around a tool's result and nothing else: a mark that letters spell may be meant."""
        call = probe_call(0)
        asked = Message(role="assistant", tool_calls=(call,))
        answered = Message(role="tool", content=RESULT, tool_name=call.name, tool_call_id=call.id)
        text = self._rendered([asked, answered])
        before, found, behind = text.rpartition(RESULT)
        shared = common_prefix(before, self.calls(call))
        around = [*chunks(before[len(shared) :]), *chunks(behind)] if found else []
        tokens = (chunk for chunk in around if is_mark(chunk) and re.search("(?i)[|｜].*tool", chunk))
        return tuple(dict.fromkeys(token for token in tokens if token not in self.whole_prompt))


def _before_thinking(prompt: str) -> str:
    return prompt[: prompt.rindex(tag)] if (tag := next((t for t, _ in KNOWN_TAGS if t in prompt), "")) else prompt
