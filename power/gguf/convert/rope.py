"""Rotary position embeddings: frequencies, and how they are stretched for long contexts.

transformers describes the stretching in `rope_scaling` (`rope_parameters` from version 5
on); llama.cpp takes linear and YaRN by keys, Llama 3's and LongRoPE as tensors of one
factor per rotary pair.  The formulas are those of transformers'
modeling_rope_utils.py and the papers it cites.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from power.gguf.convert.settings import Settings
from power.gguf.convert.sources import Values
from power.gguf.convert.weights import Output


class Rope(NamedTuple):
    """Keys and tensors that say how a model's positions turn."""

    metadata: dict[str, Any]  # keys without the architecture in front
    outputs: list[Output]


def read_rope(settings: Settings, n_rot: int, *, default_theta: float = 10000.0, takes: str) -> Rope:
    """The model's rotary embeddings.

    Args:
        n_rot: elements of a head that are rotated.
        takes: the kinds of stretching that llama.cpp knows for this architecture.

    Raises:
        ConvertError: the stretching is of another kind.
    """
    scaling = rope_group(settings)
    theta = scaling.positive("rope_theta", settings.positive("rope_theta", default_theta))
    rope = Rope({"rope.freq_base": theta, "rope.dimension_count": n_rot}, [])
    kind = scaling.text("rope_type", scaling.text("type", "default")).lower()
    kind = {"su": "longrope"}.get(kind, kind)
    # `dynamic` only sets in beyond the trained context, where llama.cpp has its own means.
    if kind in ("default", "dynamic"):
        return rope
    if kind not in takes.split():
        raise scaling.wrong(
            "rope_type", f"is {kind!r}; this architecture can have {takes.replace(' ', ', ')} or default"
        )
    return {"linear": _linear, "yarn": _yarn, "llama3": _llama3, "longrope": _longrope}[kind](rope, settings, scaling)


def rope_group(settings: Settings) -> Settings:
    """What the configuration says of rotary embeddings, wherever it does; of full attention if it tells kinds apart."""
    group = settings.group("rope_parameters" if settings.has("rope_parameters") else "rope_scaling")
    return group.group("full_attention") if group.has("full_attention") else group


def _linear(rope: Rope, settings: Settings, scaling: Settings) -> Rope:
    rope.metadata.update({"rope.scaling.type": "linear", "rope.scaling.factor": scaling.positive("factor")})
    return rope


def _yarn(rope: Rope, settings: Settings, scaling: Settings) -> Rope:
    factor = scaling.positive("factor")
    if factor < 1:
        raise scaling.wrong("factor", f"is {factor}, which does not stretch")
    n_ctx = scaling.count("original_max_position_embeddings", settings.count("max_position_embeddings"))
    rope.metadata.update(
        {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": factor,
            "rope.scaling.original_context_length": n_ctx,
        }
    )
    for key in ("beta_fast", "beta_slow"):
        if scaling.has(key):
            rope.metadata[f"rope.scaling.yarn_{key}"] = scaling.number(key)
    if scaling.has("attention_factor"):
        # llama.cpp multiplies what YaRN's paper recommends with this.
        rope.metadata["rope.scaling.attn_factor"] = scaling.positive("attention_factor") / (1 + 0.1 * math.log(factor))
    return rope


def _llama3(rope: Rope, settings: Settings, scaling: Settings) -> Rope:
    n_rot, theta = rope.metadata["rope.dimension_count"], rope.metadata["rope.freq_base"]
    factor, n_ctx = scaling.positive("factor", 8), scaling.positive("original_max_position_embeddings", 8192)
    low, high = scaling.positive("low_freq_factor", 1), scaling.positive("high_freq_factor", 4)
    if high <= low:
        raise scaling.wrong("high_freq_factor", f"is {high}, not above low_freq_factor")
    turns = n_ctx / (2 * math.pi) * theta ** (-np.arange(0, n_rot, 2) / n_rot)  # of each pair, in the trained context
    # Slow pairs are stretched by the factor, fast ones not at all, and in between by something in between.
    share = np.clip((turns - low) / (high - low), 0, 1)
    factors = 1 / ((1 - share) / factor + share)
    rope.outputs.append(Output("rope_freqs.weight", Values(factors.astype(np.float32)), True))
    return rope


def _longrope(rope: Rope, settings: Settings, scaling: Settings) -> Rope:
    n_rot, n_ctx = rope.metadata["rope.dimension_count"], settings.count("max_position_embeddings")
    n_original = scaling.count(
        "original_max_position_embeddings", settings.count("original_max_position_embeddings", n_ctx)
    )
    for length in ("long", "short"):
        factors = np.array(scaling.numbers(f"{length}_factor"), np.float32)
        if len(factors) != n_rot // 2:
            raise scaling.wrong(f"{length}_factor", f"has {len(factors)} numbers for {n_rot // 2} rotary pairs")
        rope.outputs.append(Output(f"rope_factors_{length}.weight", Values(factors), True))
    stretch = n_ctx / n_original
    default = math.sqrt(1 + math.log(stretch) / math.log(n_original)) if stretch > 1 else 1.0
    rope.metadata["rope.scaling.original_context_length"] = n_original
    rope.metadata["rope.scaling.attn_factor"] = scaling.positive("attention_factor", default)
    return rope
