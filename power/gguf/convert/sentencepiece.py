"""SentencePiece vocabularies: `tokenizer.model`, or the same put into tokenizer.json.

`tokenizer.model` is a protobuf message (sentencepiece_model.proto of google/sentencepiece);
of its many fields a handful is needed, so a reader of the wire format is enough.
In tokenizer.json a vocabulary is a list of merges with byte fallback; a piece's
score, by which llama.cpp merges, is the rank of the merge that makes it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from power.gguf.convert.documents import read_bytes
from power.gguf.convert.errors import ConvertError
from power.gguf.convert.tokenizer_json import TokenizerFile
from power.gguf.convert.vocabulary import Added, Token, TokenType, Vocabulary, add_tokens

FILE = "tokenizer.model"
_BPE = 2  # trainer_spec.model_type
_BYTE = re.compile("<0x[0-9A-F]{2}>")


def read_sentencepiece(folder: Path, config: Mapping[str, Any], added: list[Added]) -> Vocabulary:
    """The vocabulary of tokenizer.model; ConvertError if it is none, or not of the kind that merges pairs."""
    tokens: dict[int, Token] = {}
    model_type, adds_prefix = 1, True
    for field, value in _fields(read_bytes(folder / FILE)):
        if field == 1:
            tokens[len(tokens)] = _piece(_message(value))
        elif field == 2:
            model_type = _integer(_last(_message(value), 3, 1))
        elif field == 3:
            adds_prefix = bool(_integer(_last(_message(value), 3, 1)))
    if not tokens:
        raise ConvertError(f"{FILE} has no pieces")
    if model_type != _BPE:
        raise ConvertError(
            f"{FILE} is of the kind {model_type} (unigram, word or char); only BPE ({_BPE}) can be converted"
        )
    add_tokens(tokens, added)
    prefix = config.get("add_prefix_space")
    return _vocabulary(tokens, prefix if isinstance(prefix, bool) else adds_prefix)


def read_sentencepiece_json(tokenizer: TokenizerFile, added: list[Added]) -> Vocabulary:
    """The vocabulary of a tokenizer.json that is BPE with byte fallback."""
    model, vocab = tokenizer.model, tokenizer.model.ids()
    ranks: dict[str, int] = {}
    for rank, (left, right) in enumerate(model.pairs()):
        ranks.setdefault(left + right, rank)
    tokens = {number: _scored(text, text == model.unk_token, ranks, len(vocab)) for text, number in vocab.items()}
    add_tokens(tokens, added)
    return _vocabulary(tokens, _adds_prefix(tokenizer))


def _vocabulary(tokens: dict[int, Token], adds_prefix: bool) -> Vocabulary:
    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.add_space_prefix": adds_prefix,
    }
    return Vocabulary(tokens, metadata, scored=True)


def _scored(text: str, is_unknown: bool, ranks: Mapping[str, int], n_vocab: int) -> Token:
    if is_unknown:
        return Token(text, TokenType.UNKNOWN, 0.0)
    if _BYTE.fullmatch(text):
        return Token(text, TokenType.BYTE, 0.0)
    # What no merge makes is a single character, or nothing that can come up.
    return Token(text, TokenType.NORMAL, -float(ranks.get(text, n_vocab)))


def _adds_prefix(tokenizer: TokenizerFile) -> bool:
    """Whether a space is put in front of the text."""
    steps = [step for part in (tokenizer.normalizer, tokenizer.pre_tokenizer) if part for step in part.walk()]
    return any(
        (step.type == "Prepend" and step.prepend == "▁")
        or (step.type == "Metaspace" and step.prepend_scheme != "never" and step.add_prefix_space is not False)
        for step in steps
    )


def _piece(message: list[tuple[int, Any]]) -> Token:
    text, score = _last(message, 1, b""), _last(message, 2, b"\0\0\0\0")
    kind = _integer(_last(message, 3, 1))
    if not isinstance(text, bytes) or not isinstance(score, bytes) or len(score) != 4 or not 1 <= kind <= 6:
        raise ConvertError(f"{FILE} has a piece that is none")
    try:
        return Token(text.decode(), TokenType(kind), struct.unpack("<f", score)[0])
    except UnicodeDecodeError as error:
        raise ConvertError(f"{FILE} has a piece that is not UTF-8: {text!r}") from error


def _message(value: Any) -> list[tuple[int, Any]]:
    if not isinstance(value, bytes):
        raise ConvertError(f"{FILE} has a number where a message belongs")
    return list(_fields(value))


def _last(message: list[tuple[int, Any]], field: int, default: Any) -> Any:
    return next((value for number, value in reversed(message) if number == field), default)


def _integer(value: Any) -> int:
    if not isinstance(value, int):
        raise ConvertError(f"{FILE} has bytes where a number belongs")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """A protobuf message's fields: varints as int, all else as bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        field, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield field, value
            continue
        if wire == 2:
            n_bytes, at = _varint(data, at)
        elif wire in (1, 5):
            n_bytes = 8 if wire == 1 else 4
        else:
            raise ConvertError(f"{FILE} is no protobuf message (wire type {wire} at byte {at})")
        if n_bytes > len(data) - at:
            raise ConvertError(f"{FILE} ends in the middle of a field (at byte {at})")
        yield field, data[at : at + n_bytes]
        at += n_bytes


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for n in range(10):
        if at + n >= len(data):
            break
        value |= (data[at + n] & 0x7F) << 7 * n
        if data[at + n] < 0x80:
            return value, at + n + 1
    raise ConvertError(f"{FILE} has a number without end (at byte {at})")
