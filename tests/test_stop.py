"""`power serve` as a process: what a signal does to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from .support import add_model, lines, wait_for, wait_until

# The seconds that running answers get by default would be too few for them on a busy machine.
PATIENT = "drain_seconds = 120\nnum_parallel = 1\n"


@contextmanager
def server(home: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and its URL once it listens."""
    command = [
        sys.executable,
        "-m",
        "power",
        "serve",
        "--port",
        str(port),
        "--data-dir",
        str(home),
        "--num-thread",
        "1",
    ]
    (home / "config.toml").write_text(PATIENT)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OLLAMA_")}
    environment["POWER_HOME"] = str(home)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            found = (word.rstrip(",") for line in process.stdout for word in line.split() if word.startswith("http://"))
            yield process, next(found)
        finally:
            process.kill()


# The same for all: whoever says nothing gets the default, for which the model would be loaded anew.
CONTEXT = 2048


async def stream(url: str, n_predict: int, seen: list[dict[str, Any]]) -> None:
    body = {"model": "m", "prompt": "x", "raw": True, "options": {"num_predict": n_predict, "num_ctx": CONTEXT}}
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        async with client.stream("POST", "/api/generate", json=body) as response:
            async for chunk in lines(response):
                seen.append(chunk)


async def wait_stopping(client: httpx.AsyncClient) -> None:
    with trio.fail_after(30):
        while (await client.get("/health/ready")).status_code != 503:
            await trio.sleep(0.01)


async def queue_up(url: str, responses: list[httpx.Response]) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        body = {"model": "m", "prompt": "x", "raw": True, "options": {"num_ctx": CONTEXT}}
        responses.append(await client.post("/api/generate", json=body))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_a_running_answer_finish_and_turns_away_all_others(
    tmp_path: Path, endless: Path, number: signal.Signals
) -> None:
    add_model(tmp_path / "models", "m", endless, link=True)
    seen: list[dict[str, Any]] = []
    refused: list[httpx.Response] = []
    n_predict = 1500  # some seconds
    with server(tmp_path) as (process, url):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client, trio.open_nursery() as nursery:
            nursery.start_soon(stream, url, n_predict, seen)
            await wait_until(lambda: len(seen) > 3)
            assert not seen[-1]["done"]

            nursery.start_soon(queue_up, url, refused)
            await wait_for(client, "power_requests_waiting{", 1)
            assert (await client.get("/health/ready")).status_code == 200

            process.send_signal(number)

            await wait_stopping(client)
            assert (await client.get("/health/live")).status_code == 200
            late = await client.post("/api/generate", json={"model": "m", "prompt": "x"})
        await wait_until(lambda: process.poll() is not None)

    assert seen[-1]["done"]
    assert seen[-1]["eval_count"] == n_predict
    for response in (late, *refused):
        assert response.status_code == 503
        assert response.json() == {"error": "the server is stopping"}
        assert int(response.headers["Retry-After"]) >= 1
        assert response.headers["Connection"] == "close"
    assert len(refused) == 1
    assert process.returncode == 0


async def test_a_second_signal_does_not_wait(tmp_path: Path, endless: Path) -> None:
    add_model(tmp_path / "models", "m", endless, link=True)
    seen: list[dict[str, Any]] = []
    with server(tmp_path) as (process, url):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client, trio.open_nursery() as nursery:

            async def cut_off() -> None:
                with pytest.raises(httpx.RemoteProtocolError):
                    await stream(url, 1900, seen)

            nursery.start_soon(cut_off)
            await wait_until(lambda: len(seen) > 3)

            process.send_signal(signal.SIGTERM)
            await wait_stopping(client)
            process.send_signal(signal.SIGTERM)

            await wait_until(lambda: process.poll() is not None)
        assert process.returncode == 0
