"""Small checkpoints with random weights, written as Hugging Face's tools write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Shapes = dict[str, tuple[int, ...]]

N_VOCAB = 512


def write_safetensors(path: Path, tensors: Mapping[str, npt.NDArray[Any]], *, dtype: str = "F32") -> None:
    """Write tensors as the format says; integers as they are, all else as `dtype`."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    blobs = []
    at = 0
    for name, array in tensors.items():
        kind = "I64" if array.dtype == np.int64 else dtype
        blob = _encode(array, kind)
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [at, at + len(blob)]}
        at += len(blob)
        blobs.append(blob)
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + b"".join(blobs))


def write_checkpoint(
    folder: Path, config: Mapping[str, Any], weights: Mapping[str, Array], *, dtype: str = "F32", n_shards: int = 1
) -> None:
    """config.json and weights, in as many shards as asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if n_shards == 1:
        write_safetensors(folder / "model.safetensors", weights, dtype=dtype)
        return
    names = [f"model-{n + 1:05}-of-{n_shards:05}.safetensors" for n in range(n_shards)]
    weight_map = {key: names[n % n_shards] for n, key in enumerate(weights)}
    for name in names:
        part = {key: weights[key] for key in weights if weight_map[key] == name}
        write_safetensors(folder / name, part, dtype=dtype)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def random_weights(shapes: Shapes, *, dtype: str = "F32", seed: int = 0) -> dict[str, Array]:
    """Weights that keep activations about as large as they are, exactly as `dtype` stores them."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            values = rng.normal(0.0 if name.endswith("bias") else 0.8, 0.2, shape)
        else:
            values = rng.normal(0, 1.2 / np.sqrt(shape[-1]), shape)
        weights[name] = decode(_encode(values, dtype), dtype).reshape(shape)
    return weights


def decoder_shapes(config: Mapping[str, Any]) -> Shapes:
    """The tensors of a decoder of this configuration, by transformers' names."""
    kind, n_embd, n_ff = config["model_type"], config["hidden_size"], config["intermediate_size"]
    n_heads, n_kv = config["num_attention_heads"], config["num_key_value_heads"]
    dim = config.get("head_dim") or n_embd // n_heads
    shapes: Shapes = {"model.embed_tokens.weight": (config["vocab_size"], n_embd)}
    for n in range(config["num_hidden_layers"]):
        layer = f"model.layers.{n}."
        linears = {
            "self_attn.q_proj": (n_heads * dim, n_embd),
            "self_attn.k_proj": (n_kv * dim, n_embd),
            "self_attn.v_proj": (n_kv * dim, n_embd),
            "self_attn.o_proj": (n_embd, n_heads * dim),
            "mlp.gate_proj": (n_ff, n_embd),
            "mlp.up_proj": (n_ff, n_embd),
            "mlp.down_proj": (n_embd, n_ff),
        }
        if kind == "phi3":
            linears = {
                "self_attn.qkv_proj": ((n_heads + 2 * n_kv) * dim, n_embd),
                "self_attn.o_proj": (n_embd, n_heads * dim),
                "mlp.gate_up_proj": (2 * n_ff, n_embd),
                "mlp.down_proj": (n_embd, n_ff),
            }
        if kind == "qwen3_moe":
            linears = {name: shape for name, shape in linears.items() if not name.startswith("mlp.")}
            linears["mlp.gate"] = (config["num_experts"], n_embd)
            for expert in range(config["num_experts"]):
                n_inner = config["moe_intermediate_size"]
                linears[f"mlp.experts.{expert}.gate_proj"] = (n_inner, n_embd)
                linears[f"mlp.experts.{expert}.up_proj"] = (n_inner, n_embd)
                linears[f"mlp.experts.{expert}.down_proj"] = (n_embd, n_inner)
        if kind == "mixtral":
            linears = {name: shape for name, shape in linears.items() if not name.startswith("mlp.")}
            linears["block_sparse_moe.gate"] = (config["num_local_experts"], n_embd)
            for expert in range(config["num_local_experts"]):
                for name, shape in (("w1", (n_ff, n_embd)), ("w2", (n_embd, n_ff)), ("w3", (n_ff, n_embd))):
                    linears[f"block_sparse_moe.experts.{expert}.{name}"] = shape
        for name, shape in linears.items():
            shapes[f"{layer}{name}.weight"] = shape
            if _has_bias(config, name):
                shapes[f"{layer}{name}.bias"] = shape[:1]
        norms = ["input_layernorm", "post_attention_layernorm"]
        if kind.startswith("gemma"):
            norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
        shapes |= {f"{layer}{name}.weight": (n_embd,) for name in norms}
        if kind in ("qwen3", "qwen3_moe", "gemma3_text"):
            shapes |= {f"{layer}self_attn.{name}_norm.weight": (dim,) for name in "qk"}
    shapes["model.norm.weight"] = (n_embd,)
    if not config.get("tie_word_embeddings"):
        shapes["lm_head.weight"] = (config["vocab_size"], n_embd)
    return shapes


def decode(data: bytes, dtype: str) -> Array:
    """What was encoded, as numbers."""
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return np.frombuffer(data, {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype]).astype(np.float64)


def _has_bias(config: Mapping[str, Any], name: str) -> bool:
    if config["model_type"] == "qwen2":
        return name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    return bool(config.get("attention_bias" if name.startswith("self_attn") else "mlp_bias"))


def _encode(array: npt.NDArray[Any], dtype: str) -> bytes:
    if dtype == "I64":
        return array.astype("<i8").tobytes()
    if dtype == "BF16":  # cut off, which is a rounding as good as any for random numbers
        return (array.astype(np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    return array.astype({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype]).tobytes()
