"""What a server says, as values: models, answers, steps; and its refusals."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from power.errors import PowerError


class ServerRefused(PowerError):
    """The server answered with an error; `message` is its own text, `status` its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """What of the prompt did not fit the context: the oldest messages, or tokens."""

    prompt_tokens: int = 0  # of all of it
    num_ctx: int = 0
    messages: int = 0
    tokens: int = 0


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer took; durations in nanoseconds, zero where the server said nothing."""

    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    truncated: LeftOut | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request stands that there is no answer to yet; which fields count is the status's to say."""

    status: str  # "loading", "queued", "prefill"
    loaded: float = 0.0  # of the model, 0.0 … 1.0
    position: int = 0  # in the queue, 1: next
    total: int = 0  # tokens of the prompt, of which `processed` have been read
    processed: int = 0


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Some more of an answer; the last one has `done_reason` and `usage`."""

    content: str = ""
    thinking: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    done_reason: str = ""
    usage: Usage | None = None
    progress: Progress | None = None  # then there is no more in it


class Details(msgspec.Struct, frozen=True, kw_only=True):
    format: str = ""
    family: str = ""
    parameter_size: str = ""
    quantization_level: str = ""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A stored model."""

    name: str
    digest: str = ""
    size: int = 0  # bytes
    modified_at: datetime | None = None
    details: Details = Details()


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded model."""

    name: str
    digest: str = ""
    size: int = 0  # bytes
    size_vram: int = 0  # bytes of them on GPUs
    context_length: int = 0
    expires_at: datetime | None = None


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: str = ""
    shape: tuple[int, ...] = ()


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """All there is to say about a model."""

    license: str = ""
    modelfile: str = ""
    parameters: str = ""
    template: str = ""
    system: str = ""
    details: Details = Details()
    messages: tuple[dict[str, Any], ...] = ()
    model_info: dict[str, Any] = {}
    projector_info: dict[str, Any] = {}
    tensors: tuple[Tensor, ...] = ()
    capabilities: tuple[str, ...] = ()
    requires: str = ""
    memory: dict[str, Any] = {}  # what loading it takes: bytes by purpose, and for how much context


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """How far a pull, push or creation is; `total` is 0 where there is nothing to count."""

    status: str
    digest: str = ""
    total: int = 0  # bytes
    completed: int = 0
