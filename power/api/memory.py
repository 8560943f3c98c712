"""What a model would take of this server's memory, for `/api/show`.

Ollama has no such field; its clients pass over it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from power.config import Config
from power.errors import BadRequest
from power.gguf import GGUF, open_gguf
from power.gguf.memory import Serving, available_memory, estimate, has_gpu_backend, projector_size, shape_of, with_draft
from power.options import LoadOptions, read_options
from power.store import StoredModel

DEFAULT_BATCH, ENCODER_CTX = 512, 2048  # tokens, as power/sched/models.py has them


def memory_of(model: StoredModel, gguf: GGUF, config: Config) -> dict[str, Any]:
    """Bytes by purpose, for the context that a request gets which asks for none. Raises GGUFError."""
    wanted, embeds = _options(model), "completion" not in model.capabilities
    serving = serving_of(wanted, config)
    shape = shape_of(gguf)
    if embeds:
        n_ctx = serving.n_ctx if wanted.num_ctx or shape.is_causal else min(serving.n_ctx, ENCODER_CTX)
        n_batch = wanted.num_batch or n_ctx
        serving = msgspec.structs.replace(serving, embeds=True, n_ctx=n_ctx, n_batch=n_batch, n_slots=1)
    projector = (
        projector_size(open_gguf(model.projectors[0]), flash_attention=serving.flash_attention)
        if model.projectors
        else None
    )
    found = estimate(shape, serving.settings(shape), projector)
    if model.draft and not embeds:
        draft = shape_of(open_gguf(model.draft))
        found = with_draft(found, estimate(draft, serving.settings(draft)))
    trained = shape.n_ctx_train or serving.n_ctx
    purposes = ("weights", "kv", "state", "compute", "output", "projector", "draft")
    return {
        "context_length": found.settings.n_ctx // serving.n_slots if not embeds else min(serving.n_ctx, trained),
        "num_parallel": serving.n_slots,
        "kv_cache_type": serving.kv_type,
        **{purpose: found.sum_of(purpose) for purpose in purposes},
        "total": found.total,
        "available": available_memory(),
    }


def serving_of(wanted: LoadOptions, config: Config) -> Serving:
    """What the scheduler asks a worker for."""
    n_gpu_layers = config.gpu_layers if wanted.num_gpu is None or wanted.num_gpu < 0 else wanted.num_gpu
    return Serving(
        n_ctx=wanted.num_ctx or config.context_length,
        n_slots=config.num_parallel,
        n_batch=wanted.num_batch or DEFAULT_BATCH,
        kv_type=config.kv_cache_type,
        flash_attention=config.flash_attention if wanted.flash_attention is None else wanted.flash_attention,
        n_gpu_layers=n_gpu_layers if has_gpu_backend() else 0,
    )


def _options(model: StoredModel) -> LoadOptions:
    try:
        return read_options(model.params)[0].load
    except BadRequest:  # a Modelfile's mistake; requests are told of it
        return LoadOptions()
