"""`power gguf estimate`, and the memory that `power show` tells of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from power.cli.gguf_files import open_file, read_size
from power.cli.tables import section
from power.config import load_config
from power.errors import PowerError
from power.gguf import open_gguf
from power.gguf.memory import (
    Estimate,
    ModelShape,
    ProjectorSize,
    Serving,
    available_memory,
    estimate,
    human_size,
    largest_context,
    projector_size,
    shape_of,
)

DEFAULT_CTX = 4096  # tokens, as where a server loads the model (power/sched/models.py)
PURPOSES = {
    "weights": "weights",
    "kv": "KV cache",
    "state": "states",
    "projector": "projector",
    "compute": "computing",
    "output": "logits",
}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; None where the configuration decides."""

    n_ctx: int | None = None
    n_slots: int | None = None
    n_gpu_layers: int = 0
    kv_type: str | None = None
    n_batch: int = 512
    projector: Path | None = None
    available: str | None = None

    def serving(self) -> Serving:
        """Raises PowerError if a number makes no sense."""
        config = load_config()
        wanted = Serving(
            n_ctx=config.context_length or DEFAULT_CTX if self.n_ctx is None else self.n_ctx,
            n_slots=config.num_parallel if self.n_slots is None else self.n_slots,
            n_batch=self.n_batch,
            kv_type=self.kv_type or config.kv_cache_type,
            flash_attention=config.flash_attention,
            n_gpu_layers=self.n_gpu_layers,
        )
        for name, number in {"--ctx": wanted.n_ctx, "--parallel": wanted.n_slots, "--batch": wanted.n_batch}.items():
            if number < 1:
                raise PowerError(f"{name} must be at least 1, not {number}")
        return wanted


def estimate_file(file: str, question: Question, *, as_json: bool) -> None:
    serving = question.serving()
    shape = shape_of(open_file(file))
    projector = projector_size(open_gguf(question.projector)) if question.projector else None
    available = read_size(question.available) if question.available else available_memory()
    found = estimate(shape, serving.settings(shape), projector)
    longest = None if available is None else largest_context(shape, serving, available, projector)
    if as_json:
        print(json.dumps(as_object(found, available, longest), indent=2))
        return
    print(report(found, shape, serving, available, longest, projector), end="")


def as_object(found: Estimate, available: int | None, longest: int | None) -> dict[str, object]:
    devices = {
        device.name: {
            "layers": device.n_layers,
            **{purpose: getattr(device, purpose) for purpose in PURPOSES},
            "total": device.total,
        }
        for device in found.devices
    }
    return {
        "total": found.total,
        "devices": devices,
        "settings": msgspec.structs.asdict(found.settings),
        "available": available,
        "largest_context": longest,
    }


def report(
    found: Estimate,
    shape: ModelShape,
    serving: Serving,
    available: int | None,
    longest: int | None,
    projector: ProjectorSize | None,
) -> str:
    n_ctx = found.settings.n_ctx // serving.n_slots
    context = [
        ("requests at once", str(serving.n_slots)),
        ("tokens of each", f"{n_ctx} of {shape.n_ctx_train}" if shape.n_ctx_train else str(n_ctx)),
        ("cache", serving.kv_type),
    ]
    fits = []
    if available is not None and longest is not None:
        verdict = "fits" if found.cpu.total <= available else "does not fit"
        fits = [
            ("available", human_size(available), verdict),
            ("largest context", f"{longest} tokens" if longest else "none fits", f"for {serving.n_slots} requests"),
        ]
    return section("Context", context) + section("Memory", list(_memory(found))) + section("Room", fits)


def _memory(found: Estimate) -> Iterator[tuple[str, ...]]:
    """One row for each purpose, one column for each device."""
    if len(found.devices) > 1:
        yield "", *(f"{device.name} ({device.n_layers} layers)" for device in found.devices), "together"
    for purpose, title in PURPOSES.items():
        if found.sum_of(purpose):
            yield title, *_sizes([int(getattr(device, purpose)) for device in found.devices])
    yield "total", *_sizes([device.total for device in found.devices])


def _sizes(sizes: list[int]) -> list[str]:
    return [human_size(size) for size in (sizes if len(sizes) == 1 else [*sizes, sum(sizes)])]
