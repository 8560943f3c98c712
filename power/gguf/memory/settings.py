"""How a model is to be run, as far as memory goes."""

from __future__ import annotations

from typing import Protocol

import msgspec

from power.gguf.constants import TYPE_NAMED, TensorType
from power.gguf.memory.attention import N_UBATCH, Heads, choose_attention
from power.gguf.memory.shape import ModelShape

# What the worker makes of a model for embeddings alone (power/worker/embedder.py).
EMBEDDING_ROWS = 32
EMBEDDING_BATCH = 512  # tokens, of a causal model; an encoder's batch is as large as its inputs may be
PAD = 256  # cells; llama.cpp rounds contexts up to it
CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_0", "q5_1", "q4_0", "q4_1", "iq4_nl")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a llama_context that decide its memory."""

    n_ctx: int  # tokens of all sequences together
    n_seq_max: int = 1
    n_batch: int = 2048  # tokens
    n_ubatch: int = N_UBATCH  # tokens computed at once
    n_outputs: int = 0  # rows of logits a step may ask for; 0: one per token
    kv_type: str = "f16"
    flash_attention: bool = True
    kv_unified: bool = True  # all sequences in one pool of cells
    swa_full: bool = True  # sliding layers keep everything, so that a prefix can be cut anywhere
    n_gpu_layers: int = 0  # counted from the output backwards; -1: all
    embeddings: bool = False
    all_outputs: bool = False  # every token's outputs are handed out at once, as is done for embeddings

    @property
    def cell_type(self) -> TensorType:
        """The type of the cache's cells; KeyError if there is none of that name."""
        return TYPE_NAMED[self.kv_type.upper()]


class LoadLike(Protocol):
    """`power.worker.wire.Load`, which this layer does not see."""

    @property
    def n_ctx(self) -> int: ...
    @property
    def n_slots(self) -> int: ...
    @property
    def n_pool(self) -> int: ...
    @property
    def n_batch(self) -> int: ...
    @property
    def kv_type(self) -> str: ...
    @property
    def flash_attention(self) -> bool | None: ...
    @property
    def n_gpu_layers(self) -> int: ...
    @property
    def embeds(self) -> bool: ...
    @property
    def n_drafts(self) -> int: ...


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """What our worker is asked for when it loads a model; see `power.worker.wire.Load`."""

    n_ctx: int  # tokens of one sequence
    n_slots: int = 1
    n_pool: int = 0  # tokens of all sequences; 0: n_ctx for each slot
    n_batch: int = 512
    kv_type: str = "f16"
    flash_attention: bool | None = None  # None: what suits
    n_gpu_layers: int = 0  # those that there is a GPU for
    embeds: bool = False  # for embeddings or scores alone
    n_draft: int = 0  # tokens guessed ahead in a step

    @classmethod
    def of(cls, load: LoadLike, *, has_gpu: bool) -> Serving:
        """What the worker is told, of which layers for a GPU count only where there is one."""
        return cls(
            n_ctx=load.n_ctx,
            n_slots=load.n_slots,
            n_pool=load.n_pool,
            n_batch=load.n_batch,
            kv_type=load.kv_type,
            flash_attention=load.flash_attention,
            n_gpu_layers=load.n_gpu_layers if has_gpu else 0,
            embeds=load.embeds,
            n_draft=load.n_drafts,
        )

    def apart(self) -> Serving:
        """The second context that it makes for sequences which nothing else may have a part in."""
        return msgspec.structs.replace(
            self, n_slots=1, n_pool=0, n_batch=max(self.n_batch, self.n_slots + 1), n_draft=0
        )

    def embedding(self) -> Serving:
        """The second context that a model makes which generates, when it is asked for vectors."""
        return msgspec.structs.replace(self, embeds=True)

    def settings(self, shape: ModelShape) -> Settings:
        """The context that the worker makes of it for this model."""
        n_ctx = min(self.n_ctx, shape.n_ctx_train) if shape.n_ctx_train else self.n_ctx
        if self.embeds:
            return self._embedding_settings(shape, n_ctx)
        n_batch = max(self.n_batch, self.n_slots + 1)
        n_cells = padded(self.n_pool or n_ctx * self.n_slots)
        attention = choose_attention(
            self.flash_attention,
            Heads(shape.n_heads, shape.n_q // max(1, shape.n_heads)),
            kv_type=self.kv_type,
            on_gpu=self.n_gpu_layers != 0,
            n_rows=self.n_slots,
            n_cells=n_cells,
            n_batch=n_batch,
        )
        return Settings(
            n_ctx=n_cells,
            n_seq_max=self.n_slots + 1,  # one spare, for parts of others
            n_batch=n_batch,
            n_ubatch=attention.n_ubatch,
            n_outputs=self.n_slots + 1 + self.n_draft,
            kv_type=self.kv_type,
            flash_attention=attention.is_flash,
            n_gpu_layers=self.n_gpu_layers,
        )

    def _embedding_settings(self, shape: ModelShape, n_ctx: int) -> Settings:
        n_batch = min(n_ctx, EMBEDDING_BATCH if shape.is_causal else self.n_batch)
        return Settings(
            n_ctx=n_ctx + n_batch if shape.is_causal else n_batch,
            n_seq_max=1 if shape.is_recurrent else EMBEDDING_ROWS,
            n_batch=n_batch,
            n_ubatch=n_batch,
            kv_type=self.kv_type,
            flash_attention=self.flash_attention is not False,
            n_gpu_layers=self.n_gpu_layers,
            embeddings=True,
            all_outputs=True,
        )


def padded(n_cells: int) -> int:
    return -(-n_cells // PAD) * PAD
