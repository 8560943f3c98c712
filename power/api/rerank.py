"""`/v1/rerank`, `/rerank` and their other names: documents in the order of their relevance.

One body for three dialects.  `documents` is Jina's and Cohere's, and answered by
an object that clients of both can read; `texts` is that of Hugging Face's Text
Embeddings Inference (TEI), answered by a bare list.

A score of a model with a single output goes through the logistic function, as
all three services have it: 0 … 1.  `raw_scores` leaves it as the model gave it.
"""

from __future__ import annotations

import math
import secrets
from typing import Any

import msgspec
import trio
from msgspec.structs import replace

from power.api.embeddings import MAX_INPUTS
from power.api.encode import Response, json_response
from power.api.requests import Request, body_decoder, claim_of, decode, read_body
from power.durations import parse_keep_alive
from power.embedding import Embedding, Vectors, embed, floats
from power.errors import BadRequest
from power.generate import Power


class Body(msgspec.Struct, kw_only=True):
    """A null says nothing."""

    model: str | None = None
    query: Any = None
    documents: Any = None
    texts: Any = None
    top_n: int | None = None
    return_documents: bool | None = None
    return_text: bool | None = None
    raw_scores: bool | None = None
    truncate: bool | None = None
    options: dict[str, Any] | None = None
    keep_alive: Any = None
    priority: int | None = None
    max_queue_seconds: float | None = None


_body = body_decoder(Body)


async def rerank(power: Power, request: Request) -> Response:
    body = decode(_body, await read_body(request, power.config.max_body_bytes))
    is_tei = body.texts is not None
    texts = _texts("texts", body.texts) if is_tei else _texts("documents", body.documents)
    wanted = _embedding(request, body, texts)
    if not wanted.model:
        wanted = replace(wanted, model=await _only_reranker(power))
    found = await embed(power, wanted)
    scores = [_score(row, raw=body.raw_scores is True) for row in found.rows]
    # Of equally good ones the earlier first.
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[: body.top_n]
    if is_tei:
        return json_response([_tei_result(index, scores[index], texts, body) for index in order])
    results = [_result(index, scores[index], texts, body) for index in order]
    return json_response(_reply(wanted.model, results, found))


def _embedding(request: Request, body: Body, texts: tuple[str, ...]) -> Embedding:
    if not isinstance(body.query, str):
        raise BadRequest('"query" must be a string', field="query")
    if body.top_n is not None and body.top_n < 1:
        raise BadRequest("top_n must be at least 1", field="top_n")
    return Embedding(
        model=body.model or "",
        inputs=texts,
        query=body.query,
        # TEI refuses what is too long unless told to cut it, the others cut it.
        truncate=body.truncate is not False if body.texts is None else body.truncate is True,
        options=body.options or {},
        keep_alive=None if body.keep_alive is None else parse_keep_alive(body.keep_alive),
        claim=claim_of(request, body),
    )


def _texts(field: str, given: Any) -> tuple[str, ...]:
    """Strings, or objects with a `text`."""
    items = [_text(item) for item in given] if isinstance(given, list) else []
    texts = tuple(item for item in items if item is not None)
    if not items or len(texts) < len(items):
        raise BadRequest(f'"{field}" must be a non-empty array of strings', field=field)
    if len(items) > MAX_INPUTS:
        raise BadRequest(f"{field} has {len(items)} items; at most {MAX_INPUTS} are taken at a time", field=field)
    return texts


def _text(item: Any) -> str | None:
    text = item.get("text") if isinstance(item, dict) else item
    return text if isinstance(text, str) else None


async def _only_reranker(power: Power) -> str:
    """TEI serves one model and its clients name none: so if there is one, it is meant."""
    stored = await trio.to_thread.run_sync(power.store.list)
    names = [str(model.name) for model in stored if "rerank" in model.capabilities]
    if len(names) != 1:
        raise BadRequest("model is required", field="model")
    return names[0]


def _score(row: bytes, *, raw: bool) -> float:
    """With several outputs the first is the one for "relevant", and their model has made probabilities of them."""
    score, *others = floats(row)
    if raw or others:
        return score
    return 1 / (1 + math.exp(-score)) if score >= 0 else math.exp(score) / (1 + math.exp(score))


def _result(index: int, score: float, texts: tuple[str, ...], body: Body) -> dict[str, Any]:
    result: dict[str, Any] = {"index": index, "relevance_score": score}
    return result | ({"document": {"text": texts[index]}} if body.return_documents else {})


def _tei_result(index: int, score: float, texts: tuple[str, ...], body: Body) -> dict[str, Any]:
    result: dict[str, Any] = {"index": index, "score": score}
    return result | ({"text": texts[index]} if body.return_text else {})


def _reply(model: str, results: list[dict[str, Any]], found: Vectors) -> dict[str, Any]:
    return {
        "id": f"rerank-{secrets.token_hex(12)}",
        "model": model,
        "object": "list",
        "results": results,
        "usage": {"prompt_tokens": found.n_tokens, "total_tokens": found.n_tokens},
        # Cohere's client wants to know what it costs.
        "meta": {"api_version": {"version": "2"}, "tokens": {"input_tokens": found.n_tokens}},
    }
