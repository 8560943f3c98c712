"""Lists with commas, as an automaton whose steps are items.

Objects and arrays are both: from a state some items may come, each leading to
another state, and in some states the list may end.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from power.grammar.errors import TooLarge
from power.grammar.expressions import EMPTY, NOTHING, Expr, Ref, Text, alt, optional, seq
from power.grammar.rules import Rules
from power.grammar.spelling import SPACE

COMMA = seq(Text(","), SPACE)
MAX_STATES = 3000
MAX_INLINE = 16  # states written within each other


class State(msgspec.Struct, frozen=True, gc=False):
    """`steps` are items and the states after them.

    `also` is a state whose steps may be taken as well; `loop` is an item that
    may come any number of times, and is not one of the steps.
    """

    steps: tuple[tuple[Expr, int], ...]
    may_end: bool
    also: int | None = None
    loop: Expr = NOTHING


def write_list(rules: Rules, states: Sequence[State], hint: str, lead: Expr = EMPTY) -> Expr:
    """A list that starts in the last state.

    Steps lead to states earlier in the sequence, or to the state itself.  `lead`
    comes before each item.  The expression is an optional one where the list may
    be empty, EMPTY where it must be, and NOTHING where there is none.
    """
    if len(states) > MAX_STATES:
        raise TooLarge(f"counting items or members takes more than {MAX_STATES} states")
    writer = _ListWriter(rules, states, hint, lead)
    for number in range(len(states)):
        writer.write(number)
    return writer.whole()


class _ListWriter:
    """Writes states from the last to the first, so that what follows is known."""

    def __init__(self, rules: Rules, states: Sequence[State], hint: str, lead: Expr) -> None:
        self._rules = rules
        self._states = states
        self._hint = hint
        self._lead = lead
        self._comma = seq(COMMA, lead)
        self._steps: list[Expr] = []  # an item by a step and what comes after it, per state
        self._next: list[Expr] = []  # the same, or by the loop
        self._after: list[Expr] = []  # a comma and more, or the end, per state
        self._uses = [0] * len(states)
        for state in states:
            for _, target in state.steps:
                self._uses[target] += 1
            if state.also is not None:
                self._uses[state.also] += 1

    def write(self, number: int) -> None:
        state = self._states[number]
        n_own = 0
        for _, target in state.steps:
            n_own += target == number
        is_loop = n_own > 0 or state.loop is not NOTHING
        name = self._rules.reserve(self._hint) if is_loop else ""
        own = self._tail(Ref(name), state.may_end) if is_loop else NOTHING
        options = [seq(item, own if target == number else self._after[target]) for item, target in state.steps]
        if state.also is not None:
            options.append(self._steps[state.also])
        steps = alt(*options)
        if self._uses[number] > 1 or number % MAX_INLINE == 0:
            steps = self._rules.share(self._hint, steps)
        whole = steps
        if is_loop:
            ends = state.may_end or n_own < len(state.steps) or state.also is not None
            looped = alt(steps, seq(state.loop, own))
            whole = self._rules.define(name, looped if ends else NOTHING)
        self._steps.append(steps if state.loop is not NOTHING else whole)
        self._next.append(whole)
        tail = self._tail(whole, state.may_end)
        self._after.append(self._rules.share(self._hint, tail) if self._uses[number] > 1 else tail)

    def _tail(self, body: Expr, may_end: bool) -> Expr:
        more = NOTHING if body is NOTHING else seq(self._comma, body)
        return optional(more) if may_end else more

    def whole(self) -> Expr:
        first = NOTHING if self._next[-1] is NOTHING else seq(self._lead, self._next[-1])
        return optional(first) if self._states[-1].may_end else first
