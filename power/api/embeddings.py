"""`/api/embed`, `/api/embeddings` and `/v1/embeddings`: texts to vectors."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec
import trio

from power.api.encode import JSON, Response, json_bytes, json_response
from power.api.requests import Request, body_decoder, claim_of, decode, read_body
from power.durations import parse_keep_alive
from power.embedding import Embedding, Input, Vectors, embed, find_model, floats
from power.errors import BadRequest, ModelNotFound
from power.generate import Power, load_model

# Inputs of one request. An answer has some kilobytes for each, and is made in memory.
MAX_INPUTS = 16384
FORMATS = ("float", "base64")


class Body(msgspec.Struct, kw_only=True):
    """What all three take. A null says nothing."""

    model: str | None = None
    dimensions: int | None = None
    options: dict[str, Any] | None = None
    keep_alive: Any = None
    truncate: bool | None = None
    priority: int | None = None
    max_queue_seconds: float | None = None


class EmbedBody(Body, kw_only=True):
    input: Any = None


class LegacyBody(Body, kw_only=True):
    prompt: str | None = None


class OpenAIBody(Body, kw_only=True):
    input: Any = None
    encoding_format: str | None = None
    num_ctx: int | None = None


_embed_body = body_decoder(EmbedBody)
_legacy_body = body_decoder(LegacyBody)
_openai_body = body_decoder(OpenAIBody)


class EmbedReply(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What follows the vectors. Durations in nanoseconds."""

    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0


async def native(power: Power, request: Request) -> Response:
    body = decode(_embed_body, await read_body(request, power.config.max_body_bytes))
    inputs = _native_inputs(body.input)
    wanted = _embedding(request, body, inputs)
    if not inputs:
        await _load(power, wanted)
        return json_response({"model": wanted.model, "embeddings": []})
    found = await embed(power, wanted)
    reply = EmbedReply(total_duration=found.total_ns, load_duration=found.load_ns, prompt_eval_count=found.n_tokens)
    beginning = b'{"model":' + json_bytes(wanted.model) + b',"embeddings":['
    rest = json_bytes(reply)[1:]
    return await _response(beginning, map(_floats, found.rows), b"]" + (b"," if rest != b"}" else b"") + rest)


async def legacy(power: Power, request: Request) -> Response:
    body = decode(_legacy_body, await read_body(request, power.config.max_body_bytes))
    if not body.model:
        raise BadRequest("model is required", field="model")
    wanted = _embedding(request, body, (body.prompt,) if body.prompt else ())
    if not wanted.inputs:
        await _load(power, wanted)
        return json_response({"embedding": []})
    stored = await find_model(power, wanted.model)
    found = await embed(power, msgspec.structs.replace(wanted, normalize=stored.facts.normalizes_embeddings))
    return json_response({"embedding": found.floats(0)})


async def openai(power: Power, request: Request) -> Response:
    body = decode(_openai_body, await read_body(request, power.config.max_body_bytes))
    inputs = _openai_inputs(body.input)
    write = _writer(body.encoding_format)
    wanted = _embedding(request, body, inputs)
    if body.num_ctx is not None:
        wanted = msgspec.structs.replace(wanted, options=wanted.options | {"num_ctx": body.num_ctx})
    found = await embed(power, wanted)
    data = (
        b'{"object":"embedding","embedding":' + write(row) + b',"index":' + str(index).encode() + b"}"
        for index, row in enumerate(found.rows)
    )
    return await _response(b'{"object":"list","data":[', data, b"]," + _tail(wanted.model, found)[1:])


def _embedding(request: Request, body: Body, inputs: tuple[Input, ...]) -> Embedding:
    if not body.model:
        raise ModelNotFound("")
    if len(inputs) > MAX_INPUTS:
        raise BadRequest(f"input has {len(inputs)} items; at most {MAX_INPUTS} are taken at a time", field="input")
    return Embedding(
        model=body.model,
        inputs=inputs,
        truncate=body.truncate is not False,
        n_dims=max(0, body.dimensions or 0),
        options=body.options or {},
        keep_alive=None if body.keep_alive is None else parse_keep_alive(body.keep_alive),
        claim=claim_of(request, body),
    )


async def _load(power: Power, wanted: Embedding) -> None:
    await find_model(power, wanted.model)
    await load_model(power, wanted.model, options=wanted.options, keep_alive=wanted.keep_alive)


def _native_inputs(given: Any) -> tuple[Input, ...]:
    """A string or a list of strings; nothing, if it is empty."""
    if given is None or given == "":
        return ()
    items = [given] if isinstance(given, str) else given
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise BadRequest("invalid input type", field="input")
    return tuple(items)


def _openai_inputs(given: Any) -> tuple[Input, ...]:
    """A string, token ids, or a list of either."""
    if given is None or given == []:
        raise BadRequest("invalid input", field="input")
    items = [given] if isinstance(given, str) or _are_tokens(given) else given
    if not isinstance(items, list):
        raise BadRequest("invalid input type", field="input")
    for index, item in enumerate(items):
        if not isinstance(item, str) and not _are_tokens(item):
            where = "" if items is not given else f": item {index} is neither a string nor a list of token ids"
            raise BadRequest(f"invalid input type{where}", field="input")
    return tuple(item if isinstance(item, str) else tuple(item) for item in items)


def _are_tokens(item: Any) -> bool:
    """Whether it is token ids, as far as one can tell without the vocabulary."""
    return (
        isinstance(item, list)
        and bool(item)
        and all(isinstance(token, int) and not isinstance(token, bool) and 0 <= token < 2**31 for token in item)
    )


def _writer(encoding_format: str | None) -> Any:
    wanted = (encoding_format or "float").lower()
    if wanted not in FORMATS:
        raise BadRequest(
            f"Invalid value for 'encoding_format' = {encoding_format}. Supported values: ['float', 'base64'].",
            field="encoding_format",
        )
    return _base64 if wanted == "base64" else _floats


def _floats(row: bytes) -> bytes:
    return json_bytes(floats(row))


def _base64(row: bytes) -> bytes:
    return b'"' + base64.b64encode(row) + b'"'


def _tail(model: str, found: Vectors) -> bytes:
    usage = {"prompt_tokens": found.n_tokens, "total_tokens": found.n_tokens}
    return json_bytes({"model": model, "usage": usage})


async def _response(beginning: bytes, items: Iterable[bytes], end: bytes) -> Response:
    """JSON with a long list in it, written so that a thousand vectors hold up nobody else's tokens."""
    body = bytearray(beginning)
    for index, item in enumerate(items):
        body += b"," * bool(index) + item
        await trio.lowlevel.checkpoint()
    return Response(bytes(body + end), 200, content_type=JSON)
