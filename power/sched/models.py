"""All models of a server: who is loaded, who may come in, who has to go.

A request that finds its model loaded walks straight in.  Any other takes its
turn in one line: the first in it makes room (the least recently used idle model
goes, a busy one never) and starts the load, and whoever wants the same model
then finds it there.  So waiters share one load and one eviction.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import trio

from power.claim import ANYBODY, Claim
from power.config import Config
from power.errors import Overloaded
from power.metrics import Metrics
from power.options import LoadOptions
from power.sched.crashes import Crashes
from power.sched.mailbox import Mailbox
from power.sched.memory import check_memory
from power.sched.model import Admit, Launch, Model
from power.sched.process import open_worker
from power.sched.slots import BUSY, Crowd
from power.worker.wire import Load, Task

if TYPE_CHECKING:
    from power.store import StoredModel  # only passed on, never looked into

log = logging.getLogger(__name__)

DEFAULT_LOADED = 3  # models; Ollama's default is three for each GPU, and three without one
DEFAULT_CTX = 4096  # tokens; Ollama's default without a GPU
DEFAULT_BATCH = 512  # tokens
# An encoder takes an input in one batch, and memory for its largest batch: tokens, Ollama's default for such models.
ENCODER_CTX = 2048
EMBEDDING_SLOTS = 32  # requests that a model for embeddings alone serves together: it has no KV cache to divide


class RunningModel(msgspec.Struct, frozen=True, kw_only=True):
    """What `/api/ps` tells of a model."""

    model: StoredModel
    size: int  # bytes
    size_vram: int  # bytes
    context_length: int  # tokens
    expires_at: datetime | None  # None: never
    n_users: int


class Use:
    """One user's hold on a model. `release` may be called early, and any number of times."""

    def __init__(self, model: Model, claim: Claim = ANYBODY, deadline: float = math.inf) -> None:
        self.model = model
        self._claim = claim
        self._deadline = deadline
        self._held = True
        model.enter()

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
        async with self.model.generate(task, self.release, self._claim, self._deadline) as mailbox:
            yield mailbox


class Models:
    """The models in memory, by their files."""

    def __init__(
        self, config: Config, metrics: Metrics, launch: Launch, admit: Admit, begin: trio.MemorySendChannel[Model]
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._launch = launch
        self._admit = admit
        self._begin = begin
        self._by_key: dict[str, Model] = {}
        self._crashes = Crashes()
        self._turn = trio.StrictFIFOLock()
        self._changed = trio.Event()
        self._crowd = Crowd(config.max_queue_total)
        self._n_waiting = 0  # for a load; those who wait for a slot are in their model's table

    @asynccontextmanager
    async def acquire(
        self, stored: StoredModel, wanted: LoadOptions, keep_alive: float | None = None, claim: Claim = ANYBODY
    ) -> AsyncIterator[Use]:
        """Keep `stored` in use during the block; it may still be loading (`Model.wait_ready`).

        `keep_alive` (seconds), if given, replaces the model's own.

        Raises:
            Overloaded: too many requests wait for a model to be loaded, or this one has waited too long.
        """
        use = await self._enter(stored, wanted, claim)
        if keep_alive is not None:
            use.model.keep_alive = keep_alive
        try:
            yield use
        finally:
            use.release()
            self._wake()

    async def _enter(self, stored: StoredModel, wanted: LoadOptions, claim: Claim) -> Use:
        await trio.lowlevel.checkpoint_if_cancelled()
        patience = self._config.max_queue_seconds if claim.max_queue_seconds is None else claim.max_queue_seconds
        deadline = trio.current_time() + patience
        model = self._loaded(stored, wanted) or await self._wait_loading(stored, wanted, deadline)
        return Use(model, claim, deadline)

    async def _wait_loading(self, stored: StoredModel, wanted: LoadOptions, deadline: float) -> Model:
        self._crashes.check(_key(stored), str(stored.name), trio.current_time())
        if self._n_waiting >= self._config.max_queue or self._crowd.is_full:
            raise Overloaded(BUSY, retry_after=5)
        self._n_waiting += 1
        self._crowd.n += 1
        try:
            with trio.CancelScope(deadline=deadline):
                async with self._turn:
                    return await self._load_in_turn(stored, wanted)
        finally:
            self._n_waiting -= 1
            self._crowd.n -= 1
        raise Overloaded(
            f"there was no room for model '{stored.name}' in time (max_queue_seconds)", reason="deadline", retry_after=5
        )

    def _loaded(self, stored: StoredModel, wanted: LoadOptions) -> Model | None:
        model = self._by_key.get(_key(stored))
        return model if model and model.is_open and model.serves(wanted) else None

    async def _load_in_turn(self, stored: StoredModel, wanted: LoadOptions) -> Model:
        while True:
            if model := self._loaded(stored, wanted):
                return model
            if model := self._by_key.get(_key(stored)):
                model.retire()  # loaded with other options, or already on its way out
                await model.gone.wait()
                continue
            self._crashes.check(_key(stored), str(stored.name), trio.current_time())
            if len(self._by_key) < (self._config.max_loaded_models or DEFAULT_LOADED):
                return self._start(stored, wanted)
            if victim := self._least_recently_used():
                log.info("unloading %s to make room for %s", victim.stored.name, stored.name)
                self._metrics.evictions.inc()
                victim.retire()
                await victim.gone.wait()
            else:
                self._changed = trio.Event()
                await self._changed.wait()

    def _least_recently_used(self) -> Model | None:
        idle = [model for model in self._by_key.values() if model.is_idle]
        return min(idle, key=lambda model: model.last_used, default=None)

    def _start(self, stored: StoredModel, wanted: LoadOptions) -> Model:
        model = Model(
            stored,
            _load_command(stored, wanted, self._config),
            launch=self._launch,
            admit=self._admit,
            keep_alive=self._config.keep_alive,
            load_timeout=self._config.load_timeout,
            max_queue=self._config.max_queue,
            crowd=self._crowd,
            hang_seconds=self._config.hang_seconds,
            metrics=self._metrics,
        )
        self._by_key[_key(stored)] = model
        self._metrics.loaded.set(len(self._by_key))
        # The channel has room for every model that may be loaded.
        self._begin.send_nowait(model)
        return model

    async def run_model(self, model: Model) -> None:
        """One model's task, from its start to its end."""
        key = _key(model.stored)
        try:
            await model.run()
        finally:
            del self._by_key[key]
            if model.scheduler.n_finished:
                self._crashes.recovered(key)
            if model.death:
                self._crashes.died(key, model.n_deaths, model.death, trio.current_time())
            self._metrics.loaded.set(len(self._by_key))
            self._wake()

    def end_unbegun(self, begin: trio.MemoryReceiveChannel[Model]) -> None:
        """The server stops: models whose task never started end here, or their users would wait for ever."""
        while True:
            try:
                begin.receive_nowait().end()
            except trio.WouldBlock:
                return

    def _wake(self) -> None:
        self._changed.set()

    def unload(self, stored: StoredModel) -> bool:
        """Let the model go as soon as nobody uses it. False if it is not in memory."""
        model = self._by_key.get(_key(stored))
        if model is None:
            return False
        model.expire_after(0)
        return True

    def running(self) -> list[RunningModel]:
        """The models in memory, the one that stays longest first."""
        ready = [model for model in self._by_key.values() if model.ready is not None]
        return [_running(model) for model in sorted(ready, key=lambda model: -model.expires_at)]

    def loading(self) -> list[tuple[str, float]]:
        """Names and progress (0 … 1) of the models on their way in."""
        return [(str(m.stored.name), m.progress) for m in self._by_key.values() if m.ready is None and not m.retiring]


def _running(model: Model) -> RunningModel:
    assert model.ready is not None
    left = model.expires_at - trio.current_time()
    layers = model.load.n_gpu_layers
    size = model.ready.model_bytes + model.ready.kv_bytes
    return RunningModel(
        model=model.stored,
        size=size,
        size_vram=size if model.ready.on_gpu and layers != 0 else 0,
        context_length=model.ready.n_ctx,
        expires_at=None if math.isinf(left) else datetime.now(UTC) + timedelta(seconds=min(left, 10**9)),
        n_users=model.n_users,
    )


def _load_command(stored: StoredModel, wanted: LoadOptions, config: Config) -> Load:
    """The request's own wishes before the configuration's before the defaults."""
    n_threads = wanted.num_thread or config.num_thread
    embeds = "completion" not in stored.capabilities
    n_ctx = wanted.num_ctx or config.context_length or DEFAULT_CTX
    if stored.facts.is_encoder and not wanted.num_ctx:
        n_ctx = min(n_ctx, ENCODER_CTX)
    return Load(
        path=str(stored.path),
        n_slots=max(config.num_parallel, EMBEDDING_SLOTS) if embeds else config.num_parallel,
        n_ctx=n_ctx,
        n_batch=wanted.num_batch or (n_ctx if stored.facts.is_encoder else DEFAULT_BATCH),
        n_threads=n_threads,
        n_threads_batch=wanted.num_thread_batch or n_threads,
        n_gpu_layers=config.gpu_layers if wanted.num_gpu is None or wanted.num_gpu < 0 else wanted.num_gpu,
        main_gpu=config.main_gpu if wanted.main_gpu is None else wanted.main_gpu,
        use_mmap=True if wanted.use_mmap is None else wanted.use_mmap,
        use_mlock=config.use_mlock if wanted.use_mlock is None else wanted.use_mlock,
        flash_attention=config.flash_attention if wanted.flash_attention is None else wanted.flash_attention,
        kv_type=config.kv_cache_type,
        # Some may be late on a busy machine, and still none is missing.
        alive_seconds=min(5.0, config.hang_seconds / 5),
        adapters=tuple((str(path), 1.0) for path in stored.adapters),
        embeds=embeds,
        pooling=wanted.pooling or "",
    )


def _key(stored: StoredModel) -> str:
    """What is in memory only once: a file, with what is applied to it."""
    return "\0".join(map(str, (stored.path, *stored.adapters)))


@asynccontextmanager
async def open_models(
    config: Config, metrics: Metrics, launch: Launch = open_worker, admit: Admit = check_memory
) -> AsyncIterator[Models]:
    """The models of one server; leaving the block ends their workers."""
    send, receive = trio.open_memory_channel[Model](config.max_loaded_models or DEFAULT_LOADED)
    models = Models(config, metrics, launch, admit, send)
    async with trio.open_nursery() as nursery:

        async def run_all() -> None:
            async for model in receive:
                nursery.start_soon(models.run_model, model, name=f"model {model.stored.name}")

        nursery.start_soon(run_all)
        try:
            yield models
        finally:
            nursery.cancel_scope.cancel()
            models.end_unbegun(receive)
