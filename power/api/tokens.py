"""`/tokenize`, `/detokenize` and `/apply-template`, as llama-server has them: what a model sees of a text.

llama-server serves one model; here `model` says which, and may be left out
while exactly one is in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from msgspec.structs import replace

from power.api.encode import Response, json_response
from power.api.openai_bodies import chat_body, generation_of_chat
from power.api.requests import Request, body_decoder, claim_of, decode, read_body
from power.errors import BadRequest
from power.generate import Power, render_only
from power.options import LoadOptions
from power.sched.model import Model
from power.worker.wire import Detokenize, Detokenized, Tokenize, Tokenized


class Body(msgspec.Struct, kw_only=True):
    model: str | None = None
    priority: int | None = None
    max_queue_seconds: float | None = None


class TokenizeBody(Body, kw_only=True):
    content: str
    add_special: bool | None = None
    parse_special: bool | None = None
    with_pieces: bool | None = None


class DetokenizeBody(Body, kw_only=True):
    tokens: tuple[int, ...]


_tokenize_body = body_decoder(TokenizeBody)
_detokenize_body = body_decoder(DetokenizeBody)


# Characters to tokenize at a time: it takes a second or so of the model's process, and others wait for their tokens.
MAX_CONTENT = 1024 * 1024


async def tokenize(power: Power, request: Request) -> Response:
    body = decode(_tokenize_body, await read_body(request, power.config.max_body_bytes))
    if len(body.content) > MAX_CONTENT:
        raise BadRequest(f'invalid "content": it has more than {MAX_CONTENT} characters', field="content")
    question = Tokenize(
        0,
        body.content,
        add_special=bool(body.add_special),
        parse_special=body.parse_special is not False,
        want_pieces=bool(body.with_pieces),
    )
    async with _model(power, request, body) as model:
        answer = await model.ask(question)
    assert isinstance(answer, Tokenized)
    if not body.with_pieces:
        return json_response({"tokens": answer.tokens})
    pairs = zip(answer.tokens, answer.pieces, strict=True)
    return json_response({"tokens": [{"id": token, "piece": _piece(piece)} for token, piece in pairs]})


async def detokenize(power: Power, request: Request) -> Response:
    body = decode(_detokenize_body, await read_body(request, power.config.max_body_bytes))
    if not all(0 <= token < 2**31 for token in body.tokens):
        raise BadRequest('invalid "tokens": it has a number that is no token id', field="tokens")
    async with _model(power, request, body) as model:
        answer = await model.ask(Detokenize(0, body.tokens))
    assert isinstance(answer, Detokenized)
    return json_response({"content": answer.text})


async def apply_template(power: Power, request: Request) -> Response:
    """The prompt that `/v1/chat/completions` would make of the same body."""
    body = decode(chat_body, await read_body(request, power.config.max_body_bytes))
    named = replace(body, model=body.model or only_model(power))
    return json_response({"prompt": await render_only(power, generation_of_chat(named))})


@asynccontextmanager
async def _model(power: Power, request: Request, body: Body) -> AsyncIterator[Model]:
    stored = await power.find(body.model or only_model(power))
    async with power.models.acquire(stored, LoadOptions(), None, claim_of(request, body)) as use:
        yield use.model


def only_model(power: Power) -> str:
    """The name of the only model in memory; raises BadRequest if there is another number of them."""
    running = power.models.running()
    if len(running) != 1:
        raise BadRequest("model is required", field="model")
    return str(running[0].model.name)


def _piece(piece: bytes) -> Any:
    """Text, or bytes where a token is a part of a character."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return list(piece)
