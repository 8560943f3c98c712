"""A model that cannot fit is refused before a worker is started for it."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from power.config import Config
from power.errors import LoadFailed
from power.options import Sampling
from power.sched.gpus import Gpu
from power.sched.memory import MachineMemory, all_of, left, together
from power.sched.model import Model
from power.sched.placing import Placement, Room, placed
from power.sched.residents import Residents
from power.worker.wire import Load, Start
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


GIB = 2**30


def machine(available: float | None, *gpus: float, **settings: Any) -> MachineMemory:
    """A machine with this much free (GiB) on its host and its GPUs."""
    free = None if available is None else int(available * GIB)
    cards = tuple(Gpu(f"GPU {i}", int(size * GIB), int(size * GIB)) for i, size in enumerate(gpus))
    return MachineMemory(Config(**settings), lambda: free, lambda: cards)


async def admit(memory: MachineMemory, stored: Any, load: Load, *, partly: bool = True) -> Placement:
    """Where it goes; raises LoadFailed if there is no place."""
    needs = await memory.measure(stored, load)
    placement = needs.place(memory.room(), partly=partly)
    if placement is None:
        raise needs.refusal(memory.room())
    return placement


async def test_what_fits_comes_in_and_what_does_not_is_told_why(tmp_path: Path) -> None:
    large = write_shape(tmp_path / "large.gguf", SHAPES["llama 2 7B"])
    memory = machine(8)

    await admit(memory, stored(TINY), load_of(TINY))
    placement = await admit(memory, stored(large), load_of(large, n_ctx=2048))
    assert 7 * GIB < placement.host < 8 * GIB
    assert placement.pinned < 5 * GIB  # 3.5 GiB are weights, which are only mapped
    with pytest.raises(LoadFailed, match=r"11\.6 GiB.* it would fit with num_ctx 2048"):
        await admit(memory, stored(large), load_of(large))


async def test_a_broken_file_does_not_reach_a_worker(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(40))

    with pytest.raises(LoadFailed, match=r"unable to load model: broken\.gguf: "):
        await admit(machine(8), stored(tmp_path), load_of(tmp_path / "broken.gguf"))


async def test_a_broken_adapter_or_projector_does_not_either(tmp_path: Path, model_path: Path) -> None:
    memory = machine(None)
    adapter = write_adapter(tmp_path / "adapter.gguf", model_path, tmp_path / "merged.gguf")
    await admit(memory, stored(model_path), load_of(model_path, adapters=((str(adapter), 1.0),)))
    # Its last tensor says that it goes on behind the end of the file.
    adapter.write_bytes(adapter.read_bytes()[:-64])

    with pytest.raises(LoadFailed, match=r"unable to load model: adapter\.gguf: .*reaches to byte"):
        await admit(memory, stored(model_path), load_of(model_path, adapters=((str(adapter), 1.0),)))
    with pytest.raises(LoadFailed, match=r"unable to load model: adapter\.gguf: "):
        await admit(memory, stored(model_path, adapter), load_of(model_path))


async def test_a_draft_model_counts_too_and_a_broken_one_is_told(tmp_path: Path) -> None:
    large, small = (write_shape(tmp_path / f"{name}.gguf", SHAPES["llama 2 7B"]) for name in ("large", "small"))
    memory = machine(None)
    alone = await admit(memory, stored(large), load_of(large, n_ctx=512))
    both = await admit(memory, stored(large), load_of(large, n_ctx=512, draft=str(small)))

    assert 1.9 * alone.host < both.host < 2.1 * alone.host
    with pytest.raises(LoadFailed, match="draft model"):
        await admit(machine(6), stored(large), load_of(large, n_ctx=512, draft=str(small)))
    small.write_bytes(b"GGUF" + bytes(40))
    with pytest.raises(LoadFailed, match=r"unable to load model: small\.gguf: "):
        await admit(memory, stored(large), load_of(large, draft=str(small)))


async def test_further_contexts_take_their_caches_and_no_weights(tmp_path: Path) -> None:
    large = write_shape(tmp_path / "large.gguf", SHAPES["llama 2 7B"])
    memory = machine(None)
    needs = await memory.measure(stored(large), load_of(large, n_ctx=1024))
    placement = needs.place(memory.room(), partly=True)
    assert placement is not None
    alone, vectors = needs.beside("deterministic", placement), needs.beside("embedding", placement)

    assert 0.5 * GIB < alone.host < 0.75 * GIB  # 1024 tokens of 512 KiB, and what computing takes
    assert 0.5 * GIB < vectors.host < 2 * GIB
    assert together(placement, alone).pinned == placement.pinned + alone.host


async def test_where_nobody_knows_what_there_is_all_come_in(tmp_path: Path) -> None:
    large = write_shape(tmp_path / "large.gguf", SHAPES["mixtral 8x7B"])

    await admit(machine(None), stored(large), load_of(large))


@pytest.fixture
def with_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("power.sched.memory.has_gpu_backend", lambda: True)


@pytest.mark.usefixtures("with_cuda")
async def test_a_model_goes_whole_to_the_gpu_with_most_room(tmp_path: Path) -> None:
    large = write_shape(tmp_path / "large.gguf", SHAPES["llama 2 7B"])
    load = load_of(large, n_ctx=2048, n_gpu_layers=-1)

    placement = await admit(machine(8, 10, 20), stored(large), load)

    assert placement.gpu == 1
    assert placement.n_gpu_layers == 33  # 32 and the output
    assert placement.gpus[0] == 0
    assert 7 * GIB < placement.gpus[1] < 8 * GIB
    assert placed(load, placement).main_gpu == 1
    assert not placed(load, placement).is_split


@pytest.mark.usefixtures("with_cuda")
async def test_what_no_gpu_holds_alone_is_split_and_what_they_do_not_hold_stays(tmp_path: Path) -> None:
    large = write_shape(tmp_path / "large.gguf", SHAPES["llama 2 7B"])
    load = load_of(large, n_ctx=2048, n_gpu_layers=-1)

    split = await admit(machine(8, 5, 5), stored(large), load)
    spread = await admit(machine(8, 20, 20, sched_spread=True), stored(large), load)
    partly = await admit(machine(8, 4), stored(large), load)

    assert split.gpu is None
    assert split.n_gpu_layers == 33
    assert placed(load, split).is_split
    assert spread.gpu is None
    assert min(spread.gpus) > 3 * GIB
    assert 5 < partly.n_gpu_layers < 33
    assert partly.gpus[0] <= 4 * GIB
    with pytest.raises(LoadFailed):
        await admit(machine(8, 4), stored(large), load, partly=False)


@pytest.mark.usefixtures("with_cuda")
async def test_what_is_kept_free_on_a_gpu_is_not_used_and_too_many_layers_are_refused(tmp_path: Path) -> None:
    large = write_shape(tmp_path / "large.gguf", SHAPES["llama 2 7B"])
    load = load_of(large, n_ctx=2048, n_gpu_layers=-1)

    free = await admit(machine(8, 10, gpu_overhead=6 * GIB), stored(large), load)

    assert free.gpus[0] <= 4 * GIB
    with pytest.raises(LoadFailed, match=r"33 layers take 7\.\d GiB of GPU memory, and 4\.0 GiB is free"):
        await admit(machine(8, 4), stored(large), load_of(large, n_ctx=2048, n_gpu_layers=33))


def test_models_on_their_way_count_and_mapped_weights_are_not_free_for_others() -> None:
    ready = Placement(n_gpu_layers=0, host=5, pinned=2)
    coming = Placement(n_gpu_layers=0, host=4, pinned=4, gpus=(3,))

    assert left(Room(20, (10,)), [ready], [coming], math.inf) == Room(20 - 3 - 4, (7,))
    assert left(Room(20, (10,)), [ready], [coming], 10) == Room(1, (7,))
    assert all_of(Room(20), [ready], math.inf) == Room(22)


@pytest.mark.usefixtures("with_cuda")
async def test_a_further_context_has_to_fit_where_the_model_is(tmp_path: Path) -> None:
    large = write_shape(tmp_path / "large.gguf", SHAPES["llama 2 7B"])
    load = load_of(large, n_ctx=1024, n_gpu_layers=-1)
    task = Start(id=0, prompt=("x",), sampling=Sampling(), n_predict=1, n_ctx=0, deterministic=True)
    for free, fits in ((5.8, False), (7, True)):
        memory = machine(None, free)  # nobody says how much the host has
        needs = await memory.measure(stored(large), load)
        placement = needs.place(memory.room(), partly=False)
        assert placement is not None
        assert placement.gpus[0] > 5 * GIB
        model = SimpleNamespace(
            stored=SimpleNamespace(name="large"), load=load, needs=needs, placement=placement, beside=set(), extended=[]
        )
        model.extend = lambda kind, more, model=model: model.extended.append(more)
        # What is on the GPU is there by now.
        left_free = machine(None, free - placement.gpus[0] / GIB)
        with nullcontext() if fits else pytest.raises(LoadFailed, match=r"of its own for deterministic requests"):
            Residents(Config(), left_free).admit(cast(Model, model), task)
        assert bool(model.extended) == fits
