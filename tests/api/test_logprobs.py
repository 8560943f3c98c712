"""Log probabilities over HTTP: one for each token of the text, whatever is cut off it."""

from __future__ import annotations

import math
from typing import Any

import httpx
import pytest

from tests.api.conftest import ask
from tests.api.test_openai import events

QUESTION = [{"role": "user", "content": "Who are you?"}]
CHAT: dict[str, Any] = {"model": "tiny", "messages": QUESTION, "seed": 3, "max_tokens": 40, "logprobs": True}
WILD = {"temperature": 1.5, "seed": 5}


def joined(items: list[dict[str, Any]]) -> str:
    return "".join(item["token"] for item in items)


@pytest.mark.parametrize("stop", [None, "tiny", ["model", "a"], "e"])
@pytest.mark.parametrize("effort", ["none", "high"])
def test_the_tokens_of_a_chat_are_its_content(http: httpx.Client, effort: str, stop: Any) -> None:
    body = CHAT | {"reasoning_effort": effort, "stop": stop, "top_logprobs": 3}
    whole = http.post("/v1/chat/completions", json=body).json()["choices"][0]
    chunks = events(http.post("/v1/chat/completions", json=body | {"stream": True}))

    assert joined(whole["logprobs"]["content"] if whole.get("logprobs") else []) == whole["message"]["content"]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    streamed = [item for choice in choices for item in (choice.get("logprobs") or {}).get("content", [])]
    assert streamed == (whole["logprobs"]["content"] if whole.get("logprobs") else [])
    for item in streamed:
        assert item["logprob"] <= 0
        assert [len(top["bytes"]) > 0 for top in item["top_logprobs"]]
        assert [top["logprob"] for top in item["top_logprobs"]] == sorted(
            (top["logprob"] for top in item["top_logprobs"]), reverse=True
        )
        assert sum(math.exp(top["logprob"]) for top in item["top_logprobs"]) <= 1.001


@pytest.mark.parametrize("stop", [None, "tiny", "e"])
def test_the_older_form_has_parallel_lists(http: httpx.Client, stop: Any) -> None:
    body = {"model": "tiny", "prompt": "Who are you?", "max_tokens": 40, "logprobs": 2, "stop": stop, **WILD}
    choice = http.post("/v1/completions", json=body).json()["choices"][0]
    chunks = events(http.post("/v1/completions", json=body | {"stream": True}))

    logprobs = choice["logprobs"]
    assert "".join(logprobs["tokens"]) == choice["text"]  # both empty, where the thinking has met the stop string
    for token, offset in zip(logprobs["tokens"], logprobs["text_offset"], strict=True):
        assert choice["text"][offset:].startswith(token)
    assert len(logprobs["token_logprobs"]) == len(logprobs["top_logprobs"]) == len(logprobs["tokens"])
    parts = [chunk["choices"][0]["logprobs"] for chunk in chunks if chunk["choices"][0].get("logprobs")]
    assert [token for part in parts for token in part["tokens"]] == logprobs["tokens"]
    assert [offset for part in parts for offset in part["text_offset"]] == logprobs["text_offset"]


def test_they_are_of_the_distribution_before_it_was_scaled(http: httpx.Client) -> None:
    def first(**options: Any) -> Any:
        options = {"num_predict": 1, "seed": 1} | options
        body = ask(logprobs=True, top_logprobs=5, stream=False, think=False, options=options)
        return http.post("/api/chat", json=body).json()["logprobs"][0]["top_logprobs"]

    still, hot, narrow = first(temperature=0), first(temperature=1.9), first(temperature=0.7, top_k=1)
    assert still == hot == narrow


@pytest.mark.parametrize("stop", [None, ["tiny"]])
def test_native_logprobs_are_of_the_whole_answer(http: httpx.Client, stop: Any) -> None:
    body = {
        "model": "tiny",
        "prompt": "Who are you?",
        "think": False,
        "stream": False,
        "logprobs": True,
        "options": {"num_predict": 30, "stop": stop, **WILD},
    }
    reply = http.post("/api/generate", json=body).json()

    assert joined(reply["logprobs"]) == reply["response"]
