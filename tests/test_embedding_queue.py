"""Requests for vectors share queue and fate with all others."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import trio

from .conftest import Serve
from .support import wait_for, wait_until, workers

LONG = {"model": "endless", "input": ["the other thing that he ate at the tea " * 20] * 500}
SHORT = {"model": "endless", "input": "the tea"}


RUNNING = 'power_requests_running{model="endless:latest"}'
WAITING = 'power_requests_waiting{model="endless:latest"}'


async def test_a_full_queue_is_a_503_and_a_hang_up_makes_room(serving: Serve, endless: Path) -> None:
    async with serving({"endless": endless}, num_parallel=1, max_queue=1) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: client.post("/api/embed", json=LONG))
            await wait_for(client, RUNNING, 1)
            nursery.start_soon(lambda: client.post("/api/embed", json=LONG))
            await wait_for(client, WAITING, 1)
            refused = await client.post("/v1/embeddings", json=SHORT)
            nursery.cancel_scope.cancel()
        await wait_for(client, RUNNING, 0)
        answered = await client.post("/api/embed", json=SHORT)

    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    assert answered.status_code == 200


async def test_a_worker_that_dies_is_replaced_and_its_embeddings_are_done_again(serving: Serve, endless: Path) -> None:
    replies: list[httpx.Response] = []

    async def ask(client: httpx.AsyncClient) -> None:
        replies.append(await client.post("/api/embed", json=SHORT | {"input": ["the tea " * 20] * 60}))

    strangers = set(workers())  # of other tests' servers in this process
    async with serving({"endless": endless}) as client:
        await client.post("/api/embed", json=SHORT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, client)
            await wait_for(client, RUNNING, 1)
            [worker] = set(workers()) - strangers
            os.kill(worker, signal.SIGKILL)
        await wait_until(lambda: replies)

    assert replies[0].status_code == 200
    assert len(replies[0].json()["embeddings"]) == 60
