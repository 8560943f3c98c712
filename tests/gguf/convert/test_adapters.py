"""A model with a converted LoRA adapter is the model with the adapter merged into its weights."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from power.gguf import open_gguf
from power.gguf.convert import ConvertError, convert

from .checkpoints import Array, decoder_shapes, random_weights, write_checkpoint, write_safetensors
from .engine import loaded
from .reference import decoder_logits
from .test_decoders import BASE, CONFIGS, TOKENS
from .vocabularies import write_byte_bpe

RANK = 4
MODULES = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.down_proj",
)


class Adapted:
    """A model on disk, an adapter of it, and what both make together."""

    def __init__(self, folder: Path, name: str, scale: float, modules: tuple[str, ...] = MODULES) -> None:
        self.config: dict[str, Any] = {**BASE, **CONFIGS[name]}
        self.model, self.adapter = folder / "model", folder / "adapter"
        self.weights = random_weights(decoder_shapes(self.config))
        write_checkpoint(self.model, self.config, self.weights)
        write_byte_bpe(self.model)
        self.matrices: dict[str, Array] = {}
        rng = np.random.default_rng(2)
        names = [f"model.layers.{n}.{module}" for n in range(2) for module in modules]
        for module in [*names, "lm_head"]:
            n_out, n_in = self.weights[f"{module}.weight"].shape
            a, b = rng.normal(0, 0.2, (RANK, n_in)), rng.normal(0, 0.2, (n_out, RANK))
            self.matrices[f"base_model.model.{module}.lora_A.weight"] = a
            self.matrices[f"base_model.model.{module}.lora_B.weight"] = b
            self.weights[f"{module}.weight"] = self.weights[f"{module}.weight"] + scale * b @ a

    def write(self, **config: Any) -> None:
        self.adapter.mkdir(exist_ok=True)
        (self.adapter / "adapter_config.json").write_text(
            json.dumps(
                {"peft_type": "LORA", "r": RANK, "lora_alpha": 8, "base_model_name_or_path": str(self.model)} | config
            )
        )
        write_safetensors(self.adapter / "adapter_model.safetensors", self.matrices)

    def error(self, folder: Path) -> float:
        """How far llama.cpp with the adapter is from the merged weights, relative to the largest logit."""
        convert(self.model, folder / "model.gguf", type="f32")
        convert(self.adapter, folder / "adapter.gguf", type="f32")
        expected = decoder_logits(self.config, self.weights, TOKENS)
        with loaded(folder / "model.gguf") as engine:
            found = engine.logits(TOKENS, adapter=folder / "adapter.gguf")
        return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", ["llama", "llama-3", "qwen2"])
def test_an_adapter_does_what_merging_it_does(tmp_path: Path, name: str) -> None:
    adapted = Adapted(tmp_path, name, scale=8 / RANK)
    adapted.write()

    assert adapted.error(tmp_path) < 1e-3


def test_rank_stabilised_scaling_is_kept(tmp_path: Path) -> None:
    adapted = Adapted(tmp_path, "llama", scale=8 / math.sqrt(RANK))
    adapted.write(use_rslora=True)

    assert adapted.error(tmp_path) < 1e-3


def test_modules_may_have_alphas_of_their_own(tmp_path: Path) -> None:
    adapted = Adapted(tmp_path, "llama", scale=2 / RANK)
    adapted.write(
        alpha_pattern=dict.fromkeys(("lm_head", "mlp.gate_proj", "down_proj", *(f"{x}_proj" for x in "qkvo")), 2)
    )

    assert adapted.error(tmp_path) < 1e-3


def test_token_embeddings_may_be_adapted(tmp_path: Path) -> None:
    adapted = Adapted(tmp_path, "llama", scale=8 / RANK)
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 0.2, (RANK, 512)), rng.normal(0, 0.2, (64, RANK))
    adapted.matrices["base_model.model.model.embed_tokens.lora_embedding_A"] = a
    adapted.matrices["base_model.model.model.embed_tokens.lora_embedding_B"] = b
    adapted.weights["model.embed_tokens.weight"] = adapted.weights["model.embed_tokens.weight"] + 2 * (b @ a).T
    adapted.write()

    assert adapted.error(tmp_path) < 1e-3


def test_an_adapter_says_that_it_is_one(tmp_path: Path) -> None:
    Adapted(tmp_path, "llama", scale=1).write()
    convert(tmp_path / "adapter", tmp_path / "adapter.gguf", type="f16")

    file = open_gguf(tmp_path / "adapter.gguf")
    assert file.metadata["general.type"] == "adapter"
    assert file.metadata["adapter.lora.alpha"] == 8
    assert file.tensors["blk.0.attn_q.weight.lora_a"].shape == (64, RANK)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"base_model_name_or_path": "somebody/model"}, "config.json is needed"),
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["embed_tokens"]}, "modules_to_save"),
        ({"peft_type": "IA3"}, "only LORA"),
        ({"lora_alpha": "many"}, "lora_alpha"),
        ({"lora_alpha": 0}, "lora_alpha"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    Adapted(tmp_path, "llama", scale=1).write(**config)

    with pytest.raises(ConvertError, match=message):
        convert(tmp_path / "adapter", tmp_path / "adapter.gguf", type="f16")


def test_the_base_may_be_named_by_the_caller(tmp_path: Path) -> None:
    adapted = Adapted(tmp_path, "llama", scale=1)
    adapted.write(base_model_name_or_path="somebody/model")

    convert(adapted.adapter, tmp_path / "adapter.gguf", type="f16", base=adapted.model)

    assert (tmp_path / "adapter.gguf").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("base_model.model.lm_head.lora_B.weight"), "only lora_A"),
        (lambda m: m.update({"base_model.model.model.norm.weight": np.ones(64)}), "no matrix of a LoRA"),
        (lambda m: m.update({"base_model.model.lm_head.lora_B.weight": np.ones((3, RANK))}), "of another model"),
        (lambda m: m.clear(), "is empty"),
    ],
)
def test_an_adapter_that_is_not_whole_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    adapted = Adapted(tmp_path, "llama", scale=1)
    change(adapted.matrices)
    adapted.write()

    with pytest.raises(ConvertError, match=message):
        convert(adapted.adapter, tmp_path / "adapter.gguf", type="f16")


def test_an_adapter_of_a_layer_that_is_not_there_is_refused(tmp_path: Path) -> None:
    adapted = Adapted(tmp_path, "llama", scale=1)
    for side, shape in (("A", (RANK, 64)), ("B", (64, RANK))):
        adapted.matrices[f"base_model.model.model.layers.9.self_attn.q_proj.lora_{side}.weight"] = np.ones(shape)
    adapted.write()

    with pytest.raises(ConvertError, match=r"layers\.9\.self_attn\.q_proj is no module"):
        convert(adapted.adapter, tmp_path / "adapter.gguf", type="f16")
