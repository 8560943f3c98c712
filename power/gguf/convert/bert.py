"""BERT (MiniLM, BGE, …) and Nomic's BERT: encoders that make embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from power.gguf.convert.settings import Settings
from power.gguf.convert.weights import Model, Output, Weights

_BERT_LINEARS = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
}
_BERT_NORMS = {"attention.output.LayerNorm": "attn_output_norm", "output.LayerNorm": "layer_output_norm"}
_HEADS = r"(bert\.)?pooler\..*|cls\..*"  # what embeddings do not need


def bert(settings: Settings, weights: Weights) -> Model:
    n_layers, n_embd, n_ff, n_heads = _sizes(
        settings, "num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads"
    )
    if settings.text("position_embedding_type", "absolute") != "absolute":
        raise settings.wrong("position_embedding_type", "is not absolute; llama.cpp's bert knows no other")
    _check_activation(settings, "hidden_act", "gelu")
    n_vocab, n_ctx = settings.count("vocab_size"), settings.count("max_position_embeddings")
    weights.prefix = "bert." if weights.has("bert.embeddings.word_embeddings.weight") else ""
    weights.ignore(_HEADS)
    outputs = [
        Output("token_embd.weight", weights.take("embeddings.word_embeddings.weight", n_vocab, n_embd)),
        Output("position_embd.weight", weights.take("embeddings.position_embeddings.weight", n_ctx, n_embd), True),
        Output(
            "token_types.weight",
            weights.take("embeddings.token_type_embeddings.weight", _types(settings), n_embd),
            True,
        ),
        *_norm(weights, "embeddings.LayerNorm", "token_embd_norm", n_embd),
    ]
    for n in range(n_layers):
        layer, block = f"encoder.layer.{n}.", f"blk.{n}."
        for theirs, ours in _BERT_LINEARS.items():
            shape = {"ffn_up": (n_ff, n_embd), "ffn_down": (n_embd, n_ff)}.get(ours, (n_embd, n_embd))
            outputs.append(Output(f"{block}{ours}.weight", weights.take(f"{layer}{theirs}.weight", *shape)))
            outputs.append(Output(f"{block}{ours}.bias", weights.take(f"{layer}{theirs}.bias", shape[0]), True))
        for theirs, ours in _BERT_NORMS.items():
            outputs += _norm(weights, layer + theirs, block + ours, n_embd)
    eps = settings.number("layer_norm_eps", 1e-12)
    return Model("bert", _metadata("bert", settings, n_layers, n_embd, n_ff, n_heads, n_ctx, eps), outputs, n_vocab)


def nomic_bert(settings: Settings, weights: Weights) -> Model:
    _check_nomic(settings)
    n_layers, n_embd, n_ff, n_heads = _sizes(settings, "n_layer", "n_embd", "n_inner", "n_head")
    n_vocab = settings.count("vocab_size")
    weights.prefix = "bert." if weights.has("bert.embeddings.word_embeddings.weight") else ""
    weights.ignore(_HEADS)
    outputs = [
        Output("token_embd.weight", weights.take("embeddings.word_embeddings.weight", n_vocab, n_embd)),
        Output(
            "token_types.weight",
            weights.take("embeddings.token_type_embeddings.weight", _types(settings), n_embd),
            True,
        ),
        *_norm(weights, "emb_ln", "token_embd_norm", n_embd),
    ]
    # fc11 goes through as it is and fc12 through the activation.
    linears = {
        "attn.Wqkv": ("attn_qkv", 3 * n_embd, n_embd),
        "attn.out_proj": ("attn_output", n_embd, n_embd),
        "mlp.fc11": ("ffn_up", n_ff, n_embd),
        "mlp.fc12": ("ffn_gate", n_ff, n_embd),
        "mlp.fc2": ("ffn_down", n_embd, n_ff),
    }
    for n in range(n_layers):
        layer, block = f"encoder.layers.{n}.", f"blk.{n}."
        for theirs, (ours, *shape) in linears.items():
            outputs.append(Output(f"{block}{ours}.weight", weights.take(f"{layer}{theirs}.weight", *shape)))
        outputs += _norm(weights, f"{layer}norm1", f"{block}attn_output_norm", n_embd)
        outputs += _norm(weights, f"{layer}norm2", f"{block}layer_output_norm", n_embd)
    eps, n_ctx = settings.number("layer_norm_epsilon", 1e-12), settings.count("n_positions")
    # The two published models say 8192, and were trained on 2048 tokens.
    n_ctx = min(n_ctx, settings.count("max_trained_positions", n_ctx))
    metadata = _metadata("nomic-bert", settings, n_layers, n_embd, n_ff, n_heads, n_ctx, eps)
    metadata["nomic-bert.rope.freq_base"] = settings.number("rotary_emb_base", 10000.0)
    return Model("nomic-bert", metadata, outputs, n_vocab)


def _metadata(
    name: str, settings: Settings, n_layers: int, n_embd: int, n_ff: int, n_heads: int, n_ctx: int, eps: float
) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "context_length": n_ctx,
        "embedding_length": n_embd,
        "block_count": n_layers,
        "feed_forward_length": n_ff,
        "attention.head_count": n_heads,
        "attention.layer_norm_epsilon": eps,
        "attention.causal": False,
    }
    metadata: dict[str, Any] = {f"{name}.{key}": value for key, value in keys.items()}
    return metadata | {"tokenizer.ggml.token_type_count": _types(settings)}


def _sizes(settings: Settings, layers: str, embd: str, ff: str, heads: str) -> tuple[int, int, int, int]:
    n_layers, n_embd, n_ff, n_heads = (settings.count(key) for key in (layers, embd, ff, heads))
    if n_embd % n_heads:
        raise settings.wrong(embd, f"is {n_embd}, which {n_heads} attention heads cannot share")
    return n_layers, n_embd, n_ff, n_heads


def _types(settings: Settings) -> int:
    return settings.count("type_vocab_size", 2)


def _norm(weights: Weights, theirs: str, ours: str, n: int) -> Iterator[Output]:
    for theirs_kind, kind in (
        ("gamma" if weights.has(f"{theirs}.gamma") else "weight", "weight"),
        ("beta" if weights.has(f"{theirs}.beta") else "bias", "bias"),
    ):
        yield Output(f"{ours}.{kind}", weights.take(f"{theirs}.{theirs_kind}", n), True)


def _check_activation(settings: Settings, key: str, wanted: str) -> None:
    if settings.text(key, wanted) != wanted:
        raise settings.wrong(key, f"is {settings.text(key)!r}; llama.cpp computes {wanted}")


def _check_nomic(settings: Settings) -> None:
    _check_activation(settings, "activation_function", "swiglu")
    wanted = {
        "causal": False, "qkv_proj_bias": False, "mlp_fc1_bias": False, "mlp_fc2_bias": False, "prenorm": False,
        "rotary_emb_interleaved": False,
    }  # fmt: skip
    for key, value in wanted.items():
        if settings.flag(key, value) != value:
            raise settings.wrong(
                key, f"is {str(not value).lower()}; llama.cpp's nomic-bert has it {str(value).lower()}"
            )
    if settings.number("rotary_emb_fraction", 1.0) != 1.0 or settings.has("rotary_emb_scale_base"):
        raise settings.wrong("rotary_emb_fraction", "or rotary_emb_scale_base makes no plain rotary embeddings")
    if settings.values.get("moe_every_n_layers"):
        raise settings.wrong("moe_every_n_layers", "asks for experts; only the dense nomic-bert can be converted")
