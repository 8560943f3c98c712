"""Which rows of the KV cache hold which tokens, and how a new prompt uses them.

A *row* is one of llama.cpp's sequence ids; there is one for every slot.  The
radix tree tells who has what: rows that run, rows whose sequence has ended
(*idle*), and states saved to main memory.

A prompt takes over the longest beginning that anybody has.  If another row is
about to compute more of it, the prompt *follows*: it waits and takes over what
has been computed, so that what prompts have in common is computed once, even
when they come together.  Who computes is decided anew before each step, so a
follower goes on by itself when the one ahead is cancelled.

Attention walks over every cell in use, also those of idle rows (~2 ns for each
cell, head and layer on a CPU: 1000 of them cost a 0.5B model 7 % of its speed),
so when a prompt comes, what only idle rows hold is saved, from where it is
loaded in milliseconds when wanted.

How much of a row can be shared depends on the kind of memory:
`power.worker.cells` for attention, `power.worker.states` for the others.

Pure bookkeeping: what is to be done to the memory is returned as operations, in
order, and has happened as far as this package is concerned.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from power.worker.operations import Cut, Drop, Operation, Seat, Store, Turn
from power.worker.radix import Node, Tree
from power.worker.shelf import Shelf


class Row:
    """What one row holds: the first `n_past` tokens of the path to `leaf` and of `tail`."""

    def __init__(self, leaf: Node) -> None:
        self.leaf = leaf
        self.tail: list[int] = []  # decoded since the tree was told
        self.n_past = 0
        self.busy = False
        self.secret = False  # what comes after `leaf` is for nobody else
        self.last_used = 0  # by the table's own clock; of a busy row, when it was seated


class Rows(ABC):
    """The table of all rows, and of what is saved.

    Args:
        n_cells: tokens all rows can hold together.
        max_saved: of what the shelf counts.
    """

    def __init__(self, n_rows: int, n_cells: int, max_saved: int) -> None:
        self.tree = Tree(can_cut=self.can_cut)
        self.rows = [Row(self.tree.root) for _ in range(n_rows)]
        self.shelf = Shelf(self.tree, max_saved)
        self.n_cells = n_cells
        self._clock = 0

    # -- a sequence's life --

    def seat(self, tokens: Sequence[int], *, secret: bool = False) -> Seat:
        """Give a sequence a row, with as many of its tokens in memory as possible, but never the last.

        Afterwards no idle row holds anything.  `secret`: nothing is taken over,
        and nothing given.

        Raises:
            LookupError: every row is busy.
        """
        operations = [operation for index in range(len(self.rows)) for operation in self._grow(index)]
        wanted = [] if secret else list(tokens[:-1])  # the last one has the first logits, and is decoded in any case
        index, more = self._take(*self.tree.match(wanted))
        operations += more
        for other in self._idle():
            if other != index:
                operations += self._clear(other)
        row = self.rows[index]
        row.busy, row.secret, row.last_used = True, secret, self._tick()
        self._enter(index, self.tree.insert(wanted))
        return Seat(index, row.n_past, (*operations, *self.shelf.trim()))

    def turn(self, index: int) -> Turn:
        """What the row may do in the next step, as things stand."""
        row = self.rows[index]
        return Turn((), row.n_past, -1) if row.n_past >= row.leaf.end else self._follow(index)

    def extend(self, index: int, tokens: Sequence[int]) -> list[Operation]:
        """These tokens of the row were decoded. The operations are for what is to be saved now."""
        row = self.rows[index]
        n_new = row.n_past + len(tokens) - max(row.leaf.end, row.n_past)
        if n_new > 0:
            row.tail += tokens[-n_new:]
        row.n_past += len(tokens)
        return self._passed(index)

    def leave(self, index: int) -> list[Operation]:
        """The sequence has ended; what it computed stays as cache."""
        row = self.rows[index]
        operations = self._grow(index)
        row.busy = False
        row.last_used = self._tick()
        if row.secret:
            return [*operations, self.forget(index)]
        self._enter(index, self.tree.insert(row.leaf.spell()[: row.n_past]))
        return operations

    def forget(self, index: int) -> Cut:
        """What the row holds is not to be trusted: empty it. Busy or not, it stays so."""
        row = self.rows[index]
        row.tail, row.n_past = [], 0
        self._enter(index, self.tree.root)
        return Cut(index, 0)

    def park(self, index: int) -> list[Operation]:
        """The sequence pauses: save what it has computed, and free its row."""
        return [*self.leave(index), *self._clear(index), *self.shelf.trim()]

    def shift(self, index: int, n_keep: int, n_discard: int) -> bool:
        """After its first `n_keep` tokens, so many of the row go, and those behind move up.

        What comes after is no beginning of any prompt any more, and nobody else's affair.
        False: it cannot be changed, for what others have of it or for its kind; nothing has changed.
        """
        return False

    def make_room(self, n_tokens: int) -> list[Operation]:
        """See to it that so many more cells are free, saving idle rows, the longest unused first.

        If even that is not enough, all idle rows are given up.
        """
        operations = []
        for index in sorted(self._idle(), key=lambda index: self.rows[index].last_used):
            if self.n_free >= n_tokens:
                break
            operations += self._clear(index)
        return [*operations, *self.shelf.trim()]

    # -- what outlives the rows --

    def keep(self, tokens: list[int]) -> list[Operation]:
        """Save what is held of a sequence and not saved; rows keep what they have."""
        operations = [operation for index in range(len(self.rows)) for operation in self._grow(index)]
        return [*operations, *self._keep(self._nodes_of(tokens))]

    @abstractmethod
    def kept(self, tokens: list[int]) -> tuple[list[int], int]:
        """The keys of what is saved of a sequence, in order, and how many of its tokens that are."""

    def erase(self, tokens: list[int]) -> tuple[list[Operation], int]:
        """Forget what no other sequence has a part in; and how many tokens those were."""
        operations = [operation for index in range(len(self.rows)) for operation in self._grow(index)]
        n_erased = 0
        for node in reversed(self._nodes_of(tokens)):
            if node.children or any(self.rows[index].busy for index in node.rows):
                break
            n_erased += len(node.tokens)
            if node.save:
                operations.append(Drop(node.save.key))
                self.shelf.lose(node.save.key)
            operations += [self._retreat(index, node) for index in list(node.rows)]
        return operations, n_erased

    def statistics(self) -> dict[str, int]:
        busy = sum(row.busy for row in self.rows)
        return {
            "rows": len(self.rows),
            "busy": busy,
            "cells": self.n_cells,
            "used": self.n_used,
            "saved": self.shelf.n_saved,
        }

    @property
    def n_free(self) -> int:
        return self.n_cells - self.n_used

    # -- what depends on the kind of memory --

    can_cut: bool

    @property
    @abstractmethod
    def n_used(self) -> int:
        """Cells in use, shared ones counted once."""

    @abstractmethod
    def n_needed(self, tokens: Sequence[int]) -> int:
        """Cells in use once all that busy rows know, and these tokens, were computed, and nothing else was kept."""

    @abstractmethod
    def _take(self, nodes: list[Node], n_common: int) -> tuple[int, list[Operation]]:
        """A row that is not busy, and how it comes to hold what can be had of the path's first `n_common` tokens."""

    @abstractmethod
    def _follow(self, index: int) -> Turn:
        """The turn of a row whose prompt is not computed yet."""

    @abstractmethod
    def _unify(self, index: int, fresh: list[Node]) -> list[Operation]:
        """The row has come to these nodes; others may have computed the same by chance."""

    @abstractmethod
    def _passed(self, index: int) -> list[Operation]:
        """The row has come to where it is now."""

    @abstractmethod
    def _keep(self, nodes: list[Node]) -> list[Operation]:
        """Save what is held of a path and not saved."""

    @abstractmethod
    def _rescue(self, index: int) -> list[Operation]:
        """Save what only this idle row has."""

    # -- how rows enter and leave the tree --

    def _enter(self, index: int, leaf: Node) -> None:
        """From now on the row's tokens are those of the path to `leaf`."""
        row = self.rows[index]
        old, row.leaf = row.leaf, leaf
        for node in old.path():
            node.rows.discard(index)
        now = self._tick()
        for node in leaf.path():
            node.rows.add(index)
            node.last_used = now
        self.tree.prune(old)

    def _nodes_of(self, tokens: list[int]) -> list[Node]:
        """The nodes that hold a sequence's tokens and no others, as far as there are any."""
        nodes, n_common = self.tree.match(tokens)
        if nodes and nodes[-1].end > n_common:
            last = nodes.pop()
            nodes += [self.tree.split(last, n_common - last.start)] if self.can_cut else []
        return nodes

    def _retreat(self, index: int, leaf: Node) -> Cut:
        """Let an idle row be without its last node."""
        if not self.can_cut or leaf.parent is None:
            return self.forget(index)
        self.rows[index].n_past = min(self.rows[index].n_past, leaf.start)
        self._enter(index, leaf.parent)
        return Cut(index, leaf.start)

    def _grow(self, index: int) -> list[Operation]:
        """Tell the tree what the row has decoded since."""
        row = self.rows[index]
        if not row.tail or row.secret:
            return []
        leaf, tail = row.leaf, row.tail
        row.tail = []
        if leaf.parent and not leaf.children and not leaf.save and leaf.rows == {index}:
            leaf.tokens += tail
            return []
        end = self.tree.insert(tail, leaf)
        operations = self._unify(index, end.path()[len(leaf.path()) :])
        self._enter(index, end)
        return operations

    def _clear(self, index: int) -> list[Operation]:
        """Save what only this idle row has, and empty it."""
        return [*self._rescue(index), self.forget(index)] if self.rows[index].n_past else []

    def _store(self, index: int, start: int, nodes: list[Node]) -> Store:
        key = self.shelf.place(start, nodes)
        return Store(index, key, start, nodes[-1].end)

    def _idle(self) -> list[int]:
        return [index for index, row in enumerate(self.rows) if not row.busy]

    def _least_wanted(self) -> int:
        idle = self._idle()
        if not idle:
            raise LookupError("every row is busy")
        return min(idle, key=lambda index: (self.rows[index].n_past > 0, self.rows[index].last_used))

    def _tick(self) -> int:
        self._clock += 1
        return self._clock
