"""From a generation to a response, streamed or whole; both APIs' handlers end here.

A stream's generation is entered on the exchange, so that it ends with the last
byte or with the client; a whole answer's is left before the answer is sent, so
that its slot is free by then.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol

import msgspec
import trio

from power.api.encode import Response, stream_response, truncated_headers
from power.api.errors import as_power_error
from power.api.requests import Request
from power.errors import PowerError
from power.events import Finished, Loading, Logprob, Progress, Queued, Text, Unfinished
from power.generate import Generation, Power, Reply, open_generation
from power.messages import ToolCall


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """All of a generation's events, put together."""

    content: str
    thinking: str
    tool_calls: tuple[ToolCall, ...]
    unfinished: Unfinished | None
    logprobs: tuple[Logprob, ...]
    content_logprobs: tuple[Logprob, ...]
    prompt_tokens: tuple[int, ...]
    tokens: tuple[int, ...]
    finished: Finished


class Encoder(Protocol):
    """Events as one stream's bytes, in order; it may remember what it has sent. No bytes: nothing to tell yet."""

    content_type: str

    def progress(self, event: Progress) -> bytes: ...

    def text(self, event: Text) -> bytes: ...

    def finished(self, event: Finished) -> bytes: ...

    def failed(self, error: PowerError) -> bytes: ...


async def complete(power: Power, generation: Generation) -> Answer:
    """Generate all of it; raises what the generation raises."""
    async with open_generation(power, generation) as reply:
        events = [event async for event in reply.events]
        return put_together(reply.prompt_tokens, events)


async def complete_all(power: Power, generations: list[Generation]) -> list[Answer]:
    """Generate all of several at once, in their order; if one fails, all do. Each takes a place of its own."""
    answers: list[Answer | None] = [None] * len(generations)

    async def fill(index: int) -> None:
        answers[index] = await complete(power, generations[index])

    if len(generations) == 1:  # without a group around what it raises
        return [await complete(power, generations[0])]
    async with trio.open_nursery() as nursery:
        for index in range(len(generations)):
            nursery.start_soon(fill, index)
    return [answer for answer in answers if answer is not None]


def put_together(prompt_tokens: tuple[int, ...], events: list[Text | Finished]) -> Answer:
    texts = [event for event in events if isinstance(event, Text)]
    return Answer(
        content="".join(text.content for text in texts),
        thinking="".join(text.thinking for text in texts),
        tool_calls=tuple(call for text in texts for call in text.tool_calls),
        unfinished=next((text.unfinished for text in texts if text.unfinished), None),
        logprobs=tuple(item for text in texts for item in text.logprobs),
        content_logprobs=tuple(item for text in texts for item in text.content_logprobs),
        prompt_tokens=prompt_tokens,
        tokens=tuple(token for text in texts for token in text.tokens),
        finished=_last(events),
    )


def _last(events: list[Text | Finished]) -> Finished:
    if not events or not isinstance(events[-1], Finished):
        raise AssertionError("a generation ended without saying so")
    return events[-1]


async def stream(
    power: Power, request: Request, generation: Generation, encoder: Callable[[Reply | None], Encoder]
) -> Response:
    """Answer event by event. What fails before the first event is raised, with its status; later it is a line."""
    reply = await request.exchange.enter_async_context(open_generation(power, generation))
    first = await anext(reply.events)
    made = encoder(reply)
    events = encoded(first, reply.events, made)
    return stream_response(events, made.content_type, truncated_headers(reply.truncated))


async def encoded(
    first: Text | Finished, events: AsyncIterator[Text | Finished], encoder: Encoder
) -> AsyncGenerator[bytes, None]:
    """The stream's bytes. Owns nothing: `events` is closed by whoever opened the generation."""
    try:
        yield encode(first, encoder)
        async for event in events:
            yield encode(event, encoder)
    except Exception as error:  # the status is long out: the stream itself has to say it
        yield encoder.failed(as_power_error(error))


def encode(event: Text | Finished, encoder: Encoder) -> bytes:
    return encoder.text(event) if isinstance(event, Text) else encoder.finished(event)


def status_of(progress: Progress) -> str:
    """The word for it."""
    match progress:
        case Loading():
            return "loading"
        case Queued():
            return "queued"
        case _:
            return "prefill"
