"""One model's requests, carried to its worker and back.

The scheduler outlives workers: places wait in its table while the model loads,
and again when a worker died before they had streamed anything.  `run` is one
worker's life; between two of them nobody is seated.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec
import trio

from power.claim import ANYBODY, Claim
from power.errors import Overloaded, PowerError, ReaderTooSlow, WorkerDied
from power.metrics import Metrics
from power.sched.engine import Engine, hear, refusal
from power.sched.mailbox import MAX_UNREAD, Mailbox
from power.sched.place import Place
from power.sched.questions import MAX_QUESTIONS, Questions
from power.sched.slots import Crowd, SlotTable
from power.sched.watch import Watch
from power.worker.wire import (
    Accepted,
    Alive,
    Cancel,
    Command,
    Counted,
    Detokenized,
    Done,
    Embedded,
    Event,
    Paused,
    Piece,
    Prefilled,
    Question,
    Refused,
    Reply,
    SlotActed,
    Step,
    Task,
    Tokenized,
)


class Turn(NamedTuple):
    """How a task is to be queued, and who is to know of it."""

    on_end: Callable[[], None]  # called once, as soon as the model has nothing more to do for it
    claim: Claim = ANYBODY
    deadline: float = math.inf  # for its slot, trio's clock
    watch: Watch | None = None  # sees its place from then on


class Scheduler:
    """Places, and the pumps between them and the worker."""

    def __init__(
        self,
        name: str,
        *,
        n_slots: int,
        max_waiting: int,
        metrics: Metrics,
        crowd: Crowd | None = None,
        hang_seconds: float = math.inf,
    ) -> None:
        self.name = name
        self.table = SlotTable(n_slots, max_waiting, crowd)
        self.n_finished = 0  # sequences that ended well, ever; a supervisor's sign of health
        self._metrics = metrics.of(name)
        self._hang_seconds = hang_seconds
        self._patience = trio.CancelScope()  # with a worker that has work and says nothing
        self._commands: trio.MemorySendChannel[Command] | None = None
        self._questions = Questions()

    @asynccontextmanager
    async def generate(self, task: Task, turn: Turn) -> AsyncIterator[Mailbox]:
        """A slot for `task` (its id is given here); leaving the block gives it back.

        The model may be done with it long before the block is left, if the reader is slow.

        Raises:
            Overloaded: the queue is full, or no slot was free in time.
        """
        place = self.table.take(task, turn.on_end, turn.claim)
        if turn.watch is not None:
            turn.watch.place = place
        self._seat()
        try:
            await self._wait_slot(place, turn.deadline)
            yield place.mailbox
        finally:
            self._give_back(place)

    async def _wait_slot(self, place: Place, deadline: float) -> None:
        with trio.CancelScope(deadline=deadline):
            await place.moved.wait()
        if not place.moved.is_set():
            waited = trio.current_time() - place.taken_at
            raise Overloaded(
                f"no slot of model '{self.name}' was free in time: {waited:.1f} seconds in its queue, "
                f"{self.table.waiting.ahead_of(place)} before it (max_queue_seconds)",
                reason="deadline",
                retry_after=self.table.retry_after(),
            )

    async def run(self, engine: Engine) -> None:
        """Serve with this worker until it dies.

        Raises:
            WorkerDied: (in a group) always, in the end.
        """
        # Each slot has at most a task and a Cancel on the way, and questions are counted: this cannot fill.
        self._commands, commands = trio.open_memory_channel[Command](2 * self.table.n_slots + MAX_QUESTIONS)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pump_commands, commands, engine)
                self._seat()
                await self._pump_events(engine)
        finally:
            self._commands = None
            self._questions.fail(WorkerDied("the model's process has stopped"))

    async def ask(self, question: Question) -> Reply:
        """The worker's answer to `question` (its id is given here). The model has to be ready.

        Raises:
            BadRequest: it makes no sense.
            WorkerDied: there is no worker any more.
        """
        async with self._questions.turn():
            if self._commands is None:
                raise WorkerDied(f"model '{self.name}' is not running")
            numbered = msgspec.structs.replace(question, id=self.table.next_id())
            with self._questions.asking(numbered.id) as answer:
                self._commands.send_nowait(numbered)
                if math.isinf(self._patience.deadline):
                    self._expect_word()
                return await answer.wait()

    def lost(self, error: PowerError) -> None:
        """The worker died: fail what had begun to stream, keep the rest for the next worker."""
        self._metrics.failed.inc(self.table.lost(error))
        self._metrics.paused.set(0)
        self._report()

    def turn_away(self, error: PowerError) -> None:
        """Fail whoever waits; those that sit go on."""
        self.table.turn_away(error)
        self._report()

    def close(self, error: PowerError) -> None:
        """Nothing more will be done here."""
        self._metrics.paused.set(0)
        self._metrics.failed.inc(self.table.close(error))
        self._report()

    def _seat(self) -> None:
        if self._commands is None:
            return
        for place in self.table.plan():
            self._commands.send_nowait(place.task)
            if math.isinf(self._patience.deadline):
                self._expect_word()
        self._report()

    def _give_back(self, place: Place) -> None:
        if self.table.leave(place) and self._commands is not None:
            self._commands.send_nowait(Cancel(place.id))
            self._metrics.cancelled.inc()
        self._report()

    def observe(self, n_cells: int) -> None:
        """Set the gauges that change by themselves; `n_cells` tokens fit the KV cache."""
        self._metrics.clients_waiting.set(self.table.waiting.n_clients)
        self._metrics.oldest_wait.set(self.table.oldest_wait)
        used = sum(place.n_tokens for place in self.table.seated.values())
        self._metrics.kv_cache_usage.set(min(1.0, used / n_cells) if n_cells else 0.0)

    def _report(self) -> None:
        self._metrics.running.set(len(self.table.seated) + len(self.table.leaving))
        self._metrics.waiting.set(len(self.table.waiting))

    async def _pump_events(self, engine: Engine) -> None:
        while True:
            for event in await self._hear(engine):
                self._handle(event)

    async def _hear(self, engine: Engine) -> list[Event]:
        self._patience = trio.CancelScope()
        self._expect_word()
        return await hear(engine, self._hang_seconds, self._patience)

    def _expect_word(self) -> None:
        working = self.table.is_working or self._questions
        self._patience.deadline = trio.current_time() + self._hang_seconds if working else math.inf

    def _handle(self, event: Event) -> None:
        match event:
            case Step(pieces):
                for piece in pieces:
                    self._deliver(piece)
            case Accepted(id):
                if place := self.table.seated.get(id):
                    place.mailbox.put(event)
                    place.n_tokens = place.n_prompt = event.n_prompt
                    place.n_cached = event.n_cached
            case Prefilled(id):
                if place := self.table.seated.get(id):
                    place.read(event)
            case Done(id=id):
                self._finish(id, event)
            case Refused(id):
                self._questions.refused(id, refusal(event))
                if place := self.table.ended(id):
                    self._metrics.failed.inc()
                    place.mailbox.fail(refusal(event))
                self._seat()
            case Alive():
                pass
            case Paused(n_now, n_new):
                self._metrics.paused.set(n_now)
                self._metrics.pauses.inc(n_new)
            case Embedded(id):
                if place := self.table.seated.get(id):
                    place.mailbox.put(event)
            case Tokenized() | Counted() | Detokenized() | SlotActed():
                self._questions.answered(event)
            case _:
                raise AssertionError(f"a loaded worker said {event}")

    def _deliver(self, piece: Piece) -> None:
        place = self.table.seated.get(piece.id)
        if place is None:  # a cancelled sequence's last words
            return
        place.has_streamed = True
        place.n_tokens += len(piece.tokens)
        place.mailbox.put(piece)
        self._metrics.decoded.inc(len(piece.tokens))
        if place.mailbox.n_unread > MAX_UNREAD:
            place.mailbox.fail(ReaderTooSlow(f"the client left more than {MAX_UNREAD} characters unread"))
            self._give_back(place)

    def _finish(self, id: int, done: Done) -> None:
        self._metrics.drafted("lookup", done.n_drafted, done.n_accepted)
        self._metrics.drafted("model", done.n_model_drafted, done.n_model_accepted)
        if place := self.table.ended(id, done):
            self.n_finished += 1
            self._metrics.finished(
                n_prompt=done.n_prompt,
                n_cached=done.n_cached,
                n_generated=done.n_generated,
                prefill_ns=done.prefill_ns,
                decode_ns=done.decode_ns,
            )
            place.mailbox.put(done)
        else:
            self._metrics.discarded(n_prompt=done.n_prompt, n_cached=done.n_cached, n_generated=done.n_generated)
        self._seat()


async def _pump_commands(commands: trio.MemoryReceiveChannel[Command], engine: Engine) -> None:
    async for command in commands:
        await engine.send(command)
