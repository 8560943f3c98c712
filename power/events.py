"""What comes out of a generation, in order.

`Accepted` once, any number of `Text`, then `Finished` once.  A generation that
fails raises a `PowerError` instead of going on; one that was cancelled just
ends with its scope.  `Progress` is what can be told of one before its first text.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from power.messages import CallPart, ToolCall

StopReason = Literal["stop", "length"]


class TopLogprob(msgspec.Struct, frozen=True):
    """One token that could have been chosen, and the natural log of its probability."""

    token: str
    logprob: float
    bytes: tuple[int, ...]


class Logprob(msgspec.Struct, frozen=True):
    """The token that was chosen, with the likeliest alternatives (likeliest first)."""

    token: str
    logprob: float
    bytes: tuple[int, ...]
    top: tuple[TopLogprob, ...] = ()


class Loading(msgspec.Struct, frozen=True, omit_defaults=True):
    """The model is on its way into memory, or waits for room there."""

    loaded: float  # 0.0 … 1.0
    position: int = 0  # in the line of those that wait for room, 1 being next; 0: it does not wait


class Queued(msgspec.Struct, frozen=True):
    """It waits for a slot of its model."""

    position: int  # 1: it is next


class Prefill(msgspec.Struct, frozen=True):
    """The prompt is being read; in llama-server's words."""

    total: int  # tokens
    cache: int  # of which need not be computed
    processed: int  # of which are in the KV cache, the `cache` ones too
    time_ms: float  # since the first slot


Progress = Loading | Queued | Prefill


class Accepted(msgspec.Struct, frozen=True):
    """The prompt is in a slot; its first token is now a matter of computing."""

    n_prompt: int  # tokens
    n_cached: int  # of which were in the KV cache already


class Unfinished(msgspec.Struct, frozen=True):
    """Calls that the end of the answer cut off, after parts of them had been told."""

    calls: tuple[CallPart, ...]  # all that there is of each
    text: str  # the same as it was written, which also ends the content: who reads no parts misses nothing


class Text(msgspec.Struct, frozen=True):
    """Some more of the answer; all empty but `tokens` while a tag or a tool call is still incomplete."""

    content: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()  # whole
    parts: tuple[CallPart, ...] = ()  # of calls that are being written, which come whole as well
    unfinished: Unfinished | None = None
    tokens: tuple[int, ...] = ()
    logprobs: tuple[Logprob, ...] = ()  # of all tokens, those of thinking and of tags, too
    content_logprobs: tuple[Logprob, ...] = ()  # of those that the content is made of


class Truncated(msgspec.Struct, frozen=True, kw_only=True):
    """The prompt did not fit, and the oldest of it was left out."""

    n_prompt: int  # tokens, all of them
    n_ctx: int  # tokens that there is room for, the answer's too
    n_messages: int = 0  # left out, of a conversation
    n_tokens: int = 0  # left out, of a `context` or out of the middle of what was still too long

    def __str__(self) -> str:
        counts = (self.n_messages, "messages"), (self.n_tokens, "tokens")
        return " and ".join(f"{count} {what}" for count, what in counts if count)


class Finished(msgspec.Struct, frozen=True):
    """The answer is complete."""

    reason: StopReason
    n_prompt: int  # tokens
    n_cached: int
    n_generated: int  # tokens, the end token not counted
    load_ns: int  # waiting for the model to be in memory
    queue_ns: int  # waiting for a slot
    prefill_ns: int  # from the slot to the first token
    decode_ns: int  # from the first token to the last
    total_ns: int
    truncated: Truncated | None = None  # None: the whole prompt was read
    format_ignored: tuple[str, ...] = ()  # JSON pointers into a schema, to keywords that the answer was not held to
