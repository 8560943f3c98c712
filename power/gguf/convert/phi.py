"""Phi 3, 3.5 and 4, with fused projections."""

from __future__ import annotations

from power.gguf.convert.decoder import PRE_NORMS, check_heads_fill, decoder_metadata, embeddings, norms, read_sizes
from power.gguf.convert.rope import read_rope, rope_group
from power.gguf.convert.settings import Settings
from power.gguf.convert.weights import Model, Output, Weights


def phi3(settings: Settings, weights: Weights) -> Model:
    sizes = read_sizes(settings)
    check_heads_fill(settings, sizes)
    partial = rope_group(settings).positive("partial_rotary_factor", settings.positive("partial_rotary_factor", 1.0))
    n_rot = int(sizes.head_dim * partial)
    if n_rot % 2 or not 0 < n_rot <= sizes.head_dim:
        raise settings.wrong("partial_rotary_factor", f"makes {n_rot} of {sizes.head_dim} elements turn")
    rope = read_rope(settings, n_rot, takes="longrope")
    metadata = decoder_metadata("phi3", settings, sizes) | {f"phi3.{k}": v for k, v in rope.metadata.items()}
    # llama.cpp wants it, though it does not slide (src/models/phi3.cpp); 0 says that the model does not either.
    metadata["phi3.attention.sliding_window"] = (
        settings.count("sliding_window") if settings.has("sliding_window") else 0
    )
    metadata.setdefault("phi3.rope.scaling.original_context_length", _original_context(settings))
    outputs = [*rope.outputs]
    outputs += embeddings(weights, sizes, "model.", tied=settings.flag("tie_word_embeddings", False))
    n_qkv = (sizes.n_heads + 2 * sizes.n_heads_kv) * sizes.head_dim
    shapes = {
        "self_attn.qkv_proj": ("attn_qkv", n_qkv, sizes.n_embd),
        "self_attn.o_proj": ("attn_output", sizes.n_embd, sizes.n_heads * sizes.head_dim),
        "mlp.gate_up_proj": ("ffn_up", 2 * sizes.n_ff, sizes.n_embd),
        "mlp.down_proj": ("ffn_down", sizes.n_embd, sizes.n_ff),
    }
    for n in range(sizes.n_layers):
        layer, block = f"model.layers.{n}.", f"blk.{n}."
        outputs += norms(weights, layer, block, PRE_NORMS, sizes.n_embd)
        for theirs, (ours, *shape) in shapes.items():
            outputs.append(Output(f"{block}{ours}.weight", weights.take(f"{layer}{theirs}.weight", *shape)))
    return Model("phi3", metadata, outputs, sizes.n_vocab)


def _original_context(settings: Settings) -> int:
    return settings.count("original_max_position_embeddings", settings.count("max_position_embeddings"))
