"""Whatever is wrong with a checkpoint is a ConvertError that says so, and leaves no file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from power.gguf.convert import ARCHITECTURES, ConvertError, convert
from power.gguf.convert.safetensors import open_file, read_header
from power.gguf.convert.sentencepiece import read_sentencepiece

from .checkpoints import decoder_shapes, random_weights, write_checkpoint, write_safetensors
from .test_decoders import BASE, CONFIGS
from .vocabularies import write_byte_bpe

CONFIG: dict[str, Any] = {**BASE, **CONFIGS["llama"]}
SHARD = "model-00002-of-00003.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint in three shards."""
    folder = tmp_path_factory.mktemp("template")
    write_checkpoint(folder, CONFIG, random_weights(decoder_shapes(CONFIG)), n_shards=3)
    write_byte_bpe(folder)
    return folder


@pytest.fixture
def checkpoint(template: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for path in template.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def refused(folder: Path, message: str) -> None:
    out = folder.parent / "out.gguf"
    with pytest.raises(ConvertError, match=message):
        convert(folder, out, type="f16")
    assert not out.exists()
    assert not [path for path in folder.parent.iterdir() if "partial" in path.name]


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def test_an_unknown_architecture_is_refused_with_the_list_of_known_ones(checkpoint: Path) -> None:
    change(checkpoint / "config.json", lambda config: config.update(architectures=["MambaForCausalLM"]))

    refused(checkpoint, f"MambaForCausalLM is not known.*{', '.join(ARCHITECTURES)}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": float("nan")}, "NaN"),
        ({"rms_norm_eps": float("inf")}, "Infinity"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"hidden_size": 10**30}, "hidden_size"),
        ({"hidden_size": "64"}, "hidden_size is '64'"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"num_attention_heads": 7}, "attention heads cannot share"),
        ({"num_key_value_heads": 3}, "does not divide"),
        ({"head_dim": 15}, "need pairs"),
        ({"vocab_size": 511}, "has the shape"),
        ({"num_hidden_layers": 3}, "has no tensor 'model.layers.2"),
        ({"num_hidden_layers": 1}, "have no place"),
        ({"num_hidden_layers": 2**31 - 1}, "has no tensor"),
        ({"rope_theta": True}, "rope_theta"),
        ({"rope_scaling": {"rope_type": "ntk"}}, "'ntk'"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "factor is missing"),
        ({"rope_scaling": 3}, "rope_scaling is 3"),
        ({"architectures": []}, "names no architecture"),
        ({"architectures": "LlamaForCausalLM"}, "names no architecture"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised already"),
    ],
)
def test_a_setting_that_cannot_be_is_named(checkpoint: Path, changes: dict[str, Any], message: str) -> None:
    change(checkpoint / "config.json", lambda config: config.update(changes))

    refused(checkpoint, message)


@pytest.mark.parametrize(
    ("document", "message"),
    [("", "is not JSON"), ("[]", "not a JSON object"), ("[" * 100_000, "is not JSON"), ('{"a":1,"a":2}', "twice")],
)
def test_a_configuration_that_is_none_is_refused(checkpoint: Path, document: str, message: str) -> None:
    (checkpoint / "config.json").write_text(document)

    refused(checkpoint, message)


def test_a_truncated_shard_is_refused(checkpoint: Path) -> None:
    data = (checkpoint / SHARD).read_bytes()
    (checkpoint / SHARD).write_bytes(data[:-1])

    refused(checkpoint, f"{SHARD}.*truncated")


def test_a_missing_shard_is_named(checkpoint: Path) -> None:
    (checkpoint / SHARD).unlink()

    refused(checkpoint, f"names the shard {SHARD}, which is not there")


@pytest.mark.parametrize(
    "name", ["../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "..\\x.safetensors", 7, "x"]
)
def test_an_index_that_leads_elsewhere_is_refused(checkpoint: Path, name: object) -> None:
    change(checkpoint / INDEX, lambda index: index["weight_map"].update({"lm_head.weight": name}))
    (checkpoint.parent / "x.safetensors").write_bytes((checkpoint / SHARD).read_bytes())

    refused(checkpoint, "outside the checkpoint's directory|no safetensors file")


def test_a_checkpoint_without_weights_is_refused(checkpoint: Path) -> None:
    for path in checkpoint.glob("model*"):
        path.unlink()

    refused(checkpoint, "neither model.safetensors nor")


def test_a_fifo_for_a_shard_is_refused_and_not_waited_for(checkpoint: Path) -> None:
    (checkpoint / SHARD).unlink()
    os.mkfifo(checkpoint / SHARD)

    refused(checkpoint, "not a regular file")


def test_a_tensor_of_another_shape_is_named(checkpoint: Path) -> None:
    _one_shard(checkpoint, {"model.norm.weight": np.ones(63)})

    refused(checkpoint, r"'model.norm.weight' has the shape \[63\]; by config.json it is \[64\]")


def test_weights_that_are_not_numbers_are_refused(checkpoint: Path) -> None:
    _one_shard(checkpoint, {"model.norm.weight": np.full(64, np.nan)})

    refused(checkpoint, "'output_norm.weight' has weights that are infinite or not a number")


def test_weights_too_large_for_the_type_are_refused(checkpoint: Path) -> None:
    _one_shard(checkpoint, {"lm_head.weight": np.full((512, 64), 70000.0)})

    refused(checkpoint, "too large for F16; convert to bf16 or f32")


def test_a_tensor_that_is_in_two_shards_is_refused(checkpoint: Path) -> None:
    write_safetensors(checkpoint / SHARD, {"lm_head.weight": np.ones((512, 64)), "model.norm.weight": np.ones(64)})

    refused(checkpoint, "is both in")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"[]", "not a JSON object"),
        (b'{"a": 1}', "not described by a JSON object"),
        (b'{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}', "unknown type 'F99'"),
        (b'{"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}', "unknown type"),
        (b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}', "impossible shape"),
        (b'{"a": {"dtype": "F32", "shape": [1.5], "data_offsets": [0, 4]}}', "impossible shape"),
        (b'{"a": {"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}}', "impossible shape"),
        (b'{"a": {"dtype": "F32", "shape": [4294967296, 4294967296, 4294967296], "data_offsets": [0, 0]}}', "takes"),
        (b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}', "has 4 bytes; F32 of shape"),
        (b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}', "impossible data_offsets"),
        (b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}', "impossible data_offsets"),
        (b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}', "truncated"),
        (
            b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},'
            b' "b": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]}}',
            "overlap",
        ),
        (b'{"a": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 4]}}', "NaN"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, header: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))

    file = open_file(tmp_path / "x")
    with pytest.raises(ConvertError, match=message):
        read_header(file)
    file.close()


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 100, 1])
def test_a_header_longer_than_its_file_is_refused(checkpoint: Path, length: int) -> None:
    (checkpoint / SHARD).write_bytes(length.to_bytes(8, "little") + b"{}")

    refused(checkpoint, "its header has|is not JSON")


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "x", {"a": np.ones((4, 4))})
    file = open_file(tmp_path / "x")
    tensor = read_header(file)["a"]
    os.truncate(tmp_path / "x", 100)

    with pytest.raises(ConvertError, match="shorter"):
        tensor.rows(0, 4)
    file.close()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a document whose value can be exchanged."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys[:20] for place in _places(value[key])]


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", INDEX])
def test_a_spoilt_document_is_an_error_or_does_no_harm(template: Path, tmp_path: Path, name: str) -> None:
    for path in template.iterdir():
        if path.name != name:
            (tmp_path / path.name).symlink_to(path)
    original = (template / name).read_text()

    @given(st.data())
    @settings(max_examples=60, deadline=None)
    def spoil(data: st.DataObject) -> None:
        document = json.loads(original)
        holder, key = data.draw(st.sampled_from(_places(document)))
        holder[key] = data.draw(_JSON)
        (tmp_path / name).write_text(json.dumps(document))
        with suppress(ConvertError):
            convert(tmp_path, tmp_path / "out.gguf", type="f16")

    spoil()


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_for_a_sentencepiece_model_are_an_error_or_a_vocabulary(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "tokenizer.model").write_bytes(data)

    with suppress(ConvertError):
        assert read_sentencepiece(folder, {}, []).tokens


def _one_shard(folder: Path, changes: dict[str, Any]) -> None:
    for path in folder.glob("model*"):
        path.unlink()
    write_safetensors(folder / "model.safetensors", {**random_weights(decoder_shapes(CONFIG)), **changes})
