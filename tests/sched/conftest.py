from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from power.config import Config
from power.errors import LoadFailed
from power.metrics import Metrics
from power.options import Sampling
from power.sched import Models, open_models
from power.sched.memory import Beside
from power.sched.placing import Placement, Room
from power.worker.wire import Load, Start

from .fake import Script


def stored(name: str) -> Any:
    """What `Models` needs of a stored model: a name and a path."""
    facts = SimpleNamespace(is_encoder=False)
    return SimpleNamespace(
        name=name, path=Path("/models") / name, adapters=(), draft=None, capabilities=("completion",), facts=facts
    )


def start(n_predict: int = 3, **changes: Any) -> Start:
    return Start(id=0, prompt=("hello",), sampling=Sampling(), n_predict=n_predict, n_ctx=0, **changes)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def models(script: Script, tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Models]]:
    """`async with models(max_queue=1) as m`: a tree over fake workers, with these settings."""

    @asynccontextmanager
    async def open(**settings: Any) -> AsyncIterator[Models]:
        config = Config(data_dir=tmp_path, **settings)
        async with open_models(config, Metrics(), script.launch, FakeMemory(script)) as opened:
            yield opened

    return open


class FakeMemory:
    """A machine with `script.host_bytes`, of which a model takes what `script.takes` says."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def measure(self, stored: Any, load: Load) -> FakeNeeds:
        await trio.lowlevel.checkpoint()
        return FakeNeeds(self._script.takes.get(stored.name, 0), self._script)

    def room(self) -> Room:
        return Room(self._script.host_bytes)


class FakeNeeds:
    def __init__(self, n_bytes: int, script: Script) -> None:
        self._n_bytes = n_bytes
        self._script = script

    def beside(self, kind: Beside, placement: Placement) -> Placement:
        return Placement(n_gpu_layers=0, host=self._script.takes_beside, pinned=0)

    def place(self, room: Room, *, partly: bool) -> Placement | None:
        # Mapped to the last byte: what is free does not change when it comes or goes.
        return Placement(n_gpu_layers=0, host=self._n_bytes, pinned=0) if self._n_bytes <= room.host else None

    def refusal(self, room: Room) -> LoadFailed:
        return LoadFailed(f"{self._n_bytes} bytes do not fit into {room.host:g}")
