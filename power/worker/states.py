"""Rows of a memory that keeps a state instead of cells: recurrent and hybrid models.

It cannot be cut or shared in the middle, so whole states are saved where prompts
part and where they end, and a prompt goes on from the last one that it begins
with (as Pan et al. do in Marconi, 2024).  That prompts part somewhere is known
when the second one comes; whichever row gets there next saves its state.
"""

from __future__ import annotations

from collections.abc import Sequence

from power.worker.operations import Cut, Load, Operation, Turn
from power.worker.prefix import Row, Rows
from power.worker.radix import Node

WORTH_SAVING = 16  # tokens; a state has the size of many


class StateRows(Rows):
    """The table where a row is a whole state."""

    can_cut = False

    @property
    def n_used(self) -> int:
        return sum(row.n_past for row in self.rows)

    def n_needed(self, tokens: Sequence[int]) -> int:
        return sum(max(row.n_past, row.leaf.end) + 1 for row in self.rows if row.busy) + len(tokens)

    def _take(self, nodes: list[Node], n_common: int) -> tuple[int, list[Operation]]:
        whole = [node for node in nodes if node.end <= n_common]
        saved = next((node for node in reversed(whole) if node.save), self.tree.root)
        done = next((index for node in reversed(whole) for index in node.rows if self._stands_at(index, node)), None)
        if done is not None and self.rows[done].n_past >= saved.end:
            return done, []
        target = self._least_wanted()
        operations = self._clear(target)
        if saved.save and saved.end >= WORTH_SAVING:
            operations.append(Load(target, saved.save.key, 0, saved.end))
            self.rows[target].n_past = saved.end
        return target, operations

    def _stands_at(self, index: int, node: Node) -> bool:
        row = self.rows[index]
        return not row.busy and row.leaf is node and row.n_past == node.end

    def _follow(self, index: int) -> Turn:
        row = self.rows[index]
        path = row.leaf.path()
        operations: tuple[Operation, ...] = ()
        saved = next((node for node in reversed(path) if node.save), self.tree.root)
        if saved.save and saved.end >= row.n_past + WORTH_SAVING:
            operations = (Cut(index, 0), Load(index, saved.save.key, 0, saved.end))
            row.n_past = saved.end
        node = next((node for node in path if node.end > row.n_past), None)
        waits = node and any(self._goes_ahead(other, row) for other in node.rows)
        return Turn(operations, row.n_past, 0 if waits else self._limit(row))

    def _goes_ahead(self, other: int, row: Row) -> bool:
        """Whether `other` will come to a place where its state is worth waiting for."""
        rival = self.rows[other]
        if not rival.busy or rival.last_used >= row.last_used:
            return False
        place = next((node for node in reversed(row.leaf.path()) if other in node.rows), self.tree.root)
        return rival.n_past < place.end and place.end >= row.n_past + WORTH_SAVING and self._is_fork(place)

    def _limit(self, row: Row) -> int:
        """Tokens to the next place where the state is to be saved; -1: there is none."""
        ends = (node.end for node in row.leaf.path() if node.end > row.n_past and self._is_fork(node))
        return next(ends, row.n_past - 1) - row.n_past

    def _is_fork(self, node: Node) -> bool:
        ends_here = any(self.rows[index].leaf is node for index in node.rows)
        return node.save is None and node.end >= WORTH_SAVING and (len(node.children) > 1 or ends_here)

    def _unify(self, index: int, fresh: list[Node]) -> list[Operation]:
        return []

    def _passed(self, index: int) -> list[Operation]:
        row = self.rows[index]
        here = next((node for node in row.leaf.path() if node.end == row.n_past), None)
        if here is None or not self._is_fork(here):
            return []
        return [self._store(index, 0, [here]), *self.shelf.trim()]

    def kept(self, tokens: list[int]) -> tuple[list[int], int]:
        nodes, n_common = self.tree.match(tokens)
        last = next((node for node in reversed(nodes) if node.save and node.end <= n_common), self.tree.root)
        return ([last.save.key], last.end) if last.save else ([], 0)

    def _keep(self, nodes: list[Node]) -> list[Operation]:
        for node in reversed(nodes):
            if node.save:
                return []
            held = next((index for index in node.rows if self.rows[index].n_past == node.end), None)
            if held is not None:
                return [self._store(held, 0, [node])]
        return []

    def _rescue(self, index: int) -> list[Operation]:
        leaf = self.rows[index].leaf
        return [] if leaf.save or leaf.end < WORTH_SAVING else [self._store(index, 0, [leaf])]
