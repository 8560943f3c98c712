"""What `/api/generate` and `/api/chat` answer: one line per event, or one object."""

from __future__ import annotations

from typing import Any

import msgspec

from power.api.answer import Answer, status_of
from power.api.encode import NDJSON, LogprobReply, TruncatedReply, line_bytes, logprob, now, truncated_reply
from power.api.errors import ndjson_error
from power.errors import PowerError
from power.events import Finished, Logprob, Progress, Text
from power.generate import Reply
from power.messages import ToolCall


class FunctionReply(msgspec.Struct, frozen=True):
    index: int
    name: str
    arguments: dict[str, Any]


class ToolCallReply(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    id: str = ""  # of chat
    function: FunctionReply


class MessageReply(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    role: str
    content: str
    thinking: str = ""
    tool_calls: list[ToolCallReply] = []


class DebugInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    rendered_template: str
    image_count: int = 0


class Chunk(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One line of either stream, or the whole answer; fields in Ollama's order."""

    model: str
    created_at: str
    response: str | None = None  # of generate, and there always a string
    message: MessageReply | None = None  # of chat, and there always an object
    thinking: str = ""
    status: str | None = None  # ours, as the next: what there is to tell before the answer
    progress: Progress | None = None
    done: bool
    done_reason: str | None = None
    context: tuple[int, ...] = ()
    total_duration: int | None = None  # ns, as are all of these
    load_duration: int | None = None
    prompt_eval_count: int | None = None  # tokens, the cached ones too
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None
    tool_calls: list[ToolCallReply] = []  # of generate
    debug_info: DebugInfo | None = msgspec.field(name="_debug_info", default=None)
    logprobs: list[LogprobReply] = []
    truncated: TruncatedReply | None = None
    format_ignored: tuple[str, ...] = ()  # ours: pointers to what of the format the answer was not held to


class NativeEncoder:
    """Both streams; what differs is where an answer's text stands in a chunk."""

    content_type = NDJSON

    def __init__(self, model: str, reply: Reply | None = None) -> None:
        self._model = model
        self._n_calls = 0

    def progress(self, event: Progress) -> bytes:
        """A line like the others, with an empty text: clients check them for that."""
        return line_bytes(self.empty(done=False, status=status_of(event), progress=event)) + b"\n"

    def text(self, event: Text) -> bytes:
        if not (event.content or event.thinking or event.tool_calls or event.logprobs):
            return b""  # half a tag, half a tool call: nothing to tell yet
        placed = self.place(event.content, event.thinking, self._calls(event.tool_calls))
        logprobs = _logprobs(event.logprobs)
        return line_bytes(self.chunk(**placed, done=False, logprobs=logprobs)) + b"\n"

    def finished(self, event: Finished) -> bytes:
        return line_bytes(self.chunk(**self.place("", "", []), **_metrics(event))) + b"\n"

    def failed(self, error: PowerError) -> bytes:
        return ndjson_error(error)

    def whole(self, answer: Answer) -> Chunk:
        """All of the answer as one object."""
        placed = self.place(answer.content, answer.thinking, self._calls(answer.tool_calls))
        return self.chunk(**placed, **_metrics(answer.finished), logprobs=_logprobs(answer.logprobs))

    def empty(self, **fields: Any) -> Chunk:
        """The object that answers a request for anything but text."""
        return self.chunk(**self.place("", "", []), **fields)

    def chunk(self, **fields: Any) -> Chunk:
        return Chunk(model=self._model, created_at=now(), **fields)

    def place(self, content: str, thinking: str, calls: list[ToolCallReply]) -> dict[str, Any]:
        raise NotImplementedError

    def _calls(self, calls: tuple[ToolCall, ...]) -> list[ToolCallReply]:
        first = self._n_calls
        self._n_calls += len(calls)
        return [
            ToolCallReply(id=call.id, function=FunctionReply(first + i, call.name, call.arguments))
            for i, call in enumerate(calls)
        ]


class ChatEncoder(NativeEncoder):
    def place(self, content: str, thinking: str, calls: list[ToolCallReply]) -> dict[str, Any]:
        return {"message": MessageReply(role="assistant", content=content, thinking=thinking, tool_calls=calls)}


class GenerateEncoder(NativeEncoder):
    """Generate's stream.

    The last line also has the tokens of prompt and answer, to go on from, and all
    calls: without ids, since no result is sent back here.
    """

    def __init__(self, model: str, reply: Reply | None = None) -> None:
        super().__init__(model)
        self._tokens = list(reply.prompt_tokens) if reply else []
        self._want_tokens = bool(self._tokens)
        self._called: list[ToolCallReply] = []

    def text(self, event: Text) -> bytes:
        if self._want_tokens:
            self._tokens += event.tokens
        self._called += self._calls(event.tool_calls)
        return super().text(msgspec.structs.replace(event, tool_calls=()))

    def finished(self, event: Finished) -> bytes:
        chunk = self.chunk(**self.place("", "", self._called), **_metrics(event), context=tuple(self._tokens))
        return line_bytes(chunk) + b"\n"

    def whole(self, answer: Answer) -> Chunk:
        context = answer.prompt_tokens + answer.tokens if answer.prompt_tokens else ()
        return msgspec.structs.replace(super().whole(answer), context=context)

    def place(self, content: str, thinking: str, calls: list[ToolCallReply]) -> dict[str, Any]:
        nameless = [ToolCallReply(function=call.function) for call in calls]
        return {"response": content, "thinking": thinking, "tool_calls": nameless}


def _logprobs(items: tuple[Logprob, ...]) -> list[LogprobReply]:
    return [logprob(item) for item in items]


def _metrics(event: Finished) -> dict[str, Any]:
    return {
        "done": True,
        "done_reason": event.reason,
        "total_duration": event.total_ns,
        "load_duration": event.load_ns,
        "prompt_eval_count": event.n_prompt,
        "prompt_eval_duration": event.prefill_ns,
        "eval_count": event.n_generated,
        "eval_duration": event.decode_ns,
        "truncated": truncated_reply(event.truncated),
        "format_ignored": event.format_ignored,
    }
