"""Several answers to a request on `/v1`: in a stream, the best of them, and with their prompt."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import httpx
import openai
import pytest

from .test_openai import CHAT, COMPLETION, events

VARIED: dict[str, Any] = {"temperature": 2, "seed": 7, "options": {"deterministic": True}}
"""Under which answers differ, and are the same each time."""


@pytest.fixture(scope="module")
def tokens(http: httpx.Client) -> list[int]:
    """A prompt without a template, at which the model is not sure of anything."""
    return list(http.post("/tokenize", json={"model": "tiny", "content": "The weather"}).json()["tokens"])


@pytest.mark.parametrize("n", [2, 6])
def test_a_stream_of_several_chats_says_what_the_whole_answers_say(http: httpx.Client, n: int) -> None:
    body = CHAT | VARIED | {"n": n}
    whole = http.post("/v1/chat/completions", json=body).json()
    *chunks, usage = events(
        http.post("/v1/chat/completions", json=body | {"stream": True, "stream_options": {"include_usage": True}})
    )

    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    for index, said in enumerate(whole["choices"]):
        own = [choice for choice in choices if choice["index"] == index]
        assert own[0]["delta"]["role"] == "assistant"
        assert "".join(choice["delta"].get("content", "") for choice in own) == said["message"]["content"]
        assert [choice["finish_reason"] for choice in own if choice["finish_reason"]] == [said["finish_reason"]]
    assert {choice["index"] for choice in choices} == set(range(n))
    assert len({chunk["id"] for chunk in [*chunks, usage]}) == 1
    assert usage["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert usage["usage"]["prompt_tokens"] == whole["usage"]["prompt_tokens"]


def test_the_openai_client_streams_several_prompts(openai_client: openai.OpenAI) -> None:
    ask = COMPLETION | {"prompt": ["Who are you?", "What is 2 + 3?"], "n": 2}
    whole = openai_client.completions.create(**ask)
    texts = ["", "", "", ""]
    for chunk in openai_client.completions.create(**ask, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].text

    assert texts == [choice.text for choice in whole.choices]


def test_several_streamed_answers_fail_with_their_status_before_the_first_event(http: httpx.Client) -> None:
    body = CHAT | {"n": 3, "stream": True}
    missing = http.post("/v1/chat/completions", json=body | {"model": "nobody"})
    long = http.post("/v1/chat/completions", json=body | {"messages": [{"role": "user", "content": "x " * 500}]})

    assert missing.status_code == 404
    assert long.status_code == 400
    assert long.json()["error"]["type"] == "exceed_context_size_error"


def test_the_best_of_several_is_the_likeliest(http: httpx.Client, tokens: list[int]) -> None:
    body = COMPLETION | VARIED | {"prompt": tokens}
    tried = http.post("/v1/completions", json=body | {"n": 5, "logprobs": 0}).json()
    best = http.post("/v1/completions", json=body | {"n": 2, "best_of": 5}).json()

    assert len({choice["text"] for choice in tried["choices"]}) > 2
    ranked = sorted(tried["choices"], key=lambda choice: -fmean(choice["logprobs"]["token_logprobs"]))
    assert [choice["text"] for choice in best["choices"]] == [choice["text"] for choice in ranked[:2]]
    assert [choice["index"] for choice in best["choices"]] == [0, 1]
    assert all(choice["logprobs"] is None for choice in best["choices"])
    assert best["usage"]["completion_tokens"] == tried["usage"]["completion_tokens"]  # all of them were computed
    assert best["usage"]["prompt_tokens"] == tried["usage"]["prompt_tokens"]


def test_an_echo_repeats_the_prompt_before_each_answer(http: httpx.Client) -> None:
    body = COMPLETION | {"prompt": ["Who are you?", "What is 2 + 3?"], "n": 2}
    bare = http.post("/v1/completions", json=body).json()["choices"]
    echoed = http.post("/v1/completions", json=body | {"echo": True}).json()["choices"]
    streamed = ["", "", "", ""]
    for event in events(http.post("/v1/completions", json=body | {"echo": True, "stream": True})):
        streamed[event["choices"][0]["index"]] += event["choices"][0]["text"]

    prompts = [prompt for prompt in body["prompt"] for _ in range(2)]
    assert [choice["text"] for choice in echoed] == [p + c["text"] for p, c in zip(prompts, bare, strict=True)]
    assert streamed == [choice["text"] for choice in echoed]


def test_an_echo_of_tokens_is_their_text(http: httpx.Client, tokens: list[int]) -> None:
    nothing = {"max_tokens": 0, "echo": True}
    echoed = http.post("/v1/completions", json=COMPLETION | nothing | {"prompt": tokens}).json()
    strange = http.post("/v1/completions", json=COMPLETION | nothing | {"prompt": [10**6]})

    assert echoed["choices"][0]["text"] == "The weather"
    assert echoed["usage"]["completion_tokens"] == 0
    assert strange.status_code == 400
    assert strange.json()["error"]["param"] == "prompt"
