from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from power.config import Config
from power.metrics import Metrics
from power.options import Sampling
from power.sched import Models, open_models
from power.worker.wire import Load, Start

from .fake import Script


def stored(name: str) -> Any:
    """What `Models` needs of a stored model: a name and a path."""
    facts = SimpleNamespace(is_encoder=False)
    return SimpleNamespace(
        name=name, path=Path("/models") / name, adapters=(), capabilities=("completion",), facts=facts
    )


def start(n_predict: int = 3) -> Start:
    return Start(id=0, prompt=("hello",), sampling=Sampling(), n_predict=n_predict, n_ctx=0)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def models(script: Script, tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Models]]:
    """`async with models(max_queue=1) as m`: a tree over fake workers, with these settings."""

    @asynccontextmanager
    async def open(**settings: Any) -> AsyncIterator[Models]:
        config = Config(data_dir=tmp_path, **settings)
        async with open_models(config, Metrics(), script.launch, _anything_fits) as opened:
            yield opened

    return open


async def _anything_fits(stored: Any, load: Load) -> None:
    """Fakes take no memory."""
