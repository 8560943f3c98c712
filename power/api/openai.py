"""`/v1/chat/completions` and `/v1/completions`: the way in for OpenAI's clients."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from msgspec.structs import replace

from power.api.answer import complete_all, stream
from power.api.choices import answers_to, best, n_given
from power.api.encode import SSE, Response, json_response, stream_response
from power.api.native_replies import DebugInfo
from power.api.openai_bodies import (
    Body,
    CompletionBody,
    chat_body,
    completion_body,
    generation_of_chat,
    generations_of_completion,
    wants_usage,
)
from power.api.openai_prompts import text_of, with_plain_prompts
from power.api.openai_replies import ChatEncoder, sum_of
from power.api.openai_text_replies import CompletionEncoder
from power.api.requests import Request, claim_of, decode, read_body
from power.api.several import stream_several
from power.api.waiting import stream_with_progress
from power.claim import Claim
from power.generate import Generation, Power, load_model, render_only


async def chat_completions(power: Power, request: Request) -> Response:
    body = decode(chat_body, await read_body(request, power.config.max_body_bytes))
    generations = [replace(generation_of_chat(body), claim=_claim(request, body))]
    model = generations[0].model
    encoder = ChatEncoder(model, include_usage=wants_usage(body), has_logprobs=body.logprobs is True)
    return await _answer(power, request, body, generations, encoder)


async def completions(power: Power, request: Request) -> Response:
    body = decode(completion_body, await read_body(request, power.config.max_body_bytes))
    body = await with_plain_prompts(power, body)
    claim = _claim(request, body)
    generations = [replace(generation, claim=claim) for generation in generations_of_completion(body)]
    generation = generations[0]
    encoder = CompletionEncoder(
        generation.model,
        include_usage=wants_usage(body),
        has_logprobs=body.logprobs is not None,
        echoes=await _echoes(power, generations, body),
    )
    if not (generation.prompt or generation.suffix or generation.context):
        await load_model(power, generation.model, options=generation.options, keep_alive=generation.keep_alive)
        return stream_response(_loaded(encoder), SSE) if body.stream else json_response(encoder.loaded())
    return await _answer(power, request, body, generations, encoder)


def _claim(request: Request, body: Body) -> Claim:
    return replace(claim_of(request, body), slot=body.id_slot)


async def _answer(
    power: Power, request: Request, body: Body, prompts: list[Generation], encoder: ChatEncoder | CompletionEncoder
) -> Response:
    wanted = answers_to(prompts, body)
    if body.debug_render_only:
        return json_response(encoder.rendered(DebugInfo(await render_only(power, wanted[0]))))
    if body.stream and len(wanted) > 1:
        return await stream_several(power, request, wanted, encoder, len(prompts))
    if body.stream:
        begin = stream_with_progress if wanted[0].want_progress else stream
        return await begin(power, request, wanted[0], lambda _: encoder)
    answers = await complete_all(power, wanted)
    usage = sum_of([answer.finished for answer in answers], len(prompts))
    return json_response(encoder.whole(best(answers, len(prompts), body), usage))


async def _echoes(power: Power, prompts: list[Generation], body: CompletionBody) -> tuple[str, ...]:
    """What each answer begins with, if it is to repeat its prompt."""
    if not body.echo:
        return ()
    texts = [await text_of(power, prompt) for prompt in prompts]
    return tuple(text for text in texts for _ in range(n_given(body)))


async def _loaded(encoder: CompletionEncoder) -> AsyncGenerator[bytes, None]:
    yield encoder.load_event()
