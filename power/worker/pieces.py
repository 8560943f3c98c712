"""A vocabulary's tokens in the alphabetical order of their bytes, put together a little at a time.

llama.cpp is asked for each token, which takes half a second for 152,000 of them:
too long for the streams that are running when somebody wants the first grammar.
So a worker that has nothing to do gets on with it, and one that has does so
between its steps.  The bytes lie behind each other in one block, since as many
objects of Python would take ten times the memory.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from power.worker.vocab import Vocab

BATCH = 64  # tokens that are looked at together; some 0.15 ms


class Pieces:
    """All tokens that say something, by their bytes; end tokens are apart, and control tokens say nothing.

    Attributes:
        is_ready: whether all that follows may be used.
        ids: the tokens in order.
        ends: the tokens that end an answer.
        alone: for each token by number, whether it says something that is UTF-8 by itself, or begins so.
        longest: bytes of the longest.
    """

    ids: NDArray[np.int32]
    ends: NDArray[np.int32]
    alone: NDArray[np.bool_]
    longest: int

    def __init__(self, vocab: Vocab) -> None:
        self.is_ready = False
        self._work = self._gather(vocab)

    def __repr__(self) -> str:
        return f"<Pieces of {len(self)} tokens>" if self.is_ready else "<Pieces, not ready>"

    def prepare(self, seconds: float) -> None:
        """Get on for some time; that may be all there is to do."""
        until = perf_counter() + seconds
        for _ in self._work:
            if perf_counter() >= until:
                break

    def finish(self) -> None:
        for _ in self._work:
            pass

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> bytes:
        """The bytes of a token, by its place in the order."""
        return self._bytes_of(self.ids[index])

    def start(self, byte: int) -> int:
        """The place of the first token whose first byte is `byte` or above; 256: the number of tokens."""
        return int(self._starts[byte])

    def find(self, data: bytes) -> int:
        """The place of the first token whose bytes are `data` or come after it."""
        return bisect_left(range(len(self)), data, key=self.__getitem__)

    def _bytes_of(self, token: int) -> bytes:
        return self._block[self._offsets[token] : self._offsets[token + 1]]

    def _gather(self, vocab: Vocab) -> Iterator[None]:
        yield from self._ask(vocab)
        yield from self._sort()
        self.is_ready = True

    def _ask(self, vocab: Vocab) -> Iterator[None]:
        """The bytes of all tokens, behind each other by number."""
        block, offsets, ends, alone = bytearray(), array("I", [0]), array("i"), bytearray()
        for token in range(vocab.n_tokens):
            if token % BATCH == 0:
                yield
            piece = b""
            if vocab.is_eog(token):
                ends.append(token)
            else:
                piece = vocab.render(token)
            block += piece
            offsets.append(len(block))
            alone.append(len(piece) > 0 and (piece.isascii() or stays_text(piece)))
        self._block = bytes(block)
        self._offsets = np.array(offsets, np.int64)
        self.ends = np.array(ends, np.int32)
        self.alone = np.frombuffer(bytes(alone), np.bool_)

    def _sort(self) -> Iterator[None]:
        """First by two bytes at once, then those few among each other that have the same two."""
        lengths = np.diff(self._offsets)
        self.longest = int(lengths.max(initial=0))
        ids = np.flatnonzero(lengths)
        padded = np.frombuffer(self._block + b"\0", np.uint8)
        firsts = padded[self._offsets[ids]].astype(np.int32)
        seconds = np.where(lengths[ids] > 1, padded[self._offsets[ids] + 1], 0)
        beginnings = 256 * firsts + seconds
        order = np.argsort(beginnings, kind="stable")
        self._starts = np.searchsorted(firsts[order], np.arange(257))
        self.ids = ids[order].astype(np.int32)
        bounds = [0, *(np.flatnonzero(np.diff(beginnings[order])) + 1).tolist(), len(order)]
        for low, high in pairwise(bounds):
            if high - low > 1:
                yield
                self.ids[low:high] = sorted(self.ids[low:high].tolist(), key=self._bytes_of)


def stays_text(data: bytes) -> bool:
    """Whether `data` is UTF-8, or the beginning of some."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True
