"""What `/api/ps` tells of the models in memory."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import trio

from power.sched.model import Model
from power.sched.place import Sitting

if TYPE_CHECKING:
    from power.store import StoredModel  # only passed on, never looked into


class RunningModel(msgspec.Struct, frozen=True, kw_only=True):
    """What `/api/ps` tells of a model."""

    model: StoredModel
    size: int  # bytes
    size_vram: int  # bytes
    context_length: int  # tokens
    expires_at: datetime | None  # None: never
    n_users: int
    n_slots: int
    sittings: list[Sitting]  # what each of them does, or did last


def running_model(model: Model) -> RunningModel:
    assert model.ready is not None
    left = model.expires_at - trio.current_time()
    sizes = model.ready.device_bytes
    return RunningModel(
        model=model.stored,
        size=sum(sizes.values()),
        size_vram=sum(size for device, size in sizes.items() if not is_host(device)),
        context_length=model.ready.n_ctx,
        expires_at=None if math.isinf(left) else datetime.now(UTC) + timedelta(seconds=min(left, 10**9)),
        n_users=model.n_users,
        n_slots=model.load.n_slots,
        sittings=model.scheduler.table.sittings(),
    )


def is_host(device: str) -> bool:
    """Whether a buffer of that name lies in the host's memory; "CUDA_Host" is what a GPU reads from there."""
    return device.startswith(("CPU", "AMX", "BLAS")) or device.endswith("_Host")
