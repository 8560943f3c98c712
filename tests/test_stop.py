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

from .support import add_model, lines, wait_until

# The seconds that running answers get would be too few for them on a busy machine.
PATIENT = "import power.listen; power.listen.GRACE = 120.0; from power.cli import main; main()"


@contextmanager
def server(home: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and its URL once it listens."""
    command = [
        sys.executable,
        "-c",
        PATIENT,
        "serve",
        "--port",
        str(port),
        "--data-dir",
        str(home),
        "--num-thread",
        "1",
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OLLAMA_")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            found = (word.rstrip(",") for line in process.stdout for word in line.split() if word.startswith("http://"))
            yield process, next(found)
        finally:
            process.kill()


async def stream(url: str, n_predict: int, seen: list[dict[str, Any]]) -> None:
    body = {"model": "m", "prompt": "x", "raw": True, "options": {"num_predict": n_predict, "num_ctx": 2048}}
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        async with client.stream("POST", "/api/generate", json=body) as response:
            async for chunk in lines(response):
                seen.append(chunk)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_a_running_answer_finish_and_takes_no_new_ones(
    tmp_path: Path, endless: Path, number: signal.Signals
) -> None:
    add_model(tmp_path / "models", "m", endless, link=True)
    seen: list[dict[str, Any]] = []
    with server(tmp_path) as (process, url):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream, url, 300, seen)
            await wait_until(lambda: len(seen) > 3)
            assert not seen[-1]["done"]

            process.send_signal(number)

            await wait_until(lambda: not accepts(url))
        await wait_until(lambda: process.poll() is not None)

    assert seen[-1]["done"]
    assert seen[-1]["eval_count"] == 300
    assert process.returncode == 0


async def test_a_second_signal_does_not_wait(tmp_path: Path, endless: Path) -> None:
    add_model(tmp_path / "models", "m", endless, link=True)
    seen: list[dict[str, Any]] = []
    with server(tmp_path) as (process, url):
        async with trio.open_nursery() as nursery:

            async def cut_off() -> None:
                with pytest.raises(httpx.RemoteProtocolError):
                    await stream(url, 1900, seen)

            nursery.start_soon(cut_off)
            await wait_until(lambda: len(seen) > 3)

            process.send_signal(signal.SIGTERM)
            await wait_until(lambda: not accepts(url))
            process.send_signal(signal.SIGTERM)

            await wait_until(lambda: process.poll() is not None)
        assert process.returncode == 0


def accepts(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.ConnectError:
        return False
    return True
