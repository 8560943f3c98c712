"""Forward passes in numpy, written from transformers' modelling code and not from the converter.

Everything is float64 and named as checkpoints name it, so that what llama.cpp
makes of a converted file can be compared with what the checkpoint means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Weights = Mapping[str, Array]
Config = Mapping[str, Any]


def decoder_logits(config: Config, weights: Weights, tokens: Sequence[int]) -> Array:
    """Logits after every token, of shape (len(tokens), vocabulary)."""
    kind = config["model_type"]
    gemma = kind.startswith("gemma")
    norm = _rms_norm(config, 1.0 if gemma else 0.0)
    x = weights["model.embed_tokens.weight"][list(tokens)]
    if gemma:
        x = x * math.sqrt(config["hidden_size"])
    for n in range(config["num_hidden_layers"]):
        get = _layer(weights, n)
        mixed = _attention(config, get, norm(x, get("input_layernorm.weight")), n, norm)
        if gemma:
            x = x + norm(mixed, get("post_attention_layernorm.weight"))
            fed = _feed_forward(config, get, norm(x, get("pre_feedforward_layernorm.weight")))
            x = x + norm(fed, get("post_feedforward_layernorm.weight"))
        else:
            x = x + mixed
            x = x + _feed_forward(config, get, norm(x, get("post_attention_layernorm.weight")))
    x = norm(x, weights["model.norm.weight"])
    head = weights["model.embed_tokens.weight" if config.get("tie_word_embeddings") else "lm_head.weight"]
    return _capped(x @ head.T, config.get("final_logit_softcapping"))


Get = Callable[[str], Array]


def _layer(weights: Weights, n: int) -> Get:
    return lambda name: weights[f"model.layers.{n}.{name}"]


def _linear(get: Get, name: str, x: Array) -> Array:
    y = x @ get(f"{name}.weight").T
    try:
        return y + get(f"{name}.bias")
    except KeyError:
        return y


def _rms_norm(config: Config, shift: float) -> Callable[[Array, Array], Array]:
    eps = config["rms_norm_eps"]
    return lambda x, weight: x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * (weight + shift)


def _attention(config: Config, get: Get, x: Array, n: int, norm: Callable[[Array, Array], Array]) -> Array:
    n_heads, n_kv = config["num_attention_heads"], config["num_key_value_heads"]
    dim = config.get("head_dim") or config["hidden_size"] // n_heads
    if config["model_type"] == "phi3":
        qkv = _linear(get, "self_attn.qkv_proj", x)
        q, k, v = np.split(qkv, [n_heads * dim, (n_heads + n_kv) * dim], axis=-1)
    else:
        q, k, v = (_linear(get, f"self_attn.{name}_proj", x) for name in "qkv")
    q, k, v = (each.reshape(len(x), -1, dim).swapaxes(0, 1) for each in (q, k, v))
    if config["model_type"] in ("qwen3", "qwen3_moe", "gemma3_text"):
        q, k = norm(q, get("self_attn.q_norm.weight")), norm(k, get("self_attn.k_norm.weight"))
    sliding = "layer_types" in config and config["layer_types"][n] == "sliding_attention"
    cos, sin = _rotations(config, dim, len(x), sliding)
    q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
    k, v = (each.repeat(n_heads // n_kv, axis=0) for each in (k, v))
    scores = q @ k.swapaxes(1, 2) / math.sqrt(config.get("query_pre_attn_scalar", dim))
    scores = _capped(scores, config.get("attn_logit_softcapping"))
    distance = np.arange(len(x))[:, None] - np.arange(len(x))[None, :]
    seen = (distance >= 0) & (distance < (config["sliding_window"] if sliding else len(x)))
    mixed = _softmax(np.where(seen, scores, -np.inf)) @ v
    return _linear(get, "self_attn.o_proj", mixed.swapaxes(0, 1).reshape(len(x), -1))


# The module, and the three matrices of each of its experts.
EXPERTS = {
    "qwen3_moe": ("mlp", "gate_proj", "up_proj", "down_proj"),
    "mixtral": ("block_sparse_moe", "w1", "w3", "w2"),
}


def _feed_forward(config: Config, get: Get, x: Array) -> Array:
    if config["model_type"] in EXPERTS:
        return _experts(config, get, x)
    if config["model_type"] == "phi3":
        gate, up = np.split(_linear(get, "mlp.gate_up_proj", x), 2, axis=-1)
    else:
        gate, up = _linear(get, "mlp.gate_proj", x), _linear(get, "mlp.up_proj", x)
    act = _gelu_tanh if config["model_type"].startswith("gemma") else _silu
    return _linear(get, "mlp.down_proj", act(gate) * up)


def _experts(config: Config, get: Get, x: Array) -> Array:
    module, gate, up, down = EXPERTS[config["model_type"]]
    shares = _softmax(x @ get(f"{module}.gate.weight").T)
    out = np.zeros_like(x)
    for row, share in enumerate(shares):
        chosen = np.argsort(-share)[: config["num_experts_per_tok"]]
        for expert in chosen:
            name = f"{module}.experts.{expert}"
            hidden = _silu(_linear(get, f"{name}.{gate}", x[row])) * _linear(get, f"{name}.{up}", x[row])
            out[row] += share[expert] / share[chosen].sum() * _linear(get, f"{name}.{down}", hidden)
    return out


def _rotations(config: Config, dim: int, n: int, sliding: bool) -> tuple[Array, Array]:
    """Cosines and sines of shape (positions, rotated elements)."""
    scaling = config.get("rope_scaling") or {}
    theta = config["rope_theta"]
    if config["model_type"] == "gemma3_text" and sliding:
        theta, scaling = config["rope_local_base_freq"], {}
    dim = int(dim * config.get("partial_rotary_factor", 1.0))
    frequency = 1.0 / theta ** (np.arange(0, dim, 2) / dim)
    frequency, amplitude = _stretched(config, scaling, frequency, theta, dim)
    angles = np.arange(n)[:, None] * np.concatenate([frequency, frequency])[None, :]
    return np.cos(angles) * amplitude, np.sin(angles) * amplitude


def _stretched(config: Config, scaling: Config, frequency: Array, theta: float, dim: int) -> tuple[Array, float]:
    factor = scaling.get("factor", 1.0)
    match scaling.get("rope_type"):
        case "linear":
            return frequency / factor, 1.0
        case "llama3":
            n_ctx = scaling["original_max_position_embeddings"]
            low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
            new = []
            for f in frequency:
                wavelength = 2 * math.pi / f
                smooth = (n_ctx / wavelength - low) / (high - low)
                if wavelength < n_ctx / high:
                    new.append(f)
                elif wavelength > n_ctx / low:
                    new.append(f / factor)
                else:
                    new.append((1 - smooth) * f / factor + smooth * f)
            return np.array(new), 1.0
        case "yarn":
            n_ctx = scaling["original_max_position_embeddings"]

            def correction(turns: float) -> float:
                return dim * math.log(n_ctx / (turns * 2 * math.pi)) / (2 * math.log(theta))

            low, high = max(math.floor(correction(32)), 0), min(math.ceil(correction(1)), dim - 1)
            ramp = np.clip((np.arange(dim // 2) - low) / max(high - low, 0.001), 0, 1)
            amplitude = scaling.get("attention_factor", 0.1 * math.log(factor) + 1.0)
            return frequency / factor * ramp + frequency * (1 - ramp), amplitude
        case "longrope":
            n_ctx = config["original_max_position_embeddings"]
            stretch = config["max_position_embeddings"] / n_ctx
            amplitude = math.sqrt(1 + math.log(stretch) / math.log(n_ctx))
            return frequency / np.array(scaling["short_factor"]), amplitude
    return frequency, 1.0


def _rotate(x: Array, cos: Array, sin: Array) -> Array:
    n = cos.shape[-1]
    turned, rest = x[..., :n], x[..., n:]
    half = np.concatenate([-turned[..., n // 2 :], turned[..., : n // 2]], axis=-1)
    return np.concatenate([turned * cos + half * sin, rest], axis=-1)


def bert_embedding(config: Config, weights: Weights, tokens: Sequence[int]) -> Array:
    """The mean of the last hidden states, of length one."""
    x = weights["embeddings.word_embeddings.weight"][list(tokens)]
    x = x + weights["embeddings.position_embeddings.weight"][: len(tokens)]
    x = x + weights["embeddings.token_type_embeddings.weight"][0]
    x = _layer_norm(config["layer_norm_eps"], weights, "embeddings.LayerNorm", x)
    n_heads = config["num_attention_heads"]
    for n in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{n}."
        q, k, v = (_affine(weights, f"{layer}attention.self.{name}", x) for name in ("query", "key", "value"))
        mixed = _affine(weights, f"{layer}attention.output.dense", _see_all(q, k, v, n_heads))
        x = _layer_norm(config["layer_norm_eps"], weights, f"{layer}attention.output.LayerNorm", x + mixed)
        hidden = _gelu(_affine(weights, f"{layer}intermediate.dense", x))
        fed = _affine(weights, f"{layer}output.dense", hidden)
        x = _layer_norm(config["layer_norm_eps"], weights, f"{layer}output.LayerNorm", x + fed)
    return _unit(x.mean(0))


def nomic_embedding(config: Config, weights: Weights, tokens: Sequence[int]) -> Array:
    x = (
        weights["embeddings.word_embeddings.weight"][list(tokens)]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    eps, n_heads = config["layer_norm_epsilon"], config["n_head"]
    x = _layer_norm(eps, weights, "emb_ln", x)
    dim = config["n_embd"] // n_heads
    cos, sin = _rotations({"model_type": "", "rope_theta": config["rotary_emb_base"]}, dim, len(x), False)
    for n in range(config["n_layer"]):
        layer = f"encoder.layers.{n}."
        q, k, v = np.split(x @ weights[f"{layer}attn.Wqkv.weight"].T, 3, axis=-1)
        q, k = (
            _rotate(each.reshape(len(x), n_heads, dim).swapaxes(0, 1), cos, sin).swapaxes(0, 1).reshape(len(x), -1)
            for each in (q, k)
        )
        mixed = _see_all(q, k, v, n_heads) @ weights[f"{layer}attn.out_proj.weight"].T
        x = _layer_norm(eps, weights, f"{layer}norm1", x + mixed)
        hidden = x @ weights[f"{layer}mlp.fc11.weight"].T * _silu(x @ weights[f"{layer}mlp.fc12.weight"].T)
        x = _layer_norm(eps, weights, f"{layer}norm2", x + hidden @ weights[f"{layer}mlp.fc2.weight"].T)
    return _unit(x.mean(0))


def _see_all(q: Array, k: Array, v: Array, n_heads: int) -> Array:
    q, k, v = (each.reshape(len(each), n_heads, -1).swapaxes(0, 1) for each in (q, k, v))
    mixed = _softmax(q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1])) @ v
    return mixed.swapaxes(0, 1).reshape(mixed.shape[1], -1)


def _affine(weights: Weights, name: str, x: Array) -> Array:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _layer_norm(eps: float, weights: Weights, name: str, x: Array) -> Array:
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)
    return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def _capped(x: Array, cap: float | None) -> Array:
    return x if cap is None else np.asarray(cap * np.tanh(x / cap))


def _silu(x: Array) -> Array:
    return np.asarray(x / (1 + np.exp(-x)))


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def _gelu(x: Array) -> Array:
    return np.asarray(x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))), np.float64)


def _unit(x: Array) -> Array:
    return np.asarray(x / np.linalg.norm(x))
