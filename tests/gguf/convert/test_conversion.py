"""What a conversion writes, whatever the architecture."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from power.gguf import GGUF, dequantise, open_gguf
from power.gguf.convert import ConvertError, convert

from .checkpoints import N_VOCAB, decoder_shapes, random_weights, write_checkpoint, write_safetensors
from .engine import loaded
from .test_decoders import BASE, CONFIGS, logits_error
from .vocabularies import write_byte_bpe


def values(file: GGUF, name: str) -> NDArray[np.float32]:
    info = file.tensors[name]
    return dequantise(file.tensor(name), info.type).reshape(tuple(reversed(info.shape)))


def converted(folder: Path, name: str, *, kind: str, dtype: str = "F32", **more: Any) -> tuple[GGUF, dict[str, Any]]:
    """A configuration's checkpoint with random weights, converted, and its weights."""
    config = {**BASE, **CONFIGS[name], **more}
    weights = random_weights(decoder_shapes(config), dtype=dtype)
    write_checkpoint(folder, config, weights, dtype=dtype)
    write_byte_bpe(folder)
    convert(folder, folder / "out.gguf", type=kind)
    return open_gguf(folder / "out.gguf"), weights


@pytest.mark.parametrize(("dtype", "kind"), [("BF16", "bf16"), ("F16", "f16"), ("BF16", "f32"), ("F64", "f32")])
def test_weights_of_any_type_come_through_in_shards(tmp_path: Path, dtype: str, kind: str) -> None:
    error = logits_error(tmp_path, CONFIGS["qwen3"], dtype, kind, n_shards=3)

    # Halves are multiplied as halves by llama.cpp, activations included.
    assert error < (1e-3 if kind == "f32" else 2e-2)


@pytest.mark.parametrize(("kind", "close"), [("f32", 0), ("f16", 1e-3), ("bf16", 8e-3), ("q8_0", 1e-2)])
def test_matrices_are_packed_as_asked_and_vectors_stay_exact(tmp_path: Path, kind: str, close: float) -> None:
    file, weights = converted(tmp_path, "qwen2", kind=kind)

    assert file.tensors["blk.0.ffn_down.weight"].type.name == kind.upper()
    expected = weights["model.layers.0.mlp.down_proj.weight"]
    assert np.abs(values(file, "blk.0.ffn_down.weight") - expected).max() <= close * np.abs(expected).max()
    for name in ("blk.0.attn_norm.weight", "blk.0.attn_q.bias"):
        assert file.tensors[name].type.name == "F32"
    assert np.array_equal(values(file, "blk.0.attn_q.bias"), weights["model.layers.0.self_attn.q_proj.bias"])


def test_experts_are_stacked_and_their_router_stays_float32(tmp_path: Path) -> None:
    file, weights = converted(tmp_path, "qwen3moe", kind="q8_0")

    assert file.tensors["blk.1.ffn_gate_inp.weight"].type.name == "F32"
    assert file.tensors["blk.1.ffn_gate_exps.weight"].shape == (64, 32, 4)
    third = weights["model.layers.1.mlp.experts.2.up_proj.weight"]
    assert np.allclose(values(file, "blk.1.ffn_up_exps.weight")[2], third, atol=0.01)


def test_experts_in_one_tensor_are_the_same_experts(tmp_path: Path) -> None:
    file, weights = converted(tmp_path / "apart", "qwen3moe", kind="f32")
    config = json.loads((tmp_path / "apart" / "config.json").read_text())
    fused = {name: array for name, array in weights.items() if ".experts." not in name}
    for n in range(2):
        each = [f"model.layers.{n}.mlp.experts.{expert}" for expert in range(4)]
        both = [np.concatenate([weights[f"{e}.gate_proj.weight"], weights[f"{e}.up_proj.weight"]]) for e in each]
        fused[f"model.layers.{n}.mlp.experts.gate_up_proj"] = np.stack(both)
        fused[f"model.layers.{n}.mlp.experts.down_proj"] = np.stack([weights[f"{e}.down_proj.weight"] for e in each])
    write_checkpoint(tmp_path / "fused", config, fused)
    write_byte_bpe(tmp_path / "fused")
    convert(tmp_path / "fused", tmp_path / "fused" / "out.gguf", type="f32")

    other = open_gguf(tmp_path / "fused" / "out.gguf")
    assert list(other.tensors) == list(file.tensors)
    assert all(np.array_equal(values(file, name), values(other, name)) for name in file.tensors)


def test_rows_that_are_no_whole_number_of_blocks_become_f16(tmp_path: Path) -> None:
    file, _ = converted(tmp_path, "llama", kind="q8_0", intermediate_size=80)

    assert file.tensors["blk.0.ffn_down.weight"].type.name == "F16"
    assert file.tensors["blk.0.ffn_up.weight"].type.name == "Q8_0"


def test_the_text_part_of_a_model_that_sees_is_converted(tmp_path: Path) -> None:
    text = {**BASE, **CONFIGS["gemma3"]}
    weights = random_weights(decoder_shapes(text))
    renamed = {f"language_model.{name}": array for name, array in weights.items()}
    renamed["vision_tower.vision_model.embeddings.patch_embedding.weight"] = np.ones((4, 3))
    config = {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": text}
    write_checkpoint(tmp_path, config, renamed)
    write_byte_bpe(tmp_path)
    convert(tmp_path, tmp_path / "out.gguf", type="f32")

    file = open_gguf(tmp_path / "out.gguf")
    assert file.metadata["general.architecture"] == "gemma3"
    assert list(cast(Any, file.metadata["gemma3.attention.sliding_window_pattern"])) == [True, False, True]
    assert np.allclose(values(file, "output_norm.weight"), weights["model.norm.weight"] + 1)


def test_a_model_that_is_no_phi_3_may_be_called_so(tmp_path: Path) -> None:
    converted(tmp_path / "not-phi-3", "qwen3", kind="f32")

    # By the name llama.cpp expects tokens of Phi 3, and does not load a file without them.
    with loaded(tmp_path / "not-phi-3" / "out.gguf") as engine:
        assert engine.n_vocab == N_VOCAB


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    converted(tmp_path, "llama", kind="f16")
    told: list[tuple[int, int]] = []

    convert(tmp_path, tmp_path / "again.gguf", type="f16", progress=lambda done, total: told.append((done, total)))

    assert told == sorted(told)
    assert told[-1] == ((tmp_path / "again.gguf").stat().st_size,) * 2


def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    config = {**BASE, **CONFIGS["llama"], "hidden_size": 512, "intermediate_size": 65536, "num_hidden_layers": 1}
    shapes = decoder_shapes(config)
    # As much as 400 MB of float32; zeros take no room on the disk.
    _write_zeros(tmp_path / "model.safetensors", shapes)
    (tmp_path / "config.json").write_text(json.dumps(config))
    write_byte_bpe(tmp_path)
    tracemalloc.start()

    convert(tmp_path, tmp_path / "out.gguf", type="q8_0")

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120 * 2**20


@pytest.mark.parametrize("kind", ["q4_0", "F16", ""])
def test_a_type_that_is_none_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConvertError, match="f32, f16, q8_0, bf16"):
        convert(tmp_path, tmp_path / "out.gguf", type=kind)


def test_a_file_for_a_checkpoint_is_refused(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", {"a": np.ones(3)})

    with pytest.raises(ConvertError, match="is not a directory"):
        convert(tmp_path / "model.safetensors", tmp_path / "out.gguf", type="f16")


def _write_zeros(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    header, at = {}, 0
    for name, shape in shapes.items():
        n_bytes = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + n_bytes]}
        at += n_bytes
    head = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + at)
