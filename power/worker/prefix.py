"""Which rows of the KV cache hold which tokens, and how a new prompt uses them.

A *row* is one of llama.cpp's sequence ids.  There are more rows than sequences
that run at a time: a finished sequence stays in its row as cache until the row
or its cells are wanted.  All rows share one pool of cells (`kv_unified`), so a
prefix is taken over from any row, running or finished, by `seq_cp`, which
copies no data.

Recurrent and hybrid models keep a state instead of cells: it cannot be cut or
shared in the middle.  There a row can only be continued where it stands.

Pure bookkeeping: what is to be done to the memory is returned as operations, in
order, and has happened as far as this module is concerned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

# Of a finished row, so many tokens (or that part) may be given up for reusing it
# in place; with more to lose, its prefix is shared and the row stays cache.
LOSS_TOKENS = 32
LOSS_PART = 8


class Cut(NamedTuple):
    """Keep the first `n_tokens` of a row and forget the others."""

    row: int
    n_tokens: int


class Copy(NamedTuple):
    """Let `row`, which is empty, have the first `n_tokens` of `source`."""

    row: int
    source: int
    n_tokens: int


Operation = Cut | Copy


class Seat(NamedTuple):
    """A row for a new sequence; after `operations` it holds the prompt's first `n_cached` tokens."""

    row: int
    n_cached: int
    operations: tuple[Operation, ...]


class Row(msgspec.Struct, eq=False):
    """What is in one row's memory."""

    tokens: list[int] = msgspec.field(default_factory=list)
    busy: bool = False
    last_used: int = 0  # by the table's own clock


class Rows:
    """The table of all rows."""

    def __init__(self, n_rows: int, n_cells: int, *, can_cut: bool) -> None:
        self.rows = [Row() for _ in range(n_rows)]
        self.n_cells = n_cells
        self._can_cut = can_cut
        self._clock = 0
        # Cells in use if no two rows shared any: never less than there really are,
        # so staying within the pool by this count is staying within it.
        self._n_used = 0

    def seat(self, prompt: Sequence[int]) -> Seat:
        """Give a prompt a row, with as much of it in memory as possible, but never its last token.

        Raises:
            LookupError: every row is busy.
        """
        wanted = list(prompt[:-1])  # the last one is decoded in any case: it has the first logits
        seat = self._share(wanted) if self._can_cut else self._continue(wanted)
        row = self.rows[seat.row]
        self._set(row, wanted[: seat.n_cached])
        row.busy = True
        self._touch(row)
        return seat

    def extend(self, row: int, tokens: Sequence[int]) -> None:
        """These tokens of the row were decoded."""
        self.rows[row].tokens.extend(tokens)
        self._n_used += len(tokens)

    def leave(self, row: int) -> None:
        """The sequence has ended; what it computed stays as cache."""
        self.rows[row].busy = False
        self._touch(self.rows[row])

    def forget(self, row: int) -> Cut:
        """What the row holds is not to be trusted: empty it. Busy or not, it stays so."""
        self._set(self.rows[row], [])
        return Cut(row, 0)

    def make_room(self, n_tokens: int) -> list[Cut]:
        """See to it that so many more cells are free, giving up idle rows, the longest unused first.

        If even that is not enough, all idle rows are given up.
        """
        cuts = []
        while self._n_used + n_tokens > self.n_cells:
            idle = [index for index, row in enumerate(self.rows) if row.tokens and not row.busy]
            if not idle:
                break
            cuts.append(self.forget(min(idle, key=lambda index: self.rows[index].last_used)))
        return cuts

    def statistics(self) -> dict[str, int]:
        busy = sum(row.busy for row in self.rows)
        return {"rows": len(self.rows), "busy": busy, "cells": self.n_cells, "used": self._n_used}

    def _share(self, wanted: list[int]) -> Seat:
        """The longest common prefix with any row: taken in place, or copied to a row that is wanted least."""
        common = [common_prefix(row.tokens, wanted) for row in self.rows]
        # Of equally good rows an idle one, since it may be taken in place.
        source = max(range(len(self.rows)), key=lambda index: (common[index], not self.rows[index].busy))
        n = common[source]
        if n == 0:
            return self._fresh()
        others = self._idle(but=source)
        if not self.rows[source].busy and (not others or _loss_is_small(self.rows[source], n)):
            return Seat(source, n, self._cut(source, n))
        target = self._least_wanted(others)
        return Seat(target, n, (*self._cut(target, 0), Copy(target, source, n)))

    def _continue(self, wanted: list[int]) -> Seat:
        """The longest idle row that the prompt goes on from, whole; else an empty one."""
        whole = [index for index in self._idle() if _begins(wanted, self.rows[index].tokens)]
        if not whole:
            return self._fresh()
        row = max(whole, key=lambda index: len(self.rows[index].tokens))
        return Seat(row, len(self.rows[row].tokens), ())

    def _fresh(self) -> Seat:
        row = self._least_wanted(self._idle())
        return Seat(row, 0, self._cut(row, 0))

    def _idle(self, but: int | None = None) -> list[int]:
        return [index for index, row in enumerate(self.rows) if not row.busy and index != but]

    def _least_wanted(self, rows: list[int]) -> int:
        if not rows:
            raise LookupError("every row is busy")
        return min(rows, key=lambda index: (bool(self.rows[index].tokens), self.rows[index].last_used))

    def _cut(self, row: int, n_tokens: int) -> tuple[Cut, ...]:
        return (Cut(row, n_tokens),) if len(self.rows[row].tokens) > n_tokens else ()

    def _set(self, row: Row, tokens: list[int]) -> None:
        self._n_used += len(tokens) - len(row.tokens)
        row.tokens = tokens

    def _touch(self, row: Row) -> None:
        self._clock += 1
        row.last_used = self._clock


def _loss_is_small(row: Row, n_kept: int) -> bool:
    return len(row.tokens) - n_kept <= max(LOSS_TOKENS, len(row.tokens) // LOSS_PART)


def _begins(whole: list[int], beginning: list[int]) -> bool:
    return bool(beginning) and whole[: len(beginning)] == beginning


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
