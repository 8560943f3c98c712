"""WordPiece vocabularies, as BERT has them.

They mark what continues a word ("##ing"), llama.cpp what begins one ("▁walk").
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from power.gguf.convert.documents import read_text
from power.gguf.convert.tokenizer_json import Step, TokenizerFile
from power.gguf.convert.vocabulary import Added, Token, TokenType, Vocabulary, add_tokens

VOCAB_FILE = "vocab.txt"
_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def read_wordpiece(tokenizer: TokenizerFile, added: list[Added]) -> Vocabulary:
    """The vocabulary of a tokenizer.json whose model is WordPiece."""
    prefix = tokenizer.model.continuing_subword_prefix
    tokens = {number: Token(text) for text, number in tokenizer.model.ids().items()}
    return _vocabulary(tokens, "##" if prefix is None else prefix, added, _normalizer(tokenizer.normalizer))


def read_vocab_txt(folder: Path, config: Mapping[str, Any], added: list[Added]) -> Vocabulary:
    """The vocabulary of a vocab.txt: a token a line."""
    lines = read_text(folder / VOCAB_FILE).split("\n")
    tokens = {number: Token(line.rstrip("\r")) for number, line in enumerate(lines) if line}
    known = {token.id for token in added}
    added = added + [Added(n, t.text, True) for n, t in tokens.items() if t.text in _SPECIALS and n not in known]
    lower = config.get("do_lower_case", True)
    return _vocabulary(tokens, "##", added, {"lowercase": lower, "strip_accents": config.get("strip_accents")})


def _vocabulary(tokens: dict[int, Token], prefix: str, added: list[Added], normalizer: Mapping[str, Any]) -> Vocabulary:
    add_tokens(tokens, added)
    marked = {number: _marked(token, prefix) for number, token in tokens.items()}
    metadata: dict[str, Any] = {"tokenizer.ggml.model": "bert", "tokenizer.ggml.pre": "default"}
    # Unsaid, llama.cpp strips accents when it lowers, which is BERT's rule as well.
    for key in ("lowercase", "strip_accents"):
        if isinstance(normalizer.get(key), bool):
            metadata[f"tokenizer.ggml.normalizer.{key}"] = normalizer[key]
    return Vocabulary(marked, metadata)


def _marked(token: Token, prefix: str) -> Token:
    if token.type is TokenType.CONTROL:
        return token
    if prefix and token.text.startswith(prefix):
        return token._replace(text=token.text[len(prefix) :])
    return token._replace(text="▁" + token.text)


def _normalizer(normalizer: Step | None) -> Mapping[str, Any]:
    """What a tokenizer.json's normalizer does to case and accents."""
    steps = list(normalizer.walk()) if normalizer else []
    if any(step.type == "BertNormalizer" for step in steps):
        step = next(step for step in steps if step.type == "BertNormalizer")
        return {"lowercase": step.lowercase, "strip_accents": step.strip_accents}
    kinds = {step.type for step in steps}
    return {"lowercase": "Lowercase" in kinds, "strip_accents": "StripAccents" in kinds}
