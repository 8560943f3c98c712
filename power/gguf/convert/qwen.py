"""Qwen 2, 2.5 and 3, dense and with experts."""

from __future__ import annotations

from collections.abc import Iterator

from power.gguf.convert.decoder import (
    ATTENTION,
    FEED_FORWARD,
    PRE_NORMS,
    QK_NORMS,
    Sizes,
    check_heads_fill,
    decoder_metadata,
    embeddings,
    find_prefix,
    linears,
    norms,
    read_sizes,
)
from power.gguf.convert.rope import read_rope
from power.gguf.convert.settings import Settings
from power.gguf.convert.sources import Part, Stacked
from power.gguf.convert.weights import Model, Output, Weights

_EXPERT = {"gate_proj": "ffn_gate_exps", "up_proj": "ffn_up_exps", "down_proj": "ffn_down_exps"}


def qwen2(settings: Settings, weights: Weights) -> Model:
    sizes = read_sizes(settings)
    check_heads_fill(settings, sizes)
    return _qwen("qwen2", settings, weights, sizes)


def qwen3(settings: Settings, weights: Weights) -> Model:
    return _qwen("qwen3", settings, weights, read_sizes(settings, head_dim=128))


def qwen3moe(settings: Settings, weights: Weights) -> Model:
    sizes = read_sizes(settings, head_dim=128)
    if settings.values.get("mlp_only_layers") or settings.count("decoder_sparse_step", 1) != 1:
        raise settings.wrong(
            "mlp_only_layers", "leaves layers without experts, which llama.cpp's qwen3moe does not know"
        )
    if not settings.flag("norm_topk_prob", False):
        raise settings.wrong("norm_topk_prob", "is false; llama.cpp always makes the experts' shares add up to one")
    model = _qwen("qwen3moe", settings, weights, sizes)
    model.metadata["qwen3moe.expert_count"] = _n_experts(settings)
    model.metadata["qwen3moe.expert_used_count"] = settings.count("num_experts_per_tok", 8)
    model.metadata["qwen3moe.expert_feed_forward_length"] = settings.count("moe_intermediate_size")
    return model


def _qwen(name: str, settings: Settings, weights: Weights, sizes: Sizes) -> Model:
    rope = read_rope(settings, sizes.head_dim, takes="linear yarn")
    prefix = find_prefix(weights, "model.", "")
    metadata = decoder_metadata(name, settings, sizes) | {f"{name}.{k}": v for k, v in rope.metadata.items()}
    # The bare models, without a head, are embedding models; llama.cpp wants a head and takes the embeddings.
    tied = settings.flag("tie_word_embeddings", False) or (prefix == "" and not weights.has("lm_head.weight"))
    outputs = list(embeddings(weights, sizes, prefix, tied=tied))
    for n in range(sizes.n_layers):
        layer, block = f"{prefix}layers.{n}.", f"blk.{n}."
        outputs += norms(weights, layer, block, PRE_NORMS, sizes.n_embd)
        outputs += linears(weights, sizes, layer, block, ATTENTION, may_have_bias=name == "qwen2")
        if name != "qwen2":
            outputs += norms(weights, layer, block, QK_NORMS, sizes.head_dim)
        if name == "qwen3moe":
            outputs += _experts(settings, weights, sizes, layer, block)
        else:
            outputs += linears(weights, sizes, layer, block, FEED_FORWARD)
    return Model(name, metadata, outputs, sizes.n_vocab)


def _experts(settings: Settings, weights: Weights, sizes: Sizes, layer: str, block: str) -> Iterator[Output]:
    n_experts, n_ff, n_embd = _n_experts(settings), settings.count("moe_intermediate_size"), sizes.n_embd
    yield Output(f"{block}ffn_gate_inp.weight", weights.take(f"{layer}mlp.gate.weight", n_experts, n_embd), True)
    if weights.has(f"{layer}mlp.experts.gate_up_proj"):
        yield from _fused_experts(weights, f"{layer}mlp.experts.", block, (n_experts, n_ff, n_embd))
        return
    for theirs, ours in _EXPERT.items():
        shape = (n_embd, n_ff) if theirs == "down_proj" else (n_ff, n_embd)
        experts = [weights.take(f"{layer}mlp.experts.{n}.{theirs}.weight", *shape) for n in range(n_experts)]
        yield Output(f"{block}{ours}.weight", Stacked(tuple(experts)))


def _n_experts(settings: Settings) -> int:
    # transformers renamed it in version 5.
    return settings.count("num_experts" if settings.has("num_experts") else "num_local_experts")


def _fused_experts(weights: Weights, experts: str, block: str, shape: tuple[int, int, int]) -> Iterator[Output]:
    """The experts as transformers keeps them from version 5 on: one tensor for all, gate above up."""
    n_experts, n_ff, n_embd = shape
    both = weights.take(f"{experts}gate_up_proj", n_experts, 2 * n_ff, n_embd)
    for offset, ours in enumerate(("ffn_gate_exps", "ffn_up_exps")):
        parts = [Part(both, (2 * n + offset) * n_ff, (n_ff, n_embd)) for n in range(n_experts)]
        yield Output(f"{block}{ours}.weight", Stacked(tuple(parts)))
    yield Output(f"{block}ffn_down_exps.weight", weights.take(f"{experts}down_proj", n_experts, n_embd, n_ff))
