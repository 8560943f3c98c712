"""Values as bytes: JSON, times, and the responses that carry them.

Everything a client reads goes through here or through the two encoders that
`native` and `openai` build on it; a chunk of a stream is made for every token,
so what can be kept between chunks is kept.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from quart_trio.wrappers import TrioResponse

from power.events import Logprob, TopLogprob, Truncated

Response = TrioResponse

JSON = "application/json; charset=utf-8"
NDJSON = "application/x-ndjson"
SSE = "text/event-stream"
TEXT = "text/plain; charset=utf-8"

# JSON has no infinity, and OpenAI's own stand-in for "never" is this number.
NEVER = -9999.0

json_bytes = msgspec.json.Encoder().encode


def line_bytes(value: Any) -> bytes:
    """JSON on what every client takes for one line.

    To Python's `str.splitlines`, and so to httpx and to the `ollama` package on top
    of it, U+0085, U+2028 and U+2029 end a line, too, and JSON may hold them bare.
    """
    data = json_bytes(value)
    if b"\xc2\x85" in data or b"\xe2\x80" in data:
        data = data.replace(b"\xc2\x85", b"\\u0085")
        data = data.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return data


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json_bytes(value), status, dict(headers or {}), content_type=JSON)


def text_response(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(text, status, dict(headers or {}), content_type=TEXT)


def stream_response(
    chunks: AsyncGenerator[bytes, None], content_type: str, headers: Mapping[str, str] | None = None
) -> Response:
    """A response that ends when `chunks` does; each chunk leaves as soon as it is made."""
    caching = {"Cache-Control": "no-cache"} if content_type == SSE else {}
    return Response(chunks, 200, caching | dict(headers or {}), content_type=content_type)


class Clock:
    """RFC 3339 in UTC to the nanosecond, trailing zeros cut, as Go prints it."""

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def now(self) -> str:
        return self.format(time.time_ns())

    def format(self, ns: int) -> str:
        second, fraction = divmod(ns, 1_000_000_000)
        if second != self._second:  # the expensive half is the same for a second's worth of tokens
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        if not fraction:
            return self._prefix + "Z"
        return f"{self._prefix}.{fraction:09}".rstrip("0") + "Z"


now = Clock().now


def local_time(moment: datetime) -> str:
    """RFC 3339 with the local zone's offset, as Ollama writes file times and expiries."""
    return moment.astimezone().isoformat().replace("+00:00", "Z")


class TopReply(msgspec.Struct, frozen=True):
    token: str
    logprob: float
    bytes: tuple[int, ...]


class LogprobReply(msgspec.Struct, frozen=True, omit_defaults=True):
    token: str
    logprob: float
    bytes: tuple[int, ...]
    top_logprobs: list[TopReply] | None = None


def logprob(item: Logprob, *, always_top: bool = False) -> LogprobReply:
    """One token's log probability as both APIs write it; `always_top` also writes an empty list."""
    top = [_top(other) for other in item.top]
    return LogprobReply(item.token, max(item.logprob, NEVER), item.bytes, top if top or always_top else None)


def _top(item: TopLogprob) -> TopReply:
    return TopReply(item.token, max(item.logprob, NEVER), item.bytes)


class TruncatedReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """Not Ollama's, which leaves out as much and does not say so."""

    prompt_tokens: int  # of the whole prompt
    num_ctx: int
    messages: int = 0  # left out, the oldest ones
    tokens: int = 0  # left out, of a `context` or of what was still too long


def truncated_reply(truncated: Truncated | None) -> TruncatedReply | None:
    if truncated is None:
        return None
    return TruncatedReply(truncated.n_prompt, truncated.n_ctx, truncated.n_messages, truncated.n_tokens)


def truncated_headers(truncated: Truncated | None) -> dict[str, str]:
    """What tells of a shortened prompt before the answer is over."""
    if truncated is None:
        return {}
    named = msgspec.to_builtins(truncated_reply(truncated))
    return {"X-Power-Truncated": ", ".join(f"{name}={value}" for name, value in named.items())}
