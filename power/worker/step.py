"""What one llama_decode takes: tokens, their places, their rows, and whose logits are wanted."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import llama_cpp.llama_cpp as c
import numpy as np


class Batch:
    """A llama_batch filled again and again in place."""

    def __init__(self, n_max: int) -> None:
        self._token = (ctypes.c_int32 * n_max)()
        self._pos = (ctypes.c_int32 * n_max)()
        self._n_seq_id = (ctypes.c_int32 * n_max)(*[1] * n_max)
        self._seq_id = (ctypes.c_int32 * n_max)()
        each = ctypes.POINTER(ctypes.c_int32) * n_max
        size = ctypes.sizeof(ctypes.c_int32)
        base = ctypes.addressof(self._seq_id)
        pointers = [ctypes.cast(base + size * i, ctypes.POINTER(ctypes.c_int32)) for i in range(n_max)]
        self._seq_ids = each(*pointers)
        self._logits = (ctypes.c_int8 * n_max)()
        self._batch = c.llama_batch(0, self._token, None, self._pos, self._n_seq_id, self._seq_ids, self._logits)
        self._tokens = np.ctypeslib.as_array(self._token)
        self._positions = np.ctypeslib.as_array(self._pos)
        self._rows = np.ctypeslib.as_array(self._seq_id)
        self._wanted = np.ctypeslib.as_array(self._logits)
        self.n_tokens = 0
        self.n_logits = 0

    def add(self, row: int, position: int, tokens: Sequence[int], n_logits: int) -> int:
        start, end = self.n_tokens, self.n_tokens + len(tokens)
        self.n_tokens = end
        self.n_logits += n_logits
        if len(tokens) == 1:  # a sequence that decodes: plain stores beat numpy's slices eight times
            self._token[start], self._pos[start], self._seq_id[start] = tokens[0], position, row
            self._logits[start] = n_logits
            return start
        self._tokens[start:end] = tokens
        self._positions[start:end] = np.arange(position, position + len(tokens))
        self._rows[start:end] = row
        self._wanted[start:end] = 0
        self._wanted[end - n_logits : end] = 1
        return end - 1

    def take(self) -> c.llama_batch:
        """What was added, for one llama_decode; the next `add` begins a new one."""
        self._batch.n_tokens = self.n_tokens
        self.n_tokens = self.n_logits = 0
        return self._batch
