"""What memory there is, and what a model would take of it, asked before its worker is started."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import trio
from msgspec.structs import replace

from power.config import Config
from power.errors import LoadFailed
from power.gguf import GGUFError, open_gguf
from power.gguf.memory import (
    Estimate,
    ModelShape,
    ProjectorSize,
    Serving,
    available_memory,
    estimate,
    gpu_backends,
    has_gpu_backend,
    human_size,
    projector_size,
    refusal,
    shape_of,
    with_draft,
)
from power.sched.gpus import Gpu, list_gpus
from power.sched.placing import Placement, Room, Wish, place
from power.worker.wire import Load

if TYPE_CHECKING:
    from power.store import StoredModel


Beside = Literal["deterministic", "embedding"]
"""What contexts are for that a model has beside its first one, once somebody wants them."""


class Needs(Protocol):
    """What one model would take."""

    def place(self, room: Room, *, partly: bool) -> Placement | None:
        """Where it would go; None: there is no room for it. `partly`: some layers may stay off the GPUs."""
        ...

    def refusal(self, room: Room) -> LoadFailed:
        """Why it cannot be loaded even with all of `room`."""
        ...

    def beside(self, kind: Beside, placement: Placement) -> Placement:
        """What a further context takes where the model is."""
        ...


class Memory(Protocol):
    """A machine's memory; this machine's, or a test's."""

    async def measure(self, stored: StoredModel, load: Load) -> Needs:
        """Raises LoadFailed for a file that is broken."""
        ...

    def room(self) -> Room:
        """What is free now."""
        ...


class MachineMemory:
    """This machine's."""

    def __init__(
        self,
        config: Config,
        available: Callable[[], int | None] = available_memory,
        gpus: Callable[[], tuple[Gpu, ...]] = list_gpus,
    ) -> None:
        self._spread = config.sched_spread
        self._gpu_overhead = config.gpu_overhead
        self._available = available
        self._gpus = gpus

    async def measure(self, stored: StoredModel, load: Load) -> Needs:
        return await trio.to_thread.run_sync(_measure, stored, load, self._spread)

    def room(self) -> Room:
        available = self._available()
        host = math.inf if available is None else float(available)
        free = [max(0.0, gpu.free_bytes - self._gpu_overhead) for gpu in self._gpus()]
        if "metal" in gpu_backends():  # it has no memory of its own
            free = [min(host, gpu) for gpu in free]
        return Room(host, tuple(free))


class ModelNeeds:
    """What a model takes, by its file and what its worker will be told."""

    def __init__(
        self,
        shape: ModelShape,
        serving: Serving,
        projector: ProjectorSize | None,
        draft: ModelShape | None,
        wish: Wish,
    ) -> None:
        self._shape = shape
        self._draft = draft
        self._serving = serving
        self._projector = projector
        self._wish = wish

    def place(self, room: Room, *, partly: bool) -> Placement | None:
        # The output counts as one more layer.
        return place(self._estimate, self._shape.n_layers + 1, room, self._wish, partly=partly)

    def refusal(self, room: Room) -> LoadFailed:
        if self._wish.n_gpu_layers > 0 and room.gpus:
            found = self._estimate(self._wish.n_gpu_layers)
            on_gpus = sum(device.total for device in found.devices[1:])
            if on_gpus > sum(room.gpus):
                return LoadFailed(
                    f"{self._wish.n_gpu_layers} layers take {human_size(on_gpus)} of GPU memory, and "
                    f"{human_size(int(sum(room.gpus)))} is free: fewer layers (num_gpu) would fit, or -1 for what fits"
                )
        found = self._estimate(0 if room.gpus else self._wish.n_gpu_layers)
        host = int(min(room.host, 2**62))
        return LoadFailed(refusal(self._shape, self._serving, found, host, self._projector))

    def beside(self, kind: Beside, placement: Placement) -> Placement:
        serving = self._serving.apart() if kind == "deterministic" else self._serving.embedding()
        serving = replace(serving, n_gpu_layers=placement.n_gpu_layers if has_gpu_backend() else 0)
        found = estimate(self._shape, serving.settings(self._shape))
        host, *on_gpus = (device.total - device.weights for device in found.devices)
        total = sum(placement.gpus)
        gpus = tuple(sum(on_gpus) * taken // total if total else 0 for taken in placement.gpus)
        return replace(placement, host=host, pinned=host, gpus=gpus)

    def _estimate(self, n_gpu_layers: int) -> Estimate:
        serving = replace(self._serving, n_gpu_layers=n_gpu_layers if has_gpu_backend() else 0)
        found = estimate(self._shape, serving.settings(self._shape), self._projector)
        if self._draft is None:
            return found
        return with_draft(found, estimate(self._draft, replace(serving, n_draft=0).settings(self._draft)))


def _measure(stored: StoredModel, load: Load, spread: bool) -> ModelNeeds:
    draft_path = load.draft if not load.embeds else ""
    try:
        # Nothing goes to llama.cpp unread.
        beside: list[str | Path] = [*(path for path, _scale in load.adapters), *stored.projectors]
        for path in beside:
            open_gguf(path)
        shape = shape_of(open_gguf(load.path))
        projector = projector_size(open_gguf(stored.projectors[0])) if stored.projectors else None
        draft = shape_of(open_gguf(draft_path)) if draft_path else None
    except GGUFError as error:
        raise LoadFailed(f"unable to load model: {error.message}") from error
    wish = Wish(
        n_gpu_layers=load.n_gpu_layers,
        main_gpu=load.main_gpu,
        spread=spread,
        is_mapped=load.use_mmap and not load.use_mlock,
    )
    return ModelNeeds(shape, Serving.of(load, has_gpu=has_gpu_backend()), projector, draft, wish)


def together(model: Placement, beside: Placement) -> Placement:
    """What both take."""
    return replace(
        model,
        host=model.host + beside.host,
        pinned=model.pinned + beside.pinned,
        gpus=tuple(a + b for a, b in zip(model.gpus, beside.gpus, strict=True)),
    )


def left(room: Room, ready: Iterable[Placement], coming: Iterable[Placement], budget: float) -> Room:
    """What of `room` a further model may take.

    `room` is what the machine says is free now. It does not know yet of models that
    are `coming`, and takes the mapped weights of those that are `ready` for free,
    since it could read them again; but then these would crawl.
    """
    ready, coming = list(ready), list(coming)
    host = room.host - sum(p.host - p.pinned for p in ready) - sum(p.host for p in coming)
    within = budget - sum(p.host for p in [*ready, *coming])
    gpus = (free - sum(p.gpus[i] for p in coming if p.gpus) for i, free in enumerate(room.gpus))
    return Room(max(0.0, min(host, within)), tuple(max(0.0, free) for free in gpus))


def all_of(room: Room, ready: Iterable[Placement], budget: float) -> Room:
    """What there would be of `room` if nothing were loaded."""
    ready = list(ready)
    gpus = tuple(free + sum(p.gpus[i] for p in ready if p.gpus) for i, free in enumerate(room.gpus))
    return Room(min(budget, room.host + sum(p.pinned for p in ready)), gpus)
