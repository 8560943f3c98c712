"""All models of a server: who is loaded, who may come in, who has to go.

A request that finds its model loaded walks straight in.  Any other joins one
line.  For the first in it room is made (`power.sched.evicting` says how) and the
load is begun; whoever wants the same model then finds it there, wherever in the
line it stands.  So waiters share one load and one eviction.

The line moves on in `_advance`, which is synchronous and called whenever
something has changed: somebody came or left, a model has gone, a time has passed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from power.claim import ANYBODY, Claim
from power.config import Config
from power.errors import Overloaded, PowerError
from power.metrics import Metrics
from power.options import LoadOptions
from power.sched.crashes import Crashes
from power.sched.evicting import Resident, Retire, Wait, make_room
from power.sched.loads import load_command, model_key
from power.sched.mailbox import Mailbox
from power.sched.memory import MachineMemory, Memory, Needs, all_of, left
from power.sched.model import Launch, Model
from power.sched.placing import Placement
from power.sched.process import open_worker
from power.sched.running import RunningModel, running_model
from power.sched.slots import BUSY, Crowd
from power.sched.watch import Watch
from power.worker.wire import Load, Task

if TYPE_CHECKING:
    from power.store import StoredModel  # only passed on, never looked into

log = logging.getLogger(__name__)

DEFAULT_LOADED = 3  # models for each GPU, and without one; Ollama's default
MOST_LOADED = 1024  # models; as far as the setting goes
# Seconds after which somebody who waited for a load in vain may try again: about what one takes.
LOAD_RETRY = 5


class Use:
    """One user's hold on a model. `release` may be called early, and any number of times."""

    def __init__(self, model: Model, claim: Claim = ANYBODY, deadline: float = math.inf) -> None:
        self.model = model
        self._claim = claim
        self._deadline = deadline
        self._held = True
        self._watch: Watch | None = None
        model.enter()

    def another(self) -> Use:
        """A second hold, for a second generation should the first be refused."""
        use = Use(self.model, self._claim, self._deadline)
        use._watch = self._watch
        return use

    def show(self, watch: Watch) -> None:
        """Let `watch` see the model, and the places that are taken from now on."""
        watch.model = self.model
        self._watch = watch

    def release(self) -> None:
        if self._held:
            self._held = False
            self.model.leave()

    @asynccontextmanager
    async def generate(self, task: Task) -> AsyncIterator[Mailbox]:
        """A slot of the model. The hold ends with the generation, even if the reader lags behind.

        Raises:
            Overloaded: the queue is full, or no slot was free in time.
        """
        async with self.model.generate(task, self.release, self._claim, self._deadline, self._watch) as mailbox:
            yield mailbox


class _Waiter:
    """Somebody in the line: for a model that is not loaded, or not as it is wanted."""

    def __init__(self, stored: StoredModel, wanted: LoadOptions, load: Load, claim: Claim, deadline: float) -> None:
        self.stored = stored
        self.wanted = wanted
        self.load = load
        self.claim = claim
        self.deadline = deadline
        self.since = trio.current_time()
        self.needs: Needs | None = None  # not measured yet
        self.has_displaced = False  # another model had to go for it
        self.use: Use | None = None
        self.error: PowerError | None = None
        self.answered = trio.Event()

    @property
    def key(self) -> str:
        return model_key(self.stored)

    def answer(self, outcome: Use | PowerError) -> None:
        if isinstance(outcome, Use):
            self.use = outcome
        else:
            self.error = outcome
        self.answered.set()


class Models:
    """The models in memory, by their files."""

    def __init__(
        self, config: Config, metrics: Metrics, launch: Launch, memory: Memory, begin: trio.MemorySendChannel[Model]
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._launch = launch
        self._memory = memory
        self._begin = begin
        self._by_key: dict[str, Model] = {}
        self._line: list[_Waiter] = []
        self._alarm = trio.CancelScope()  # when the line is to be looked at again
        self._crowd = Crowd(config.max_queue_total)
        self._crashes = Crashes()
        self._stopping: Overloaded | None = None

    @asynccontextmanager
    async def acquire(
        self,
        stored: StoredModel,
        wanted: LoadOptions,
        keep_alive: float | None = None,
        claim: Claim = ANYBODY,
        watch: Watch | None = None,
    ) -> AsyncIterator[Use]:
        """Keep `stored` in use during the block; it may still be loading (`Model.wait_ready`).

        `keep_alive` (seconds), if given, replaces the model's own; `watch` sees what is waited for.

        Raises:
            Overloaded: too many requests wait for a model to be loaded, this one has waited too long, the
                model keeps crashing, or the server stops.
            LoadFailed: there is no room for it, or its file is broken.
        """
        if watch is not None:
            watch.is_in_line = True
        use = await self._enter(stored, wanted, claim)
        if watch is not None:
            use.show(watch)
        if keep_alive is not None:
            use.model.keep_alive = keep_alive
        try:
            yield use
        finally:
            use.release()
            self._advance()

    def stop(self, error: Overloaded) -> None:
        """Take no more requests, and turn away all that have not begun; those that have go on."""
        self._stopping = error
        for waiter in self._line:
            waiter.answer(error)
        for model in self._by_key.values():
            model.scheduler.turn_away(error)

    # -- coming in --

    async def _enter(self, stored: StoredModel, wanted: LoadOptions, claim: Claim) -> Use:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._stopping is not None:
            raise self._stopping
        patience = self._config.max_queue_seconds if claim.max_queue_seconds is None else claim.max_queue_seconds
        deadline = trio.current_time() + patience
        if model := self._loaded(stored, wanted):
            return Use(model, claim, deadline)
        load = load_command(stored, wanted, self._config)
        self._crashes.check(load, str(stored.name), trio.current_time())
        if len(self._line) >= self._config.max_queue or self._crowd.is_full:
            raise Overloaded(BUSY, retry_after=LOAD_RETRY)
        return await self._stand_in_line(_Waiter(stored, wanted, load, claim, deadline))

    async def _stand_in_line(self, waiter: _Waiter) -> Use:
        self._line.append(waiter)
        self._crowd.n += 1
        try:
            with trio.CancelScope(deadline=waiter.deadline):
                waiter.needs = await self._memory.measure(waiter.stored, waiter.load)
                self._advance()
                await waiter.answered.wait()
        except BaseException:
            if waiter.use is not None:  # given in the moment that the request was cancelled
                waiter.use.release()
            raise
        finally:
            self._line.remove(waiter)
            self._crowd.n -= 1
            self._advance()
        if waiter.use is not None:
            return waiter.use
        raise waiter.error or Overloaded(
            f"there was no room for model '{waiter.stored.name}' in time (max_queue_seconds)",
            reason="deadline",
            retry_after=LOAD_RETRY,
        )

    def _loaded(self, stored: StoredModel, wanted: LoadOptions) -> Model | None:
        model = self._by_key.get(model_key(stored))
        return model if model and model.is_open and model.serves(wanted) else None

    # -- the line --

    def _advance(self) -> None:
        """Let in whoever can come in, and do the next thing for the first who cannot."""
        self._alarm.deadline = math.inf
        while True:
            open_ones = [waiter for waiter in self._line if not waiter.answered.is_set()]
            for waiter in open_ones:
                if model := self._loaded(waiter.stored, waiter.wanted):
                    waiter.answer(Use(model, waiter.claim, waiter.deadline))
            first = next((waiter for waiter in open_ones if not waiter.answered.is_set()), None)
            if first is None or first.needs is None or not self._serve_first(first, first.needs):
                return

    def _serve_first(self, waiter: _Waiter, needs: Needs) -> bool:
        """One step for the first in line. True if the line has moved."""
        now = trio.current_time()
        if model := self._by_key.get(waiter.key):  # loaded with other options, or on its way out
            self._step_aside(model, now)
            return False
        try:
            self._crashes.check(waiter.load, str(waiter.stored.name), now)
        except Overloaded as error:
            waiter.answer(error)
            return True
        room = self._memory.room()
        ready = [model.placement for model in self._by_key.values() if model.ready is not None]
        coming = [model.placement for model in self._by_key.values() if model.ready is None]
        everything = all_of(room, ready, self._config.memory_budget)
        if needs.place(everything, partly=True) is None:
            waiter.answer(needs.refusal(everything))
            return True
        if len(self._by_key) < self._most_loaded(len(room.gpus)):
            now_left = left(room, ready, coming, self._config.memory_budget)
            # Whole into the GPUs, even if others have to go for it; unless it never fits whole.
            partly = not self._by_key or needs.place(everything, partly=False) is None
            placement = needs.place(now_left, partly=partly)
            if placement is not None:
                self._start(waiter, placement)
                return True
        self._make_room(waiter, now)
        return False

    def _most_loaded(self, n_gpus: int) -> int:
        return self._config.max_loaded_models or DEFAULT_LOADED * max(1, n_gpus)

    def _step_aside(self, model: Model, now: float) -> None:
        if model.protected_until > now:
            self._alarm.deadline = model.protected_until
        elif not model.retiring:
            model.retire()

    def _make_room(self, waiter: _Waiter, now: float) -> None:
        match make_room([_resident(key, model) for key, model in self._by_key.items()], now, waiter.since):
            case Retire(key):
                log.info("unloading %s to make room for %s", self._by_key[key].stored.name, waiter.stored.name)
                self._metrics.evictions.inc()
                waiter.has_displaced = True
                self._by_key[key].retire()
            case Wait(until):
                self._alarm.deadline = until

    async def watch_clock(self) -> None:
        """Look at the line again when it is time."""
        while True:
            with trio.CancelScope() as self._alarm:
                self._advance()
                await trio.sleep_forever()

    def _start(self, waiter: _Waiter, placement: Placement) -> None:
        model = Model(
            waiter.stored,
            waiter.load,
            placement=placement,
            launch=self._launch,
            keep_alive=self._config.keep_alive,
            load_timeout=self._config.load_timeout,
            max_queue=self._config.max_queue,
            crowd=self._crowd,
            hang_seconds=self._config.hang_seconds,
            metrics=self._metrics,
        )
        model.has_displaced = waiter.has_displaced
        self._by_key[waiter.key] = model
        self._metrics.loaded.set(len(self._by_key))
        # The channel has room for every model that may be loaded.
        self._begin.send_nowait(model)

    async def run_model(self, model: Model) -> None:
        """One model's task, from its start to its end."""
        key = model_key(model.stored)
        try:
            await model.run()
        finally:
            del self._by_key[key]
            if model.scheduler.n_finished:
                self._crashes.recovered(model.load)
            if model.death:
                self._crashes.died(model.load, model.n_deaths, model.death, trio.current_time())
            self._metrics.loaded.set(len(self._by_key))
            self._advance()

    def end_unbegun(self, begin: trio.MemoryReceiveChannel[Model]) -> None:
        """The server stops: models whose task never started end here, or their users would wait for ever."""
        while True:
            try:
                begin.receive_nowait().end()
            except trio.WouldBlock:
                return

    def unload(self, stored: StoredModel) -> bool:
        """Let the model go as soon as nobody uses it. False if it is not in memory."""
        model = self._by_key.get(model_key(stored))
        if model is None:
            return False
        model.expire_after(0)
        return True

    def running(self) -> list[RunningModel]:
        """The models in memory, the one that stays longest first."""
        ready = [model for model in self._by_key.values() if model.ready is not None]
        return [running_model(model) for model in sorted(ready, key=lambda model: -model.expires_at)]

    def observe(self) -> None:
        """Set the gauges that change by themselves, for somebody who is about to read them."""
        for model in self._by_key.values():
            model.scheduler.observe(model.ready.n_ctx_pool if model.ready else 0)

    def loading(self) -> list[tuple[str, float]]:
        """Names and progress (0 … 1) of the models on their way in."""
        return [(str(m.stored.name), m.progress) for m in self._by_key.values() if m.ready is None and not m.retiring]


def _resident(key: str, model: Model) -> Resident:
    return Resident(
        key=key,
        is_idle=model.is_idle,
        is_leaving=model.retiring,
        last_used=model.last_used,
        ready_at=model.ready_at,
        protected_until=model.protected_until,
    )


@asynccontextmanager
async def open_models(
    config: Config, metrics: Metrics, launch: Launch = open_worker, memory: Memory | None = None
) -> AsyncIterator[Models]:
    """The models of one server; leaving the block ends their workers."""
    send, receive = trio.open_memory_channel[Model](MOST_LOADED)
    models = Models(config, metrics, launch, memory or MachineMemory(config), send)
    async with trio.open_nursery() as nursery:

        async def run_all() -> None:
            async for model in receive:
                nursery.start_soon(models.run_model, model, name=f"model {model.stored.name}")

        nursery.start_soon(run_all)
        nursery.start_soon(models.watch_clock)
        try:
            yield models
        finally:
            nursery.cancel_scope.cancel()
            models.end_unbegun(receive)
