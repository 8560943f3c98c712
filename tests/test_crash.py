"""What happens to others when something dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from .conftest import Serve
from .support import lines, wait_for, wait_until, workers

STREAM = {"prompt": "x", "raw": True, "options": {"num_predict": 800, "num_ctx": 1024}}
SHORT = {"prompt": "y", "raw": True, "stream": False, "options": {"num_predict": 5, "num_ctx": 1024}}


async def read_stream(client: httpx.AsyncClient, body: dict[str, Any], seen: list[dict[str, Any]]) -> None:
    async with client.stream("POST", "/api/generate", json=body) as response:
        assert response.status_code == 200
        async for chunk in lines(response):
            seen.append(chunk)


async def test_killing_a_worker_fails_its_streams_at_once_and_nobody_else(serving: Serve, endless: Path) -> None:
    doomed: list[list[dict[str, Any]]] = [[], []]
    other: list[dict[str, Any]] = []
    # Another file to the store, and so another worker: padding at a GGUF's end means nothing.
    twin = endless.with_name("twin.gguf")
    twin.write_bytes(endless.read_bytes() + bytes(32))
    strangers = set(workers())  # of other tests' servers in this process
    async with serving({"doomed": endless, "other": twin}) as client:
        async with trio.open_nursery() as nursery:
            for seen in doomed:
                nursery.start_soon(read_stream, client, {"model": "doomed", **STREAM}, seen)
            await wait_until(lambda: all(len(seen) > 3 for seen in doomed))
            (victim,) = set(workers()) - strangers
            nursery.start_soon(read_stream, client, {"model": "other", **STREAM}, other)
            await wait_until(lambda: len(other) > 3)
            n_before = len(other)

            os.kill(victim, signal.SIGKILL)
            await wait_until(lambda: all("error" in seen[-1] for seen in doomed))
            assert "unexpectedly stopped" in doomed[0][-1]["error"]
            assert "SIGKILL" in doomed[0][-1]["error"]

            again = await client.post("/api/generate", json={**SHORT, "model": "doomed"})
            assert again.status_code == 200
            assert again.json()["eval_count"] == 5

        assert len(other) > n_before
        assert other[-1]["done"]


async def test_after_an_illegal_instruction_the_way_out_is_told(serving: Serve, endless: Path) -> None:
    seen: list[dict[str, Any]] = []
    strangers = set(workers())
    async with serving({"doomed": endless}) as client, trio.open_nursery() as nursery:
        nursery.start_soon(read_stream, client, {"model": "doomed", **STREAM}, seen)
        await wait_until(lambda: len(seen) > 3)
        (victim,) = set(workers()) - strangers
        os.kill(victim, signal.SIGILL)
        await wait_until(lambda: "error" in seen[-1])
    assert "llama.cpp was compiled for another processor, see README.md" in seen[-1]["error"]


async def test_a_request_that_has_streamed_nothing_is_run_again_after_a_death(serving: Serve, endless: Path) -> None:
    answers = []
    strangers = set(workers())
    async with serving({"m": endless}, num_parallel=1) as client, trio.open_nursery() as nursery:
        seen: list[dict[str, Any]] = []
        nursery.start_soon(read_stream, client, {"model": "m", **STREAM}, seen)
        await wait_until(lambda: len(seen) > 3)

        async def ask() -> None:
            answers.append((await client.post("/api/generate", json={**SHORT, "model": "m"})).json())

        nursery.start_soon(ask)
        await wait_for(client, "power_requests_waiting{", 1)
        os.kill((set(workers()) - strangers).pop(), signal.SIGKILL)

    assert "error" in seen[-1]
    assert answers[0]["eval_count"] == 5


async def test_a_worker_that_was_stopped_is_found_and_replaced(serving: Serve, endless: Path) -> None:
    strangers = set(workers())
    seen: list[dict[str, Any]] = []
    async with serving({"m": endless}, hang_seconds=2) as client, trio.open_nursery() as nursery:
        nursery.start_soon(read_stream, client, {"model": "m", **STREAM}, seen)
        await wait_until(lambda: len(seen) > 3)
        (victim,) = set(workers()) - strangers

        os.kill(victim, signal.SIGSTOP)

        await wait_until(lambda: "error" in seen[-1])
        assert "hung" in seen[-1]["error"]
        again = await client.post("/api/generate", json={**SHORT, "model": "m"})
        assert again.json()["eval_count"] == 5
        await wait_until(lambda: not is_running(victim))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_the_server_s_death_takes_its_workers_along(tmp_path: Path, number: signal.Signals) -> None:
    program = (
        "import sys, trio; from pathlib import Path; from power.config import Config;"
        "from power.serve import serve_until_signalled as s;"
        "import logging; logging.basicConfig(level=logging.INFO, stream=sys.stdout);"
        "trio.run(s, Config(port=0, data_dir=Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        url = next(word for word in process.stdout.readline().split() if word.startswith("http")).rstrip(",")
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            await client.post("/api/generate", json={"model": "tiny"})
        (worker,) = workers(process.pid)

        process.send_signal(number)

        await wait_until(lambda: process.poll() is not None)
        await wait_until(lambda: not is_running(worker))
    assert process.returncode == (-9 if number == signal.SIGKILL else 0)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # nobody may be left to read its exit status
