"""Tool calls as OpenAI's clients put them together: a name first, then arguments bit by bit.

The bits of one call, joined, are what an answer that is not streamed has as its
arguments.  A call that was cut off has as much of them as the model wrote.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import UNSET, UnsetType

from power.api.encode import json_bytes
from power.events import Text, Unfinished
from power.messages import CallPart, ToolCall


class FunctionReply(msgspec.Struct, frozen=True, kw_only=True):
    name: str | UnsetType = UNSET
    arguments: str  # JSON, or the next bit of it


class ToolCallReply(msgspec.Struct, frozen=True, kw_only=True):
    id: str | UnsetType = UNSET
    index: int
    type: str | UnsetType = UNSET
    function: FunctionReply


class CallStream:
    """The calls of one stream.

    Attributes:
        n_whole: how many have ended.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()  # ids of those that come in parts, one after the other
        self._n_begun = 0
        self.n_whole = 0

    def deltas(self, event: Text) -> Iterator[ToolCallReply]:
        """What the event adds to them."""
        for part in event.parts:
            if part.name:
                self._told.add(part.id)
                yield self._named(part)
            else:
                yield self._more(part.arguments)
        for call in event.tool_calls:
            self.n_whole += 1
            if call.id not in self._told:
                yield self._named(call)
                yield self._more(arguments_of(call))

    def _named(self, call: ToolCall | CallPart) -> ToolCallReply:
        self._n_begun += 1
        function = FunctionReply(name=call.name, arguments="")
        return ToolCallReply(id=call.id, index=self._n_begun - 1, type="function", function=function)

    def _more(self, arguments: str) -> ToolCallReply:
        return ToolCallReply(index=self._n_begun - 1, function=FunctionReply(arguments=arguments))


def whole_calls(calls: tuple[ToolCall, ...], unfinished: Unfinished | None) -> list[ToolCallReply]:
    """The same of an answer that is given at once."""
    every: tuple[ToolCall | CallPart, ...] = (*calls, *(unfinished.calls if unfinished else ()))
    return [
        ToolCallReply(
            id=call.id,
            index=index,
            type="function",
            function=FunctionReply(name=call.name, arguments=arguments_of(call)),
        )
        for index, call in enumerate(every)
    ]


def said(content: str, unfinished: Unfinished | None) -> str:
    """The content without the text of calls that are told as such."""
    return content.removesuffix(unfinished.text) if unfinished else content


def arguments_of(call: ToolCall | CallPart) -> str:
    """JSON, as the model wrote it if that was told, or as much of it as it did."""
    if isinstance(call, CallPart):
        return call.arguments
    return call.written or json_bytes(call.arguments).decode()
