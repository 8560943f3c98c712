"""Encoders and rerankers small enough to be written for a test: a BERT of random weights over bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from power.gguf import TensorSource, Typed, ValueType, array_source, write_gguf
from tests.worker.models import BOS, EOS, N_VOCAB, UNK, WORDS

N_EMBD, N_FF, N_LAYER = 64, 96, 2
SEP = 3  # token of byte 0, which no text has


def write_encoder(path: Path, *, pooling: int = 1, n_ctx: int = 64, extra: dict[str, Any] | None = None) -> Path:
    """A BERT; `pooling` as llama.cpp counts: 0 none, 1 mean, 2 cls, 3 last, 4 rank (then with a head for scores)."""
    metadata: dict[str, Any] = {
        "general.architecture": "bert",
        "bert.context_length": Typed(n_ctx, ValueType.UINT32),
        "bert.embedding_length": Typed(N_EMBD, ValueType.UINT32),
        "bert.block_count": Typed(N_LAYER, ValueType.UINT32),
        "bert.feed_forward_length": Typed(N_FF, ValueType.UINT32),
        "bert.attention.head_count": Typed(4, ValueType.UINT32),
        "bert.attention.layer_norm_epsilon": Typed(1e-12, ValueType.FLOAT32),
        "bert.attention.causal": False,
        "bert.pooling_type": Typed(pooling, ValueType.UINT32),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.token_type_count": Typed(2, ValueType.UINT32),
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *WORDS],
        "tokenizer.ggml.scores": Typed([-float(n) for n in range(N_VOCAB)], ValueType.ARRAY, ValueType.FLOAT32),
        "tokenizer.ggml.token_type": Typed([2, 3, 3, *[6] * 256, *[1] * len(WORDS)], ValueType.ARRAY, ValueType.INT32),
        "tokenizer.ggml.bos_token_id": Typed(BOS, ValueType.UINT32),
        "tokenizer.ggml.eos_token_id": Typed(EOS, ValueType.UINT32),
        "tokenizer.ggml.unknown_token_id": Typed(UNK, ValueType.UINT32),
        "tokenizer.ggml.seperator_token_id": Typed(SEP, ValueType.UINT32),
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": True,
    }
    write_gguf(path, metadata | (extra or {}), list(_tensors(n_ctx, ranks=pooling == 4)))
    return path


def _tensors(n_ctx: int, *, ranks: bool) -> Iterator[TensorSource]:
    rng = np.random.default_rng(7)

    def matrix(name: str, *shape: int, scale: float = 1.5) -> Iterator[TensorSource]:
        values = (rng.standard_normal(shape) * scale / shape[-1] ** 0.5).astype(np.float32)
        yield array_source(f"{name}.weight", values)
        yield array_source(f"{name}.bias", np.zeros(shape[0], np.float32))

    def norm(name: str) -> Iterator[TensorSource]:
        yield array_source(f"{name}.weight", np.ones(N_EMBD, np.float32))
        yield array_source(f"{name}.bias", np.zeros(N_EMBD, np.float32))

    for name, rows in (("token_embd", N_VOCAB), ("position_embd", n_ctx), ("token_types", 2)):
        values: NDArray[np.float32] = rng.standard_normal((rows, N_EMBD)).astype(np.float32)
        yield array_source(f"{name}.weight", values)
    yield from norm("token_embd_norm")
    for n in range(N_LAYER):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield from matrix(f"blk.{n}.{name}", N_EMBD, N_EMBD)
        yield from norm(f"blk.{n}.attn_output_norm")
        yield from matrix(f"blk.{n}.ffn_up", N_FF, N_EMBD)
        yield from matrix(f"blk.{n}.ffn_down", N_EMBD, N_FF)
        yield from norm(f"blk.{n}.layer_output_norm")
    if ranks:
        yield from matrix("cls", N_EMBD, N_EMBD)
        yield from matrix("cls.output", 1, N_EMBD, scale=3.0)
