"""The vocabulary: byte-level BPE in which a word has the same pieces wherever it stands.

An ordinary BPE spells ` Zorvik` and `"Zorvik` with different tokens, and a model
this small cannot spell.  So merges are learnt inside words only; afterwards a
space is merged with the commonest lower-case words, to shorten plain prose.
Copying a name into a sentence or into JSON is then copying its tokens.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

# llama.cpp's `qwen2`: single digits, at most one character glued to a word's front.
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# The same, with nothing glued to a word.
INSIDE_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
USER_DEFINED = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
SPACE = "Ġ"  # a space, in byte-level BPE's alphabet


def train(texts: Iterable[str], *, n_vocab: int, n_spaced: int) -> Tokenizer:
    """A tokenizer of exactly `n_vocab` tokens, special tokens last, `n_spaced` of them words with a space before."""
    corpus = list(texts)
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = _splitter(INSIDE_WORDS)
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocab - n_spaced - len(CONTROL) - len(USER_DEFINED),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    base.train_from_iterator((piece for text in corpus for piece in _without_specials(text)), trainer)
    state = _model_state(base)
    vocab, merges = state
    for word in _common_words(corpus, vocab, n_spaced):
        vocab[SPACE + word] = len(vocab)
        merges.append((SPACE, word))
    tokenizer = _tokenizer(vocab, merges)
    if tokenizer.get_vocab_size() != n_vocab:
        raise AssertionError(f"{tokenizer.get_vocab_size()} tokens instead of {n_vocab}")
    return tokenizer


def build(names: list[str], merges: list[str]) -> Tokenizer:
    """The tokenizer of a model file."""
    n_plain = len(names) - len(CONTROL) - len(USER_DEFINED)
    vocab = {name: i for i, name in enumerate(names[:n_plain])}
    return _tokenizer(vocab, [(a, b) for a, b in (m.split(" ") for m in merges)])


def _tokenizer(vocab: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = _splitter(QWEN2)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in CONTROL])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in USER_DEFINED])
    return tokenizer


def load(path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))


def pieces(tokenizer: Tokenizer) -> list[str]:
    """The tokens that are lower-case letters, in the order of their numbers."""
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return [token for token, _ in vocabulary if re.fullmatch("[a-z]+", token)]


def merges_of(tokenizer: Tokenizer) -> list[str]:
    """The merges as GGUF writes them, best first."""
    return [f"{a} {b}" for a, b in _model_state(tokenizer)[1]]


def _model_state(tokenizer: Tokenizer) -> tuple[dict[str, int], list[tuple[str, str]]]:

    model = json.loads(tokenizer.to_str())["model"]
    return dict(model["vocab"]), [(m[0], m[1]) for m in model["merges"]]


def _splitter(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _without_specials(text: str) -> list[str]:
    return re.split("|".join(map(re.escape, CONTROL + USER_DEFINED)), text)


def _common_words(corpus: list[str], vocab: dict[str, int], n: int) -> list[str]:
    counts: Counter[str] = Counter()
    for text in corpus:
        counts.update(re.findall(r" ([a-z]+)(?![a-z])", text))
    return [word for word, _ in counts.most_common() if (word in vocab and len(word) > 1) or word in ("a", "I")][:n]
