"""A model's vocabulary: text to tokens, tokens to bytes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence

import llama_cpp.llama_cpp as c


class Vocab:
    """Tokenizes, and knows the special tokens; -1 is a special token that the vocabulary does not have."""

    def __init__(self, pointer: c.llama_vocab_p) -> None:
        self.pointer = pointer
        self.n_tokens: int = c.llama_vocab_n_tokens(pointer)
        self.bos: int = c.llama_vocab_bos(pointer)
        self.eos: int = c.llama_vocab_eos(pointer)
        self.newline: int = c.llama_vocab_nl(pointer)
        self.adds_bos: bool = c.llama_vocab_get_add_bos(pointer)
        self.adds_eos: bool = c.llama_vocab_get_add_eos(pointer)
        self.kind: int = c.llama_vocab_type(pointer)
        self._ends: tuple[list[int], list[int]] | None = None
        self._pieces: dict[int, bytes] = {}
        self._buffer = ctypes.create_string_buffer(256)

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = True) -> list[int]:
        """The tokens of a text.

        Args:
            add_special: with the tokens that the vocabulary puts around a text (`ends`).
            parse_special: special tokens in the text are read as such.
        """
        data = text.encode(errors="replace")  # lone surrogates have no UTF-8
        n_max = len(data) + 16  # no token is shorter than a byte, but some tokenizers put a space in front
        tokens = (ctypes.c_int32 * n_max)()
        n: int = c.llama_tokenize(self.pointer, data, len(data), tokens, n_max, add_special, parse_special)
        if n < 0:
            raise AssertionError(f"{-n} tokens of {len(data)} bytes")
        return tokens[:n]

    @property
    def ends(self) -> tuple[list[int], list[int]]:
        """The tokens that the vocabulary puts before and after a text."""
        if self._ends is None:
            bare, whole = self.tokenize("a"), self.tokenize("a", add_special=True)
            n_before = next((n for n in range(len(whole)) if whole[n : n + len(bare)] == bare), 0)
            self._ends = whole[:n_before], whole[n_before + len(bare) :]
        return self._ends

    def tokenize_prompt(self, text: str) -> list[int]:
        """Like `tokenize`, with the BOS token in front if the vocabulary wants it and the text does not bring it."""
        return self.with_bos(self.tokenize(text))

    def with_bos(self, tokens: list[int]) -> list[int]:
        if not self.adds_bos or self.bos < 0 or tokens[:1] == [self.bos]:
            return tokens
        return [self.bos, *tokens]

    def piece(self, token: int) -> bytes:
        """A token as it appears in an answer: control tokens as nothing, user-defined ones as their text."""
        found = self._pieces.get(token)
        if found is None:
            found = self._pieces[token] = self.render(token)
        return found

    def detokenize(self, tokens: Sequence[int], *, special: bool = False) -> bytes:
        """The text of the tokens; control tokens are nothing unless they are wanted, and no space is put in front."""
        return b"".join(self.render(token, special=True) if special else self.piece(token) for token in tokens)

    def marks(self, texts: Iterable[str]) -> dict[int, bytes]:
        """The control tokens that these texts are made of, as they are written out."""
        tokens = {token for text in texts for token in self.tokenize(text) if not self.piece(token)}
        return {token: self.render(token, special=True) for token in tokens}

    def text(self, token: int) -> str:
        """A token as templates write it (`<s>`), empty for -1."""
        return c.llama_vocab_get_text(self.pointer, token).decode(errors="replace") if token >= 0 else ""

    def is_eog(self, token: int) -> bool:
        """Whether a token ends the answer."""
        return bool(c.llama_vocab_is_eog(self.pointer, token))

    def render(self, token: int, *, special: bool = False) -> bytes:
        """What `piece` remembers; with `special`, control tokens are their text."""
        n: int = c.llama_token_to_piece(self.pointer, token, self._buffer, len(self._buffer), 0, special)
        if n < 0:  # it is longer than the buffer, and -n says how long
            self._buffer = ctypes.create_string_buffer(-n)
            return self.render(token, special=special)
        return self._buffer.raw[:n]
