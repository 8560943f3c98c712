"""A vocabulary as llama.cpp has it, whatever kind of tokenizer it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from power.gguf.convert.errors import ConvertError
from power.gguf.convert.tokenizer_json import TokenizerFile


class TokenType(IntEnum):
    """What a token is; the numbers of llama.cpp are those of SentencePiece."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3  # never part of a text
    USER_DEFINED = 4  # matched as a whole, before anything else
    UNUSED = 5
    BYTE = 6  # "<0x0A>"


class Token(NamedTuple):
    text: str
    type: TokenType = TokenType.NORMAL
    score: float = 0.0


class Vocabulary(NamedTuple):
    """The tokens by id, and what else the tokenizer's kind needs."""

    tokens: dict[int, Token]
    metadata: dict[str, Any]  # beside the tokens; keys in full
    scored: bool = False


class Added(NamedTuple):
    """A token put beside the vocabulary, as tokenizer.json's `added_tokens` says."""

    id: int
    text: str
    special: bool


def vocabulary_metadata(vocabulary: Vocabulary, n_vocab: int) -> dict[str, Any]:
    """The keys of a vocabulary of exactly `n_vocab` tokens.

    Ids that no token has are filled with unused ones; tokens beyond have no
    embedding, so no model can read or write them, and are left out.
    """
    filled = [vocabulary.tokens.get(n) or Token(f"[PAD{n}]", TokenType.UNUSED, -1000.0) for n in range(n_vocab)]
    metadata = {
        **vocabulary.metadata,
        "tokenizer.ggml.tokens": [token.text for token in filled],
        "tokenizer.ggml.token_type": np.array([token.type for token in filled], np.int32),
    }
    if vocabulary.scored:
        metadata["tokenizer.ggml.scores"] = np.array([token.score for token in filled], np.float32)
    return metadata


def added_tokens(tokenizer: TokenizerFile | None, config: Mapping[str, Any]) -> list[Added]:
    """The added tokens of tokenizer.json and of tokenizer_config.json, the latter's where they differ."""
    listed = (tokenizer.added_tokens or ()) if tokenizer else ()
    found = {token.id: Added(token.id, token.content, token.special) for token in listed}
    decoder = config.get("added_tokens_decoder") or {}
    if not isinstance(decoder, Mapping):
        raise ConvertError("tokenizer_config.json: added_tokens_decoder is not an object")
    for key, entry in decoder.items():
        content = entry.get("content") if isinstance(entry, Mapping) else None
        if not key.isdecimal() or not isinstance(content, str):
            raise ConvertError(f"tokenizer_config.json has an added token without id or content: {key!r}: {entry!r}")
        found[int(key)] = Added(int(key), content, entry.get("special") is True)
    return list(found.values())


def add_tokens(tokens: dict[int, Token], added: Iterable[Added]) -> None:
    """Put added tokens into a vocabulary, or over what it has under their ids."""
    for token in added:
        kind = tokens[token.id].type if token.id in tokens else TokenType.NORMAL
        if kind in (TokenType.UNKNOWN, TokenType.BYTE) and tokens[token.id].text == token.text:
            continue
        if token.special or _looks_special(token.text):
            tokens[token.id] = Token(token.text, TokenType.CONTROL, -1000.0)
        else:
            # llama.cpp looks for it in the text as it was written, with its spaces.
            tokens[token.id] = Token(token.text.replace("▁", " "), TokenType.USER_DEFINED, -1000.0)


# Tokens that some checkpoints forget to call special: deepseek-coder's, command-r's, gemma's.
_SPECIAL = re.compile(r"<\|.*\|>|<｜.*｜>|<unused.*>|<pad>|<mask>|<2mass>|\[@BOS@\]", re.DOTALL)


def _looks_special(text: str) -> bool:
    return _SPECIAL.fullmatch(text) is not None
