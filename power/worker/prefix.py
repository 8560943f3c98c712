"""Which rows of the KV cache hold which tokens, and how a new prompt uses them.

A *row* is one of llama.cpp's sequence ids; there is one for every slot.  All
rows share one pool of cells (`kv_unified`), so the beginning of a row that runs
is taken over by `seq_cp`, which copies no data.  A row whose sequence has ended
is *idle*: a prompt that goes on from it does so in place.  But attention walks
over every cell in use, also those of idle rows (~2 ns for each cell, head and
layer on a CPU: 1000 of them cost a 0.5B model 7 % of its speed), so when another
prompt comes, idle rows are *parked*: their state is saved to main memory, from
where it is restored in milliseconds when wanted.

Recurrent and hybrid models keep a state instead of cells: it cannot be cut or
shared in the middle.  There a row can only be continued where it stands.

Pure bookkeeping: what is to be done to the memory is returned as operations, in
order, and has happened as far as this module is concerned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

# Of a finished sequence, so many tokens (or that part) may be given up for going
# on in its place; with more to lose, it is parked first.
LOSS_TOKENS = 32
LOSS_PART = 8
GAIN_TOKENS = 16  # restoring is worth it only for so many tokens more than are at hand


class Cut(NamedTuple):
    """Keep the first `n_tokens` of a row and forget the others."""

    row: int
    n_tokens: int


class Copy(NamedTuple):
    """Let `row`, which is empty, have the first `n_tokens` of `source`."""

    row: int
    source: int
    n_tokens: int


class Park(NamedTuple):
    """Save a row's state under a new key; the row keeps it as well."""

    row: int
    key: int


class Restore(NamedTuple):
    """Put a saved state into `row`, which is empty; it stays saved as well."""

    row: int
    key: int


class Drop(NamedTuple):
    """Forget a saved state."""

    key: int


Operation = Cut | Copy | Park | Restore | Drop


class Seat(NamedTuple):
    """A row for a new sequence; after `operations` it holds the prompt's first `n_cached` tokens."""

    row: int
    n_cached: int
    operations: tuple[Operation, ...]


class Row(msgspec.Struct, eq=False):
    """What is in one row's memory, or was and is parked."""

    tokens: list[int] = msgspec.field(default_factory=list)
    busy: bool = False
    last_used: int = 0  # by the table's own clock


class Rows:
    """The table of all rows, and of what is parked.

    Args:
        n_cells: tokens all rows can hold together; as many may be parked.
        can_cut: whether the memory can be cut and shared at any token.
    """

    def __init__(self, n_rows: int, n_cells: int, *, can_cut: bool) -> None:
        self.rows = [Row() for _ in range(n_rows)]
        self.parked: dict[int, Row] = {}
        self.n_cells = n_cells
        self._can_cut = can_cut
        self._clock = 0
        # Cells in use if no two rows shared any: never less than there really are,
        # so staying within the pool by this count is staying within it.
        self._n_used = 0

    def seat(self, prompt: Sequence[int]) -> Seat:
        """Give a prompt a row, with as much of it in memory as possible, but never its last token.

        Afterwards no idle row holds anything.

        Raises:
            LookupError: every row is busy.
        """
        wanted = list(prompt[:-1])  # the last one is decoded in any case: it has the first logits
        index, operations = self._choose(wanted)
        row = self.rows[index]
        row.busy = True
        row.last_used = self._tick()
        for other in self._idle():
            operations += self._clear(other)
        return Seat(index, len(row.tokens), (*operations, *self._trim()))

    def extend(self, row: int, tokens: Sequence[int]) -> None:
        """These tokens of the row were decoded."""
        self.rows[row].tokens.extend(tokens)
        self._n_used += len(tokens)

    def leave(self, row: int) -> None:
        """The sequence has ended; what it computed stays as cache."""
        self.rows[row].busy = False
        self.rows[row].last_used = self._tick()

    def forget(self, row: int) -> Cut:
        """What the row holds is not to be trusted: empty it. Busy or not, it stays so."""
        self._set(self.rows[row], [])
        return Cut(row, 0)

    def make_room(self, n_tokens: int) -> list[Cut]:
        """See to it that so many more cells are free, giving up idle rows, the longest unused first.

        If even that is not enough, all idle rows are given up.
        """
        cuts = []
        idle = sorted(self._idle(), key=lambda index: self.rows[index].last_used)
        for index in idle:
            if self._n_used + n_tokens <= self.n_cells:
                break
            cuts.append(self.forget(index))
        return cuts

    def statistics(self) -> dict[str, int]:
        busy = sum(row.busy for row in self.rows)
        parked = _count(self.parked.values())
        return {"rows": len(self.rows), "busy": busy, "cells": self.n_cells, "used": self._n_used, "parked": parked}

    def _choose(self, wanted: list[int]) -> tuple[int, list[Operation]]:
        """The row for a prompt, and how it comes to hold the prompt's beginning."""
        usable = [self._usable(row, wanted) for row in self.rows]
        # Of equally good rows an idle one, since it may be taken in place.
        best = max(range(len(self.rows)), key=lambda index: (usable[index], not self.rows[index].busy))
        saved = {key: self._usable(row, wanted) for key, row in self.parked.items()}
        key = max(saved, key=saved.__getitem__, default=-1)
        if saved.get(key, 0) >= usable[best] + GAIN_TOKENS:
            return self._restore(key, saved[key])
        if usable[best] and not self.rows[best].busy:
            return best, self._shorten(best, usable[best])
        target = self._least_wanted()
        operations = self._clear(target)
        if usable[best]:
            operations.append(Copy(target, best, usable[best]))
            self._set(self.rows[target], wanted[: usable[best]])
        return target, operations

    def _usable(self, row: Row, wanted: list[int]) -> int:
        """How many tokens of the row a prompt can begin with."""
        if self._can_cut:
            return common_prefix(row.tokens, wanted)
        return len(row.tokens) if not row.busy and _begins(wanted, row.tokens) else 0

    def _restore(self, key: int, n: int) -> tuple[int, list[Operation]]:
        target = self._least_wanted()
        saved = self.parked[key]
        saved.last_used = self._tick()
        operations: list[Operation] = [*self._clear(target), Restore(target, key)]
        self._set(self.rows[target], list(saved.tokens))
        return target, operations + self._shorten(target, n)

    def _shorten(self, index: int, n: int) -> list[Operation]:
        """Keep the first `n` tokens of an idle row, and the rest of it parked if it is worth that."""
        row = self.rows[index]
        n_lost = len(row.tokens) - n
        if not n_lost:
            return []
        parking = self._park(index) if n_lost > max(LOSS_TOKENS, len(row.tokens) // LOSS_PART) else []
        self._set(row, row.tokens[:n])
        return [*parking, Cut(index, n)]

    def _clear(self, index: int) -> list[Operation]:
        """Park what an idle row holds, and empty it."""
        if not self.rows[index].tokens:
            return []
        return [*self._park(index), self.forget(index)]

    def _park(self, index: int) -> list[Operation]:
        row = self.rows[index]
        if any(self._covers(saved, row) for saved in self.parked.values()):
            return []
        key = self._tick()
        self.parked[key] = Row(list(row.tokens), last_used=row.last_used)
        return [Park(index, key)]

    def _trim(self) -> list[Operation]:
        """Drop what is parked twice, and beyond the limit what was unused longest."""
        drops: list[Operation] = []
        for key in sorted(self.parked, key=lambda key: self.parked[key].last_used):
            saved = self.parked[key]
            twice = any(self._covers(other, saved) for other in self.parked.values() if other is not saved)
            if twice or _count(self.parked.values()) > self.n_cells:
                del self.parked[key]
                drops.append(Drop(key))
        return drops

    def _covers(self, one: Row, other: Row) -> bool:
        """Whether whatever `other` is good for, `one` is good for as well."""
        return one.tokens == other.tokens or (self._can_cut and _begins(one.tokens, other.tokens))

    def _idle(self) -> list[int]:
        return [index for index, row in enumerate(self.rows) if not row.busy]

    def _least_wanted(self) -> int:
        idle = self._idle()
        if not idle:
            raise LookupError("every row is busy")
        return min(idle, key=lambda index: (bool(self.rows[index].tokens), self.rows[index].last_used))

    def _set(self, row: Row, tokens: list[int]) -> None:
        self._n_used += len(tokens) - len(row.tokens)
        row.tokens = tokens

    def _tick(self) -> int:
        self._clock += 1
        return self._clock


def _begins(whole: list[int], beginning: list[int]) -> bool:
    return bool(beginning) and whole[: len(beginning)] == beginning


def _count(rows: Iterable[Row]) -> int:
    return sum(len(row.tokens) for row in rows)


def common_prefix(a: list[int], b: list[int]) -> int:
    """The number of tokens that two lists have in common at their beginnings."""
    # List comparison runs in C: halving is some fifty times faster than a loop on a long prompt.
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low
