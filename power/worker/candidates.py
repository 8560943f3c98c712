"""Tokens that may come next, in the array llama.cpp's samplers work on.

Handing all of a 152k-token vocabulary to a sampler chain costs ~0.25 ms a
token, nearly all of it for building and partly sorting an array of which top-k
then keeps forty.  So only tokens that can be among the k likeliest go in: the
k-th largest of the maxima of blocks of logits is never above the k-th largest
logit, and only blocks whose maximum reaches it need a closer look.
"""

from __future__ import annotations

import ctypes

import llama_cpp.llama_cpp as c
import numpy as np
from numpy.typing import NDArray

BLOCK = 128  # logits; measured best for k = 40 and 152k tokens (58 us), and good for any size
RECORD = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data


class Candidates:
    """One array for all sequences, filled anew for each token.

    A sampler may leave the array at another address or in another order, so
    every `set` starts over.
    """

    def __init__(self, n_vocab: int) -> None:
        self._data = np.zeros(n_vocab, RECORD)
        self._ids, self._logits = self._data["id"], self._data["logit"]
        self._all = np.arange(n_vocab, dtype=np.int32)
        self._pointer = self._data.ctypes.data_as(ctypes.POINTER(c.llama_token_data))
        self._array = c.llama_token_data_array()
        self._by_reference = ctypes.byref(self._array)

    def set(self, ids: NDArray[np.int32] | None, logits: NDArray[np.float32]) -> None:
        """Let exactly `ids` (None: all) be the candidates; `logits` is the whole row."""
        n = len(self._all) if ids is None else len(ids)
        self._ids[:n] = self._all if ids is None else ids
        self._logits[:n] = logits if ids is None else logits[ids]
        array = self._array
        array.data = self._pointer  # type: ignore[assignment]  # ctypes takes a pointer
        array.size = n
        array.selected = -1
        array.sorted = False

    def apply(self, sampler: c.llama_sampler_p) -> None:
        c.llama_sampler_apply(sampler, self._by_reference)

    @property
    def selected(self) -> int:
        """The token the last sampler chose.

        Raises:
            LookupError: it chose none.
        """
        at = self._array.selected
        if at < 0:
            raise LookupError("no token was selected")
        return int(self._array.data[at].id)

    @property
    def allowed(self) -> NDArray[np.int32]:
        """The candidates in their present order that no sampler has ruled out; only while nothing was sorted."""
        n = self._array.size
        kept: NDArray[np.int32] = self._ids[:n][self._logits[:n] > -np.inf]
        return kept


def likeliest(logits: NDArray[np.float32], k: int) -> NDArray[np.int32] | None:
    """Tokens that include the k likeliest (all that equal the k-th, too), ascending; None: all of them."""
    n_blocks = len(logits) // BLOCK
    if not 0 < k <= n_blocks // 2:
        return None
    # A block is every n_blocks-th logit: numpy takes maxima down columns ten times faster than along rows.
    n_whole = n_blocks * BLOCK
    blocks = logits[:n_whole].reshape(BLOCK, n_blocks)
    maxima = blocks.max(axis=0)
    reach = np.partition(maxima, n_blocks - k)[n_blocks - k]
    if not np.isfinite(reach):  # NaN, or -inf nearly everywhere: no threshold to speak of
        return None
    columns = np.flatnonzero(maxima >= reach)
    row, column = np.nonzero(blocks[:, columns] >= reach)
    rest = np.flatnonzero(logits[n_whole:] >= reach)
    return np.concatenate((row * n_blocks + columns[column], rest + n_whole), dtype=np.int32)
