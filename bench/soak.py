"""Many requests, clients that leave and processes that are killed: does anything get lost, or grow?

usage: python -m bench.soak [--requests N] [--clients N] [--kills N] [--seed N]

A server of its own with two models (the same weights): nobody hangs up on
"steady", so that its metrics must equal the usage its clients were told, and on
"flaky" every third client leaves at a random moment.  Meanwhile workers of both
are killed (or, now and then, stopped) at random.  In the end:

* every request has ended exactly once: an answer, an error, or a hang-up of ours;
* nothing runs or waits, and the metrics' sums are the usage's;
* the server has no more descriptors and threads than when it was warm, and about as much memory.

Ends with status 1 if one of these does not hold.  10,000 requests take about ten
minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import trio
from prometheus_client.parser import text_string_to_metric_families

from tests.support import TINY, add_model, workers

WARM = 0.2  # of the requests, after which nothing may grow any more
MEMORY_SLACK = 16 * 2**20  # bytes; Python's allocator gives back in large pieces
HANG_SECONDS = 5
STOPPED = 0.1  # of the kills are SIGSTOP
LEAVING = 1 / 3  # of the requests to "flaky"
QUESTIONS = ("Hello!", "Who are you?", "What is 2 + 3?", "My name is Ada.")
ERRORS_ALLOWED = ("unexpectedly stopped", "hung: no sign of life", "given up", "keeps crashing")


class Tally:
    """What became of the requests, as their clients saw it."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.usage: Counter[tuple[str, str]] = Counter()  # (model, kind) -> tokens, of finished requests
        self.finished: Counter[str] = Counter()  # by model
        self.complaints: list[str] = []
        self.n_ended = 0

    def end(self, outcome: str) -> None:
        self.n_ended += 1
        self.outcomes[outcome] += 1

    def count(self, model: str, n_prompt: int, n_generated: int) -> None:
        self.finished[model] += 1
        self.usage[model, "prompt"] += n_prompt
        self.usage[model, "generated"] += n_generated

    def complain(self, what: str) -> None:
        self.complaints.append(what)


class Reading:
    """The server process, at one moment."""

    def __init__(self, pid: int) -> None:
        status = Path(f"/proc/{pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        self.n_descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        self.n_threads = int(fields["Threads"])
        self.memory = int(fields["VmRSS"].split()[0]) * 1024  # bytes

    def __str__(self) -> str:
        return f"{self.n_descriptors} descriptors, {self.n_threads} threads, {self.memory / 2**20:.1f} MiB"


@contextmanager
def server(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    padded = home / "flaky.gguf"
    padded.write_bytes(TINY.read_bytes() + bytes(32))  # another file to the store, and so another worker
    add_model(home / "models", "steady", TINY)
    add_model(home / "models", "flaky", padded)
    (home / "config.toml").write_text(f"hang_seconds = {HANG_SECONDS}\nnum_thread = 1\nmax_queue = 64\n")
    command = [sys.executable, "-m", "power", "serve", "--port", "0", "--data-dir", str(home)]
    environment = {**os.environ, "POWER_HOME": str(home)}
    with (
        (home / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as process,
    ):
        try:
            yield process, _url(process, home / "log")
        finally:
            process.terminate()


def _url(process: subprocess.Popen[str], log: Path) -> str:
    """Where it listens; it says so in its log."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        for word in log.read_text().split():
            if word.startswith("http://"):
                return word.rstrip(",")
        time.sleep(0.05)
    raise SystemExit(f"the server did not start:\n{log.read_text()}")


class Soak:
    """One run."""

    def __init__(self, arguments: argparse.Namespace, pid: int, client: httpx.AsyncClient) -> None:
        self.tally = Tally()
        self._n_requests = arguments.requests
        self._n_clients = arguments.clients
        self._kill_every = max(1, arguments.requests // arguments.kills) if arguments.kills else None
        self._random = random.Random(arguments.seed)
        self._pid = pid
        self._client = client
        self._n_begun = 0
        self.n_kills = 0

    async def run(self) -> Reading:
        """All requests; the reading is of the time when the server was warm."""
        warm = trio.Event()
        reading: list[Reading] = []

        async def read_when_warm() -> None:
            await warm.wait()
            reading.append(Reading(self._pid))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_when_warm)
            for number in range(self._n_clients):
                nursery.start_soon(self._work, number, warm)
        return reading[0]

    async def _work(self, number: int, warm: trio.Event) -> None:
        while self._n_begun < self._n_requests:
            self._n_begun += 1
            if self._n_begun >= WARM * self._n_requests:
                warm.set()
            if self._kill_every and self._n_begun % self._kill_every == 0:
                self._kill()
            await self._request(f"client-{number % 5}")
            # Clients in step would always find the same slots free.
            await trio.sleep(self._random.uniform(0, 0.05))

    def _kill(self) -> None:
        if victims := workers(self._pid):
            number = signal.SIGSTOP if self._random.random() < STOPPED else signal.SIGKILL
            os.kill(self._random.choice(victims), number)
            self.n_kills += 1

    async def _request(self, key: str) -> None:
        model = self._random.choice(["steady", "flaky"])
        leaves = model == "flaky" and self._random.random() < LEAVING
        body = {
            "model": model,
            "messages": [
                {"role": "user", "content": self._random.choice("Hello! Who are you? What is 2 + 3?".split())}
            ],
            "stream": self._random.random() < 0.7,
            "options": {"num_predict": self._random.randint(1, 40), "temperature": 0},
        }
        with trio.CancelScope() as scope:
            if leaves:
                scope.deadline = trio.current_time() + self._random.uniform(0, 0.3)
            try:
                outcome = await self._ask(model, body, key)
            except httpx.HTTPError as error:
                self.tally.complain(f"{type(error).__name__}: {error}")
                outcome = "broken"
        self.tally.end("hung up" if scope.cancelled_caught else outcome)

    async def _ask(self, model: str, body: dict[str, Any], key: str) -> str:
        headers = {"Authorization": f"Bearer {key}"}
        async with self._client.stream("POST", "/api/chat", json=body, headers=headers) as response:
            text = (await response.aread()).decode()
        if response.status_code != 200:
            return self._failed(text, response.status_code)
        objects = [json.loads(line) for line in text.splitlines()]
        ends = [number for number, item in enumerate(objects) if item.get("done") or "error" in item]
        if ends != [len(objects) - 1]:
            self.tally.complain(f"{len(ends)} ends in {len(objects)} objects: {text[-300:]}")
            return "broken"
        last = objects[-1]
        if "error" in last:
            return self._failed(text.splitlines()[-1], 200)
        self.tally.count(model, last["prompt_eval_count"], last["eval_count"])
        return "finished"

    def _failed(self, text: str, status: int) -> str:
        error = json.loads(text).get("error", text)
        if not any(words in error for words in ERRORS_ALLOWED):
            self.tally.complain(f"{status}: {error}")
        return "failed in its stream" if status == 200 else f"failed: {status}"


async def settle(client: httpx.AsyncClient) -> dict[str, dict[tuple[str, ...], float]]:
    """The metrics, once nothing runs."""
    with trio.fail_after(60):
        while True:
            found: dict[str, dict[tuple[str, ...], float]] = {}
            for family in text_string_to_metric_families((await client.get("/metrics")).text):
                for sample in family.samples:
                    labels = tuple(sample.labels[key] for key in sorted(sample.labels))
                    found.setdefault(sample.name, {})[labels] = sample.value
            busy = [*found["power_requests_running"].values(), *found["power_requests_waiting"].values()]
            if not any(busy):
                return found
            await trio.sleep(0.1)


def differences(tally: Tally, found: dict[str, dict[tuple[str, ...], float]]) -> Iterator[str]:
    """Where the metrics say something else than the clients."""
    for kind in ("prompt", "generated"):
        counted = found["power_tokens_total"].get((kind, "steady:latest"), 0)
        if counted != tally.usage["steady", kind]:
            yield f"steady: {counted:g} {kind} tokens counted, {tally.usage['steady', kind]} told"
        if found["power_tokens_total"].get((kind, "flaky:latest"), 0) < tally.usage["flaky", kind]:
            yield f"flaky: fewer {kind} tokens counted than told"
    counted = found["power_generations_total"].get(("steady:latest", "finished"), 0)
    if counted != tally.finished["steady"]:
        yield f"steady: {counted:g} generations finished, {tally.finished['steady']} told"


def growth(warm: Reading, end: Reading) -> Iterator[str]:
    if end.n_descriptors > warm.n_descriptors:
        yield f"descriptors grew from {warm.n_descriptors} to {end.n_descriptors}"
    if end.n_threads > warm.n_threads:
        yield f"threads grew from {warm.n_threads} to {end.n_threads}"
    if end.memory > warm.memory + MEMORY_SLACK:
        yield f"memory grew from {warm.memory / 2**20:.1f} to {end.memory / 2**20:.1f} MiB"


async def soak(arguments: argparse.Namespace, pid: int, url: str) -> list[str]:
    """Run, report; returns what is wrong."""
    limits = httpx.Limits(max_connections=arguments.clients, max_keepalive_connections=0)
    began = time.monotonic()
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        run = Soak(arguments, pid, client)
        warm = await run.run()
        found = await settle(client)
    seconds = time.monotonic() - began
    await trio.sleep(1)  # for the last connections to be closed
    end = Reading(pid)
    tally = run.tally
    print(f"{tally.n_ended} requests in {seconds:.0f} s, {run.n_kills} kills")
    for outcome, n in tally.outcomes.most_common():
        print(f"  {n:6d}  {outcome}")
    restarts = sum(found["power_worker_restarts_total"].values())
    print(f"restarts: {restarts:g}; warm: {warm}; end: {end}")
    wrong = [*tally.complaints, *differences(tally, found), *growth(warm, end)]
    if tally.n_ended != arguments.requests:
        wrong.append(f"{arguments.requests} requests, and {tally.n_ended} ends")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, server(Path(home)) as (process, url):
        wrong = trio.run(soak, arguments, process.pid, url)
    for line in wrong[:20]:
        print(f"WRONG: {line}")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
