"""`/api/pull` and `/api/push`: models from registries and to them, with their progress."""

from __future__ import annotations

import msgspec

from power.api.encode import Response
from power.api.progress import progress_response
from power.api.requests import Request, body_decoder, decode, read_body
from power.errors import BadRequest
from power.generate import Power
from power.store import Name
from power.store.pulling import pull as pull_model
from power.store.pushing import push as push_model
from power.store.transfers import Report


class PullBody(msgspec.Struct, kw_only=True):
    model: str | None = None
    name: str | None = None  # what `model` was called once
    insecure: bool | None = None
    stream: bool | None = None


class PushBody(PullBody, kw_only=True):
    destination: str | None = None  # ours: another name to push to, or a registry's URL


_push_body = body_decoder(PushBody)
_pull_body = body_decoder(PullBody)


async def pull(power: Power, request: Request) -> Response:
    body = decode(_pull_body, await read_body(request, power.config.max_body_bytes))
    name = body.model or body.name
    if not name:
        raise BadRequest("invalid model name", field="model")
    following = pull_model(power.store, name, insecure=bool(body.insecure))
    return await progress_response(request, following, stream=body.stream)


async def push(power: Power, request: Request) -> Response:
    body = decode(_push_body, await read_body(request, power.config.max_body_bytes))
    name = body.model or body.name
    if not name:
        raise BadRequest("model is required", field="model")
    following = push_model(power.store, name, insecure=bool(body.insecure), destination=body.destination)
    return await progress_response(request, following, stream=body.stream)


async def pull_base(power: Power, name: Name, report: Report) -> None:
    """Pull a model that another is to be made from, as a part of that work."""
    async with pull_model(power.store, name.full) as events:
        async for event in events:
            if event.status != "success":  # the creation's own last word
                report(event)
