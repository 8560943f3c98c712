"""What a worker is told to load, and what counts as the same model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from power.config import Config
from power.errors import BadRequest
from power.options import LoadOptions
from power.settings import WIDE_CACHE_TYPES
from power.worker.wire import Load, Ready

if TYPE_CHECKING:
    from power.store import StoredModel  # only passed on, never looked into

DEFAULT_CTX = 4096  # tokens; Ollama's default without a GPU
DEFAULT_BATCH = 512  # tokens
# An encoder takes an input in one batch, and memory for its largest batch: tokens, Ollama's default for such models.
ENCODER_CTX = 2048
EMBEDDING_SLOTS = 32  # requests that a model for embeddings alone serves together: it has no KV cache to divide


def load_command(stored: StoredModel, wanted: LoadOptions, config: Config) -> Load:
    """The request's own wishes before the configuration's before the defaults."""
    if wanted.flash_attention is False and config.kv_cache_type not in WIDE_CACHE_TYPES:
        raise BadRequest(
            f'option "flash_attention" must not be false with a KV cache of {config.kv_cache_type}',
            field="options.flash_attention",
        )
    n_threads = wanted.num_thread or config.num_thread
    embeds = "completion" not in stored.capabilities
    n_ctx = wanted.num_ctx or config.context_length or DEFAULT_CTX
    if stored.facts.is_encoder and not wanted.num_ctx:
        n_ctx = min(n_ctx, ENCODER_CTX)
    return Load(
        path=str(stored.path),
        n_slots=max(config.num_parallel, EMBEDDING_SLOTS) if embeds else config.num_parallel,
        n_ctx=n_ctx,
        n_batch=wanted.num_batch or (n_ctx if stored.facts.is_encoder else DEFAULT_BATCH),
        n_threads=n_threads,
        n_threads_batch=wanted.num_thread_batch or n_threads,
        n_gpu_layers=config.gpu_layers if wanted.num_gpu is None or wanted.num_gpu < 0 else wanted.num_gpu,
        main_gpu=config.main_gpu if wanted.main_gpu is None else wanted.main_gpu,
        use_mmap=True if wanted.use_mmap is None else wanted.use_mmap,
        use_mlock=config.use_mlock if wanted.use_mlock is None else wanted.use_mlock,
        flash_attention=config.flash_attention if wanted.flash_attention is None else wanted.flash_attention,
        kv_type=config.kv_cache_type,
        n_pool=config.pool_tokens,
        disk_folder=str(config.data_dir / "cache" / "prefixes"),
        disk_bytes=config.disk_bytes,
        step_seconds=config.step_ms / 1000,
        n_draft=config.prompt_lookup,
        draft=str(stored.draft or ""),
        # Some may be late on a busy machine, and still none is missing.
        alive_seconds=min(5.0, config.hang_seconds / 5),
        adapters=tuple((str(path), 1.0) for path in stored.adapters),
        embeds=embeds,
        pooling=wanted.pooling or "",
    )


def serves(load: Load, ready: Ready | None, wanted: LoadOptions) -> bool:
    """Whether a request with these options needs no other load than `load`, which is done if `ready`."""
    # One sequence may use all of the pool, an input to embed only its own part.
    n_ctx_max: float = load.n_ctx if load.embeds else load.n_pool or load.n_ctx * load.n_slots
    if ready and 0 < ready.n_ctx_train <= (ready.n_ctx if load.embeds else ready.n_ctx_pool):
        n_ctx_max = math.inf  # what the model was not trained for is not to be had by loading again
    return (
        (wanted.num_ctx is None or wanted.num_ctx <= n_ctx_max)
        and (wanted.num_gpu is None or wanted.num_gpu < 0 or wanted.num_gpu == load.n_gpu_layers)
        and wanted.num_batch in (None, load.n_batch)
        and wanted.main_gpu in (None, load.main_gpu)
        and wanted.use_mmap in (None, load.use_mmap)
        and wanted.use_mlock in (None, load.use_mlock)
        and wanted.num_thread in (None, 0, load.n_threads)
        and wanted.num_thread_batch in (None, 0, load.n_threads_batch)
        and wanted.flash_attention in (None, load.flash_attention)
        and wanted.pooling in (None, load.pooling)
    )


def model_key(stored: StoredModel) -> str:
    """What is in memory only once: a file, with what is applied to it."""
    return "\0".join(map(str, (stored.path, *stored.adapters, stored.draft or "")))
