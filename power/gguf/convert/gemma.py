"""Gemma 2, and the text part of Gemma 3."""

from __future__ import annotations

import math
from typing import Any

from power.gguf.convert.decoder import (
    ATTENTION,
    FEED_FORWARD,
    QK_NORMS,
    SANDWICH_NORMS,
    Sizes,
    decoder_metadata,
    embeddings,
    find_prefix,
    linears,
    norms,
    read_sizes,
)
from power.gguf.convert.rope import read_rope
from power.gguf.convert.settings import Settings
from power.gguf.convert.sources import Affine
from power.gguf.convert.weights import Model, Output, Weights

# transformers writes only what differs from its defaults (configuration_gemma3.py).
_GEMMA3 = {
    "vocab_size": 262208, "max_position_embeddings": 131072, "hidden_size": 2304, "intermediate_size": 9216,
    "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
    "rms_norm_eps": 1e-6, "sliding_window": 4096, "query_pre_attn_scalar": 256,
}  # fmt: skip
_VISION = r"(model\.)?(vision_tower|multi_modal_projector)\..*"


def gemma2(settings: Settings, weights: Weights) -> Model:
    settings = settings.over({"head_dim": 256, "query_pre_attn_scalar": 256, "max_position_embeddings": 8192})
    sizes = read_sizes(settings)
    # llama.cpp knows the three Gemma 2 by their number of layers (src/models/gemma2.cpp).
    scale = sizes.n_embd // sizes.n_heads if sizes.n_layers == 46 else sizes.head_dim
    model = _gemma("gemma2", settings, weights, sizes, scale, theta=10000.0)
    model.metadata["gemma2.attention.sliding_window"] = settings.count("sliding_window", 4096)
    model.metadata["gemma2.attention.sliding_window_pattern"] = _pattern(settings, sizes, 2)
    for key, default in (("attn_logit_softcapping", 50.0), ("final_logit_softcapping", 30.0)):
        # Left out means the default, null means none, which llama.cpp has as zero for the output only.
        if key in settings.values and settings.values[key] is None:
            raise settings.wrong(key, "is null; llama.cpp's gemma2 always caps")
        model.metadata[f"gemma2.{key}"] = settings.number(key, default)
    return model


def gemma3(settings: Settings, weights: Weights) -> Model:
    inner = settings.group("text_config") if settings.has("text_config") else settings
    inner = inner.over(_GEMMA3)
    weights.ignore(_VISION)
    sizes = read_sizes(inner)
    if inner.has("attn_logit_softcapping"):
        raise inner.wrong("attn_logit_softcapping", "is set; llama.cpp's gemma3 does not cap")
    scale = sizes.n_embd // sizes.n_heads if sizes.n_layers == 62 else sizes.head_dim
    model = _gemma("gemma3", inner, weights, sizes, scale, theta=1e6)
    local = inner.group("rope_parameters").group("sliding_attention")
    model.metadata["gemma3.attention.sliding_window"] = inner.count("sliding_window")
    model.metadata["gemma3.rope.freq_base_swa"] = local.positive(
        "rope_theta", inner.positive("rope_local_base_freq", 10000.0)
    )
    if inner.has("final_logit_softcapping"):
        model.metadata["gemma3.final_logit_softcapping"] = inner.number("final_logit_softcapping")
    model.metadata["gemma3.attention.sliding_window_pattern"] = _pattern(inner, sizes, 6)
    return model


def _gemma(
    name: str, settings: Settings, weights: Weights, sizes: Sizes, llama_cpp_scale: int, *, theta: float
) -> Model:
    rope = read_rope(settings, sizes.head_dim, default_theta=theta, takes="linear")
    prefix = find_prefix(weights, "model.", "model.language_model.", "language_model.model.", "")
    metadata: dict[str, Any] = decoder_metadata(name, settings, sizes)
    metadata |= {f"{name}.{key}": value for key, value in rope.metadata.items()}
    outputs = list(embeddings(weights, sizes, prefix, tied=True, norm_shift=1.0))
    # Attention is scaled by 1/sqrt(query_pre_attn_scalar), llama.cpp's by what it derives.
    correction = math.sqrt(llama_cpp_scale / settings.positive("query_pre_attn_scalar"))
    for n in range(sizes.n_layers):
        layer, block = f"{prefix}layers.{n}.", f"blk.{n}."
        outputs += norms(weights, layer, block, SANDWICH_NORMS, sizes.n_embd, 1.0)
        if name == "gemma3":
            outputs += norms(weights, layer, block, QK_NORMS, sizes.head_dim, 1.0)
        outputs += linears(weights, sizes, layer, block, ATTENTION | FEED_FORWARD)
    rescaled = "attn_q_norm.weight" if name == "gemma3" else "attn_q.weight"
    if correction != 1:
        outputs = [_scaled(output, correction) if output.name.endswith(rescaled) else output for output in outputs]
    return Model(name, metadata, outputs, sizes.n_vocab)


def _scaled(output: Output, factor: float) -> Output:
    return output._replace(source=Affine(output.source, scale=factor))


def _pattern(settings: Settings, sizes: Sizes, every: int) -> list[bool]:
    """Which layers see a window only; llama.cpp takes it layer by layer."""
    given = settings.values.get("layer_types")
    if given is None:
        every = settings.count("sliding_window_pattern", settings.count("_sliding_window_pattern", every))
        return [(n + 1) % every != 0 for n in range(sizes.n_layers)]
    kinds = ("sliding_attention", "full_attention")
    if not isinstance(given, list) or len(given) != sizes.n_layers or any(kind not in kinds for kind in given):
        raise settings.wrong("layer_types", f"is not a list of {sizes.n_layers} times {' or '.join(kinds)}")
    return [kind == kinds[0] for kind in given]
