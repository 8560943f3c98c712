"""`/api/copy` and `/api/delete`."""

from __future__ import annotations

import msgspec
import trio

from power.api.encode import Response
from power.api.requests import Request, body_decoder, decode, read_body
from power.errors import BadRequest, ModelNotFound
from power.generate import Power


class CopyBody(msgspec.Struct, kw_only=True):
    source: str | None = None
    destination: str | None = None


class DeleteBody(msgspec.Struct, kw_only=True):
    model: str | None = None
    name: str | None = None  # what `model` was called once


_copy_body = body_decoder(CopyBody)
_delete_body = body_decoder(DeleteBody)


async def copy(power: Power, request: Request) -> Response:
    body = decode(_copy_body, await read_body(request, power.config.max_body_bytes))
    source, destination = body.source or "", body.destination or ""
    try:
        await trio.to_thread.run_sync(power.store.copy, source, destination)
    except ModelNotFound as error:
        error.message = f'model "{source}" not found'  # Ollama's own quotes on this route
        raise
    return Response(b"", 200)


async def delete(power: Power, request: Request) -> Response:
    body = decode(_delete_body, await read_body(request, power.config.max_body_bytes))
    name = body.model or body.name
    if not name:
        raise BadRequest("model is required", field="model")
    await trio.to_thread.run_sync(power.store.delete, name)
    return Response(b"", 200)
