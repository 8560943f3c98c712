"""`/api/generate` and `/api/chat`: Ollama's own API."""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from power.api.answer import complete, stream
from power.api.encode import Response, json_response, truncated_headers
from power.api.native_bodies import (
    Body,
    chat_body,
    generate_body,
    generation_of_messages,
    generation_of_prompt,
    is_load_only,
)
from power.api.native_replies import ChatEncoder, DebugInfo, GenerateEncoder, NativeEncoder
from power.api.requests import Request, claim_of, decode, read_body
from power.api.waiting import stream_with_progress
from power.generate import Generation, Power, load_model, render_only, unload_model


async def generate(power: Power, request: Request) -> Response:
    body = decode(generate_body, await read_body(request, power.config.max_body_bytes))
    generation = replace(generation_of_prompt(body), claim=claim_of(request, body))
    if is_load_only(body):
        return await _load_or_unload(power, generation, GenerateEncoder)
    return await _answer(power, request, body, generation, GenerateEncoder)


async def chat(power: Power, request: Request) -> Response:
    body = decode(chat_body, await read_body(request, power.config.max_body_bytes))
    generation = replace(generation_of_messages(body), claim=claim_of(request, body))
    if not body.messages:
        return await _load_or_unload(power, generation, ChatEncoder)
    return await _answer(power, request, body, generation, ChatEncoder)


async def _answer(
    power: Power, request: Request, body: Body, generation: Generation, kind: type[NativeEncoder]
) -> Response:
    if body.debug_render_only:
        info = DebugInfo(await render_only(power, generation), n_images(generation))
        return json_response(kind(generation.model).empty(done=False, debug_info=info))
    if body.stream is False:
        answer = await complete(power, generation)
        headers = truncated_headers(answer.finished.truncated)
        return json_response(kind(generation.model).whole(answer), headers=headers)
    begin = stream_with_progress if generation.want_progress else stream
    return await begin(power, request, generation, partial(kind, generation.model))


async def _load_or_unload(power: Power, generation: Generation, kind: type[NativeEncoder]) -> Response:
    """A request without a prompt is about the model alone; whether streaming or not, one object answers it."""
    if generation.keep_alive == 0:
        await unload_model(power, generation.model)
        reason = "unload"
    else:
        await load_model(power, generation.model, options=generation.options, keep_alive=generation.keep_alive)
        reason = "load"
    return json_response(kind(generation.model).empty(done=True, done_reason=reason))


def n_images(generation: Generation) -> int:
    return len(generation.images) + sum(len(message.images) for message in generation.messages or ())
