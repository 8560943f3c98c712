"""What `/v1/chat/completions` answers: server-sent events, or one object.

The frame around the choices is shared with `/v1/completions`.
"""

from __future__ import annotations

import secrets
import time
from copy import copy
from typing import Any, Self

import msgspec
from msgspec import UNSET, UnsetType

from power.api.answer import Answer, status_of
from power.api.encode import SSE, LogprobReply, json_bytes, line_bytes, logprob
from power.api.errors import sse_error
from power.errors import PowerError
from power.events import Finished, Loading, Logprob, Prefill, Progress, Queued, Text
from power.messages import ToolCall

FINGERPRINT = "fp_ollama"
DONE = b"data: [DONE]\n\n"


class CachedTokens(msgspec.Struct, frozen=True):
    cached_tokens: int


class Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int  # the cached ones too
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


class FunctionReply(msgspec.Struct, frozen=True, kw_only=True):
    name: str | UnsetType = UNSET
    arguments: str  # JSON, or the next bit of it


class ToolCallReply(msgspec.Struct, frozen=True, kw_only=True):
    id: str | UnsetType = UNSET
    index: int
    type: str | UnsetType = UNSET
    function: FunctionReply


class ChatLogprobs(msgspec.Struct, frozen=True):
    content: list[LogprobReply]


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """A message, whole or the next bit of it."""

    role: str | UnsetType = UNSET
    content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET  # as Ollama and OpenRouter call it
    reasoning_content: str | UnsetType = UNSET  # the same, as DeepSeek, llama-server and vLLM call it
    tool_calls: list[ToolCallReply] | UnsetType = UNSET


class ChatChoice(msgspec.Struct, frozen=True, kw_only=True):
    index: int = 0
    message: Delta | UnsetType = UNSET
    delta: Delta | UnsetType = UNSET
    finish_reason: str | None = None
    logprobs: ChatLogprobs | UnsetType = UNSET


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """One event of either stream, or the whole answer."""

    id: str
    object: str
    created: int  # seconds since the epoch; the same in all of a stream
    model: str
    system_fingerprint: str = FINGERPRINT
    choices: list[Any]
    usage: Usage | UnsetType = UNSET
    status: str | UnsetType = UNSET  # ours, as the next: what there is to tell before the answer
    progress: Loading | Queued | UnsetType = UNSET
    prompt_progress: Prefill | UnsetType = UNSET  # llama-server's
    format_ignored: tuple[str, ...] | UnsetType = UNSET  # ours: pointers to what the answer was not held to
    debug_info: Any = msgspec.field(name="_debug_info", default=UNSET)


class OpenAIEncoder:
    """What both streams share: the frame around the choices, the end, usage and errors."""

    content_type = SSE
    prefix: str
    objects: tuple[str, str]  # what a part of the stream and what the whole calls itself

    def __init__(self, model: str, *, include_usage: bool = False, has_logprobs: bool = False) -> None:
        self._model = model
        self._include_usage = include_usage
        self._has_logprobs = has_logprobs
        self._id = f"{self.prefix}-{secrets.token_hex(12)}"
        self._created = int(time.time())
        self._index = 0

    def choice(self, index: int) -> Self:
        """The encoder of one of several answers in the same stream."""
        other = copy(self)
        other._index = index
        return other

    def progress(self, event: Progress) -> bytes:
        """An event like the others, with an empty text: clients look at the first choice unasked."""
        place = {"prompt_progress": event} if isinstance(event, Prefill) else {"progress": event}
        return self._event([self.nothing()], status=status_of(event), **place)

    def nothing(self) -> Any:
        """A choice with an empty text."""
        raise NotImplementedError

    def finished(self, event: Finished) -> bytes:
        return self.last(event) + self.end(usage_of(event))

    def end(self, usage: Usage) -> bytes:
        """What comes after the last answer."""
        return (self._event([], usage=usage) if self._include_usage else b"") + DONE

    def failed(self, error: PowerError) -> bytes:
        return sse_error(error)

    def text(self, event: Text) -> bytes:
        raise NotImplementedError

    def last(self, event: Finished) -> bytes:
        """An answer's end."""
        raise NotImplementedError

    def completion(self, choices: list[Any], *, whole: bool, **fields: Any) -> Completion:
        kind = self.objects[whole]
        return Completion(id=self._id, object=kind, created=self._created, model=self._model, choices=choices, **fields)

    def finished_whole(self, choices: list[Any], answers: list[Answer], usage: Usage) -> Completion:
        ignored = answers[0].finished.format_ignored or UNSET
        return self.completion(choices, whole=True, usage=usage, format_ignored=ignored)

    def _event(self, choices: list[Any], **fields: Any) -> bytes:
        return b"data: " + line_bytes(self.completion(choices, whole=False, **fields)) + b"\n\n"


class ChatEncoder(OpenAIEncoder):
    prefix = "chatcmpl"
    objects = ("chat.completion.chunk", "chat.completion")

    def __init__(self, model: str, *, include_usage: bool = False, has_logprobs: bool = False) -> None:
        super().__init__(model, include_usage=include_usage, has_logprobs=has_logprobs)
        self._n_calls = 0
        self._is_first = True

    def text(self, event: Text) -> bytes:
        """Thinking before content, each in an event of its own, since clients look at one field at a time."""
        logprobs = _chat_logprobs(event.content_logprobs)
        chunks = b""
        if event.thinking:
            chunks = self._delta(UNSET, content="", reasoning=event.thinking, reasoning_content=event.thinking)
        if event.content or logprobs:
            chunks += self._delta(logprobs, content=event.content)
        for call in self._calls(event.tool_calls):
            chunks += self._call(call)
        return chunks

    def nothing(self) -> ChatChoice:
        return ChatChoice(index=self._index, delta=Delta(role="assistant", content=""))

    def _call(self, call: ToolCallReply) -> bytes:
        """A call as clients put it together: its name first, then its arguments."""
        named = FunctionReply(name=call.function.name, arguments="")
        first = msgspec.structs.replace(call, function=named)
        rest = ToolCallReply(index=call.index, function=FunctionReply(arguments=call.function.arguments))
        return self._delta(UNSET, content="", tool_calls=[first]) + self._delta(UNSET, tool_calls=[rest])

    def last(self, event: Finished) -> bytes:
        opening = self._delta(UNSET, content="") if self._is_first else b""
        choice = ChatChoice(index=self._index, delta=Delta(), finish_reason=self._finish_reason(event))
        return opening + self._event([choice], format_ignored=event.format_ignored or UNSET)

    def whole(self, answers: list[Answer], usage: Usage) -> Completion:
        """All of the answers as one object."""
        choices = [self._choice(index, answer) for index, answer in enumerate(answers)]
        return self.finished_whole(choices, answers, usage)

    def rendered(self, info: Any) -> Completion:
        """The object that answers a request for the rendered prompt alone."""
        choice = ChatChoice(message=Delta(role="assistant", content=""))
        return self.completion([choice], whole=True, debug_info=info)

    def _choice(self, index: int, answer: Answer) -> ChatChoice:
        self._n_calls = 0
        message = Delta(
            role="assistant",
            content=answer.content,
            reasoning=answer.thinking or UNSET,
            reasoning_content=answer.thinking or UNSET,
            tool_calls=self._calls(answer.tool_calls) or UNSET,
        )
        logprobs = _chat_logprobs(answer.content_logprobs)
        return ChatChoice(
            index=index,
            message=message,
            finish_reason=self._finish_reason(answer.finished),
            logprobs=ChatLogprobs([]) if self._has_logprobs and logprobs is UNSET else logprobs,
        )

    def _delta(self, logprobs: ChatLogprobs | UnsetType, **fields: Any) -> bytes:
        role = "assistant" if self._is_first else UNSET
        self._is_first = False
        choice = ChatChoice(index=self._index, delta=Delta(role=role, **fields), logprobs=logprobs)
        return self._event([choice])

    def _finish_reason(self, event: Finished) -> str:
        return "tool_calls" if self._n_calls and event.reason == "stop" else event.reason

    def _calls(self, calls: tuple[ToolCall, ...]) -> list[ToolCallReply]:
        first = self._n_calls
        self._n_calls += len(calls)
        return [
            ToolCallReply(
                id=call.id,
                index=first + i,
                type="function",
                function=FunctionReply(name=call.name, arguments=json_bytes(call.arguments).decode()),
            )
            for i, call in enumerate(calls)
        ]


def usage_of(event: Finished | None) -> Usage:
    if event is None:
        return Usage(0, 0, 0, CachedTokens(0))
    total = event.n_prompt + event.n_generated
    return Usage(event.n_prompt, event.n_generated, total, CachedTokens(event.n_cached))


def sum_of(answers: list[Finished], n_prompts: int = 1) -> Usage:
    """Of several answers to each of `n_prompts` prompts, one prompt after the other: a prompt counts once."""
    firsts = answers[:: len(answers) // n_prompts]
    n_prompt, n_generated = sum(a.n_prompt for a in firsts), sum(a.n_generated for a in answers)
    return Usage(n_prompt, n_generated, n_prompt + n_generated, CachedTokens(sum(a.n_cached for a in firsts)))


def _chat_logprobs(items: tuple[Logprob, ...]) -> ChatLogprobs | UnsetType:
    return ChatLogprobs([logprob(item, always_top=True) for item in items]) if items else UNSET
