"""Vocabularies of published models come through a conversion as they are.

The files in llama.cpp's sources hold only a model's vocabulary, converted by its own tools; from them the
documents that they were made of are written again. With them are texts and the ids that the models'
own tokenizers give them.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from power.gguf import GGUF, open_gguf, write_gguf
from power.gguf.convert.tokenizer import tokenizer_metadata
from power.gguf.convert.vocabulary import TokenType
from tests.support import sdist

from .engine import loaded
from .vocabularies import PATTERNS

MODELS = Path("vendor/llama.cpp/models")
ADDED = (TokenType.CONTROL, TokenType.USER_DEFINED)


def published(name: str) -> GGUF:
    return open_gguf(sdist() / MODELS / f"ggml-vocab-{name}.gguf")


def cases(name: str) -> list[tuple[str, list[int]]]:
    """Texts and their ids."""
    stem = sdist() / MODELS / f"ggml-vocab-{name}.gguf"
    texts = Path(f"{stem}.inp").read_text().split("\n__ggml_vocab_test__\n")
    lines = Path(f"{stem}.out").read_text().split("\n")
    return [(text, [int(number) for number in line.split()]) for text, line in zip(texts, lines, strict=False)]


def convert_vocabulary(folder: Path, n_vocab: int) -> GGUF:
    path = folder / "vocabulary.gguf"
    write_gguf(path, {"general.architecture": "llama", **tokenizer_metadata(folder, n_vocab)})
    return open_gguf(path)


def assert_tokenizes_as_published(path: Path, name: str) -> None:
    with loaded(path, vocab_only=True) as engine:
        for text, ids in cases(name):
            assert engine.tokenize(text) == ids, text


@pytest.mark.parametrize("name", ["llama-bpe", "gpt-2"])
def test_a_published_byte_level_vocabulary_is_recognised_by_its_hash(tmp_path: Path, name: str) -> None:
    original = published(name)
    tokens = cast(list[str], original.metadata["tokenizer.ggml.tokens"])
    types = np.asarray(original.metadata["tokenizer.ggml.token_type"]).tolist()
    _write_tokenizer_json(tmp_path, name, tokens, types, cast(list[str], original.metadata["tokenizer.ggml.merges"]))

    found = convert_vocabulary(tmp_path, len(tokens))

    assert found.metadata["tokenizer.ggml.pre"] == name
    assert found.metadata["tokenizer.ggml.tokens"] == tokens
    assert_tokenizes_as_published(found.path, name)


@pytest.mark.parametrize("name", ["llama-spm", "phi-3"])
def test_a_published_sentencepiece_model_comes_through_exactly(tmp_path: Path, name: str) -> None:
    original = published(name)
    tokens = cast(list[str], original.metadata["tokenizer.ggml.tokens"])
    scores, types = (np.asarray(original.metadata[f"tokenizer.ggml.{key}"]) for key in ("scores", "token_type"))
    (tmp_path / "tokenizer.model").write_bytes(_sentencepiece(tokens, scores, types))

    found = convert_vocabulary(tmp_path, len(tokens))

    assert found.metadata["tokenizer.ggml.model"] == "llama"
    assert found.metadata["tokenizer.ggml.tokens"] == tokens
    assert np.array_equal(np.asarray(found.metadata["tokenizer.ggml.scores"]), scores)
    assert np.array_equal(np.asarray(found.metadata["tokenizer.ggml.token_type"]), types)
    if name == "llama-spm":  # phi-3's depends on the name of the model, which is not here
        assert_tokenizes_as_published(found.path, name)


def test_without_the_tokenizers_package_the_pattern_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    _write_tokenizer_json(tmp_path, "qwen2", ["a", "b", "ab"], [1, 1, 1], ["a b"])

    assert convert_vocabulary(tmp_path, 3).metadata["tokenizer.ggml.pre"] == "qwen2"


def _write_tokenizer_json(folder: Path, name: str, tokens: list[str], types: list[int], merges: list[str]) -> None:
    steps: list[dict[str, Any]] = [
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": name == "gpt-2"}
    ]
    if name in PATTERNS:
        steps.insert(
            0, {"type": "Split", "pattern": {"Regex": PATTERNS[name]}, "behavior": "Isolated", "invert": False}
        )
    added = [
        {"id": n, "content": token, "special": types[n] == TokenType.CONTROL}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for n, token in enumerate(tokens)
        if types[n] in ADDED
    ]
    vocab = {token: n for n, token in enumerate(tokens) if types[n] == TokenType.NORMAL}
    model = {"type": "BPE", "vocab": vocab, "merges": merges, "ignore_merges": name == "llama-bpe"}
    document = {"version": "1.0", "added_tokens": added, "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}}
    (folder / "tokenizer.json").write_text(json.dumps({**document, "model": model}))


def _sentencepiece(tokens: list[str], scores: Any, types: Any) -> bytes:
    """A ModelProto, field by field as sentencepiece_model.proto numbers them."""
    pieces = []
    for token, score, kind in zip(tokens, scores, types, strict=True):
        text = token.encode()
        piece = b"\x0a" + _varint(len(text)) + text + b"\x15" + struct.pack("<f", score) + b"\x18" + _varint(int(kind))
        pieces.append(b"\x0a" + _varint(len(piece)) + piece)
    trainer = b"\x18\x02"  # model_type: BPE
    normalizer = b"\x18\x01"  # add_dummy_prefix
    return b"".join(pieces) + b"\x12\x02" + trainer + b"\x1a\x02" + normalizer


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
