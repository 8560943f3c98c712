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
from power.sched.line import Line, Waiter
from power.sched.loads import load_command
from power.sched.memory import MachineMemory, Memory, Needs
from power.sched.model import Launch, Model
from power.sched.placing import Placement
from power.sched.process import open_worker
from power.sched.residents import Residents
from power.sched.running import RunningModel
from power.sched.slots import BUSY, Crowd
from power.sched.use import Use
from power.sched.watch import Watch

if TYPE_CHECKING:
    from power.store import StoredModel  # only passed on, never looked into

log = logging.getLogger(__name__)

MOST_LOADED = 1024  # models; as far as the setting goes
# Seconds after which somebody who waited for a load in vain may try again: about what one takes.
LOAD_RETRY = 5


class Models:
    """The models in memory, by their files."""

    def __init__(
        self, config: Config, metrics: Metrics, launch: Launch, memory: Memory, begin: trio.MemorySendChannel[Model]
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._launch = launch
        self._begin = begin
        self._residents = Residents(config, memory)
        self._alarm = trio.CancelScope()  # when the line is to be looked at again
        self._crowd = Crowd(config.max_queue_total)
        self._line = Line(self._crowd, config.max_queue)
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
        use = await self._enter(stored, wanted, claim, watch)
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
        for model in self._residents:
            model.scheduler.turn_away(error)

    # -- coming in --

    async def _enter(self, stored: StoredModel, wanted: LoadOptions, claim: Claim, watch: Watch | None) -> Use:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._stopping is not None:
            raise self._stopping
        patience = self._config.max_queue_seconds if claim.max_queue_seconds is None else claim.max_queue_seconds
        deadline = trio.current_time() + patience
        if model := self._loaded(stored, wanted):
            return Use(model, self._residents.admit, claim, deadline)
        load = load_command(stored, wanted, self._config)
        self._crashes.check(load, str(stored.name), trio.current_time())
        if self._line.is_full:
            raise Overloaded(BUSY, retry_after=LOAD_RETRY)
        waiter = Waiter(stored, wanted, load, claim, deadline)
        if watch is not None:
            watch.position = lambda: self._line.position(waiter)
        return await self._wait_in_line(waiter)

    async def _wait_in_line(self, waiter: Waiter) -> Use:
        try:
            with (
                self._line.standing(waiter),
                self._metrics.awaited.track_inprogress(),
                trio.CancelScope(deadline=waiter.deadline),
            ):
                waiter.needs = await self._residents.memory.measure(waiter.stored, waiter.load)
                self._advance()
                await waiter.answered.wait()
        except BaseException:
            if waiter.use is not None:  # given in the moment that the request was cancelled
                waiter.use.release()
            raise
        finally:
            self._advance()
        if waiter.use is not None:
            return waiter.use
        raise waiter.error or Overloaded(
            f"there was no room for model '{waiter.stored.name}' in time (max_queue_seconds)",
            reason="deadline",
            retry_after=LOAD_RETRY,
        )

    def _loaded(self, stored: StoredModel, wanted: LoadOptions) -> Model | None:
        model = self._residents.find(stored)
        return model if model and model.is_open and model.serves(wanted) else None

    # -- the line --

    def _advance(self) -> None:
        """Let in whoever can come in, and do the next thing for the first who cannot."""
        self._alarm.deadline = math.inf
        while True:
            for waiter in self._line:
                if model := self._loaded(waiter.stored, waiter.wanted):
                    waiter.answer(Use(model, self._residents.admit, waiter.claim, waiter.deadline))
            first = next(iter(self._line), None)
            if first is None or first.needs is None or not self._serve_first(first, first.needs):
                return

    def _serve_first(self, waiter: Waiter, needs: Needs) -> bool:
        """One step for the first in line. True if the line has moved."""
        now = trio.current_time()
        if model := self._residents.find(waiter.stored):  # loaded with other options, or on its way out
            self._step_aside(model, now)
            return False
        try:
            self._crashes.check(waiter.load, str(waiter.stored.name), now)
            placement = self._residents.place(needs)
        except PowerError as error:
            waiter.answer(error)
            return True
        if placement is None:
            self._make_room(waiter, now)
            return False
        self._start(waiter, needs, placement)
        return True

    def _step_aside(self, model: Model, now: float) -> None:
        if model.protected_until > now:
            self._alarm.deadline = model.protected_until
        elif not model.retiring:
            model.retire()

    def _make_room(self, waiter: Waiter, now: float) -> None:
        next_one = self._residents.make_room(now, waiter.since)
        if isinstance(next_one, Model):
            log.info("unloading %s to make room for %s", next_one.stored.name, waiter.stored.name)
            self._metrics.evictions.inc()
            waiter.has_displaced = True
            next_one.retire()
        else:
            self._alarm.deadline = next_one

    async def watch_clock(self) -> None:
        """Look at the line again when it is time."""
        while True:
            with trio.CancelScope() as self._alarm:
                self._advance()
                await trio.sleep_forever()

    def _start(self, waiter: Waiter, needs: Needs, placement: Placement) -> None:
        model = Model(
            waiter.stored,
            waiter.load,
            self._config,
            needs=needs,
            placement=placement,
            launch=self._launch,
            crowd=self._crowd,
            metrics=self._metrics,
        )
        model.has_displaced = waiter.has_displaced
        self._residents.add(model)
        self._metrics.loaded.set(len(self._residents))
        # The channel has room for every model that may be loaded.
        self._begin.send_nowait(model)

    async def run_model(self, model: Model) -> None:
        """One model's task, from its start to its end."""
        try:
            await model.run()
        finally:
            self._residents.remove(model)
            if model.scheduler.n_finished:
                self._crashes.recovered(model.load)
            if model.death:
                self._crashes.died(model.load, model.n_deaths, model.death, trio.current_time())
            self._metrics.loaded.set(len(self._residents))
            self._advance()

    def end_unbegun(self, begin: trio.MemoryReceiveChannel[Model]) -> None:
        """The server stops: models whose task never started end here, or their users would wait for ever."""
        while True:
            try:
                begin.receive_nowait().end()
            except trio.WouldBlock:
                return

    def unload(self, stored: StoredModel) -> Model | None:
        """Let the model go as soon as nobody uses it. None if it is not in memory."""
        model = self._residents.find(stored)
        if model is not None:
            model.expire_after(0)
        return model

    # -- looking --

    def running(self) -> list[RunningModel]:
        """The models in memory, the one that stays longest first."""
        return self._residents.running()

    def loading(self) -> list[tuple[str, float]]:
        """Names and progress (0 … 1) of the models on their way in."""
        return self._residents.loading()

    def observe(self) -> None:
        """Set the gauges that change by themselves, for somebody who is about to read them."""
        self._residents.observe()


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
