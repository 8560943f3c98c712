"""Llama, Mistral and Mixtral, which llama.cpp has as one architecture."""

from __future__ import annotations

from collections.abc import Iterator

from power.gguf.convert.decoder import (
    ATTENTION,
    FEED_FORWARD,
    PRE_NORMS,
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
from power.gguf.convert.sources import Stacked
from power.gguf.convert.weights import Model, Output, Weights

_EXPERT = {"w1": "ffn_gate_exps", "w3": "ffn_up_exps", "w2": "ffn_down_exps"}


def llama(settings: Settings, weights: Weights) -> Model:
    return _llama(settings, weights, n_experts=0)


def mixtral(settings: Settings, weights: Weights) -> Model:
    n_experts = settings.count("num_local_experts", 8)
    model = _llama(settings, weights, n_experts=n_experts)
    model.metadata["llama.expert_count"] = n_experts
    model.metadata["llama.expert_used_count"] = settings.count("num_experts_per_tok", 2)
    return model


def _llama(settings: Settings, weights: Weights, *, n_experts: int) -> Model:
    sizes = read_sizes(settings)
    rope = read_rope(settings, sizes.head_dim, takes="linear yarn llama3")
    prefix = find_prefix(weights, "model.", "")
    metadata = decoder_metadata("llama", settings, sizes) | {f"llama.{k}": v for k, v in rope.metadata.items()}
    outputs = [*rope.outputs]
    outputs += embeddings(weights, sizes, prefix, tied=settings.flag("tie_word_embeddings", False))
    for n in range(sizes.n_layers):
        layer, block = f"{prefix}layers.{n}.", f"blk.{n}."
        outputs += norms(weights, layer, block, PRE_NORMS, sizes.n_embd)
        outputs += linears(weights, sizes, layer, block, ATTENTION, permuted=True, may_have_bias=True)
        if n_experts:
            outputs += _experts(weights, sizes, f"{layer}block_sparse_moe.", block, n_experts)
        else:
            outputs += linears(weights, sizes, layer, block, FEED_FORWARD, may_have_bias=True)
    return Model("llama", metadata, outputs, sizes.n_vocab)


def _experts(weights: Weights, sizes: Sizes, layer: str, block: str, n_experts: int) -> Iterator[Output]:
    yield Output(f"{block}ffn_gate_inp.weight", weights.take(f"{layer}gate.weight", n_experts, sizes.n_embd), True)
    for theirs, ours in _EXPERT.items():
        shape = (sizes.n_embd, sizes.n_ff) if theirs == "w2" else (sizes.n_ff, sizes.n_embd)
        experts = [weights.take(f"{layer}experts.{n}.{theirs}.weight", *shape) for n in range(n_experts)]
        yield Output(f"{block}{ours}.weight", Stacked(tuple(experts)))
