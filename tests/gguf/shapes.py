"""Models of real shapes that take no room: a header, and a hole in the file where the weights would be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

Keys = dict[str, Any]
Tensors = Iterator[tuple[str, tuple[int, ...]]]  # rows first, as numpy has them


OUTPUT_NORM = {"lfm2": "token_embd_norm.weight"}


class Shape(NamedTuple):
    architecture: str
    keys: Keys
    layer: Callable[[Keys, int], Tensors]
    n_vocab: int = 32000
    is_tied: bool = False  # no output matrix of its own


def write_shape(path: Path, shape: Shape, kind: Type = Type.Q4_K) -> Path:
    """A model that llama.cpp takes for a real one as long as it reads no weight; matrices are of type `kind`."""
    writer = gguf.GGUFWriter(path, shape.architecture)
    writer.add_tokenizer_model("no_vocab")  # a size without words loads fastest
    writer.add_vocab_size(shape.n_vocab)
    if shape.architecture == "bert":
        writer.add_token_type_count(2)
    for key, value in shape.keys.items():
        add_value(writer, f"{shape.architecture}.{key}", value)
    n_bytes = 0
    for name, dims in tensors_of(shape):
        stored = _stored_as(name, dims, kind)
        size = _n_bytes(dims, stored)
        writer.add_tensor_info(name, dims, np.dtype(np.float32), size, raw_dtype=stored)
        n_bytes += _pad(size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    os.truncate(path, _pad(path.stat().st_size) + n_bytes)
    return path


def add_value(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_array(key, value)


def tensors_of(shape: Shape) -> Tensors:
    n_embd = shape.keys["embedding_length"]
    yield "token_embd.weight", (shape.n_vocab, n_embd)
    if shape.architecture == "bert":
        yield "token_types.weight", (2, n_embd)
        yield "token_embd_norm.weight", (n_embd,)
        yield "token_embd_norm.bias", (n_embd,)
    else:
        yield OUTPUT_NORM.get(shape.architecture, "output_norm.weight"), (n_embd,)
    if shape.architecture in ("bert", "gpt2"):
        yield "position_embd.weight", (shape.keys["context_length"], n_embd)
    if shape.architecture == "gpt2":
        yield "output_norm.bias", (n_embd,)
    if not shape.is_tied and shape.architecture != "bert":
        yield "output.weight", (shape.n_vocab, n_embd)
    for layer in range(shape.keys["block_count"]):
        for name, dims in shape.layer(shape.keys, layer):
            yield f"blk.{layer}.{name}", dims


def _stored_as(name: str, dims: tuple[int, ...], kind: Type) -> Type:
    """What llama.cpp would quantise it to; where the rows are no whole number of blocks, to Q8_0."""
    if len(dims) == 1 or any(part in name for part in ("ssm_conv", "shortconv.conv", "ssm_a", "_inp", ".bias")):
        return Type.F32
    fitting = (each for each in (kind, Type.Q8_0) if dims[-1] % gguf.GGML_QUANT_SIZES[each][0] == 0)
    return next(fitting, Type.F32)


def _n_bytes(dims: tuple[int, ...], kind: Type) -> int:
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    n_bytes = block_bytes
    for dim in dims:
        n_bytes *= dim
    return n_bytes // block


def _pad(offset: int) -> int:
    return -(-offset // 32) * 32


def _heads(keys: Keys, layer: int) -> tuple[int, int, int, int]:
    """Heads, those of keys and values, and the widths of a key and a value."""
    n_heads, n_kv = (
        count[layer] if isinstance(count, list) else count
        for count in (keys["attention.head_count"], keys["attention.head_count_kv"])
    )
    width = keys.get("attention.key_length") or keys["embedding_length"] // n_heads
    return n_heads, n_kv, width, keys.get("attention.value_length") or width


def attention(keys: Keys, layer: int, *, norms: bool = False, bias: bool = False) -> Tensors:
    n_embd = keys["embedding_length"]
    n_heads, n_kv, n_k, n_v = _heads(keys, layer)
    yield "attn_norm.weight", (n_embd,)
    yield "attn_q.weight", (n_heads * n_k, n_embd)
    yield "attn_k.weight", (n_kv * n_k, n_embd)
    yield "attn_v.weight", (n_kv * n_v, n_embd)
    yield "attn_output.weight", (n_embd, n_heads * n_v)
    if bias:
        yield "attn_q.bias", (n_heads * n_k,)
        yield "attn_k.bias", (n_kv * n_k,)
        yield "attn_v.bias", (n_kv * n_v,)
    if norms:
        yield "attn_q_norm.weight", (n_k,)
        yield "attn_k_norm.weight", (n_k,)


def feed_forward(keys: Keys, _layer: int = 0) -> Tensors:
    n_embd, n_ff = keys["embedding_length"], keys["feed_forward_length"]
    yield "ffn_norm.weight", (n_embd,)
    yield "ffn_gate.weight", (n_ff, n_embd)
    yield "ffn_up.weight", (n_ff, n_embd)
    yield "ffn_down.weight", (n_embd, n_ff)


def experts(keys: Keys) -> Tensors:
    n_embd, n_expert = keys["embedding_length"], keys["expert_count"]
    n_ff = keys.get("expert_feed_forward_length") or keys["feed_forward_length"]
    yield "ffn_norm.weight", (n_embd,)
    yield "ffn_gate_inp.weight", (n_expert, n_embd)
    yield "ffn_gate_exps.weight", (n_expert, n_ff, n_embd)
    yield "ffn_up_exps.weight", (n_expert, n_ff, n_embd)
    yield "ffn_down_exps.weight", (n_expert, n_embd, n_ff)


def llama(keys: Keys, layer: int) -> Tensors:
    yield from attention(keys, layer)
    yield from feed_forward(keys)


def mixtral(keys: Keys, layer: int) -> Tensors:
    yield from attention(keys, layer)
    yield from experts(keys)


def qwen2(keys: Keys, layer: int) -> Tensors:
    yield from attention(keys, layer, bias=True)
    yield from feed_forward(keys)


def qwen3(keys: Keys, layer: int) -> Tensors:
    yield from attention(keys, layer, norms=True)
    yield from feed_forward(keys)


def qwen3moe(keys: Keys, layer: int) -> Tensors:
    yield from attention(keys, layer, norms=True)
    yield from experts(keys)


def gemma2(keys: Keys, layer: int) -> Tensors:
    yield from attention(keys, layer)
    yield from feed_forward(keys)
    yield "post_attention_norm.weight", (keys["embedding_length"],)
    yield "post_ffw_norm.weight", (keys["embedding_length"],)


def gemma3(keys: Keys, layer: int) -> Tensors:
    yield from gemma2(keys, layer)
    yield "attn_q_norm.weight", (keys["attention.key_length"],)
    yield "attn_k_norm.weight", (keys["attention.key_length"],)


def falcon_h1(keys: Keys, layer: int) -> Tensors:
    """Attention and a state space side by side in every layer."""
    yield from attention(keys, layer)
    for name, dims in mamba2(keys):
        if name not in ("attn_norm.weight", "ssm_norm.weight"):
            yield name, dims
    for name, dims in feed_forward(keys):
        yield "ffn_norm" if name == "ffn_norm.weight" else name, dims


def qwen35(keys: Keys, layer: int) -> Tensors:
    """Three layers of a gated delta net, and one that attends, with a gate on its output."""
    n_embd, n_inner = keys["embedding_length"], keys["ssm.inner_size"]
    n_conv = n_inner + 2 * keys["ssm.group_count"] * keys["ssm.state_size"]
    if (layer + 1) % 4 == 0:
        for name, dims in attention(keys, layer, norms=True):
            yield name, (2 * dims[0], n_embd) if name == "attn_q.weight" else dims
    else:
        n_heads = keys["ssm.time_step_rank"]
        yield "attn_norm.weight", (n_embd,)
        yield "attn_qkv.weight", (n_conv, n_embd)
        yield "attn_gate.weight", (n_inner, n_embd)
        yield "ssm_conv1d.weight", (n_conv, keys["ssm.conv_kernel"])
        yield "ssm_dt.bias", (n_heads,)
        yield "ssm_a", (n_heads,)
        yield "ssm_beta.weight", (n_heads, n_embd)
        yield "ssm_alpha.weight", (n_heads, n_embd)
        yield "ssm_norm.weight", (keys["ssm.state_size"],)
        yield "ssm_out.weight", (n_embd, n_inner)
    for name, dims in feed_forward(keys):
        yield "post_attention_norm.weight" if name == "ffn_norm.weight" else name, dims


def gpt_oss(keys: Keys, layer: int) -> Tensors:
    n_embd, n_ff, n_expert = keys["embedding_length"], keys["expert_feed_forward_length"], keys["expert_count"]
    yield from attention(keys, layer, bias=True)
    yield "attn_output.bias", (n_embd,)
    yield "attn_sinks.weight", (keys["attention.head_count"],)
    for name, dims in experts(keys):
        yield "post_attention_norm.weight" if name == "ffn_norm.weight" else name, dims
    for name, width in (("ffn_gate_exps", n_ff), ("ffn_up_exps", n_ff), ("ffn_down_exps", n_embd)):
        yield f"{name}.bias", (n_expert, width)
    yield "ffn_gate_inp.bias", (n_expert,)


def gpt2(keys: Keys, _layer: int) -> Tensors:
    n_embd, n_ff = keys["embedding_length"], keys["feed_forward_length"]
    for name, n_out, n_in in (
        ("attn_qkv", 3 * n_embd, n_embd),
        ("attn_output", n_embd, n_embd),
        ("ffn_up", n_ff, n_embd),
        ("ffn_down", n_embd, n_ff),
    ):
        yield f"{name}.weight", (n_out, n_in)
        yield f"{name}.bias", (n_out,)
    for name in ("attn_norm", "ffn_norm"):
        yield f"{name}.weight", (n_embd,)
        yield f"{name}.bias", (n_embd,)


def phi3(keys: Keys, layer: int) -> Tensors:
    n_embd, n_ff = keys["embedding_length"], keys["feed_forward_length"]
    n_heads, n_kv, width, _ = _heads(keys, layer)
    yield "attn_norm.weight", (n_embd,)
    yield "attn_qkv.weight", ((n_heads + 2 * n_kv) * width, n_embd)
    yield "attn_output.weight", (n_embd, n_embd)
    yield "ffn_norm.weight", (n_embd,)
    yield "ffn_up.weight", (2 * n_ff, n_embd)
    yield "ffn_down.weight", (n_embd, n_ff)


def mamba(keys: Keys, _layer: int) -> Tensors:
    n_embd, n_inner = keys["embedding_length"], keys["ssm.inner_size"]
    n_state, n_rank = keys["ssm.state_size"], keys["ssm.time_step_rank"]
    yield "attn_norm.weight", (n_embd,)
    yield "ssm_in.weight", (2 * n_inner, n_embd)
    yield "ssm_conv1d.weight", (n_inner, keys["ssm.conv_kernel"])
    yield "ssm_conv1d.bias", (n_inner,)
    yield "ssm_x.weight", (n_rank + 2 * n_state, n_inner)
    yield "ssm_dt.weight", (n_inner, n_rank)
    yield "ssm_dt.bias", (n_inner,)
    yield "ssm_a", (n_inner, n_state)
    yield "ssm_d", (n_inner,)
    yield "ssm_out.weight", (n_embd, n_inner)


def mamba2(keys: Keys, _layer: int = 0) -> Tensors:
    n_embd, n_inner, n_heads = keys["embedding_length"], keys["ssm.inner_size"], keys["ssm.time_step_rank"]
    n_group = keys["ssm.group_count"]
    n_conv = n_inner + 2 * n_group * keys["ssm.state_size"]
    yield "attn_norm.weight", (n_embd,)
    yield "ssm_in.weight", (n_inner + n_conv + n_heads, n_embd)
    yield "ssm_conv1d.weight", (n_conv, keys["ssm.conv_kernel"])
    yield "ssm_conv1d.bias", (n_conv,)
    yield "ssm_dt.bias", (n_heads,)
    yield "ssm_a", (n_heads, 1)
    yield "ssm_d", (n_heads, 1)
    yield "ssm_norm.weight", (n_group, n_inner // n_group)
    yield "ssm_out.weight", (n_embd, n_inner)


def granite_hybrid(keys: Keys, layer: int) -> Tensors:
    yield from attention(keys, layer) if keys["attention.head_count_kv"][layer] else mamba2(keys)
    yield from feed_forward(keys)


def lfm2(keys: Keys, layer: int) -> Tensors:
    n_embd = keys["embedding_length"]
    if keys["attention.head_count_kv"][layer]:
        yield from attention(keys, layer, norms=True)
    else:
        yield "attn_norm.weight", (n_embd,)
        yield "shortconv.conv.weight", (n_embd, keys["shortconv.l_cache"])
        yield "shortconv.in_proj.weight", (3 * n_embd, n_embd)
        yield "shortconv.out_proj.weight", (n_embd, n_embd)
    yield from feed_forward(keys)


def deepseek2(keys: Keys, layer: int) -> Tensors:
    """MLA: keys and values of all heads are made from one latent row, and only that is kept."""
    n_embd, n_heads, n_latent = keys["embedding_length"], keys["attention.head_count"], keys["attention.kv_lora_rank"]
    n_rope, n_k, n_v = (
        keys[f"{key}"] for key in ("rope.dimension_count", "attention.key_length_mla", "attention.value_length_mla")
    )
    yield "attn_norm.weight", (n_embd,)
    yield "attn_q.weight", (n_heads * n_k, n_embd)
    yield "attn_kv_a_mqa.weight", (n_latent + n_rope, n_embd)
    yield "attn_kv_a_norm.weight", (n_latent,)
    yield "attn_k_b.weight", (n_heads, n_latent, n_k - n_rope)
    yield "attn_v_b.weight", (n_heads, n_v, n_latent)
    yield "attn_output.weight", (n_embd, n_heads * n_v)
    if layer < keys["leading_dense_block_count"]:
        yield from feed_forward(keys)
        return
    yield from experts(keys)
    n_shared = keys["expert_shared_count"] * keys["expert_feed_forward_length"]
    yield "ffn_gate_shexp.weight", (n_shared, n_embd)
    yield "ffn_up_shexp.weight", (n_shared, n_embd)
    yield "ffn_down_shexp.weight", (n_embd, n_shared)


def bert(keys: Keys, _layer: int) -> Tensors:
    n_embd, n_ff = keys["embedding_length"], keys["feed_forward_length"]
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        yield f"{name}.weight", (n_embd, n_embd)
        yield f"{name}.bias", (n_embd,)
    yield "ffn_up.weight", (n_ff, n_embd)
    yield "ffn_up.bias", (n_ff,)
    yield "ffn_down.weight", (n_embd, n_ff)
    yield "ffn_down.bias", (n_embd,)
    for name in ("attn_output_norm", "layer_output_norm"):
        yield f"{name}.weight", (n_embd,)
        yield f"{name}.bias", (n_embd,)


def _decoder(n_ctx: int, n_embd: int, n_layer: int, n_ff: int, n_heads: int, n_kv: int, **more: Any) -> Keys:
    """What all decoders have; in further keys `__` stands for the point."""
    return {
        "context_length": n_ctx,
        "embedding_length": n_embd,
        "block_count": n_layer,
        "feed_forward_length": n_ff,
        "attention.head_count": n_heads,
        "attention.head_count_kv": n_kv,
        "attention.layer_norm_rms_epsilon": 1e-5,
        **{name.replace("__", "."): value for name, value in more.items()},
    }


def _heads_of(width: int) -> Keys:
    return {"attention.key_length": width, "attention.value_length": width}


def _states(n_inner: int, n_state: int, n_rank: int) -> Keys:
    return {
        "ssm.conv_kernel": 4,
        "ssm.inner_size": n_inner,
        "ssm.state_size": n_state,
        "ssm.time_step_rank": n_rank,
    }


def _attends_in(keys: Keys, *layers: int) -> Keys:
    n_kv = keys["attention.head_count_kv"]
    return {"attention.head_count_kv": [n_kv if layer in layers else 0 for layer in range(keys["block_count"])]}


_LLAMA_3 = _decoder(131072, 2048, 16, 8192, 32, 8)
_QWEN_3 = _decoder(40960, 1024, 28, 3072, 16, 8) | _heads_of(128)
_QWEN_3_MOE = _decoder(
    40960, 2048, 48, 6144, 32, 4, expert_count=128, expert_used_count=8, expert_feed_forward_length=768
) | _heads_of(128)
_GEMMA_2 = _decoder(
    8192,
    2304,
    26,
    9216,
    8,
    4,
    attention__sliding_window=4096,
    attn_logit_softcapping=50.0,
    final_logit_softcapping=30.0,
) | _heads_of(256)
_GEMMA_3 = _decoder(32768, 1152, 26, 6912, 4, 1, attention__sliding_window=512) | _heads_of(256)
_PHI_3 = _decoder(4096, 3072, 32, 8192, 32, 32, rope__dimension_count=96, attention__sliding_window=2047)
_MIXTRAL = _decoder(32768, 4096, 32, 14336, 32, 8, expert_count=8, expert_used_count=2)
_MAMBA = _decoder(1048576, 1024, 48, 0, 0, 0) | _states(2048, 16, 64)
_MAMBA_2 = _decoder(1048576, 1024, 48, 0, 0, 0, ssm__group_count=1) | _states(2048, 128, 32)
_GRANITE = _decoder(131072, 1536, 40, 4096, 12, 4, ssm__group_count=1) | _states(3072, 128, 48)
_GRANITE |= _attends_in(_GRANITE, 5, 15, 25, 35)
_LFM_2 = _decoder(128000, 1024, 16, 4608, 16, 8, shortconv__l_cache=3)
_LFM_2 |= _attends_in(_LFM_2, 2, 5, 8, 10, 12, 14)
_GPT_2 = _decoder(1024, 768, 12, 3072, 12, 12, attention__layer_norm_epsilon=1e-5)
_FALCON_H1 = _decoder(16384, 1024, 36, 2048, 8, 2, ssm__group_count=1) | _heads_of(64) | _states(1536, 128, 24)
_DEEPSEEK_2 = _decoder(
    163840, 2048, 27, 10944, 16, 1, expert_count=64, expert_used_count=6, expert_shared_count=2,
    expert_feed_forward_length=1408, leading_dense_block_count=1, rope__dimension_count=64,
    attention__key_length=576, attention__value_length=512, attention__kv_lora_rank=512,
    attention__key_length_mla=192, attention__value_length_mla=128,
)  # fmt: skip
_MINILM = {
    "context_length": 512,
    "embedding_length": 384,
    "block_count": 6,
    "feed_forward_length": 1536,
    "attention.head_count": 12,
    "attention.layer_norm_epsilon": 1e-12,
    "attention.causal": False,
    "pooling_type": 1,
}

_QWEN_35 = (
    _decoder(262144, 2560, 32, 9216, 16, 4, ssm__group_count=16, rope__dimension_sections=[11, 11, 10, 0])
    | _heads_of(256)
    | _states(4096, 128, 32)
)
_GPT_OSS = _decoder(
    131072, 2880, 24, 2880, 64, 8, attention__sliding_window=128, expert_count=32, expert_used_count=4,
    expert_feed_forward_length=2880,
) | _heads_of(64)  # fmt: skip

# The sizes of published models, by whose names they go.
SHAPES = {
    "llama 3.2 1B": Shape("llama", _LLAMA_3, llama, 128256, True),
    "llama 2 7B": Shape("llama", _decoder(4096, 4096, 32, 11008, 32, 32), llama),
    "mixtral 8x7B": Shape("llama", _MIXTRAL, mixtral),
    "qwen2.5 0.5B": Shape("qwen2", _decoder(32768, 896, 24, 4864, 14, 2), qwen2, 151936, True),
    "qwen3 0.6B": Shape("qwen3", _QWEN_3, qwen3, 151936, True),
    "qwen3 30B A3B": Shape("qwen3moe", _QWEN_3_MOE, qwen3moe, 151936),
    "gemma 2 2B": Shape("gemma2", _GEMMA_2, gemma2, 256000, True),
    "gemma 3 1B": Shape("gemma3", _GEMMA_3, gemma3, 262144, True),
    "phi 3 mini": Shape("phi3", _PHI_3, phi3, 32064),
    "deepseek 2 lite": Shape("deepseek2", _DEEPSEEK_2, deepseek2, 102400),
    "mamba 370M": Shape("mamba", _MAMBA, mamba, 50280, True),
    "mamba 2 370M": Shape("mamba2", _MAMBA_2, mamba2, 50288, True),
    "granite 4 1B": Shape("granitehybrid", _GRANITE, granite_hybrid, 100352, True),
    "falcon h1 0.5B": Shape("falcon-h1", _FALCON_H1, falcon_h1, 32784, True),
    "lfm2 350M": Shape("lfm2", _LFM_2, lfm2, 65536, True),
    "qwen3.5 4B": Shape("qwen35", _QWEN_35, qwen35, 248320, True),
    "gpt oss 20B": Shape("gpt-oss", _GPT_OSS, gpt_oss, 201088),
    "gpt2 124M": Shape(
        "gpt2", _decoder(1024, 768, 12, 3072, 12, 12, attention__layer_norm_epsilon=1e-5), gpt2, 50257, True
    ),
    "minilm": Shape("bert", _MINILM, bert, 30522),
}
