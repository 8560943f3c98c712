"""What the decoder families share: token embeddings, attention, gated feed-forward, norms.

Names on the left are those of Hugging Face's transformers, on the right those of
llama.cpp (src/llama-arch.cpp).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from power.gguf.convert.settings import Settings
from power.gguf.convert.sources import Affine, Reordered, ReorderedElements, Rows, interleaved
from power.gguf.convert.weights import Output, Weights

ATTENTION = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v"} | {
    "self_attn.o_proj": "attn_output"
}
FEED_FORWARD = {"mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
PRE_NORMS = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
# Around and after attention and feed-forward, as Gemma has them from 2 on.
SANDWICH_NORMS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
QK_NORMS = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}


class Sizes(NamedTuple):
    """The dimensions of a decoder."""

    n_vocab: int
    n_layers: int
    n_embd: int
    n_ff: int
    n_heads: int
    n_heads_kv: int
    head_dim: int

    def of_module(self, module: str) -> tuple[int, int]:
        """The shape of a linear module's weight: outputs, inputs."""
        n_q, n_kv = self.n_heads * self.head_dim, self.n_heads_kv * self.head_dim
        return {
            "self_attn.q_proj": (n_q, self.n_embd),
            "self_attn.k_proj": (n_kv, self.n_embd),
            "self_attn.v_proj": (n_kv, self.n_embd),
            "self_attn.o_proj": (self.n_embd, n_q),
            "mlp.gate_proj": (self.n_ff, self.n_embd),
            "mlp.up_proj": (self.n_ff, self.n_embd),
            "mlp.down_proj": (self.n_embd, self.n_ff),
        }[module]


def read_sizes(settings: Settings, *, head_dim: int | None = None) -> Sizes:
    """The dimensions; `head_dim` is the default of families that do not derive it."""
    n_embd, n_heads = settings.count("hidden_size"), settings.count("num_attention_heads")
    if not settings.has("head_dim") and head_dim is None:
        if n_embd % n_heads:
            raise settings.wrong("hidden_size", f"is {n_embd}, which {n_heads} attention heads cannot share")
        head_dim = n_embd // n_heads
    sizes = Sizes(
        n_vocab=settings.count("vocab_size"),
        n_layers=settings.count("num_hidden_layers"),
        n_embd=n_embd,
        n_ff=settings.count("intermediate_size"),
        n_heads=n_heads,
        n_heads_kv=settings.count("num_key_value_heads", n_heads),
        head_dim=settings.count("head_dim", head_dim),
    )
    if sizes.head_dim % 2:
        raise settings.wrong("head_dim", f"is {sizes.head_dim}, and rotary embeddings need pairs")
    if sizes.n_heads % sizes.n_heads_kv:
        raise settings.wrong("num_key_value_heads", f"is {sizes.n_heads_kv}, which does not divide {sizes.n_heads}")
    return sizes


def check_heads_fill(settings: Settings, sizes: Sizes) -> None:
    """Raise ConvertError unless the heads together are as wide as the embeddings, for who takes it for granted."""
    if sizes.n_heads * sizes.head_dim != sizes.n_embd:
        raise settings.wrong("head_dim", f"is {sizes.head_dim}; {sizes.n_heads} heads of it do not make {sizes.n_embd}")


def decoder_metadata(architecture: str, settings: Settings, sizes: Sizes) -> dict[str, Any]:
    """The keys that llama.cpp wants of every decoder."""
    keys = {
        "vocab_size": sizes.n_vocab,
        "context_length": settings.count("max_position_embeddings"),
        "embedding_length": sizes.n_embd,
        "block_count": sizes.n_layers,
        "feed_forward_length": sizes.n_ff,
        "attention.head_count": sizes.n_heads,
        "attention.head_count_kv": sizes.n_heads_kv,
        "attention.key_length": sizes.head_dim,
        "attention.value_length": sizes.head_dim,
        "attention.layer_norm_rms_epsilon": settings.number("rms_norm_eps", 1e-6),
        "rope.dimension_count": sizes.head_dim,
    }
    return {f"{architecture}.{key}": value for key, value in keys.items()}


def find_prefix(weights: Weights, *candidates: str) -> str:
    """What stands in front of the names of the model's own tensors."""
    return next((prefix for prefix in candidates if weights.has(prefix + "embed_tokens.weight")), candidates[0])


def embeddings(weights: Weights, sizes: Sizes, prefix: str, *, tied: bool, norm_shift: float = 0.0) -> Iterator[Output]:
    """Token embeddings, last norm, and the output matrix unless it is the embeddings again."""
    yield Output("token_embd.weight", weights.take(f"{prefix}embed_tokens.weight", sizes.n_vocab, sizes.n_embd))
    yield Output("output_norm.weight", shifted(weights.take(f"{prefix}norm.weight", sizes.n_embd), norm_shift), True)
    if tied:
        weights.ignore(r"(.*\.)?lm_head\.weight")
    else:
        yield Output("output.weight", weights.take("lm_head.weight", sizes.n_vocab, sizes.n_embd))


def norms(
    weights: Weights, layer: str, block: str, names: dict[str, str], n: int, shift: float = 0.0
) -> Iterator[Output]:
    for theirs, ours in names.items():
        yield Output(f"{block}{ours}.weight", shifted(weights.take(f"{layer}{theirs}.weight", n), shift), True)


def linears(
    weights: Weights,
    sizes: Sizes,
    layer: str,
    block: str,
    names: dict[str, str],
    *,
    permuted: bool = False,
    may_have_bias: bool = False,
) -> Iterator[Output]:
    """Linear modules and their biases; `permuted` puts rotary pairs side by side."""
    for theirs, ours in names.items():
        shape = sizes.of_module(theirs)
        weight: Rows = weights.take(f"{layer}{theirs}.weight", *shape)
        has_bias = may_have_bias and weights.has(f"{layer}{theirs}.bias")
        bias: Rows | None = weights.take(f"{layer}{theirs}.bias", shape[0]) if has_bias else None
        if permuted and (n_heads := rotary_heads(sizes, theirs)):
            order = interleaved(n_heads, shape[0])
            weight = Reordered(weight, order)
            bias = bias and ReorderedElements(bias, order)
        yield Output(f"{block}{ours}.weight", weight)
        if bias is not None:
            yield Output(f"{block}{ours}.bias", bias, True)


def rotary_heads(sizes: Sizes, module: str) -> int:
    """How many heads of rotary pairs a module puts out; 0 for one whose output is not rotated."""
    return {"self_attn.q_proj": sizes.n_heads, "self_attn.k_proj": sizes.n_heads_kv}.get(module, 0)


def shifted(source: Rows, shift: float) -> Rows:
    """Gemma's norms multiply by one more than their weight."""
    return Affine(source, shift=shift) if shift else source
