"""llama.cpp's memory, as the tables of rows want it; and what of it is saved."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from power.worker.llama import Llama
from power.worker.prefix import Copy, Cut, Drop, Load, Operation, Store


class Memory:
    """Does what is to be done to one context's memory."""

    def __init__(self, llama: Llama) -> None:
        self._llama = llama
        self._saved: dict[int, NDArray[np.uint8]] = {}  # by their keys in the table

    def do(self, operations: Iterable[Operation]) -> bool:
        """Do them in order, all of them even if one fails: the table counts on it.

        False: at least one was not possible, for want of room or because this kind of
        memory cannot; then nothing is certain about the rows they were for.
        """
        done = [self._do(operation) for operation in operations]
        return all(done)

    def _do(self, operation: Operation) -> bool:
        match operation:
            case Cut(row, n_tokens):
                return self._llama.cut(row, n_tokens)
            case Copy(row, source, start, end):
                self._llama.copy(row, source, start, end)
            case Store(row, key, start, end):
                self._saved[key] = self._llama.store(row, start, end)
            case Load(row, key, start, end):
                return self._llama.load(row, self._saved[key], start, end)
            case Drop(key):
                del self._saved[key]
        return True
