"""Saved states, and what of a tree they hold.

What is saved stays until there is no room, and then the longest unused goes
first.  Where memory can be cut a save is a stretch of a path, good for any part of
it, and counts its tokens; elsewhere it is a whole state, good for one place, and
counts as one.

Pure bookkeeping, as `power.worker.prefix`: the states themselves are elsewhere,
under the same keys.
"""

from __future__ import annotations

from collections.abc import Sequence

from power.worker.operations import Drop, Operation
from power.worker.radix import Node, Save, Tree


class Shelf:
    """All that is saved.

    Attributes:
        saves: by key.
        max_saved: of what `n_saved` counts.
    """

    def __init__(self, tree: Tree, max_saved: int) -> None:
        self.saves: dict[int, Save] = {}
        self.max_saved = max_saved
        self._tree = tree
        self._n_keys = 0

    @property
    def n_saved(self) -> int:
        """How much is saved, in what it is limited by."""
        return sum(self._cost(save.end - save.start) for save in self.saves.values())

    def place(self, start: int, nodes: list[Node]) -> int:
        """What these nodes have, from token `start` on, will be saved under the key that is returned."""
        self._n_keys += 1
        save = Save(self._n_keys, start, nodes[-1].end)
        self.saves[save.key] = save
        self._tree.attach(save, nodes)
        return save.key

    def adopt(self, tokens: Sequence[int], start: int) -> int | None:
        """A state of `tokens[start:]` is there from an earlier time: its key from now on.

        None: it is not wanted, because there is one already, no room, or nothing that it goes on from.
        """
        can_cut = self._tree.can_cut
        leaf = self._tree.insert(list(tokens))
        nodes = self._stretch(leaf, start)
        before = [node for node in leaf.path() if node.start < nodes[0].start]
        orphan = can_cut and not all(node.save for node in before)
        while can_cut and len(nodes) > 1 and nodes[0].save:
            start = nodes.pop(0).end  # that much of it is there
        if orphan or any(node.save for node in nodes) or self.n_saved + self._cost(leaf.end - start) > self.max_saved:
            self._tree.prune(leaf)
            return None
        return self.place(start, nodes)

    def lose(self, key: int) -> None:
        """A saved state is not there any more, or not to be trusted."""
        if save := self.saves.pop(key, None):
            self._tree.detach(save)

    def trim(self) -> list[Operation]:
        """Drop saved states beyond the limit: what nothing saved goes on from, the longest unused first."""
        drops: list[Operation] = []
        while self.n_saved > self.max_saved:
            save = min(self.saves.values(), key=lambda save: (save.is_trunk(), save.nodes[-1].last_used))
            self.lose(save.key)
            drops.append(Drop(save.key))
        return drops

    def spell(self, key: int) -> list[int]:
        """All tokens up to the end of a saved state; none, if it is not saved any more."""
        save = self.saves.get(key)
        return save.nodes[-1].spell() if save else []

    def trail(self, key: int) -> list[int]:
        """The keys of what a saved state goes on from, and its own."""
        save = self.saves.get(key)
        return list(dict.fromkeys(node.save.key for node in save.nodes[-1].path() if node.save)) if save else []

    def _cost(self, n_tokens: int) -> int:
        """What `n_saved` counts for a state of so many tokens."""
        return n_tokens if self._tree.can_cut else 1

    def _stretch(self, leaf: Node, start: int) -> list[Node]:
        """The nodes a state covers that ends with `leaf`; one is made to begin at `start`."""
        if not self._tree.can_cut:
            return [leaf]
        node, n_inside = self._tree.find(leaf, start)
        if n_inside:
            self._tree.split(node, n_inside)
        return [node for node in leaf.path() if node.start >= start]
