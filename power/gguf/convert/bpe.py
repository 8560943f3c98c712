"""Byte-level BPE out of tokenizer.json, with llama.cpp's name for how it splits text first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from power.gguf.convert.documents import read_text
from power.gguf.convert.errors import ConvertError
from power.gguf.convert.pretokenizers import CHECK_TEXT, PRE_TOKENIZERS, SPLIT_PATTERNS
from power.gguf.convert.tokenizer_json import FILE, Step, TokenizerFile
from power.gguf.convert.vocabulary import Added, Token, Vocabulary, add_tokens


def read_bpe(folder: Path, tokenizer: TokenizerFile, added: list[Added]) -> Vocabulary:
    """The vocabulary of a tokenizer.json whose model is byte-level BPE.

    Raises:
        ConvertError: it is not well-formed, or llama.cpp does not know how it splits text.
    """
    tokens = {number: Token(text) for text, number in tokenizer.model.ids().items()}
    add_tokens(tokens, added)
    # llama.cpp divides a merge at its first space; byte-level pieces write a space as Ġ.
    merges = [" ".join(piece.replace(" ", "Ġ") for piece in pair) for pair in tokenizer.model.pairs()]
    if not merges:
        raise ConvertError(f"{FILE} has a BPE model without merges, which llama.cpp does not load")
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": _find_pre_tokenizer(folder, tokenizer),
        "tokenizer.ggml.merges": merges,
    }
    return Vocabulary(tokens, metadata)


def _find_pre_tokenizer(folder: Path, tokenizer: TokenizerFile) -> str:
    """llama.cpp's name: by the ids of a text, as it does, or else by the pattern."""
    by_pattern = _by_pattern(tokenizer)
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        if by_pattern is None:
            raise ConvertError(
                "converting this vocabulary needs the package 'tokenizers': pip install 'power[convert]'"
            ) from error
        return by_pattern
    digests = _digests(Tokenizer, folder, tokenizer)
    name = next((PRE_TOKENIZERS[digest] for digest in digests if digest in PRE_TOKENIZERS), by_pattern)
    if name is None:
        raise ConvertError(
            f"{FILE} splits text in a way that the pinned llama.cpp has no name for (hash {digests[0]}); "
            "such a model would read its prompts wrongly"
        )
    # Without its first token Llama 3 gives the ids of Smaug, which looks for no whole words.
    return "llama-bpe" if name == "smaug-bpe" and tokenizer.model.ignore_merges else name


def _digests(reader: Any, folder: Path, tokenizer: TokenizerFile) -> list[str]:
    encoder = _open_encoder(reader, folder)
    plain = encoder.encode(CHECK_TEXT, add_special_tokens=False).ids
    # llama.cpp hashes what transformers gives, which adds a first token by rules spread over many files.
    candidates = [encoder.encode(CHECK_TEXT).ids, plain]
    candidates += [[token.id, *plain] for token in tokenizer.added_tokens or () if token.special]
    return [hashlib.sha256(str(ids).encode()).hexdigest() for ids in candidates]


def _open_encoder(reader: Any, folder: Path) -> Any:
    text = read_text(folder / FILE)
    try:
        encoder = reader.from_str(text)
    except Exception as error:  # the package raises nothing narrower
        raise ConvertError(f"{FILE} is refused by the package 'tokenizers': {error}") from error
    encoder.no_truncation()
    encoder.no_padding()
    return encoder


def _by_pattern(tokenizer: TokenizerFile) -> str | None:
    splits = [split for step in _steps(tokenizer.pre_tokenizer) for split in _split(step)]
    name = SPLIT_PATTERNS.get(json.dumps(splits))
    if name == "llama-bpe" and not tokenizer.model.ignore_merges:
        return "smaug-bpe"  # the same pattern, without looking for whole words in the vocabulary first
    return name


def _steps(step: Step | None) -> Iterator[Step]:
    return iter(()) if step is None else step.walk()


def _split(step: Step) -> list[str]:
    """What a pre-tokenizer does, as far as it decides where text is split."""
    match step.type:
        case "Sequence":
            return []
        case "Split":
            pattern = next(iter((step.pattern or {}).values()), "")
            return [f"{step.behavior}{' inverted' if step.invert else ''}: {pattern}"]
        case "Digits":
            return ["digits" if step.individual_digits else "numbers"]
        case "ByteLevel":
            prefix = ["prefix"] if step.add_prefix_space else []
            return prefix + ([] if step.use_regex is False else ["gpt2"])
    return [step.type]
