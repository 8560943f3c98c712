"""Projectors of real shapes, of two layers: each layer takes the same place as the one before."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from power.gguf import TYPE_NAMED, TensorSource, TensorType, write_gguf

N_LAYERS, N_OUT = 2, 2048
F16, F32 = TYPE_NAMED["F16"], TYPE_NAMED["F32"]


class Encoder(NamedTuple):
    kind: str  # of the projector behind it: "mlp" (LLaVA, with a class token) or "gemma3"
    n_embd: int
    n_ff: int
    n_heads: int
    n_pixels: int  # a side
    patch: int


ENCODERS = {
    "CLIP ViT-B/16": Encoder("mlp", 768, 3072, 12, 224, 16),
    "CLIP ViT-L/14 336": Encoder("mlp", 1024, 4096, 16, 336, 14),
    "SigLIP so400m 448": Encoder("gemma3", 1152, 4304, 16, 448, 14),
    "SigLIP so400m 896": Encoder("gemma3", 1152, 4304, 16, 896, 14),
}


def write_projector(path: Path, encoder: Encoder) -> Path:
    sizes = {
        "image_size": encoder.n_pixels,
        "patch_size": encoder.patch,
        "embedding_length": encoder.n_embd,
        "feed_forward_length": encoder.n_ff,
        "projection_dim": N_OUT,
        "block_count": N_LAYERS,
        "attention.head_count": encoder.n_heads,
        "attention.layer_norm_epsilon": 1e-6,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    metadata: dict[str, Any] = {
        "general.architecture": "clip",
        "clip.has_vision_encoder": True,
        "clip.projector_type": encoder.kind,
        "clip.use_gelu": True,
        **{f"clip.vision.{key}": value for key, value in sizes.items()},
    }
    write_gguf(path, metadata, tensors(encoder))
    return path


def tensors(encoder: Encoder) -> Iterator[TensorSource]:
    n_embd, n_ff = encoder.n_embd, encoder.n_ff
    n_positions = (encoder.n_pixels // encoder.patch) ** 2
    yield tensor("v.patch_embd.weight", n_embd, 3, encoder.patch, encoder.patch)
    if encoder.kind == "mlp":
        yield tensor("v.class_embd", n_embd)
        yield tensor("v.position_embd.weight", n_positions + 1, n_embd)
        yield from layer("v.pre_ln", n_embd)
        yield from layer("mm.0", N_OUT, n_embd)
        yield from layer("mm.2", N_OUT, N_OUT)
    else:
        yield tensor("v.patch_embd.bias", n_embd)
        yield tensor("v.position_embd.weight", n_positions, n_embd)
        yield tensor("mm.input_projection.weight", n_embd, N_OUT)
        yield tensor("mm.soft_emb_norm.weight", n_embd)
    yield from layer("v.post_ln", n_embd)
    for block in (f"v.blk.{n}." for n in range(N_LAYERS)):
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            yield from layer(block + name, n_embd, n_embd)
        yield from layer(block + "ln1", n_embd)
        yield from layer(block + "ln2", n_embd)
        yield from layer(block + "ffn_up", n_ff, n_embd)
        yield from layer(block + "ffn_down", n_embd, n_ff)


def layer(name: str, n_out: int, *n_in: int) -> Iterator[TensorSource]:
    yield tensor(f"{name}.weight", n_out, *n_in)
    yield tensor(f"{name}.bias", n_out)


def tensor(name: str, *shape: int) -> TensorSource:
    """Zeros: matrices in F16, vectors in F32, as llama.cpp's converter has them."""
    type: TensorType = F16 if len(shape) > 1 else F32
    return TensorSource(name, shape, type, lambda: [bytes(math.prod(shape) * type.block_bytes)])
