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
from power.api.encode import SSE, LogprobReply, line_bytes, logprob
from power.api.errors import sse_error
from power.api.openai_calls import CallStream, ToolCallReply, said, whole_calls
from power.errors import PowerError
from power.events import Finished, Loading, Logprob, Prefill, Progress, Queued, Text

FINGERPRINT = "fp_ollama"
DONE = b"data: [DONE]\n\n"


class CachedTokens(msgspec.Struct, frozen=True):
    cached_tokens: int


class Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int  # the cached ones too
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


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
        self._calls = CallStream()
        self._is_first = True

    def choice(self, index: int) -> Self:
        other = super().choice(index)
        other._calls = CallStream()
        return other

    def text(self, event: Text) -> bytes:
        """Thinking before content, each in an event of its own, since clients look at one field at a time."""
        logprobs = _chat_logprobs(event.content_logprobs)
        chunks = b""
        if event.thinking:
            chunks = self._delta(UNSET, content="", reasoning=event.thinking, reasoning_content=event.thinking)
        content = said(event.content, event.unfinished)
        if content or logprobs:
            chunks += self._delta(logprobs, content=content)
        for call in self._calls.deltas(event):
            begins: dict[str, str] = {} if call.id is UNSET else {"content": ""}
            chunks += self._delta(UNSET, tool_calls=[call], **begins)
        return chunks

    def nothing(self) -> ChatChoice:
        return ChatChoice(index=self._index, delta=Delta(role="assistant", content=""))

    def last(self, event: Finished) -> bytes:
        opening = self._delta(UNSET, content="") if self._is_first else b""
        reason = _finish_reason(event, self._calls.n_whole)
        choice = ChatChoice(index=self._index, delta=Delta(), finish_reason=reason)
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
        message = Delta(
            role="assistant",
            content=said(answer.content, answer.unfinished),
            reasoning=answer.thinking or UNSET,
            reasoning_content=answer.thinking or UNSET,
            tool_calls=whole_calls(answer.tool_calls, answer.unfinished) or UNSET,
        )
        logprobs = _chat_logprobs(answer.content_logprobs)
        return ChatChoice(
            index=index,
            message=message,
            finish_reason=_finish_reason(answer.finished, len(answer.tool_calls)),
            logprobs=ChatLogprobs([]) if self._has_logprobs and logprobs is UNSET else logprobs,
        )

    def _delta(self, logprobs: ChatLogprobs | UnsetType, **fields: Any) -> bytes:
        role = "assistant" if self._is_first else UNSET
        self._is_first = False
        choice = ChatChoice(index=self._index, delta=Delta(role=role, **fields), logprobs=logprobs)
        return self._event([choice])


def _finish_reason(event: Finished, n_calls: int) -> str:
    return "tool_calls" if n_calls and event.reason == "stop" else event.reason


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
