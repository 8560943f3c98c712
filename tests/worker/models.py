"""Models small enough to be written for a test: random weights over a vocabulary of bytes.

They answer any prompt with random bytes, the same ones each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from tests.gguf.shapes import mamba

UNK, BOS, EOS = 0, 1, 2
FIRST_BYTE = 3  # token of byte 0
WORDS = ["▁", "e", "a", "t", "h", "▁the", "th", "he", "▁t", "\n"]
N_VOCAB = FIRST_BYTE + 256 + len(WORDS)

Tensor = tuple[str, tuple[int, ...]]


def write_model(path: Path, *, n_embd: int = 64, n_layer: int = 2, n_ctx: int = 512) -> Path:
    """A Llama: plain attention."""
    writer = open_writer(path, "llama", n_embd, n_layer, n_ctx)
    add_attention(writer, n_embd)
    return finish(writer, path, [*ends(n_embd), *attention_tensors(n_embd, n_layer)])


def write_sliding_model(path: Path, *, window: int = 16, n_layer: int = 6) -> Path:
    """A Gemma 3: five layers of six see only the last `window` tokens."""
    n_embd = 64
    writer = open_writer(path, "gemma3", n_embd, n_layer, 512)
    add_attention(writer, n_embd)
    writer.add_key_length(n_embd // 4)
    writer.add_value_length(n_embd // 4)
    writer.add_sliding_window(window)
    tensors: list[Tensor] = [*ends(n_embd), *attention_tensors(n_embd, n_layer)]
    for layer in range(n_layer):
        tensors += [(f"blk.{layer}.{name}_norm.weight", (n_embd // 4,)) for name in ("attn_q", "attn_k")]
        tensors += [(f"blk.{layer}.post_{name}_norm.weight", (n_embd,)) for name in ("attention", "ffw")]
    return finish(writer, path, tensors)


def write_recurrent_model(path: Path, *, n_layer: int = 2) -> Path:
    """A Mamba: a state instead of a KV cache."""
    n_embd, n_inner = 64, 128
    writer = open_writer(path, "mamba", n_embd, n_layer, 512)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_ssm_conv_kernel(4)
    writer.add_ssm_inner_size(n_inner)
    writer.add_ssm_state_size(16)
    writer.add_ssm_time_step_rank(4)
    tensors: list[Tensor] = [*ends(n_embd)]
    for layer in range(n_layer):
        tensors += [(f"blk.{layer}.{name}", shape) for name, shape in mamba_tensors(n_embd, n_inner)]
    return finish(writer, path, tensors)


def write_hybrid_model(path: Path, *, n_layer: int = 4) -> Path:
    """A Jamba: every second layer attends, the others keep a state as Mamba does."""
    n_embd = 64
    writer = open_writer(path, "jamba", n_embd, n_layer, 512)
    add_attention(writer, n_embd, [2 * (layer % 2) for layer in range(n_layer)])
    writer.add_ssm_conv_kernel(4)
    writer.add_ssm_inner_size(2 * n_embd)
    writer.add_ssm_state_size(16)
    writer.add_ssm_time_step_rank(4)
    attention = list(attention_tensors(n_embd, n_layer))
    tensors: list[Tensor] = [*ends(n_embd)]
    for layer in range(n_layer):
        own = [tensor for tensor in attention if tensor[0].startswith(f"blk.{layer}.")]
        if layer % 2 == 0:
            own = [tensor for tensor in own if "attn_" not in tensor[0]]
            own += [(f"blk.{layer}.{name}", shape) for name, shape in mamba_tensors(n_embd, 2 * n_embd)]
            own += [(f"blk.{layer}.ssm_{name}_norm.weight", (n,)) for name, n in (("dt", 4), ("b", 16), ("c", 16))]
        tensors += own
    return finish(writer, path, tensors)


def write_convolving_model(path: Path, *, n_layer: int = 4) -> Path:
    """An LFM2: every second layer attends, the others see the last three tokens and keep them as a state."""
    n_embd, n_conv = 64, 3
    writer = open_writer(path, "lfm2", n_embd, n_layer, 512)
    add_attention(writer, n_embd, [2 * (layer % 2) for layer in range(n_layer)])
    writer.add_shortconv_l_cache(n_conv)
    attention = list(attention_tensors(n_embd, n_layer))
    tensors: list[Tensor] = [("token_embd_norm.weight", (n_embd,))]
    tensors += [tensor for tensor in ends(n_embd) if tensor[0] != "output_norm.weight"]
    for layer in range(n_layer):
        own = [tensor for tensor in attention if tensor[0].startswith(f"blk.{layer}.")]
        if layer % 2 == 0:
            own = [tensor for tensor in own if "attn_" not in tensor[0] or "attn_norm" in tensor[0]]
            shapes = {"conv": (n_embd, n_conv), "in_proj": (3 * n_embd, n_embd), "out_proj": (n_embd, n_embd)}
            own += [(f"blk.{layer}.shortconv.{name}.weight", shape) for name, shape in shapes.items()]
        else:
            own += [(f"blk.{layer}.attn_{name}_norm.weight", (n_embd // 4,)) for name in "qk"]
        tensors += own
    return finish(writer, path, tensors)


def open_writer(
    path: Path, architecture: str, n_embd: int, n_layer: int, n_ctx: int, *, n_padding: int = 0
) -> gguf.GGUFWriter:
    """`n_padding`: tokens behind the others that mean nothing, as models are padded with."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(n_layer)
    writer.add_vocab_size(N_VOCAB + n_padding)
    writer.add_tokenizer_model("llama")
    padding = [f"[pad{i}]" for i in range(n_padding)]
    writer.add_token_list(["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *WORDS, *padding])
    writer.add_token_scores([-float(i) for i in range(N_VOCAB + n_padding)])
    writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * (len(WORDS) + n_padding)])
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(UNK)
    writer.add_add_bos_token(True)
    return writer


def add_attention(writer: gguf.GGUFWriter, n_embd: int, n_head_kv: int | list[int] = 2) -> None:
    """Four heads, two of them for keys and values, or as many as each layer has."""
    writer.add_feed_forward_length(2 * n_embd)
    writer.add_head_count(4)
    writer.add_head_count_kv(n_head_kv)
    writer.add_layer_norm_rms_eps(1e-5)


def ends(n_embd: int, n_padding: int = 0) -> Iterator[Tensor]:
    """What every model begins and ends with."""
    yield "token_embd.weight", (N_VOCAB + n_padding, n_embd)
    yield "output.weight", (N_VOCAB + n_padding, n_embd)
    yield "output_norm.weight", (n_embd,)


def attention_tensors(n_embd: int, n_layer: int) -> Iterator[Tensor]:
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


def mamba_tensors(n_embd: int, n_inner: int, n_conv: int = 4, n_state: int = 16, n_rank: int = 4) -> Iterator[Tensor]:
    keys = {"embedding_length": n_embd, "ssm.inner_size": n_inner, "ssm.conv_kernel": n_conv}
    return mamba(keys | {"ssm.state_size": n_state, "ssm.time_step_rank": n_rank}, 0)


def finish(writer: gguf.GGUFWriter, path: Path, tensors: list[Tensor]) -> Path:
    for name, shape in tensors:
        writer.add_tensor(name, random_tensor(name, shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def random_tensor(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    if name.endswith("ssm_a"):  # the state decays
        return -np.tile(np.arange(1, shape[1] + 1, dtype=np.float32), (shape[0], 1))
    rng = np.random.default_rng([*name.encode()])
    scale = 4.0  # the layers outweigh the last token, so that an answer is not that token for ever
    tensor: NDArray[np.float32] = (rng.standard_normal(shape) * scale / shape[1] ** 0.5).astype(np.float32)
    if name == "output.weight":
        tensor[[UNK, BOS, EOS]] *= 0.01  # it hardly ever ends of itself
    return tensor
