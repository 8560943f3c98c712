"""llama.cpp tokenizes with a converted vocabulary as the `tokenizers` package does with the original."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from power.gguf import write_gguf
from power.gguf.convert.tokenizer import tokenizer_metadata

from .checkpoints import N_VOCAB
from .corpus import STRIPPED, TEXTS
from .engine import Engine, loaded
from .vocabularies import write_byte_bpe, write_sentencepiece_json, write_wordpiece

WRITERS: dict[str, Callable[[Path], Tokenizer]] = {
    "llama-bpe": partial(write_byte_bpe, pre="llama-bpe"),
    "qwen2": partial(write_byte_bpe, pre="qwen2"),
    "gpt-2": partial(write_byte_bpe, pre="gpt-2"),
    "smollm": partial(write_byte_bpe, pre="smollm"),
    "sentencepiece": write_sentencepiece_json,
    "sentencepiece without prefix": partial(write_sentencepiece_json, prefix=False),
    "wordpiece": write_wordpiece,
    "cased wordpiece": partial(write_wordpiece, cased=True),
}


def vocabulary_file(folder: Path) -> Path:
    """A GGUF with nothing but the folder's vocabulary."""
    path = folder / "vocabulary.gguf"
    write_gguf(path, {"general.architecture": "llama", **tokenizer_metadata(folder, N_VOCAB)})
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_every_text_is_cut_into_the_same_tokens(tmp_path: Path, name: str) -> None:
    tokenizer = WRITERS[name](tmp_path)

    with loaded(vocabulary_file(tmp_path), vocab_only=True) as engine:
        for text in TEXTS if name == "wordpiece" else TEXTS + STRIPPED:
            assert engine.tokenize(text) == tokenizer.encode(text, add_special_tokens=False).ids, text


@pytest.fixture(scope="module")
def qwen2(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("qwen2")
    tokenizer = write_byte_bpe(folder)
    with loaded(vocabulary_file(folder), vocab_only=True) as engine:
        yield tokenizer, engine


# Without surrogates, which are no text, and with letters of scripts whose combining
# marks the two regex engines know in the same Unicode version.
_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"], max_codepoint=0x2FFF), max_size=40)


@given(_TEXT)
@settings(max_examples=200, deadline=None)
def test_any_text_is_cut_into_the_same_tokens(qwen2: tuple[Tokenizer, Engine], text: str) -> None:
    tokenizer, engine = qwen2

    assert engine.tokenize(text) == tokenizer.encode(text, add_special_tokens=False).ids


def test_special_tokens_are_read_as_such_and_the_first_is_added(tmp_path: Path) -> None:
    tokenizer = write_byte_bpe(tmp_path, "llama-bpe")
    text = "<|im_start|>user\nhello<|im_end|>\n<tool_call>"

    with loaded(vocabulary_file(tmp_path), vocab_only=True) as engine:
        assert engine.tokenize(text, add_special=True, parse_special=True) == tokenizer.encode(text).ids


def test_ids_without_a_token_are_filled(tmp_path: Path) -> None:
    write_byte_bpe(tmp_path)

    metadata = tokenizer_metadata(tmp_path, N_VOCAB)
    assert len(metadata["tokenizer.ggml.tokens"]) == N_VOCAB
    assert metadata["tokenizer.ggml.tokens"][-1] == f"[PAD{N_VOCAB - 1}]"
    assert metadata["tokenizer.ggml.token_type"][-1] == 5


def test_special_ids_come_from_all_the_files_that_may_say_them(tmp_path: Path) -> None:
    tokenizer = write_byte_bpe(tmp_path)
    ends = [tokenizer.token_to_id("<|endoftext|>"), tokenizer.token_to_id("<|im_end|>")]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<|endoftext|>"}}))
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": ends, "pad_token_id": ends[0]}))
    (tmp_path / "config.json").write_text(json.dumps({"bos_token_id": 99999}))

    metadata = tokenizer_metadata(tmp_path, N_VOCAB)
    assert metadata["tokenizer.ggml.eos_token_id"] == ends[0]
    assert metadata["tokenizer.ggml.eot_token_id"] == ends[1]
    assert metadata["tokenizer.ggml.padding_token_id"] == ends[0]
    assert "tokenizer.ggml.bos_token_id" not in metadata
    assert metadata["tokenizer.ggml.add_bos_token"] is False


def test_the_chat_template_of_a_file_goes_before_the_configured_one(tmp_path: Path) -> None:
    write_byte_bpe(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "old"}))
    (tmp_path / "chat_template.jinja").write_text("{{ new }}")

    assert tokenizer_metadata(tmp_path, N_VOCAB)["tokenizer.chat_template"] == "{{ new }}"


def test_several_chat_templates_keep_their_names(tmp_path: Path) -> None:
    write_byte_bpe(tmp_path)
    templates = [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": templates}))
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "rag.jinja").write_text("r")

    metadata = tokenizer_metadata(tmp_path, N_VOCAB)
    assert metadata["tokenizer.chat_template"] == "d"
    assert metadata["tokenizer.chat_templates"] == ["rag", "tool_use"]
    assert metadata["tokenizer.chat_template.tool_use"] == "t"
    assert metadata["tokenizer.chat_template.rag"] == "r"
