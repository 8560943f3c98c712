"""Clients that leave, or stop reading, at every stage of their request."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from power.listen import WRITE_SECONDS

from .conftest import Serve
from .support import metric, wait_for, wait_until

SHORT = {"model": "m", "prompt": "y", "raw": True, "options": {"num_predict": 1}}
LONG = {"model": "m", "prompt": "x", "raw": True, "options": {"num_predict": 100_000}}

# Some 1.5 MB of an answer: more than two kernels hold for a reader that has left little room.
MUCH = {**LONG, "logprobs": True, "top_logprobs": 20, "options": {"num_predict": 700}}


async def hang_up(
    client: httpx.AsyncClient, body: dict[str, Any], until: trio.Event, path: str = "/api/generate"
) -> None:
    """Ask, and close the connection when told to."""
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            async with client.stream("POST", path, json=body) as response:
                async for _ in response.aiter_bytes():
                    pass

        nursery.start_soon(ask)
        await until.wait()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("stage", ["decode", "prefill"])
async def test_hanging_up_frees_the_slot_for_the_next_one(
    serving: Serve, endless: Path, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    body = LONG if stage == "decode" else {**LONG, "prompt": "x " * 7000}
    async with serving({"m": endless}, num_parallel=1, context_length=16_000) as client, trio.open_nursery() as nursery:
        await client.post("/api/generate", json={"model": "m"})
        leave = trio.Event()
        nursery.start_soon(hang_up, client, body, leave)
        await wait_for(client, "power_requests_running{", 1)
        if stage == "decode":
            while not await metric(client, "power_decoded_tokens_total{"):
                await trio.sleep(0.002)
        began = trio.current_time()

        leave.set()
        response = await client.post("/api/generate", json={**SHORT, "stream": False})

        waited = trio.current_time() - began
        answer = response.json()
        assert answer["eval_count"] == 1
        own = (answer["prompt_eval_duration"] + answer["eval_duration"]) / 1e9
        assert await metric(client, 'power_generations_total{model="m:latest",outcome="cancelled"}') == 1
        with capsys.disabled():
            print(
                f"\nhang-up in {stage}: the next request had its answer {waited * 1e3:.1f} ms later, "
                f"{own * 1e3:.1f} ms of them its own computing"
            )


async def test_hanging_up_in_the_queue_frees_the_place(serving: Serve, endless: Path) -> None:
    async with serving({"m": endless}, num_parallel=1, max_queue=1) as client, trio.open_nursery() as nursery:
        await client.post("/api/generate", json={"model": "m"})
        stop, leave = trio.Event(), trio.Event()
        nursery.start_soon(hang_up, client, LONG, stop)
        await wait_for(client, "power_requests_running{", 1)
        nursery.start_soon(hang_up, client, SHORT, leave)
        await wait_for(client, "power_requests_waiting{", 1)
        refused = await client.post("/api/generate", json=SHORT)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1

        leave.set()

        await wait_for(client, "power_requests_waiting{", 0)
        nursery.start_soon(client.post, "/api/generate")
        stop.set()
        assert (await client.post("/api/generate", json={**SHORT, "stream": False})).status_code == 200


async def test_hanging_up_while_the_model_loads_leaves_nothing_behind(serving: Serve, endless: Path) -> None:
    async with serving({"m": endless}, num_parallel=1) as client:
        with trio.move_on_after(0.05):
            await client.post("/api/generate", json=LONG)

        assert (await client.post("/api/generate", json={**SHORT, "stream": False})).status_code == 200
        assert await metric(client, "power_requests_running{") == 0
        assert await metric(client, "power_requests_waiting{") == 0


async def test_a_client_that_stops_reading_stalls_nobody_and_loses_its_slot(serving: Serve, endless: Path) -> None:
    async with serving({"m": endless}, num_parallel=1, context_length=2048) as client:
        with stalled(client, MUCH):
            await wait_for(client, "power_requests_running{", 1)

            # One slot: the next answer needs the stalled one's, once that generation has come to its end.
            response = await client.post("/api/generate", json={**SHORT, "stream": False})

            assert response.json()["eval_count"] == 1
            assert await metric(client, "power_requests_running{") == 0


async def test_a_stop_does_not_wait_for_a_client_that_does_not_read(serving: Serve, endless: Path) -> None:
    async with serving({"m": endless}, context_length=2048) as client:
        connection = stalled(client, MUCH)
        await wait_for(client, "power_requests_running{", 1)
        await wait_for(client, "power_requests_running{", 0)
        began = trio.current_time()

    with connection:
        assert trio.current_time() - began < WRITE_SECONDS / 2
        connection.settimeout(60)
        assert not connection_text(connection).endswith("0\r\n\r\n")


async def test_a_connection_that_the_client_closes_is_closed_here_too(serving: Serve) -> None:
    def n_descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async with serving() as client:
        body = {"model": "tiny", "prompt": "x", "options": {"num_predict": 2}}
        await client.post("/api/generate", json=body)
        before = n_descriptors()
        for number in range(5):
            async with httpx.AsyncClient(base_url=client.base_url) as other:
                await other.post("/api/generate", json={**body, "stream": number % 2 == 0})
                await other.get("/api/ps")

        await wait_until(lambda: n_descriptors() <= before)


def connection_text(connection: socket.socket) -> str:
    """What the kernel still holds of an answer, up to its end or the connection's."""
    data = b""
    try:
        while some := connection.recv(65536):
            data += some
    except ConnectionResetError:
        pass
    return data.decode(errors="replace")


def stalled(client: httpx.AsyncClient, body: dict[str, Any]) -> socket.socket:
    """A connection that has asked and reads nothing, with as little room in the kernel as it allows."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    connection.connect((client.base_url.host, client.base_url.port or 80))
    data = json.dumps(body).encode()
    head = f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
    connection.sendall(head.encode() + data)
    return connection


async def test_hanging_up_on_several_answers_ends_them_all(serving: Serve, endless: Path) -> None:
    async with serving({"m": endless}, num_parallel=2) as client, trio.open_nursery() as nursery:
        over = trio.Event()
        body = {"model": "m", "prompt": ["x", "y"], "n": 2, "stream": True, "max_tokens": 100_000}
        nursery.start_soon(hang_up, client, body, over, "/v1/completions")
        await wait_for(client, "power_requests_running{", 2)
        await wait_for(client, "power_requests_waiting{", 2)
        over.set()

        await wait_for(client, "power_requests_waiting{", 0)
        await wait_for(client, "power_requests_running{", 0)
