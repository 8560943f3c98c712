"""Several answers in one stream: each event says which choice it belongs to.

Every generation has a task; they meet in a channel without a buffer, so a client
that reads slowly is waited for, and what the models say meanwhile stays in their
mailboxes, which are bounded.  If one answer fails, the stream ends with that.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import trio

from power.api.encode import Response, stream_response
from power.api.errors import as_power_error
from power.api.openai_replies import OpenAIEncoder, sum_of
from power.api.requests import Request
from power.events import Finished, Text
from power.generate import Generation, Power, open_generation

Event = tuple[int, Text | Finished | Exception]
"""Which answer, and what of it."""


async def stream_several(
    power: Power, request: Request, generations: list[Generation], encoder: OpenAIEncoder, n_prompts: int
) -> Response:
    """Answer event by event. What fails before the first event is raised, with its status; later it is an event."""
    events = await request.exchange.enter_async_context(_merged(power, generations))
    which, first = await events.receive()
    if isinstance(first, Exception):
        raise first
    made = [encoder.choice(index) for index in range(len(generations))]
    return stream_response(_encoded((which, first), events, made, n_prompts), encoder.content_type)


@asynccontextmanager
async def _merged(power: Power, generations: list[Generation]) -> AsyncIterator[trio.MemoryReceiveChannel[Event]]:
    send, receive = trio.open_memory_channel[Event](0)
    async with trio.open_nursery() as nursery:
        with send:
            for index, generation in enumerate(generations):
                nursery.start_soon(_run, power, generation, index, send.clone())
        yield receive
        nursery.cancel_scope.cancel()


async def _run(power: Power, generation: Generation, index: int, send: trio.MemorySendChannel[Event]) -> None:
    with send:
        try:
            async with open_generation(power, generation) as reply:
                async for event in reply.events:
                    await send.send((index, event))
        except Exception as error:  # for whoever makes the stream
            await send.send((index, error))


async def _encoded(
    first: Event, events: trio.MemoryReceiveChannel[Event], encoders: list[OpenAIEncoder], n_prompts: int
) -> AsyncGenerator[bytes, None]:
    """The stream's bytes. Owns nothing: all that is open is the exchange's."""
    ends: dict[int, Finished] = {}
    event: Event | None = first
    while event is not None:
        match event:
            case index, Text() as text:
                yield encoders[index].text(text)
            case index, Finished() as finished:
                ends[index] = finished
                yield encoders[index].last(finished)
            case index, Exception() as error:
                yield encoders[index].failed(as_power_error(error))
                return
        event = await anext(events, None)
    yield encoders[0].end(sum_of([ends[index] for index in sorted(ends)], n_prompts))
