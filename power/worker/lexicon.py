"""The vocabulary as an answer shows it: which tokens begin like this, and how a text that must come is spelt."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from power.worker.pieces import Pieces, stays_text
from power.worker.vocab import Vocab

MAX_SPELT = 4000  # texts whose tokens are remembered
MAX_HALVES = 500  # halves of characters, likewise: there are not many more


class Lexicon:
    """All tokens that say something: the pieces of the vocabulary, and control tokens that this answer shows."""

    def __init__(self, vocab: Vocab, pieces: Pieces, marks: Mapping[int, bytes]) -> None:
        """`marks` are the control tokens, and their bytes; the pieces are ready."""
        self.ends = pieces.ends  # the tokens that end an answer
        self._vocab = vocab
        self._pieces = pieces
        ends = set(self.ends.tolist())
        self._shown = {token: piece for token, piece in marks.items() if piece and token not in ends}
        self._marks = marks
        self.following = lru_cache(MAX_HALVES)(self._following)
        self.spelt = lru_cache(MAX_SPELT)(self._spelt)

    def __repr__(self) -> str:
        return f"<Lexicon of {len(self._pieces) + len(self._shown)} tokens>"

    def piece(self, token: int) -> bytes:
        """A token as it appears in the answer."""
        return self._vocab.piece(token) or self._marks.get(token, b"")

    def beginning_with(self, low: int, high: int) -> NDArray[np.int32]:
        """The tokens whose first byte is one of `low` to `high`."""
        found = self._pieces.ids[self._pieces.start(low) : self._pieces.start(high + 1)]
        shown = [token for token, piece in self._shown.items() if low <= piece[0] <= high]
        return np.concatenate((found, np.array(shown, np.int32))) if shown else found

    def _following(self, half: bytes) -> NDArray[np.bool_]:
        """For every token, whether text stays UTF-8 with it after `half` a character; end tokens where there is none.

        llama.cpp's grammar reads overlong forms and code points past the end of
        Unicode as characters, and whoever reads the answer does not.
        """
        pieces = self._pieces
        if half:
            # Only a byte that goes on with the character can follow.
            low, high = pieces.start(0x80), pieces.start(0xC0)
            mask = np.zeros(self._vocab.n_tokens, np.bool_)
            mask[pieces.ids[low:high]] = [stays_text(half + pieces[index]) for index in range(low, high)]
        else:
            mask = pieces.alone.copy()
            mask[self.ends] = True
        for token, piece in self._shown.items():
            mask[token] = stays_text(half + piece)
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
        longest = max([self._pieces.longest, *map(len, self._shown.values())])
        for at in range(max(0, len(data) - longest), len(data)):
            if self._goes_on(data[at:]):
                return at
        return len(data)

    def _goes_on(self, data: bytes) -> bool:
        """Whether a token begins with `data` and is longer."""
        index = self._pieces.find(data + b"\0")
        return (index < len(self._pieces) and self._pieces[index].startswith(data)) or any(
            piece.startswith(data) and piece != data for piece in self._shown.values()
        )

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
