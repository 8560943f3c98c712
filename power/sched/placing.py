"""Where a model goes: how many of its layers on which GPUs, given what is free there.

One GPU that holds all of it is best, since nothing has to travel; the one with
most room is taken.  Then all GPUs together, in llama.cpp's way: layers in shares
of what is free on each.  Then as many layers as fit there, the rest on the host.

Pure: the estimate comes in as a function, room as numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from power.gguf.memory import Estimate
from power.worker.wire import Load


class Room(msgspec.Struct, frozen=True):
    """Free bytes; infinity where nobody says how many."""

    host: float
    gpus: tuple[float, ...] = ()


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model is, and what it takes there (bytes)."""

    n_gpu_layers: int  # -1: all
    gpu: int | None = None  # the one that has all of it; None: none, or several
    host: int
    pinned: int  # of those, what the kernel cannot take back: all but mapped weights
    gpus: tuple[int, ...] = ()


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, by a request or the configuration."""

    n_gpu_layers: int = -1  # -1: as many as fit
    main_gpu: int | None = None  # the one to use
    spread: bool = False  # over all GPUs, also where one would do
    is_mapped: bool = True  # weights are pages of the file


Estimates = Callable[[int], Estimate]
"""The estimate with so many layers on GPUs, the output counted as one."""


def place(estimate: Estimates, n_layers: int, room: Room, wish: Wish, *, partly: bool) -> Placement | None:
    """The best place there is room for, or None.

    `n_layers` counts the output. With `partly` some layers may stay on the host
    though more were wished for; without, a model goes to the GPUs whole.
    """
    if not room.gpus:
        return _on_host(estimate(wish.n_gpu_layers if wish.n_gpu_layers >= 0 else n_layers), room, wish)
    if wish.n_gpu_layers >= 0:
        return _on_gpus(estimate, min(wish.n_gpu_layers, n_layers), room, wish)
    if (whole := _on_gpus(estimate, n_layers, room, wish)) or not partly:
        return whole
    low, high = 0, n_layers - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _fits_gpus(estimate(middle), room, wish) else (low, middle - 1)
    return _on_gpus(estimate, low, room, wish)


def _on_host(found: Estimate, room: Room, wish: Wish) -> Placement | None:
    """Where no GPU is known; there may be one that tells nobody of its memory."""
    if found.cpu.total > room.host:
        return None
    return _placed(found, wish, gpu=wish.main_gpu, gpus=())


def _on_gpus(estimate: Estimates, n: int, room: Room, wish: Wish) -> Placement | None:
    found = estimate(n)
    if found.cpu.total > room.host:
        return None
    taken = sum(device.total for device in found.devices[1:])
    if not taken:
        return _placed(found, wish, gpu=wish.main_gpu, gpus=(0,) * len(room.gpus))
    gpu = _single(taken, room, wish)
    if gpu is not None:
        return _placed(found, wish, gpu=gpu, gpus=tuple(taken * (gpu == i) for i in range(len(room.gpus))))
    if not _fits_gpus(found, room, wish):
        return None
    everywhere = sum(room.gpus)
    return _placed(found, wish, gpu=None, gpus=tuple(int(taken * free / everywhere) for free in room.gpus))


def _single(taken: int, room: Room, wish: Wish) -> int | None:
    """The one GPU that has room for all of it."""
    if wish.spread and wish.main_gpu is None and len(room.gpus) > 1:
        return None
    candidates = range(len(room.gpus)) if wish.main_gpu is None else [wish.main_gpu]
    best = max((i for i in candidates if i < len(room.gpus)), key=lambda i: room.gpus[i], default=None)
    return best if best is not None and taken <= room.gpus[best] else None


def _fits_gpus(found: Estimate, room: Room, wish: Wish) -> bool:
    taken = sum(device.total for device in found.devices[1:])
    if wish.main_gpu is not None:
        return wish.main_gpu < len(room.gpus) and taken <= room.gpus[wish.main_gpu]
    # Each GPU of several has a compute buffer of its own; the estimate has one.
    compute = sum(device.compute for device in found.devices[1:])
    free = [free - compute for free in room.gpus if free > compute]
    return taken <= max(max(room.gpus, default=0), sum(free) + compute)


def _placed(found: Estimate, wish: Wish, *, gpu: int | None, gpus: tuple[int, ...]) -> Placement:
    n = found.settings.n_gpu_layers
    host = found.cpu.total
    pinned = host - (found.cpu.weights if wish.is_mapped else 0)
    return Placement(n_gpu_layers=n, gpu=gpu, host=host, pinned=pinned, gpus=gpus)


def placed(load: Load, placement: Placement) -> Load:
    """What the worker is told, once it is known where the model goes."""
    if not placement.gpus:
        return load  # nobody knows of GPUs: llama.cpp does as it was asked
    if placement.gpu is None:
        return msgspec.structs.replace(load, n_gpu_layers=placement.n_gpu_layers, is_split=True)
    return msgspec.structs.replace(load, n_gpu_layers=placement.n_gpu_layers, main_gpu=placement.gpu, is_split=False)
