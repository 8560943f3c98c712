"""Converted decoders compute in llama.cpp what their checkpoints mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from power.gguf.convert import convert

from .checkpoints import N_VOCAB, decoder_shapes, random_weights, write_checkpoint
from .engine import loaded
from .reference import decoder_logits
from .vocabularies import write_byte_bpe

BASE: dict[str, Any] = {
    "vocab_size": N_VOCAB, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}  # fmt: skip
_LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}  # fmt: skip
_YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}
_LONGROPE = {
    "type": "longrope",
    "rope_type": "longrope",
    "short_factor": [1.0, 1.3, 1.7, 2.0],
    "long_factor": [2.0] * 4,
}
_GEMMA = {"head_dim": 32, "tie_word_embeddings": True, "hidden_activation": "gelu_pytorch_tanh", "sliding_window": 8}
_ALTERNATING = ["sliding_attention", "full_attention"]
_MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "norm_topk_prob": True, "head_dim": 32}

CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
    "llama-3": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "rope_scaling": _LLAMA3, "head_dim": 32},
    "llama-biases": {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": True, "mlp_bias": True,
        "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    },
    "mistral": {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "tie_word_embeddings": True},
    "mixtral": {
        "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "num_local_experts": 4,
        "num_experts_per_tok": 2, "sliding_window": None,
    },
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "rope_scaling": _YARN},
    "qwen2-yarn": {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
        "rope_scaling": {**_YARN, "attention_factor": 1.5},
    },
    "qwen3": {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 32, "tie_word_embeddings": True,
        "rope_theta": 1e6,
    },
    "qwen3moe": {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", **_MOE},
    "gemma2": {
        "architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", **_GEMMA, "attn_logit_softcapping": 5.0,
        "final_logit_softcapping": 4.0, "query_pre_attn_scalar": 16, "layer_types": _ALTERNATING,
    },
    "gemma3": {
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", **_GEMMA, "num_hidden_layers": 3,
        "query_pre_attn_scalar": 32, "rope_theta": 1e6, "rope_local_base_freq": 1e4,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
    "phi3": {
        "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "sliding_window": None,
        "partial_rotary_factor": 0.5, "rope_scaling": _LONGROPE, "original_max_position_embeddings": 256,
    },
}  # fmt: skip
TOKENS = [int(n) for n in np.random.default_rng(1).integers(0, 400, 40)]


def logits_error(folder: Path, config: dict[str, Any], dtype: str, kind: str, n_shards: int = 1) -> float:
    """The largest difference to the reference, relative to the largest logit."""
    config = {**BASE, **config}
    weights = random_weights(decoder_shapes(config), dtype=dtype)
    write_checkpoint(folder, config, weights, dtype=dtype, n_shards=n_shards)
    write_byte_bpe(folder)
    convert(folder, folder / "out.gguf", type=kind)
    expected = decoder_logits(config, weights, TOKENS)
    with loaded(folder / "out.gguf") as engine:
        found = engine.logits(TOKENS)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", CONFIGS)
def test_a_converted_decoder_gives_the_logits_of_its_checkpoint(tmp_path: Path, name: str) -> None:
    error = logits_error(tmp_path, CONFIGS[name], "F32", "f32")

    assert error < 1e-3
