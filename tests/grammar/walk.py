"""Random texts of a grammar."""

from __future__ import annotations

import random

from power.grammar import Grammar
from power.grammar.expressions import Alt, Chars, Expr, Ref, Repeat, Seq, Text

FAR = 10**9


class Walk:
    """Writes texts by random choices, and by the shortest ones when the text has become long."""

    def __init__(self, grammar: Grammar, rng: random.Random, *, long: int = 60) -> None:
        self._rules = grammar.rules
        self._rng = rng
        self._long = long
        self._lengths = dict.fromkeys(grammar.rules, FAR)
        while any(self._improve(name) for name in self._rules):
            pass
        self._out: list[str] = []

    @property
    def ends(self) -> bool:
        """Whether the grammar has any text at all."""
        return self._lengths["root"] < FAR

    def _improve(self, name: str) -> bool:
        length = self._length(self._rules[name]) + 1
        better = length < self._lengths[name]
        if better:
            self._lengths[name] = length
        return better

    def _length(self, expr: Expr) -> int:
        """A measure of how soon the expression can be over."""
        match expr:
            case Ref():
                return self._lengths[expr.name]
            case Seq():
                return min(FAR, sum(self._length(item) for item in expr.items))
            case Alt():
                return min((self._length(option) for option in expr.options), default=FAR)
            case Repeat():
                return 0 if expr.low == 0 else min(FAR, expr.low * self._length(expr.item))
        return 1

    def text(self) -> str:
        self._out = []
        todo: list[Expr] = [Ref("root")]
        while todo:
            todo += reversed(self._step(todo.pop()))
        return "".join(self._out)

    def _step(self, expr: Expr) -> list[Expr]:
        hurry = len(self._out) > self._long
        match expr:
            case Text():
                self._out.append(expr.text)
            case Chars():
                self._out.append(self._char(expr))
            case Ref():
                return [self._rules[expr.name]]
            case Seq():
                return list(expr.items)
            case Alt():
                near = min(map(self._length, expr.options))
                most = near if hurry else FAR - 1
                return [self._rng.choice([one for one in expr.options if self._length(one) <= most])]
            case Repeat():
                most = (
                    expr.low
                    if hurry or self._length(expr.item) >= FAR
                    else expr.low + 4
                    if expr.high is None
                    else expr.high
                )
                return [expr.item] * self._rng.randint(expr.low, min(most, max(expr.low, 6)))
        return []

    def _char(self, expr: Chars) -> str:
        low, high = self._rng.choice(expr.ranges)
        near = (max(low, 32), min(high, 126))
        low, high = near if near[0] <= near[1] and self._rng.random() < 0.9 else (low, high)
        return chr(self._rng.randint(low, high))
