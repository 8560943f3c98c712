"""A grammar's rules as nodes that read a character, fork, or call a rule (Thompson, 1968, with calls).

A rule is compiled when it is called for the first time: of a large grammar, a
text mostly sees little.
"""

from __future__ import annotations

from collections.abc import Mapping

from power.grammar.charset import Ranges
from power.grammar.errors import TooLarge
from power.grammar.expressions import Alt, Chars, Expr, Ref, Repeat, Seq, Text

MAX_NODES = 2_000_000
RETURN = 0  # the node at the end of every rule


class Network:
    """The nodes of rules. Checked rules are assumed: no left recursion, no undefined names.

    Attributes:
        chars: what a reading node reads; None for all others.
        targets: where a node goes then; where a fork goes at once.
        calls: the rule that a calling node calls before it goes to its target.
    """

    def __init__(self, rules: Mapping[str, Expr], max_nodes: int = MAX_NODES) -> None:
        self.chars: list[Ranges | None] = [None]
        self.targets: list[tuple[int, ...]] = [()]
        self.calls: list[str | None] = [None]
        self._rules = rules
        self._starts: dict[str, int] = {}
        self._max_nodes = max_nodes

    def start(self, name: str) -> int:
        """The node at which the rule starts.

        Raises:
            TooLarge: there would be too many nodes.
        """
        found = self._starts.get(name)
        if found is None:
            found = self._starts[name] = self._compile(self._rules[name], RETURN)
        return found

    def _node(self, chars: Ranges | None, targets: tuple[int, ...], call: str | None = None) -> int:
        self.chars.append(chars)
        self.targets.append(targets)
        self.calls.append(call)
        if len(self.chars) > self._max_nodes:
            raise TooLarge("the grammar has too many elements to follow")
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
