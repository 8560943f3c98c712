from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from hypothesis import HealthCheck, settings

from power.config import Config
from power.serve import serve

from .support import add_model
from .worker.models import write_model

# No test fails for being slow: that is the machine's affair. And CI, which nobody can ask again, tries the same cases
# every time; new ones are for those who run the tests by hand, and for the fuzz targets.
settings.register_profile(
    "power", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("power")

Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers anything with random bytes, some hundred tokens a second, and hardly ever ends."""
    return write_model(tmp_path_factory.mktemp("models") / "endless.gguf", n_embd=384, n_layer=6, n_ctx=100_000)


@pytest.fixture
def serving(tmp_path: Path) -> Serve:
    """`async with serving(num_parallel=1) as client`: a real server on a real socket, with these settings."""

    @asynccontextmanager
    async def open(models: dict[str, Path] | None = None, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        config = Config(port=0, data_dir=tmp_path, num_thread=1, **settings)
        for name, path in (models or {}).items():
            add_model(config.models_dir, name, path)
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(_serve, config))
            async with httpx.AsyncClient(base_url=url, timeout=60) as client:
                yield client
            nursery.cancel_scope.cancel()

    return open


async def _serve(config: Config, task_status: trio.TaskStatus[str]) -> None:
    await serve(config, task_status=task_status)
