"""Refuse a model that cannot fit, with the numbers and with what would.

The worker would find out, too: by an allocation that fails after minutes of
loading, or by the kernel killing whatever is largest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from power.errors import LoadFailed
from power.gguf.memory.estimate import Estimate, estimate, largest_context
from power.gguf.memory.projector import ProjectorSize, projector_size
from power.gguf.memory.reading import shape_of
from power.gguf.memory.settings import Serving
from power.gguf.memory.shape import ModelShape
from power.gguf.reader import open_gguf

SMALL_CACHE = "q8_0"  # half of f16, and hardly worse
LEAST_CONTEXT = 256  # tokens


def check_fits(
    path: str | os.PathLike[str],
    serving: Serving,
    available_bytes: int,
    *,
    projector: str | os.PathLike[str] | None = None,
) -> Estimate:
    """What loading the model will take on the CPU, which is no more than `available_bytes`.

    Opens the files and blocks for a few milliseconds.

    Raises:
        LoadFailed: it would take more; the message says how much for what, and what would fit.
        GGUFError: a file is broken.
    """
    shape = shape_of(open_gguf(path))
    beside = projector_size(open_gguf(projector), flash_attention=serving.flash_attention) if projector else None
    needed = estimate(shape, serving.settings(shape), beside)
    if needed.cpu.total > available_bytes:
        raise LoadFailed(refusal(shape, serving, needed, available_bytes, beside))
    return needed


def human_size(n_bytes: int) -> str:
    """`4.1 GiB`, `12 MiB`, `0.5 KiB`: as memory is counted, by powers of 1024."""
    value = n_bytes / 1024
    for unit in ("KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def refusal(
    shape: ModelShape, serving: Serving, needed: Estimate, available: int, projector: ProjectorSize | None
) -> str:
    """What a model that does not fit would take, and what would fit in its place."""
    cpu = needed.cpu
    parts = {
        "weights": cpu.weights,
        f"KV cache of {serving.n_slots} × {_per_slot(shape, serving)} tokens ({serving.kv_type})": cpu.kv,
        f"states of {needed.settings.n_seq_max} sequences": cpu.state,
        "projector": cpu.projector,
        "draft model": cpu.draft,
        "computing": cpu.compute + cpu.output,
    }
    numbers = ", ".join(f"{human_size(size)} {name}" for name, size in parts.items() if size)
    ways = list(_ways_out(shape, serving, available - cpu.draft, projector))
    advice = f"it would fit with {', or '.join(ways)}" if ways else "a smaller or more quantised model would fit"
    return (
        f"model requires more system memory ({human_size(cpu.total)}) than is available ({human_size(available)}): "
        f"{numbers}; {advice}"
    )


def _per_slot(shape: ModelShape, serving: Serving) -> int:
    return min(serving.n_ctx, shape.n_ctx_train) if shape.n_ctx_train else serving.n_ctx


def _ways_out(shape: ModelShape, serving: Serving, available: int, projector: ProjectorSize | None) -> Iterator[str]:
    """What may be changed, each change alone or with the context that it leaves room for."""
    wanted = _per_slot(shape, serving)
    changes = {
        "": serving,
        f"OLLAMA_KV_CACHE_TYPE={SMALL_CACHE}": msgspec.structs.replace(serving, kv_type=SMALL_CACHE),
        "OLLAMA_NUM_PARALLEL=1": msgspec.structs.replace(serving, n_slots=1),
    }
    best = 0
    for name, changed in changes.items():
        n_ctx = min(wanted, largest_context(shape, changed, available, projector))
        if name and changed == serving:
            continue
        if n_ctx >= LEAST_CONTEXT and n_ctx > best:
            best = n_ctx
            context = f"num_ctx {n_ctx}" if n_ctx < wanted else ""
            yield " and ".join(filter(None, [context, name]))
