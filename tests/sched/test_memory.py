"""A model that cannot fit is refused before a worker is started for it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from power.errors import LoadFailed
from power.sched import memory
from power.worker.wire import Load
from tests.gguf.shapes import SHAPES, write_shape
from tests.support import TINY
from tests.worker.adapters import write_adapter
from tests.worker.models import write_model


def load_of(path: Path, n_ctx: int = 4096, **changes: Any) -> Load:
    return msgspec.structs.replace(_load_of(path, n_ctx), **changes)


def _load_of(path: Path, n_ctx: int) -> Load:
    return Load(
        path=str(path), n_slots=4, n_ctx=n_ctx, n_batch=512, n_threads=1, n_threads_batch=1, n_gpu_layers=0,
        main_gpu=None, use_mmap=True, use_mlock=False, flash_attention=None, kv_type="f16",
    )  # fmt: skip


def stored(path: Path, *projectors: Path) -> Any:
    return SimpleNamespace(path=path, projectors=projectors)


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model.gguf")


@pytest.fixture
def eight_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 8 * 2**30)


@pytest.mark.usefixtures("eight_gigabytes")
async def test_what_fits_comes_in_and_what_does_not_is_told_why(tmp_path: Path) -> None:
    large = write_shape(tmp_path / "large.gguf", SHAPES["llama 2 7B"])

    await memory.check_memory(stored(TINY), load_of(TINY))
    await memory.check_memory(stored(large), load_of(large, n_ctx=2048))
    with pytest.raises(LoadFailed, match=r"11\.6 GiB.* it would fit with num_ctx 2048"):
        await memory.check_memory(stored(large), load_of(large))


@pytest.mark.usefixtures("eight_gigabytes")
async def test_a_broken_file_does_not_reach_a_worker(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(40))

    with pytest.raises(LoadFailed, match=r"unable to load model: broken\.gguf: "):
        await memory.check_memory(stored(tmp_path), load_of(tmp_path / "broken.gguf"))


async def test_a_broken_adapter_or_projector_does_not_either(
    tmp_path: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    adapter = write_adapter(tmp_path / "adapter.gguf", model_path, tmp_path / "merged.gguf")
    await memory.check_memory(stored(model_path), load_of(model_path, adapters=((str(adapter), 1.0),)))
    # Its last tensor says that it goes on behind the end of the file.
    adapter.write_bytes(adapter.read_bytes()[:-64])

    with pytest.raises(LoadFailed, match=r"unable to load model: adapter\.gguf: .*reaches to byte"):
        await memory.check_memory(stored(model_path), load_of(model_path, adapters=((str(adapter), 1.0),)))
    with pytest.raises(LoadFailed, match=r"unable to load model: adapter\.gguf: "):
        await memory.check_memory(stored(model_path, adapter), load_of(model_path))


async def test_where_nobody_knows_what_there_is_all_come_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    large = write_shape(tmp_path / "large.gguf", SHAPES["mixtral 8x7B"])

    await memory.check_memory(stored(large), load_of(large))
