"""Rows of a memory that can be cut and shared at any token: attention.

All rows share one pool of cells (`kv_unified`).  Rows that begin alike share the
cells of what they have in common: `seq_cp` marks cells and copies no data, in
some 36 us.  So of rows that pass through the same node of the tree, each has
the same cells as far as it has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from power.worker.operations import Copy, Cut, Load, Operation, Turn
from power.worker.prefix import Row, Rows
from power.worker.radix import Node

# Tokens. Saving and loading take some 100 us, computing a token some milliseconds.
WORTH_SAVING = 4


class CellRows(Rows):
    """The table where a row can be cut."""

    can_cut = True

    @property
    def n_used(self) -> int:
        nodes = {node for row in self.rows for node in row.leaf.path()}
        held = (max(self.rows[index].n_past for index in node.rows) - node.start for node in nodes)
        n_in_tree = sum(min(max(0, n), len(node.tokens)) for node, n in zip(nodes, held, strict=True))
        return n_in_tree + sum(len(row.tail) for row in self.rows)

    def n_needed(self, tokens: Sequence[int]) -> int:
        busy = [row for row in self.rows if row.busy]
        nodes = {node for row in busy for node in row.leaf.path()}
        known = sum(len(node.tokens) for node in nodes) + sum(len(row.tail) + 1 for row in busy)
        matched, n_common = self.tree.match(tokens[:-1])
        shared = max((min(node.end, n_common) for node in matched if node in nodes), default=0)
        return known + len(tokens) - shared

    def shift(self, index: int, n_keep: int, n_discard: int) -> bool:
        row = self.rows[index]
        shared = any(node.end > n_keep and len(node.rows) > 1 for node in row.leaf.path())
        if shared or row.n_past < max(n_keep + n_discard, row.leaf.end):
            return False
        beginning = row.leaf.spell()[:n_keep]
        row.tail = [*row.leaf.spell()[n_keep + n_discard :], *row.tail][: row.n_past - n_keep - n_discard]
        row.n_past -= n_discard
        row.secret = True
        self._enter(index, self.tree.insert(beginning))
        return True

    # -- taking a row --

    def _take(self, nodes: list[Node], n_common: int) -> tuple[int, list[Operation]]:
        source, n_held = self._find_row(nodes, n_common)
        loads, n_loaded = self._find_saved(nodes, n_common, n_held)
        operations: list[Operation] = []
        if n_held and not self.rows[source].busy:
            operations += self._shorten(source, n_held)
            target = source
        else:
            target = self._least_wanted()
            operations += self._clear(target)
            operations += [Copy(target, source, 0, n_held)] if n_held else []
        operations += [Load(target, key, start, end) for key, (start, end) in loads.items()]
        self.rows[target].n_past = n_loaded
        return target, operations

    def _find_row(self, nodes: list[Node], n_common: int) -> tuple[int, int]:
        """The row with the most of the path, an idle one before others, and how much that is."""
        best = (0, False, -1)
        for node in nodes:
            for index in node.rows:
                row = self.rows[index]
                best = max(best, (min(row.n_past, node.end, n_common), not row.busy, index))
        return best[2], best[0]

    def _find_saved(self, nodes: list[Node], n_common: int, n_held: int) -> tuple[dict[int, tuple[int, int]], int]:
        """What to load beyond the first `n_held` tokens: key -> (start, end); and how many there are then."""
        loads: dict[int, tuple[int, int]] = {}
        n = n_held
        for node in nodes:
            if node.end > n >= node.start and node.save:
                start, _ = loads.get(node.save.key, (n, n))
                n = min(node.end, n_common)
                loads[node.save.key] = (start, n)
        return (loads, n) if n >= n_held + WORTH_SAVING else ({}, n_held)

    def _shorten(self, index: int, n: int) -> list[Operation]:
        """Keep the first `n` tokens of an idle row, and save the others."""
        row = self.rows[index]
        if row.n_past == n:
            return []
        node, n_inside = self.tree.find(row.leaf, n)
        if n_inside:
            self.tree.split(node, n_inside)
        operations = self._rescue(index, n)
        row.n_past = n
        return [*operations, Cut(index, n)]

    # -- following --

    def _follow(self, index: int) -> Turn:
        row = self.rows[index]
        operations: list[Operation] = []
        beyond = [node for node in row.leaf.path() if node.end > row.n_past]
        while beyond and (source := self._ahead(row, beyond[0])) is not None:
            n = self._common(source, beyond)
            operations.append(Copy(index, source, row.n_past, n))
            row.n_past = n
            beyond = [node for node in beyond if node.end > n]
        waits = beyond and any(self._computes_first(self.rows[other], row) for other in beyond[0].rows)
        return Turn(tuple(operations), row.n_past, 0 if waits else -1)

    def _ahead(self, row: Row, node: Node) -> int | None:
        """A row that has more of the node."""
        other = max(node.rows, key=lambda other: self.rows[other].n_past)
        return other if self.rows[other].n_past > row.n_past else None

    def _common(self, source: int, beyond: list[Node]) -> int:
        """How many tokens of the path `source` has; it passes through the first of `beyond`."""
        n = 0
        for node in beyond:
            if source not in node.rows:
                break
            n = min(node.end, self.rows[source].n_past)
        return n

    def _computes_first(self, other: Row, row: Row) -> bool:
        """Whether it is `other` that computes what both want next."""
        return other.busy and other.n_past == row.n_past and other.last_used < row.last_used

    # -- the tree --

    def _unify(self, index: int, fresh: list[Node]) -> list[Operation]:
        copies: list[Operation] = []
        for node in fresh:
            if node.rows:
                other = max(node.rows, key=lambda other: self.rows[other].n_past)
                end = min(node.end, self.rows[other].n_past)
                copies += [Copy(index, other, node.start, end)] if end > node.start else []
        return copies

    def _passed(self, index: int) -> list[Operation]:
        return []

    def kept(self, tokens: list[int]) -> tuple[list[int], int]:
        keys: dict[int, None] = {}
        nodes, n_common = self.tree.match(tokens)
        for node in nodes:
            if node.save is None:
                return list(keys), node.start
            keys[node.save.key] = None
        return list(keys), n_common

    def _keep(self, nodes: list[Node]) -> list[Operation]:
        operations: list[Operation] = []
        for node in nodes:
            held = max(node.rows, key=lambda index: self.rows[index].n_past, default=None)
            if node.save is None and held is not None and self.rows[held].n_past >= node.end:
                operations.append(self._store(held, node.start, [node]))
        return operations

    def _rescue(self, index: int, n: int = 0) -> list[Operation]:
        """Save what only this idle row has after its first `n` tokens, where a node begins."""
        path = self.rows[index].leaf.path()
        lost = [node for node in path if node.start >= n and not node.save and node.rows == {index}]
        # A short piece is worth saving if something saved goes on from it.
        return [
            self._store(index, nodes[0].start, nodes)
            for nodes in _stretches(lost)
            if nodes[-1].end - nodes[0].start >= WORTH_SAVING or nodes[-1].children
        ]


def _stretches(nodes: Iterable[Node]) -> list[list[Node]]:
    """Nodes of one path, in groups that go on from each other."""
    groups: list[list[Node]] = []
    for node in nodes:
        if groups and groups[-1][-1].end == node.start:
            groups[-1].append(node)
        else:
            groups.append([node])
    return groups
