"""A stream that tells of the wait before its text, for those who ask (`return_progress`).

The generation is entered by a task of its own, while the stream looks every now
and then where it stands, and tells what has changed.  So it tells at most four
times a second, nothing piles up for a client that does not read, and what fails
before there was anything to tell still has its own status.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import trio
from msgspec.structs import replace

from power.api.answer import Encoder, encode
from power.api.encode import Response, stream_response, truncated_headers
from power.api.errors import as_power_error
from power.api.requests import Request
from power.errors import Overloaded
from power.events import Finished, Prefill, Progress, Text
from power.generate import Generation, Power, Reply, Watch, open_generation

PERIOD = 0.25  # seconds between two looks


class Beginning:
    """A generation until its first event; from then on it is the exchange's."""

    def __init__(self, exchange: AsyncExitStack, power: Power, generation: Generation) -> None:
        self.reply: Reply | None = None  # known when it has begun
        self._exchange = exchange
        self._power = power
        self._generation = generation
        self._watch = Watch()
        self._over = trio.Event()
        self._first: Text | Finished | None = None
        self._error: Exception | None = None
        self._told: Progress | None = None

    async def run(self) -> None:
        """Begin; what fails is raised by `news`."""
        try:
            async with AsyncExitStack() as stack:
                opening = open_generation(self._power, self._generation, self._watch)
                reply = await stack.enter_async_context(opening)
                self._first = await anext(reply.events)
                self.reply = reply
                # Only now: whoever leaves the exchange must not close what is being waited for in here.
                self._exchange.push_async_exit(stack.pop_all())
        except Exception as error:
            self._error = error
        self._over.set()

    async def news(self) -> Progress | None:
        """Where the request stands, once that is something new; None: it has begun.

        Raises:
            PowerError: whatever forbids the generation.
        """
        while True:
            with trio.move_on_after(PERIOD):
                await self._over.wait()
            if self._error is not None:
                raise self._error
            if self._over.is_set():
                return None
            progress = self._watch.look()
            if isinstance(progress, Prefill) and not isinstance(self._told, Prefill):
                progress = _start(progress)
            if progress is not None and progress != self._told:
                self._told = progress
                return progress

    def rest(self) -> list[Prefill]:
        """Of the prompt, what was too quick to be told: as from llama-server there is always a start, and an end."""
        last = self._watch.prefilled
        if last is None or last == self._told:
            return []
        end = replace(last, processed=last.total)
        return [end] if isinstance(self._told, Prefill) else [_start(last), end]

    @property
    def begun(self) -> tuple[Reply, Text | Finished]:
        assert self.reply is not None
        assert self._first is not None
        return self.reply, self._first


async def stream_with_progress(
    power: Power, request: Request, generation: Generation, encoder: Callable[[Reply | None], Encoder]
) -> Response:
    """Answer event by event, from the wait on.

    What fails before there is anything to tell is raised, with its status.
    """
    beginning = await request.exchange.enter_async_context(_begin(request.exchange, power, generation))
    progress = await beginning.news()
    headers = truncated_headers(beginning.reply.truncated if beginning.reply else None)
    return stream_response(_told(power, beginning, progress, encoder), encoder(None).content_type, headers)


def _start(prefill: Prefill) -> Prefill:
    return replace(prefill, processed=prefill.cache, time_ms=0.0)


@asynccontextmanager
async def _begin(exchange: AsyncExitStack, power: Power, generation: Generation) -> AsyncIterator[Beginning]:
    async with trio.open_nursery() as nursery:
        beginning = Beginning(exchange, power, generation)
        nursery.start_soon(beginning.run)
        yield beginning
        nursery.cancel_scope.cancel()


async def _told(
    power: Power, beginning: Beginning, progress: Progress | None, encoder: Callable[[Reply | None], Encoder]
) -> AsyncGenerator[bytes, None]:
    """The stream's bytes. Owns nothing: all that is open is the exchange's."""
    made = encoder(None)
    try:
        while progress is not None:
            yield made.progress(progress)
            progress = await beginning.news()
        reply, first = beginning.begun
        made = encoder(reply)
        for prefill in beginning.rest():
            yield made.progress(prefill)
        yield encode(first, made)
        async for event in reply.events:
            yield encode(event, made)
    except Exception as error:  # the status is long out: the stream itself has to say it
        ours = as_power_error(error)
        if isinstance(ours, Overloaded):
            power.metrics.rejected.labels(ours.reason).inc()
        yield made.failed(ours)
