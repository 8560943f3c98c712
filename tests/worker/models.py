"""A model small enough to be written for a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

UNK, BOS, EOS = 0, 1, 2
FIRST_BYTE = 3  # token of byte 0
WORDS = ["▁", "e", "a", "t", "h", "▁the", "th", "he", "▁t", "\n"]


def write_model(path: Path, *, n_embd: int = 64, n_layer: int = 2, n_ctx: int = 512, seed: int = 1) -> Path:
    """A Llama with random weights over a vocabulary of bytes: it answers any prompt with random bytes."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *WORDS]
    types = [2, 3, 3, *[6] * 256, *[1] * len(WORDS)]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(n_layer)
    writer.add_feed_forward_length(2 * n_embd)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(i) for i in range(len(tokens))])
    writer.add_token_types(types)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(UNK)
    writer.add_add_bos_token(True)
    for name, shape in tensor_shapes(n_embd, n_layer, len(tokens)):
        writer.add_tensor(name, random_tensor(name, shape, seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tensor_shapes(n_embd: int, n_layer: int, n_vocab: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A Llama's tensors, with half as many key-value heads as heads."""
    yield "token_embd.weight", (n_vocab, n_embd)
    yield "output.weight", (n_vocab, n_embd)
    yield "output_norm.weight", (n_embd,)
    for layer in range(n_layer):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", (n_embd,)
        yield block + "ffn_norm.weight", (n_embd,)
        yield block + "attn_q.weight", (n_embd, n_embd)
        yield block + "attn_k.weight", (n_embd // 2, n_embd)
        yield block + "attn_v.weight", (n_embd // 2, n_embd)
        yield block + "attn_output.weight", (n_embd, n_embd)
        yield block + "ffn_gate.weight", (2 * n_embd, n_embd)
        yield block + "ffn_up.weight", (2 * n_embd, n_embd)
        yield block + "ffn_down.weight", (n_embd, 2 * n_embd)


def random_tensor(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    rng = np.random.default_rng([seed, *name.encode()])
    scale = 4.0  # the layers outweigh the last token, so that an answer is not that token for ever
    tensor: NDArray[np.float32] = (rng.standard_normal(shape) * scale / shape[1] ** 0.5).astype(np.float32)
    if name == "output.weight":
        tensor[[UNK, BOS, EOS]] *= 0.01  # it hardly ever ends of itself
    return tensor
