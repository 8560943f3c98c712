"""The models in memory, on their way in or out; and what memory they leave for others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from power.config import Config
from power.errors import LoadFailed, Overloaded
from power.gguf.memory import human_size
from power.sched.evicting import Resident, Retire, Wait, make_room
from power.sched.loads import model_key
from power.sched.memory import Beside, Memory, Needs, all_of, left
from power.sched.model import Model
from power.sched.placing import Placement, Room
from power.sched.running import RunningModel, running_model
from power.worker.wire import Embed, Load, Task

if TYPE_CHECKING:
    from power.store import StoredModel  # only passed on, never looked into

DEFAULT_LOADED = 3  # models for each GPU, and without one; Ollama's default
# Seconds after which somebody may try again who found the memory taken by other models.
MEMORY_RETRY = 5


class Residents:
    """The models, by their files."""

    def __init__(self, config: Config, memory: Memory) -> None:
        self.memory = memory
        self._most = config.max_loaded_models  # 0: by the number of GPUs
        self._budget = config.memory_budget  # bytes of the host's memory
        self._by_key: dict[str, Model] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Model]:
        return iter(self._by_key.values())

    def find(self, stored: StoredModel) -> Model | None:
        return self._by_key.get(model_key(stored))

    def add(self, model: Model) -> None:
        self._by_key[model_key(model.stored)] = model

    def remove(self, model: Model) -> None:
        del self._by_key[model_key(model.stored)]

    def place(self, needs: Needs) -> Placement | None:
        """Where one more model goes; None: somebody else has to leave first.

        Raises:
            LoadFailed: it would not fit if everybody left.
        """
        room = self.memory.room()
        everything = all_of(room, self._placements(ready=True), self._budget)
        if needs.place(everything, partly=True) is None:
            raise needs.refusal(everything)
        if len(self) >= (self._most or DEFAULT_LOADED * max(1, len(room.gpus))):
            return None
        # Whole into the GPUs, even if others have to go for it; unless it never fits whole.
        partly = not self._by_key or needs.place(everything, partly=False) is None
        return needs.place(self._left(room), partly=partly)

    def make_room(self, now: float, waiting_since: float) -> Model | float:
        """The model that has to leave next for somebody who waits, or until when to wait."""
        match make_room([_resident(key, model) for key, model in self._by_key.items()], now, waiting_since):
            case Retire(key):
                return self._by_key[key]
            case Wait(until):
                return until

    def admit(self, model: Model, task: Task) -> None:
        """See to it that there is memory for the context that the task needs beside the model's first one.

        Raises:
            LoadFailed: there is not enough.
            Overloaded: there would be, if other models left.
        """
        kind = further_context(task, model.load)
        if kind is None or kind in model.beside:
            return
        more, room = model.needs.beside(kind, model.placement), self._left(self.memory.room())
        if more.host > room.host or any(taken > free for taken, free in zip(more.gpus, room.gpus, strict=False)):
            free = int(min(room.host + sum(room.gpus), 2**62))  # what nobody measures is infinite
            what = (
                f"model '{model.stored.name}' needs {human_size(more.host + sum(more.gpus))} more memory for a context "
                f"of its own for {kind} requests, and {human_size(free)} is available"
            )
            raise Overloaded(what, reason="memory", retry_after=MEMORY_RETRY) if len(self) > 1 else LoadFailed(what)
        model.extend(kind, more)

    def running(self) -> list[RunningModel]:
        """Those that are loaded, the one that stays longest first."""
        ready = [model for model in self if model.ready is not None]
        return [running_model(model) for model in sorted(ready, key=lambda model: -model.expires_at)]

    def loading(self) -> list[tuple[str, float]]:
        """Names and progress (0 … 1) of those on their way in."""
        return [(str(model.stored.name), model.progress) for model in self if not (model.ready or model.retiring)]

    def observe(self) -> None:
        """Set the gauges that change by themselves, for somebody who is about to read them."""
        for model in self:
            model.scheduler.observe(model.ready.n_ctx_pool if model.ready else 0)

    def _left(self, room: Room) -> Room:
        return left(room, self._placements(ready=True), self._placements(ready=False), self._budget)

    def _placements(self, *, ready: bool) -> list[Placement]:
        return [model.placement for model in self if (model.ready is not None) == ready]


def further_context(task: Task, load: Load) -> Beside | None:
    """What a model makes a second context for, when the first such task comes."""
    if isinstance(task, Embed):
        return None if load.embeds else "embedding"
    return "deterministic" if task.deterministic else None


def _resident(key: str, model: Model) -> Resident:
    return Resident(
        key=key,
        is_idle=model.is_idle,
        is_leaving=model.retiring,
        last_used=model.last_used,
        ready_at=model.ready_at,
        protected_until=model.protected_until,
    )
