"""Which kind of vocabulary a checkpoint has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from power.gguf.convert.bpe import read_bpe
from power.gguf.convert.documents import read_json_if_there
from power.gguf.convert.errors import ConvertError
from power.gguf.convert.sentencepiece import FILE, read_sentencepiece, read_sentencepiece_json
from power.gguf.convert.specials import chat_templates, special_tokens
from power.gguf.convert.tokenizer_json import TokenizerFile, read_tokenizer_json
from power.gguf.convert.vocabulary import Added, Vocabulary, added_tokens, vocabulary_metadata
from power.gguf.convert.wordpiece import VOCAB_FILE, read_vocab_txt, read_wordpiece


def tokenizer_metadata(folder: Path, n_vocab: int) -> dict[str, Any]:
    """All keys of the vocabulary of a model with `n_vocab` token embeddings.

    Raises:
        ConvertError: there is no vocabulary, or of a kind that llama.cpp or we do not know.
    """
    tokenizer = read_tokenizer_json(folder)
    vocabulary = _read(folder, tokenizer)
    return {
        **vocabulary_metadata(vocabulary, n_vocab),
        **special_tokens(folder, tokenizer, vocabulary, n_vocab),
        **chat_templates(folder),
    }


def _read(folder: Path, tokenizer: TokenizerFile | None) -> Vocabulary:
    config = read_json_if_there(folder / "tokenizer_config.json")
    added = added_tokens(tokenizer, config) + _more_added(folder)
    # Byte-level vocabularies have a tokenizer.model at times, in a format of their own.
    if (folder / FILE).exists() and (tokenizer is None or not tokenizer.model.is_byte_level):
        return read_sentencepiece(folder, config, added)
    if tokenizer is None:
        if (folder / VOCAB_FILE).exists():
            return read_vocab_txt(folder, config, added)
        raise ConvertError(f"{folder.name} has no vocabulary: none of tokenizer.json, {FILE}, {VOCAB_FILE}")
    match tokenizer.model.kind:
        case "WordPiece":
            return read_wordpiece(tokenizer, added)
        case "BPE" if tokenizer.model.is_byte_level:
            return read_bpe(folder, tokenizer, added)
        case "BPE":
            return read_sentencepiece_json(tokenizer, added)
    raise ConvertError(f"tokenizer.json is of the kind {tokenizer.model.kind}; BPE and WordPiece can be converted")


def _more_added(folder: Path) -> list[Added]:
    """added_tokens.json: what older versions of transformers put beside tokenizer.model."""
    return [
        Added(number, text, False)
        for text, number in read_json_if_there(folder / "added_tokens.json").items()
        if type(number) is int and number >= 0 and not (folder / "tokenizer.json").exists()
    ]
