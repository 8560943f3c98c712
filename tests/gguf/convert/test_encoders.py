"""Converted encoders give the embeddings of their checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from power.gguf import open_gguf
from power.gguf.convert import convert

from .checkpoints import N_VOCAB, Array, decode, random_weights, write_checkpoint
from .engine import loaded
from .minilm import minilm
from .reference import bert_embedding, nomic_embedding
from .vocabularies import write_wordpiece

SENTENCES = [
    "The cat sits outside, watching the birds.",
    "A man is playing guitar — très bien! 你好 Привет 🙂",
    "x",
    "Convert a checkpoint into a file that llama.cpp can read, and compare what both make of this sentence.",
]
_BERT: dict[str, Any] = {
    "architectures": ["BertModel"], "model_type": "bert", "vocab_size": N_VOCAB, "hidden_size": 64,
    "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64,
    "layer_norm_eps": 1e-12, "type_vocab_size": 2,
}  # fmt: skip
_NOMIC: dict[str, Any] = {
    "architectures": ["NomicBertModel"], "model_type": "nomic_bert", "vocab_size": N_VOCAB, "n_embd": 64, "n_inner": 96,
    "n_layer": 2, "n_head": 4, "n_positions": 128, "layer_norm_epsilon": 1e-12, "type_vocab_size": 2,
    "activation_function": "swiglu", "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0, "prenorm": False,
    "qkv_proj_bias": False, "mlp_fc1_bias": False, "mlp_fc2_bias": False, "causal": False,
    "rotary_emb_interleaved": False, "rotary_emb_scale_base": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def expected() -> list[tuple[str, list[int], Array]]:
    """MiniLM's sentences, their tokens and their embeddings, by others than us and llama.cpp."""
    tokenizer = Tokenizer.from_file(str(minilm() / "tokenizer.json"))
    tokenizer.no_padding()
    config, weights = json.loads((minilm() / "config.json").read_text()), read_float32(minilm() / "model.safetensors")
    tokens = [tokenizer.encode(sentence).ids for sentence in SENTENCES]
    return [(text, ids, bert_embedding(config, weights, ids)) for text, ids in zip(SENTENCES, tokens, strict=True)]


@pytest.mark.parametrize(("kind", "least"), [("f32", 0.9999), ("f16", 0.9999), ("bf16", 0.9999), ("q8_0", 0.99)])
def test_minilm_gives_the_embeddings_of_its_checkpoint(
    tmp_path: Path, expected: list[tuple[str, list[int], Array]], kind: str, least: float
) -> None:
    convert(minilm(), tmp_path / "minilm.gguf", type=kind)

    with loaded(tmp_path / "minilm.gguf") as engine:
        for sentence, tokens, embedding in expected:
            assert engine.tokenize(sentence, add_special=True) == tokens
            assert engine.embedding(tokens) @ embedding >= least


def test_minilm_says_how_its_embeddings_are_pooled(tmp_path: Path) -> None:
    convert(minilm(), tmp_path / "minilm.gguf", type="q8_0")

    metadata = open_gguf(tmp_path / "minilm.gguf").metadata
    assert metadata["bert.pooling_type"] == 1
    assert metadata["bert.attention.causal"] is False
    assert metadata["general.file_type"] == 7


def test_a_bert_of_the_old_names_is_the_same_model(tmp_path: Path) -> None:
    weights = random_weights(_bert_shapes())
    renamed = {_old_name(name): array for name, array in weights.items()}
    write_checkpoint(tmp_path, _BERT, {**renamed, "cls.predictions.bias": np.zeros(N_VOCAB)})
    _write_pooling(tmp_path)
    write_wordpiece(tmp_path)
    convert(tmp_path, tmp_path / "out.gguf", type="f32")
    tokens = [2, *range(20, 50), 3]

    with loaded(tmp_path / "out.gguf") as engine:
        assert engine.embedding(tokens) @ bert_embedding(_BERT, weights, tokens) > 0.9999


def test_nomic_bert_gives_the_embeddings_of_its_checkpoint(tmp_path: Path) -> None:
    weights = random_weights(_nomic_shapes())
    write_checkpoint(tmp_path, _NOMIC, weights)
    _write_pooling(tmp_path)
    write_wordpiece(tmp_path)
    convert(tmp_path, tmp_path / "out.gguf", type="f32")
    tokens = [2, *range(20, 50), 3]

    with loaded(tmp_path / "out.gguf") as engine:
        assert engine.embedding(tokens) @ nomic_embedding(_NOMIC, weights, tokens) > 0.9999


def read_float32(path: Path) -> dict[str, Array]:
    """All F32 tensors of a file, by the format's description and not by the converter's reader."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    return {
        name: decode(data[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]], "F32").reshape(
            entry["shape"]
        )
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] == "F32"
    }


def _write_pooling(folder: Path) -> None:
    modules = [{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))


def _old_name(name: str) -> str:
    if "LayerNorm" in name:
        name = name.replace(".weight", ".gamma").replace(".bias", ".beta")
    return f"bert.{name}"


def _bert_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (N_VOCAB, 64),
        "embeddings.position_embeddings.weight": (64, 64),
        "embeddings.token_type_embeddings.weight": (2, 64),
    }
    norms = ["embeddings.LayerNorm"]
    for n in range(2):
        layer = f"encoder.layer.{n}."
        names = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
        linears = dict.fromkeys(names, (64, 64)) | {"intermediate.dense": (96, 64), "output.dense": (64, 96)}
        for name, shape in linears.items():
            shapes |= {f"{layer}{name}.weight": shape, f"{layer}{name}.bias": shape[:1]}
        norms += [f"{layer}attention.output.LayerNorm", f"{layer}output.LayerNorm"]
    return shapes | {f"{norm}.{kind}": (64,) for norm in norms for kind in ("weight", "bias")}


def _nomic_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (N_VOCAB, 64),
        "embeddings.token_type_embeddings.weight": (2, 64),
    }
    norms = ["emb_ln"]
    for n in range(2):
        layer = f"encoder.layers.{n}."
        linears = {"attn.Wqkv": (192, 64), "attn.out_proj": (64, 64)}
        linears |= {"mlp.fc11": (96, 64), "mlp.fc12": (96, 64), "mlp.fc2": (64, 96)}
        shapes |= {f"{layer}{name}.weight": shape for name, shape in linears.items()}
        norms += [f"{layer}norm1", f"{layer}norm2"]
    return shapes | {f"{norm}.{kind}": (64,) for norm in norms for kind in ("weight", "bias")}
