"""Llama and Mistral."""

from __future__ import annotations

from power.gguf.convert.decoder import (
    ATTENTION,
    FEED_FORWARD,
    PRE_NORMS,
    decoder_metadata,
    embeddings,
    find_prefix,
    linears,
    norms,
    read_sizes,
)
from power.gguf.convert.rope import read_rope
from power.gguf.convert.settings import Settings
from power.gguf.convert.weights import Model, Weights


def llama(settings: Settings, weights: Weights) -> Model:
    sizes = read_sizes(settings)
    rope = read_rope(settings, sizes.head_dim, takes="linear yarn llama3")
    prefix = find_prefix(weights, "model.", "")
    metadata = decoder_metadata("llama", settings, sizes) | {f"llama.{k}": v for k, v in rope.metadata.items()}
    outputs = [*rope.outputs]
    outputs += embeddings(weights, sizes, prefix, tied=settings.flag("tie_word_embeddings", False))
    for n in range(sizes.n_layers):
        layer, block = f"{prefix}layers.{n}.", f"blk.{n}."
        outputs += norms(weights, layer, block, PRE_NORMS, sizes.n_embd)
        outputs += linears(weights, sizes, layer, block, ATTENTION | FEED_FORWARD, permuted=True, may_have_bias=True)
    return Model("llama", metadata, outputs, sizes.n_vocab)
