"""One server for all of these tests: real sockets, a real worker, the embedded model."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import ollama
import openai
import pytest
import trio

from power.config import Config
from power.serve import serve

BODY_LIMIT = 1024 * 1024  # bytes
FRIEND = "https://friend.example"  # an origin this server allows
START_SECONDS = 60.0


@contextmanager
def running(config: Config) -> Iterator[str]:
    """A server in a thread of its own, so that blocking clients can be tested; gives its URL."""
    ready: queue.Queue[tuple[str, trio.lowlevel.TrioToken, trio.Event]] = queue.Queue()

    async def main() -> None:
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(serve, config, stop=stop.wait))
            ready.put((url, trio.lowlevel.current_trio_token(), stop))

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(trio.run, main)
        done.add_done_callback(lambda _: ready.put(("", *[None] * 2)) if done.exception() else None)  # type: ignore[arg-type]
        url, token, stop = ready.get(timeout=START_SECONDS)
        if not url:
            done.result()
        try:
            yield url
        finally:
            token.run_sync_soon(stop.set)
            done.result(timeout=START_SECONDS)


# The clients below are of `url`: a module that wants another server says so by a `url` of its own.
@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = Config(
        port=0,
        data_dir=tmp_path_factory.mktemp("power"),
        num_thread=1,
        context_length=256,
        max_body_bytes=BODY_LIMIT,
        origins=(FRIEND,),
    )
    with running(config) as url:
        yield url


@pytest.fixture(scope="module")
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def ollama_client(url: str) -> Iterator[ollama.Client]:
    with ollama.Client(host=url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def openai_client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=60, max_retries=0) as client:
        yield client


STILL = {"temperature": 0, "seed": 1, "num_predict": 12}
"""Options under which the same request has the same, short answer."""


def ask(**fields: Any) -> dict[str, Any]:
    """A chat body."""
    return {"model": "tiny", "messages": [{"role": "user", "content": "Who are you?"}], "options": STILL} | fields
