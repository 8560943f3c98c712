"""A tree of token sequences in which what begins alike is kept once.

A radix tree (Morrison's PATRICIA, 1968), as SGLang keeps it over a KV cache
(Zheng et al., RadixAttention, 2024): an edge carries as many tokens as it can,
and is split where a sequence leaves it.  Nodes say who has their tokens: rows
of the KV cache, and saved states.

Pure structure; `power.worker.prefix` decides what to do with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence


class Save:
    """A saved state: tokens `start` … `end` of a sequence, and all that went before if `start` is 0."""

    def __init__(self, key: int, start: int, end: int) -> None:
        self.key = key
        self.start = start
        self.end = end
        self.nodes: list[Node] = []  # that it covers, from the first to the last

    def is_trunk(self) -> bool:
        """Whether something else that is saved goes on from within or after this."""
        own = set(self.nodes)
        return any(child not in own and child.has_saves() for node in own for child in node.children.values())

    def __repr__(self) -> str:
        return f"<Save {self.key} [{self.start}:{self.end}]>"


class Node:
    """Some tokens after those of `parent`.

    Attributes:
        start: how many tokens come before.
        children: by their first tokens.
        rows: those that have these tokens, or will have when they come to them.
        save: a state with these tokens in it.
        last_used: on the clock of whoever uses the tree.
    """

    __slots__ = ("children", "last_used", "parent", "rows", "save", "start", "tokens")

    def __init__(self, tokens: list[int], parent: Node | None) -> None:
        self.tokens = tokens
        self.parent = parent
        self.start = parent.end if parent is not None else 0
        self.children: dict[int, Node] = {}
        self.rows: set[int] = set()
        self.save: Save | None = None
        self.last_used = 0

    def __repr__(self) -> str:
        return f"<Node [{self.start}:{self.end}] rows {sorted(self.rows)} {self.save or ''}>"

    @property
    def end(self) -> int:
        return self.start + len(self.tokens)

    def has_saves(self) -> bool:
        """Whether this, or something that goes on from it, is saved."""
        stack = [self]
        while stack:
            node = stack.pop()
            if node.save is not None:
                return True
            stack += node.children.values()
        return False

    def path(self) -> list[Node]:
        """The nodes from the first (below the root) to this one."""
        nodes = []
        node: Node | None = self
        while node is not None and node.parent is not None:
            nodes.append(node)
            node = node.parent
        return nodes[::-1]

    def spell(self) -> list[int]:
        """All tokens from the root to the end of this node."""
        return [token for node in self.path() for token in node.tokens]


class Tree:
    """Token sequences, and who has them.

    Attributes:
        can_cut: whether a save that covers a node is good for any part of it, or only for its very end.
    """

    def __init__(self, *, can_cut: bool) -> None:
        self.root = Node([], None)
        self.can_cut = can_cut

    def nodes(self) -> Iterator[Node]:
        """All but the root."""
        stack = list(self.root.children.values())
        while stack:
            node = stack.pop()
            yield node
            stack += node.children.values()

    def match(self, tokens: Sequence[int]) -> tuple[list[Node], int]:
        """The nodes that `tokens` begin with, of which the last may be left half-way; and how many tokens that are."""
        found, n, node = [], 0, self.root
        while n == node.end and n < len(tokens) and (child := node.children.get(tokens[n])):
            n += common_prefix(child.tokens, tokens[n : n + len(child.tokens)])
            found.append(child)
            node = child
        return found, n

    def insert(self, tokens: Sequence[int], after: Node | None = None) -> Node:
        """The node that ends with the last of `tokens`, made where there was none; `after`: they go on from there."""
        node, n = after or self.root, 0
        while n < len(tokens):
            child = node.children.get(tokens[n])
            if child is None:
                child = Node(list(tokens[n:]), node)
                node.children[tokens[n]] = child
            n_common = common_prefix(child.tokens, tokens[n : n + len(child.tokens)])
            node = child if n_common == len(child.tokens) else self.split(child, n_common)
            n += n_common
        return node

    def split(self, node: Node, n: int) -> Node:
        """Give the first `n` tokens of a node a node of their own, which is returned; `node` keeps the others."""
        assert node.parent is not None
        upper = Node(node.tokens[:n], node.parent)
        node.parent.children[upper.tokens[0]] = upper
        node.parent, node.tokens, node.start = upper, node.tokens[n:], node.start + n
        upper.children[node.tokens[0]] = node
        upper.rows, upper.last_used = set(node.rows), node.last_used
        if node.save and self.can_cut:
            upper.save = node.save
            node.save.nodes.insert(node.save.nodes.index(node), upper)
        return upper

    def find(self, leaf: Node, n: int) -> tuple[Node, int]:
        """The node on the path to `leaf` that has the token after the first `n`, and how many of it come before."""
        node = next(node for node in leaf.path() if node.end > n)
        return node, n - node.start

    def prune(self, node: Node) -> None:
        """Remove a node that nobody has and nothing hangs on, and then its parents that are no better."""
        while node.parent is not None and not (node.children or node.rows or node.save):
            if node.parent.children.get(node.tokens[0]) is not node:
                return  # it was removed before, with what hung on it
            del node.parent.children[node.tokens[0]]
            node = node.parent

    def attach(self, save: Save, nodes: list[Node]) -> None:
        """`save` covers `nodes`, a stretch of one path."""
        save.nodes = nodes
        for node in nodes:
            node.save = save

    def detach(self, save: Save) -> None:
        """`save` is gone."""
        for node in save.nodes:
            node.save = None
        for node in reversed(save.nodes):
            self.prune(node)


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
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
