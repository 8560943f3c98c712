"""What happens at the end of the context, over HTTP, and what of a prompt was cached."""

from __future__ import annotations

from typing import Any

import httpx

from ..conftest import Serve
from .test_openai import events

ENDLESS = {"temperature": 0, "logit_bias": [["a", 100]], "num_ctx": 64}


def generate(http: httpx.Client, n_predict: int, **fields: Any) -> dict[str, Any]:
    body = {"model": "tiny", "prompt": "x", "raw": True, "stream": False}
    options = ENDLESS | {"num_predict": n_predict}
    return dict(http.post("/api/generate", json=body | fields | {"options": options}).json())


def test_an_answer_goes_on_past_the_context(http: httpx.Client) -> None:
    reply = generate(http, 150)

    assert (reply["eval_count"], reply["done_reason"]) == (150, "length")


def test_without_shift_it_ends_there_and_says_so(http: httpx.Client) -> None:
    reply = generate(http, 150, shift=False)

    assert reply["prompt_eval_count"] + reply["eval_count"] == 64
    assert reply["done_reason"] == "length"


def test_openai_s_answers_end_there_too(http: httpx.Client) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "options": ENDLESS, "max_tokens": 150}
    reply = http.post("/v1/chat/completions", json=body).json()

    assert reply["usage"]["total_tokens"] == 64
    assert reply["choices"][0]["finish_reason"] == "length"


async def test_a_small_context_of_one_request_is_no_limit_for_others(serving: Serve) -> None:
    body = {"model": "tiny", "prompt": "x", "raw": True, "stream": False}
    sizes = []
    async with serving(context_length=512) as client:
        for num_ctx in ({"num_ctx": 64}, {}, {"num_ctx": 64}):
            options = ENDLESS | {"num_ctx": None} | num_ctx
            reply = (await client.post("/api/generate", json=body | {"options": options, "shift": False})).json()
            sizes.append(reply["prompt_eval_count"] + reply["eval_count"])

    assert sizes == [64, 512, 64]


def test_a_stream_that_ends_there_says_so(http: httpx.Client) -> None:
    body = {"model": "tiny", "prompt": "x", "options": ENDLESS, "max_tokens": 150, "stream": True}
    stream = events(http.post("/v1/completions", json=body | {"stream_options": {"include_usage": True}}))
    reasons = [choice["finish_reason"] for event in stream for choice in event["choices"] if choice["finish_reason"]]

    assert reasons == ["length"]
    assert stream[-1]["usage"]["total_tokens"] == 64


def test_what_was_not_computed_is_counted_as_cached(http: httpx.Client) -> None:
    body = {"model": "tiny", "prompt": "A prompt that no other test has, at all.", "max_tokens": 1}
    first, second = (http.post("/v1/completions", json=body).json()["usage"] for _ in range(2))

    assert first["prompt_tokens_details"]["cached_tokens"] < first["prompt_tokens"] - 1
    assert second["prompt_tokens_details"]["cached_tokens"] == second["prompt_tokens"] - 1
