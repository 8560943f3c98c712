"""Does a text follow a grammar, and if not, where does it stop?

The grammar becomes a network of nodes that read a character, fork, or call a
rule; a place is a node and a stack of nodes to return to.  All places are
followed at once, and equal stacks are one object, so that places can be told
apart by identity (Thompson, 1968, with a stack).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from power.grammar import charset
from power.grammar.charset import Ranges
from power.grammar.expressions import Alt, Chars, Expr, Ref, Repeat, Seq, Text
from power.grammar.parsing import Grammar
from power.grammar.printing import print_chars

MAX_PLACES = 20_000  # at the same time; only a very ambiguous grammar gets there
MAX_NODES = 2_000_000
_RETURN = 0  # the node at the end of every rule


class Mismatch(msgspec.Struct, frozen=True):
    """Where a text left the grammar: the index of the first character that did not fit, and what would have."""

    at: int
    expected: tuple[str, ...]
    is_end_expected: bool


class Stack:
    """A node to return to, and what is below it; equal stacks are the same object."""

    __slots__ = ("_above", "below", "node")

    def __init__(self, node: int, below: Stack | None) -> None:
        self.node = node
        self.below = below
        self._above: dict[int, Stack] = {}

    def push(self, node: int) -> Stack:
        above = self._above.get(node)
        if above is None:
            above = self._above[node] = Stack(node, self)
        return above


class Network:
    """The nodes of a grammar's rules. A checked grammar is assumed: no left recursion, no undefined names."""

    def __init__(self, grammar: Grammar) -> None:
        self.chars: list[Ranges | None] = [None]  # what a reading node reads
        self.targets: list[tuple[int, ...]] = [()]  # where it goes then; where a fork goes at once
        self.calls: list[str | None] = [None]  # the rule that a calling node calls, before its target
        self.starts = {name: self._compile(body, _RETURN) for name, body in grammar.rules.items()}

    def _node(self, chars: Ranges | None, targets: tuple[int, ...], call: str | None = None) -> int:
        self.chars.append(chars)
        self.targets.append(targets)
        self.calls.append(call)
        if len(self.chars) > MAX_NODES:
            raise MemoryError("the grammar has too many elements")
        return len(self.chars) - 1

    def _compile(self, expr: Expr, after: int) -> int:
        """The node at which `expr` starts, if `after` comes after it."""
        match expr:
            case Text():
                for char in reversed(expr.text):
                    after = self._node(((ord(char), ord(char)),), (after,))
                return after
            case Chars():
                return self._node(expr.ranges, (after,))
            case Ref():
                return self._node(None, (after,), expr.name)
            case Seq():
                for item in reversed(expr.items):
                    after = self._compile(item, after)
                return after
            case Alt():
                return self._node(None, tuple(self._compile(option, after) for option in expr.options))
            case Repeat():
                return self._compile_repeat(expr, after)
        raise AssertionError(expr)

    def _compile_repeat(self, expr: Repeat, after: int) -> int:
        end = after
        if expr.high is None:
            loop = self._node(None, ())
            self.targets[loop] = (self._compile(expr.item, loop), end)
            after = loop
        else:
            for _ in range(expr.high - expr.low):
                after = self._node(None, (self._compile(expr.item, after), end))
        for _ in range(expr.low):
            after = self._compile(expr.item, after)
        return after


class Acceptor:
    """Follows a text character by character; `feed` says whether the text so far is a beginning of the grammar's."""

    def __init__(self, grammar: Grammar) -> None:
        self._network = Network(grammar)
        bottom = Stack(_RETURN, None)
        self._bottom = bottom
        self._places = self._closure([(self._network.starts["root"], bottom)])

    def __repr__(self) -> str:
        return f"<Acceptor in {len(self._places)} places>"

    def feed(self, char: str) -> bool:
        """Take one character; False if no text of the grammar goes on like this, and then nothing has changed."""
        point, network = ord(char), self._network
        moved = [
            (network.targets[node][0], stack)
            for node, stack in self._places
            if (ranges := network.chars[node]) is not None and charset.contains(ranges, point)
        ]
        if not moved:
            return False
        self._places = self._closure(moved)
        return True

    @property
    def may_end(self) -> bool:
        """Whether the text so far is a whole text of the grammar."""
        return any(node == _RETURN for node, _ in self._places)

    def expected(self) -> tuple[str, ...]:
        """The character classes that may come next, as GBNF writes them."""
        chars = {ranges for node, _ in self._places if (ranges := self._network.chars[node]) is not None}
        return tuple(print_chars(ranges) for ranges in sorted(chars))

    def _closure(self, todo: list[tuple[int, Stack]]) -> list[tuple[int, Stack]]:
        """The places that read a character, and the end if it may be here."""
        network, seen, out = self._network, set(todo), []
        while todo:
            place = node, stack = todo.pop()
            if network.chars[node] is not None:
                out.append(place)
            elif node == _RETURN:
                if stack.below is None:
                    out.append(place)
                else:
                    _add(todo, seen, [(stack.node, stack.below)])
            elif (name := network.calls[node]) is not None:
                after = network.targets[node][0]
                inner = stack if after == _RETURN else stack.push(after)
                _add(todo, seen, [(network.starts[name], inner)])
            else:
                _add(todo, seen, ((target, stack) for target in network.targets[node]))
            if len(seen) > MAX_PLACES:
                raise MemoryError("the grammar is too ambiguous to follow")
        return out


def _add(todo: list[tuple[int, Stack]], seen: set[tuple[int, Stack]], places: Iterable[tuple[int, Stack]]) -> None:
    for place in places:
        if place not in seen:
            seen.add(place)
            todo.append(place)


def mismatch(grammar: Grammar, text: str) -> Mismatch | None:
    """Where `text` leaves the grammar; None if it is one of its texts."""
    acceptor = Acceptor(grammar)
    for index, char in enumerate(text):
        if not acceptor.feed(char):
            return Mismatch(index, acceptor.expected(), acceptor.may_end)
    return None if acceptor.may_end else Mismatch(len(text), acceptor.expected(), False)
