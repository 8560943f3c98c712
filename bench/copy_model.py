"""Write a model that copies: an induction head made by hand, and as much dead weight as is wanted.

usage: python -m bench.copy_model OUT.gguf [--layers 24]

A model that has been taught to edit a text copies most of it, and that is what
prompt lookup is for; random weights do not.  Copying takes two attention heads
(Olsson et al., *In-context Learning and Induction Heads*, 2022), which are small
enough to write down: in the first layer every token looks one place back, by the
phases of its rotary embedding, and notes what stands there; in the last, it
looks for where a token noted what it is itself, and says what stands *there*.
Where each token of a text occurs once, the answer is the text, token by token.

The layers between have matrices of zeros in Q4_K.  They change nothing and cost what
weights cost: with 24 layers about what a model of 0.4 B parameters does.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from power.gguf import TYPE_NAMED, TensorSource, Typed, ValueType, array_source, write_gguf

N_VOCAB = 512
N_EMBD = 1024
N_FF = 4096
N_HEADS, N_KV_HEADS, HEAD = 8, 2, 128
WIDTH = 64  # of what stands for a token
# Where in the residual stream: the token itself, the one before it, the one to come.
ITSELF, BEFORE, NEXT = (slice(at, at + WIDTH) for at in (0, WIDTH, 2 * WIDTH))
ROPE_BASE = 1e10  # so that half of a head's dimensions do not turn noticeably within a context
N_PHASES = 8  # pairs of dimensions, the fastest, by which "one place back" is told
SHARPNESS = 60.0  # of attention: logits between what is meant and what is nearest

Array = NDArray[np.float32]


def write_copy_model(path: Path, *, n_layers: int = 2, n_ctx: int = 4096) -> Path:
    """A Llama whose greedy answer goes on as the text did after the last token; in front is BOS, which precedes it."""
    metadata: dict[str, Any] = {
        "general.architecture": "llama",
        "llama.context_length": Typed(n_ctx, ValueType.UINT32),
        "llama.embedding_length": Typed(N_EMBD, ValueType.UINT32),
        "llama.block_count": Typed(n_layers, ValueType.UINT32),
        "llama.feed_forward_length": Typed(N_FF, ValueType.UINT32),
        "llama.attention.head_count": Typed(N_HEADS, ValueType.UINT32),
        "llama.attention.head_count_kv": Typed(N_KV_HEADS, ValueType.UINT32),
        "llama.attention.layer_norm_rms_epsilon": Typed(1e-6, ValueType.FLOAT32),
        "llama.rope.freq_base": Typed(ROPE_BASE, ValueType.FLOAT32),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", *(f"w{n} " for n in range(N_VOCAB - 3))],
        "tokenizer.ggml.scores": Typed([0.0] * N_VOCAB, ValueType.ARRAY, ValueType.FLOAT32),
        "tokenizer.ggml.token_type": Typed([2, 3, 3, *[1] * (N_VOCAB - 3)], ValueType.ARRAY, ValueType.INT32),
        "tokenizer.ggml.bos_token_id": Typed(1, ValueType.UINT32),
        "tokenizer.ggml.eos_token_id": Typed(2, ValueType.UINT32),
        "tokenizer.ggml.add_bos_token": True,
    }
    write_gguf(path, metadata, list(_tensors(n_layers)))
    return path


def _tensors(n_layers: int) -> Iterator[TensorSource]:
    rng = np.random.default_rng(1)
    signs = rng.standard_normal((N_VOCAB, WIDTH)).astype(np.float32)
    signs /= np.linalg.norm(signs, axis=1, keepdims=True)
    embedding, output = np.zeros((N_VOCAB, N_EMBD), np.float32), np.zeros((N_VOCAB, N_EMBD), np.float32)
    embedding[:, ITSELF] = output[:, NEXT] = signs
    output[:3] = 0  # it never ends of itself
    yield array_source("token_embd.weight", embedding)
    yield array_source("output.weight", output)
    yield array_source("output_norm.weight", np.ones(N_EMBD, np.float32))
    for layer in range(n_layers):
        block = f"blk.{layer}."
        yield array_source(f"{block}attn_norm.weight", np.ones(N_EMBD, np.float32))
        yield array_source(f"{block}ffn_norm.weight", np.ones(N_EMBD, np.float32))
        yield _zeros(f"{block}ffn_gate.weight", N_FF, N_EMBD)
        yield _zeros(f"{block}ffn_up.weight", N_FF, N_EMBD)
        yield _zeros(f"{block}ffn_down.weight", N_EMBD, N_FF)
        if layer == 0:
            yield from _look_back(block)
        elif layer == n_layers - 1:
            yield from _look_up(block)
        else:
            for name, rows in (("q", N_EMBD), ("k", N_KV_HEADS * HEAD), ("v", N_KV_HEADS * HEAD), ("output", N_EMBD)):
                yield _zeros(f"{block}attn_{name}.weight", rows, N_EMBD)


def _look_back(block: str) -> Iterator[TensorSource]:
    """Every token attends to the place before it, whatever stands there, and notes it."""
    query, key = np.zeros(N_EMBD, np.float32), np.zeros(N_KV_HEADS * HEAD, np.float32)
    for pair in range(N_PHASES):
        angle = ROPE_BASE ** (-2 * pair / HEAD)  # by which the pair turns from one place to the next
        query[2 * pair] = key_length = SHARPNESS
        key[2 * pair], key[2 * pair + 1] = key_length * np.cos(angle), key_length * np.sin(angle)
    yield from _attention(block, value=(0, ITSELF), out=BEFORE, biases=(query, key))


def _look_up(block: str) -> Iterator[TensorSource]:
    """A token attends to where it has been noted, and takes what stands there for what is to come."""
    yield from _attention(block, query=ITSELF, key=BEFORE, value=(0, ITSELF), out=NEXT)


def _attention(
    block: str,
    *,
    value: tuple[int, slice],
    out: slice,
    query: slice | None = None,
    key: slice | None = None,
    biases: tuple[Array, Array] | None = None,
) -> Iterator[TensorSource]:
    """One head that reads and writes stretches of the residual stream; the others see nothing."""
    still = slice(HEAD - WIDTH, HEAD)  # of a head, what does not turn
    q, k = np.zeros((N_EMBD, N_EMBD), np.float32), np.zeros((N_KV_HEADS * HEAD, N_EMBD), np.float32)
    v, o = np.zeros((N_KV_HEADS * HEAD, N_EMBD), np.float32), np.zeros((N_EMBD, N_EMBD), np.float32)
    if query and key:
        q[still, query] = k[still, key] = np.eye(WIDTH, dtype=np.float32)
    at, read = value
    v[at : at + WIDTH, read] = np.eye(WIDTH, dtype=np.float32)
    # What is read has been normed, which has made it longer.
    o[out, at : at + WIDTH] = np.eye(WIDTH, dtype=np.float32) / N_EMBD**0.5
    for name, matrix in (("q", q), ("k", k), ("v", v), ("output", o)):
        yield array_source(f"{block}attn_{name}.weight", matrix)
    if biases:
        yield array_source(f"{block}attn_q.bias", biases[0])
        yield array_source(f"{block}attn_k.bias", biases[1])
        yield array_source(f"{block}attn_v.bias", np.zeros(N_KV_HEADS * HEAD, np.float32))


def _zeros(name: str, rows: int, columns: int) -> TensorSource:
    kind = TYPE_NAMED["Q4_K"]
    n_bytes = columns // kind.block * kind.block_bytes  # of zero scale: whatever the rest says, the values are 0
    return TensorSource(name, (rows, columns), kind, lambda: (bytes(n_bytes) for _ in range(rows)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, default=24)
    arguments = parser.parse_args()
    write_copy_model(arguments.out, n_layers=arguments.layers)
