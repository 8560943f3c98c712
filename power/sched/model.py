"""One loaded model: a worker, kept running while somebody wants it.

`run` supervises: it loads the model into a worker process, lets the scheduler
serve with it, and when the worker dies starts another after a pause.  The whole
of it lives in a cancel scope whose deadline is the keep-alive: infinite while
the model is in use, `keep_alive` seconds from now when the last user leaves.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, TypeVar

import trio

from power.config import Config
from power.errors import LoadFailed, PowerError, WorkerDied
from power.metrics import Metrics
from power.options import LoadOptions
from power.sched.crashes import crashing
from power.sched.engine import Engine, hear
from power.sched.evicting import protection
from power.sched.loads import serves
from power.sched.memory import Beside, Needs, together
from power.sched.placing import Placement, placed
from power.sched.scheduler import Scheduler
from power.sched.slots import Crowd
from power.worker.wire import Alive, Load, LoadError, Loading, Question, Ready, Reply

if TYPE_CHECKING:
    from power.store import StoredModel  # only passed on, never looked into

log = logging.getLogger(__name__)

# Deaths in a row, with nothing finished in between, before the model is given up;
# the pause before the n-th restart is BACK_OFF * 2**(n - 2) seconds, none before the first.
MAX_DEATHS = 4
MAX_LOADING_DEATHS = 2  # of those, while it was loading: that may take minutes each time
BACK_OFF = 0.5

# A process that loads may be silent for so many times `hang_seconds`: while llama.cpp's libraries
# are read from the disk, the import holds the interpreter, and with it the thread that would speak.
LOADING_SILENCE = 3

E = TypeVar("E", bound=PowerError)
Launch = Callable[[], AbstractAsyncContextManager[Engine]]


class Model:
    """A model that is in memory, or on its way in or out."""

    def __init__(
        self,
        stored: StoredModel,
        load: Load,
        config: Config,
        *,
        needs: Needs,
        placement: Placement,
        launch: Launch,
        crowd: Crowd,
        metrics: Metrics,
    ) -> None:
        self.stored = stored
        self.load = load  # as it was wanted
        self.needs = needs
        self.placement = placement  # where it goes, and what it takes there
        self.beside: set[Beside] = set()  # contexts that it has, or is about to make, beside the first one
        self.has_displaced = False  # another model had to go for it
        self.began_at = trio.current_time()
        self.protected_until = -math.inf  # from being driven out itself
        self.keep_alive = config.keep_alive  # seconds
        self.scheduler = Scheduler(
            str(stored.name),
            n_slots=load.n_slots,
            max_waiting=config.max_queue,
            metrics=metrics,
            crowd=crowd,
            hang_seconds=config.hang_seconds,
        )
        self.ready: Ready | None = None
        self.ready_at = math.inf  # trio's clock, seconds; the last time a worker became ready
        self.progress = 0.0  # of the load, 0.0 … 1.0
        self.n_users = 0
        self.last_used = trio.current_time()
        self.retiring = False  # takes no new users
        self.n_deaths = 0  # of workers, in a row, with nothing finished in between
        self.death = ""  # why it was given up, if its process kept dying
        self.gone = trio.Event()
        self._load_timeout = config.load_timeout  # seconds without progress
        self._hang_seconds = config.hang_seconds  # without a sign of life
        self._launch = launch
        self._metrics = metrics.of(str(stored.name))
        self._life = trio.CancelScope()
        self._settled = trio.Event()  # loaded, or failed to; after a death it is open again
        self._error: PowerError | None = None

    def __repr__(self) -> str:
        state = "retiring" if self.retiring else "ready" if self.ready else f"loading {self.progress:.0%}"
        return f"<Model {self.stored.name} [{state}, {self.n_users} users, {self.scheduler.table!r}]>"

    # -- use: all synchronous, so that no order of cancellation can upset the count --

    def enter(self) -> None:
        """One more user; the keep-alive stands still."""
        self.n_users += 1
        self.last_used = trio.current_time()
        self._life.deadline = math.inf

    def leave(self) -> None:
        """One user fewer; the last one starts the keep-alive."""
        self.n_users -= 1
        self.last_used = trio.current_time()
        self._rest()

    def retire(self) -> None:
        """Take no new users and go when the last one has left; at once if there is none."""
        self.retiring = True
        self._rest()

    def expire_after(self, keep_alive: float) -> None:
        """From now on stay `keep_alive` seconds after the last use; infinity: for ever."""
        self.keep_alive = keep_alive
        self._rest()

    def _rest(self) -> None:
        if self.n_users:
            return
        if self.retiring or self.keep_alive <= 0:
            # A model that is about to go must not be found by the next request.
            self.retiring = True
            self._life.cancel()
        else:
            self._life.deadline = self.last_used + self.keep_alive

    @property
    def is_open(self) -> bool:
        """Whether a new user may come in; False once the keep-alive has run out."""
        return not (self.retiring or self._life.cancel_called)

    @property
    def is_idle(self) -> bool:
        return self.n_users == 0

    @property
    def expires_at(self) -> float:
        """On trio's clock; what it would be if all users left now."""
        return (trio.current_time() if self.n_users else self.last_used) + self.keep_alive

    def serves(self, wanted: LoadOptions) -> bool:
        """Whether a request with these options needs no other load than this one."""
        return serves(self.load, self.ready, wanted)

    def extend(self, kind: Beside, more: Placement) -> None:
        """It is about to make a further context, which takes so much."""
        self.beside.add(kind)
        self.placement = together(self.placement, more)

    async def ask(self, question: Question) -> Reply:
        """What the model's vocabulary makes of it; see `Scheduler.ask`. Waits for the model."""
        await self.wait_ready()
        return await self.scheduler.ask(question)

    async def wait_ready(self) -> Ready:
        """Wait until the model is in memory.

        Raises:
            LoadFailed: it did not come up.
        """
        while self.ready is None:
            if self.gone.is_set():
                raise self._error or LoadFailed(f"model '{self.stored.name}' was unloaded while it was loading")
            await self._settled.wait()
        return self.ready

    # -- life --

    async def run(self) -> None:
        """Keep a worker running until the keep-alive has passed or the model is given up."""
        try:
            with self._life:
                await self._supervise()
        finally:
            self.end()

    def end(self) -> None:
        """Fail whoever still waits. Done by `run`, or instead of it when it was never begun."""
        self.retiring = True
        self.ready = None
        self._settled.set()
        self.scheduler.close(self._error or LoadFailed(f"model '{self.stored.name}' was unloaded"))
        self.gone.set()

    async def _supervise(self) -> None:
        while self._error is None:
            finished = self.scheduler.n_finished
            try:
                await self._live_once()
            except* WorkerDied as group:
                self.n_deaths = 1 if self.scheduler.n_finished > finished else self.n_deaths + 1
                self._bury(_first(group, WorkerDied))
            except* LoadFailed as group:
                self._error = _first(group, LoadFailed)
                log.error("%s", self._error)
            if self._error is None:
                await trio.sleep(BACK_OFF * 2 ** (self.n_deaths - 2) if self.n_deaths > 1 else 0)

    async def _live_once(self) -> None:
        """One worker's life. Ends by WorkerDied or LoadFailed, in a group, or by cancellation."""
        async with self._launch() as engine:
            self.ready = await self._load_into(engine)
            now = trio.current_time()
            if self.has_displaced and math.isinf(self.ready_at):
                self.protected_until = protection(now, now - self.began_at)
            self.ready_at = now
            self._metrics.load.observe(self.ready.load_ns / 1e9)
            self._settled.set()
            await self.scheduler.run(engine)

    async def _load_into(self, engine: Engine) -> Ready:
        await engine.send(placed(self.load, self.placement))
        with trio.move_on_after(self._load_timeout) as patience:
            while True:
                for event in await hear(engine, LOADING_SILENCE * self._hang_seconds):
                    match event:
                        case Alive():
                            continue
                        case Loading(progress):
                            self.progress = progress
                            patience.deadline = trio.current_time() + self._load_timeout
                        case Ready():
                            return event
                        case LoadError(message):
                            raise LoadFailed(f"model '{self.stored.name}' could not be loaded: {message}")
                        case _:
                            raise AssertionError(f"a loading worker said {event}")
        raise LoadFailed(
            f"timed out waiting for model '{self.stored.name}' to load: "
            f"no progress for {self._load_timeout:g} seconds (at {self.progress:.0%})"
        )

    def _bury(self, error: WorkerDied) -> None:
        log.error("%s: %s (%d in a row)", self.stored.name, error, self.n_deaths)
        was_loading, self.ready = self.ready is None, None
        self.progress = 0.0
        self._metrics.restarts.inc()
        self.scheduler.lost(error)
        if self.n_deaths >= (MAX_LOADING_DEATHS if was_loading else MAX_DEATHS):
            self.death = f"{error}{' while loading' * was_loading}"
            # For whoever waits: what was being answered has failed by now, and has been told.
            self._error = crashing(str(self.stored.name), self.n_deaths, self.death)
        elif self._settled.is_set():
            self._settled = trio.Event()


def _first(group: BaseExceptionGroup[E], kind: type[E]) -> E:
    """The innermost first error: nurseries wrap what they raise, some more than once."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, kind)
    return error
