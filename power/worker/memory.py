"""llama.cpp's memory, as the table of rows wants it; and what of it is saved, in main memory and on disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from power.worker.disk import Disk, Header
from power.worker.llama import Llama
from power.worker.operations import Copy, Cut, Drop, Load, Operation, Store
from power.worker.prefix import Rows


class Memory:
    """Does what is to be done to one context's memory.

    Attributes:
        is_lasting: whether what is saved outlives this process.
    """

    def __init__(self, llama: Llama, rows: Rows, disk: Disk | None = None) -> None:
        self.is_lasting = disk is not None
        self._llama = llama
        self._shelf = rows.shelf
        self._disk = disk
        self._saved: dict[int, NDArray[np.uint8]] = {}  # by their keys in the table
        self._files: dict[int, Path] = {}
        self._broken: set[int] = set()
        for path, header in disk.scan() if disk else ():
            if (key := rows.shelf.adopt(header.tokens, header.start)) is not None:
                self._files[key] = path

    def do(self, operations: Iterable[Operation]) -> bool:
        """Do them in order, all of them even if one fails: the table counts on it.

        False: at least one was not possible, for want of room or because this kind of
        memory cannot; then nothing is certain about the rows they were for.
        """
        done = [self._do(operation) for operation in operations]
        for key in self._broken:
            self._shelf.lose(key)
        self._broken.clear()
        return all(done)

    def _do(self, operation: Operation) -> bool:
        match operation:
            case Cut(row, n_tokens):
                return self._llama.cut(row, n_tokens)
            case Copy(row, source, start, end):
                self._llama.copy(row, source, start, end)
            case Store(row, key, start, end):
                self._saved[key] = self._llama.store(row, start, end)
                self._write(key, start)
            case Load(row, key, start, end):
                state = self.find(key)
                return state is not None and self._llama.load(row, state, start, end)
            case Drop(key):
                self._saved.pop(key, None)
                self._files.pop(key, None)  # it stays on disk as long as there is room
        return True

    def adopt(self, tokens: Sequence[int], start: int, state: NDArray[np.uint8]) -> None:
        """A state of `tokens[start:]` has come from elsewhere, and is kept if it is wanted."""
        if (key := self._shelf.adopt(tokens, start)) is not None:
            self._saved[key] = state

    def erase(self, operations: Iterable[Operation]) -> None:
        """Do them, and leave nothing on disk of what is dropped."""
        for operation in operations:
            if isinstance(operation, Drop) and (path := self._files.get(operation.key)):
                path.unlink(missing_ok=True)
            self.do([operation])

    def find(self, key: int) -> NDArray[np.uint8] | None:
        """What is saved under a key; None if it is not there any more."""
        state = self._saved.get(key)
        if state is None and self._disk and key in self._files:
            state = self._disk.read(self._files[key])
        if state is None:
            self._broken.add(key)
        elif self._disk:
            self._disk.touch([self._files[before] for before in self._shelf.trail(key) if before in self._files])
        return state

    def _write(self, key: int, start: int) -> None:
        tokens = self._shelf.spell(key)
        if self._disk is None or not tokens:
            return
        state = self._saved[key]
        if path := self._disk.write(Header(tuple(tokens), start, len(state)), state):
            self._files[key] = path
            self._disk.touch([self._files[before] for before in self._shelf.trail(key) if before in self._files])
