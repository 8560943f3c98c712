"""`/api/blobs/:digest`: files on their way into models, and out of them."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from typing import BinaryIO

import trio

from power.api.encode import Response, stream_response
from power.api.requests import Request
from power.errors import BodyTooSlow
from power.generate import Power

STALL_SECONDS = 60.0  # without a byte; an upload as a whole may take as long as it takes
PIECE_BYTES = 2**20  # of a blob read at once
BYTES = "application/octet-stream"


class Upload:
    """The body's bytes as they come. Raises BodyTooSlow where they stop coming."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __aiter__(self) -> Upload:
        return self

    async def __anext__(self) -> bytes:
        with trio.move_on_after(STALL_SECONDS):
            try:
                return await anext(self._request.body)
            except StopAsyncIteration:
                self._request.is_read = True
                raise
        raise BodyTooSlow("the blob stopped arriving")


async def put(power: Power, request: Request, digest: str) -> Response:
    """Store the body, 201; if there is such a blob it is not read, 200."""
    is_new = await power.store.put_blob(Upload(request), digest)
    return Response(b"", 201 if is_new else 200)


async def get(power: Power, request: Request, digest: str) -> Response:
    """The blob, or (HEAD) whether there is one."""
    file = await trio.to_thread.run_sync(power.store.open_blob, digest)
    request.exchange.enter_context(file)
    size = os.fstat(file.fileno()).st_size
    if request.method == "HEAD":
        response = Response(b"", 200, content_type=BYTES)
    else:
        response = stream_response(_pieces(file), BYTES)
    response.content_length = size
    return response


async def _pieces(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    while data := await trio.to_thread.run_sync(file.read, PIECE_BYTES):
        yield data


async def delete(power: Power, request: Request, digest: str) -> Response:
    """Remove a blob that no model refers to."""
    await trio.to_thread.run_sync(power.store.delete_blob, digest)
    return Response(b"", 200)
