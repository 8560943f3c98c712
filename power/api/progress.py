"""Answers that tell how far a piece of work is: create, pull and push.

The work runs as long as somebody follows it, and its last word is "success".
Who does not want a stream gets that word alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager

from power.api.encode import NDJSON, Response, json_response, line_bytes, stream_response
from power.api.errors import as_power_error, ndjson_error
from power.api.requests import Request
from power.store import Progress

Following = AbstractAsyncContextManager[AsyncIterator[Progress]]


async def progress_response(request: Request, following: Following, *, stream: bool | None) -> Response:
    """Follow the work. What fails before its first word is raised, with its status; later it is a line."""
    if stream is False:
        async with following as events:
            async for _ in events:
                pass
        return json_response({"status": "success"})
    events = await request.exchange.enter_async_context(following)
    first = await anext(events)
    return stream_response(_lines(first, events), NDJSON)


async def _lines(first: Progress, events: AsyncIterator[Progress]) -> AsyncGenerator[bytes, None]:
    """The stream's bytes. Owns nothing: whoever entered the following leaves it."""
    try:
        yield line_bytes(first) + b"\n"
        async for event in events:
            yield line_bytes(event) + b"\n"
    except Exception as error:  # the status is long out: the stream itself has to say it
        yield ndjson_error(as_power_error(error))
