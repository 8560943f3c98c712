"""One streamed chat completion, timed token by token; standard library only, so that no client is the bottleneck."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any, NamedTuple
from urllib.parse import urlsplit

WORDS = (
    "alpha river stone cloud garden window market silver copper lantern bridge valley winter summer orange purple "
    "engine cotton velvet marble harbor candle meadow forest thunder ribbon anchor basket copper saddle"
).split()
TIMEOUT = 600  # seconds without a byte

Messages = list[dict[str, str]]


class Server(NamedTuple):
    name: str
    url: str
    model: str


class Answer(NamedTuple):
    ttft: float  # seconds to the first text
    wall: float  # seconds
    n_tokens: int
    text: str
    arrivals: tuple[float, ...]  # when each piece of text came; `time.perf_counter`


def words(n: int, rng: Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(n))


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def call(
    server: Server,
    messages: Messages,
    n_tokens: int,
    stop: Callable[[], bool] = lambda: False,
    bias: dict[str, float] | None = None,
) -> Answer:
    """One streamed chat completion over a connection of its own; hung up on as soon as `stop` says so."""
    url = urlsplit(server.url)
    body = {
        "model": server.model,
        "messages": messages,
        "max_tokens": n_tokens,
        "temperature": 0,
        "seed": 1,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if bias:
        body["logit_bias"] = bias
    headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=TIMEOUT)
    began = time.perf_counter()
    connection.request("POST", url.path.rstrip("/") + "/chat/completions", json.dumps(body), headers)
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(f"{server.name}: {response.status} {response.read()[:300]!r}")
    arrivals, texts, n_seen = [], [], 0
    for event in events(response):
        for choice in event.get("choices", []):
            if text := text_of(choice.get("delta") or {}):
                arrivals.append(time.perf_counter())
                texts.append(text)
                n_seen += 1
        n_seen = (event.get("usage") or {}).get("completion_tokens", n_seen)
        if stop():
            break
    ended = time.perf_counter()
    connection.close()
    first = arrivals[0] if arrivals else ended
    return Answer(first - began, ended - began, n_seen, "".join(texts), tuple(arrivals))


def events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """The JSON events of an SSE stream."""
    while line := response.readline():
        data = line.removeprefix(b"data: ").strip()
        if line.startswith(b"data: ") and data != b"[DONE]":
            yield json.loads(data)


def token_of(server: Server, text: str) -> int:
    """The first token of a text."""
    url = urlsplit(server.url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=TIMEOUT)
    body = json.dumps({"model": server.model, "content": text})
    connection.request("POST", "/tokenize", body, {"Content-Type": "application/json"})
    tokens = json.loads(connection.getresponse().read())["tokens"]
    connection.close()
    return int(tokens[0])


def text_of(delta: dict[str, Any]) -> str:
    return (delta.get("content") or "") + (delta.get("reasoning_content") or delta.get("reasoning") or "")


def at_once(server: Server, conversations: list[Messages], n_tokens: int) -> tuple[list[Answer], float]:
    """All conversations asked at the same time. Returns the answers and the wall time in seconds."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(conversations)) as pool:
        answers = list(pool.map(lambda messages: call(server, messages, n_tokens), conversations))
    return answers, time.perf_counter() - began
