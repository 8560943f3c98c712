"""The vocabulary in alphabetical order: which tokens begin like this, and how a text that must come is spelt."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from power.worker.vocab import Vocab

MAX_SPELT = 4000  # texts whose tokens are remembered
MAX_HALVES = 500  # halves of characters, likewise: there are not many more


class Lexicon:
    """All tokens that say something, by their bytes; end tokens are apart.

    Control tokens say nothing, but for those that an answer shows: `marks` has their bytes.

    Attributes:
        ends: the tokens that end an answer.
    """

    def __init__(self, vocab: Vocab, marks: Mapping[int, bytes]) -> None:
        n = vocab.n_tokens
        self._marks = marks
        pieces = [vocab.piece(token) or marks.get(token, b"") for token in range(n)]
        ends = [token for token in range(n) if vocab.is_eog(token)]
        order = sorted({token for token in range(n) if pieces[token]}.difference(ends), key=pieces.__getitem__)
        self.ends = np.array(ends, np.int32)
        self._vocab = vocab
        self._ids = np.array(order, np.int32)
        self._pieces = [pieces[token] for token in order]
        self._longest = max(map(len, self._pieces), default=0)
        # Where the tokens with each first byte begin.
        self._starts = [bisect_left(self._pieces, bytes([byte])) for byte in range(256)] + [len(order)]
        self.following = lru_cache(MAX_HALVES)(self._following)
        self.spelt = lru_cache(MAX_SPELT)(self._spelt)

    def __repr__(self) -> str:
        return f"<Lexicon of {len(self._pieces)} tokens>"

    def piece(self, token: int) -> bytes:
        """A token as it appears in the answer."""
        return self._vocab.piece(token) or self._marks.get(token, b"")

    def beginning_with(self, low: int, high: int) -> NDArray[np.int32]:
        """The tokens whose first byte is one of `low` to `high`."""
        return self._ids[self._starts[low] : self._starts[high + 1]]

    def _following(self, half: bytes) -> NDArray[np.bool_]:
        """For every token, whether text stays UTF-8 with it after `half` a character; end tokens where there is none.

        llama.cpp's grammar reads overlong forms and code points past the end of
        Unicode as characters, and whoever reads the answer does not.
        """
        mask = np.zeros(self._vocab.n_tokens, np.bool_)
        if half:
            # Only a byte that goes on with the character can follow.
            low, high = self._starts[0x80], self._starts[0xC0]
            good = [stays_text(half + piece) for piece in self._pieces[low:high]]
            mask[self._ids[low:high]] = good
        else:
            mask[self._ids] = [piece.isascii() or stays_text(piece) for piece in self._pieces]
            mask[self.ends] = True
        return mask

    def _spelt(self, text: str) -> tuple[int, ...]:
        """The tokens of as much of `text` as is spelt the same whatever comes after it.

        A token that lies across the end of `text` could begin in its tail, and a
        model would rather use that one than two; so the tail is left out.
        """
        data = text.encode()
        kept, end, reach = [], 0, self._reach(data)
        for token in self._tokenize(text, data):
            end += len(self.piece(token))
            if end > reach:
                break
            kept.append(token)
        return tuple(kept)

    def _reach(self, data: bytes) -> int:
        """The first place in `data` where a token may begin that goes on after its end."""
        for at in range(max(0, len(data) - self._longest), len(data)):
            tail = data[at:]
            index = bisect_left(self._pieces, tail + b"\0")
            if index < len(self._pieces) and self._pieces[index].startswith(tail):
                return at
        return len(data)

    def _tokenize(self, text: str, data: bytes) -> list[int]:
        """The tokens of exactly this text; none if they cannot be had."""
        # Some tokenizers put a space before a text, but not after a line end.
        for lead in ("", "\n"):
            tokens = self._vocab.tokenize(lead + text)
            while tokens:
                spelt = b"".join(map(self.piece, tokens))
                if spelt == data:
                    return tokens
                if len(spelt) <= len(data):
                    break
                del tokens[0]
        return []


def stays_text(data: bytes) -> bool:
    """Whether `data` is UTF-8, or the beginning of some."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True
