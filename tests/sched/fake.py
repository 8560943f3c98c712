"""A worker that computes nothing and speaks the real protocol.

It answers `Start` as a worker does, one token a step, under the test's control:
`Script` says how long loading takes, what each token costs, and when to die.
The same contract tests run against it and against a real process.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from power.errors import WorkerDied
from power.worker.wire import (
    Accepted,
    Alive,
    Cancel,
    Command,
    Done,
    Event,
    Load,
    LoadError,
    Loading,
    Piece,
    Ready,
    Start,
    Step,
)


@dataclass
class Script:
    """What the workers of one test do."""

    load_seconds: float = 1.0
    stall_after: float | None = None  # progress at which loading stops for good
    load_error: str = ""
    hang_loading: bool = False  # the first worker does
    die_loading: int = 0  # how many workers die before they are ready
    host_bytes: float = float("inf")
    takes: dict[str, int] = field(default_factory=dict)  # bytes, by model
    takes_beside: int = 0  # bytes, any further context of any model
    token_seconds: float = 1.0
    die_at: list[float] = field(default_factory=list)  # seconds into the n-th worker's serving life
    alive_seconds: float | None = None  # `Alive` is said this often within a step
    hang_at: list[int] = field(default_factory=list)  # steps of the n-th worker after which it hangs
    n_launched: int = 0
    n_killed: int = 0
    started: list[int] = field(default_factory=list)  # ids, in order
    max_running: int = 0

    @asynccontextmanager
    async def launch(self) -> AsyncIterator[FakeEngine]:
        self.n_launched += 1
        die_after = self.die_at[self.n_launched - 1] if self.n_launched <= len(self.die_at) else None
        async with trio.open_nursery() as nursery:
            engine = FakeEngine(self, die_after)
            nursery.start_soon(engine.work)
            try:
                yield engine
            finally:
                nursery.cancel_scope.cancel()


class FakeEngine:
    def __init__(self, script: Script, die_after: float | None) -> None:
        self._script = script
        self._hang_after = script.hang_at.pop(0) if script.hang_at else None
        self._n_steps = 0
        self._die_after = die_after
        self._commands_in, self._commands = trio.open_memory_channel[Command](1000)
        self._events, self._events_out = trio.open_memory_channel[Event](100_000)
        self._running: dict[int, Start] = {}
        self._n_done: dict[int, int] = {}

    async def send(self, command: Command) -> None:
        await self._commands_in.send(command)

    async def receive(self) -> list[Event]:
        try:
            return [await self._events_out.receive()]
        except trio.EndOfChannel:
            raise WorkerDied("the fake was told to die", -9) from None

    def kill(self) -> None:
        self._script.n_killed += 1

    async def work(self) -> None:
        async with self._events:
            load = await self._commands.receive()
            assert isinstance(load, Load)
            if await self._load(load):
                with trio.move_on_after(self._die_after if self._die_after is not None else float("inf")):
                    await self._serve(load)

    async def _load(self, load: Load) -> bool:
        if self._script.load_error:
            self._events.send_nowait(LoadError(self._script.load_error))
            return False
        if self._script.die_loading:
            self._script.die_loading -= 1
            return False
        for percent in (0.25, 0.5, 0.75, 1.0):
            await self._wait_alive(self._script.load_seconds / 4)
            self._events.send_nowait(Loading(percent))
            if self._script.stall_after is not None and percent >= self._script.stall_after:
                await self._wait_alive(math.inf)
        self._events.send_nowait(ready(load))
        return True

    async def _serve(self, load: Load) -> None:
        while True:
            if not self._running:
                self._take(await self._commands.receive())
            await self._compute()
            while True:
                try:
                    self._take(self._commands.receive_nowait())
                except trio.WouldBlock:
                    break
            assert len(self._running) <= load.n_slots, "more sequences than slots"
            self._script.max_running = max(self._script.max_running, len(self._running))
            self._step()

    async def _wait_alive(self, seconds: float) -> None:
        """Wait like a worker that loads: with a sign of life now and then."""
        if self._script.hang_loading:
            self._script.hang_loading = False
            await trio.sleep_forever()
        with trio.move_on_after(seconds):
            while True:
                await trio.sleep(5)
                self._events.send_nowait(Alive())

    async def _compute(self) -> None:
        self._n_steps += 1
        if self._hang_after is not None and self._n_steps > self._hang_after:
            await trio.sleep_forever()
        with trio.move_on_after(self._script.token_seconds):
            while self._script.alive_seconds:
                await trio.sleep(self._script.alive_seconds)
                self._events.send_nowait(Alive())
            await trio.sleep_forever()

    def _take(self, command: Command) -> None:
        match command:
            case Start(id=id):
                self._script.started.append(id)
                self._running[id] = command
                self._n_done[id] = 0
                self._events.send_nowait(Accepted(id, 1, 0))
            case Cancel(id):
                if id in self._running:
                    self._end(id, "cancel")
            case _:
                raise AssertionError(command)

    def _step(self) -> None:
        pieces = []
        for id in self._running:
            self._n_done[id] += 1
            pieces.append(Piece(id, f"{self._n_done[id]} ", (self._n_done[id],)))
        if pieces:
            self._events.send_nowait(Step(tuple(pieces)))
        for id, start in list(self._running.items()):
            if self._n_done[id] == start.n_predict:
                self._end(id, "length")

    def _end(self, id: int, reason: str) -> None:
        del self._running[id]
        self._events.send_nowait(
            Done(
                id=id,
                reason=reason,  # type: ignore[arg-type]  # one of the three, by its callers
                n_prompt=1,
                n_cached=0,
                n_generated=self._n_done[id],
                prefill_ns=0,
                decode_ns=0,
            )
        )


def ready(load: Load) -> Ready:
    return Ready(
        n_ctx=load.n_ctx,
        n_ctx_pool=load.n_ctx * load.n_slots,
        n_ctx_train=4096,
        n_vocab=1000,
        n_params=10**6,
        model_bytes=10**6,
        kv_bytes=10**6,
        device_bytes={"CPU_Mapped": 10**6, "CUDA0": 2 * 10**6, "CUDA_Host": 10**5},
        on_gpu=False,
        bos="",
        eos="",
        load_ns=10**9,
    )
