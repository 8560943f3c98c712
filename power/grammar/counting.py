"""How many members an object has, where the schema sets a bound to that.

A state is a position among the declared members and a number of members so far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from power.grammar import charset
from power.grammar import languages as la
from power.grammar.errors import TooLarge
from power.grammar.expressions import NOTHING, Expr
from power.grammar.sequences import State
from power.grammar.shapes import Members

# Additional members that must be there need different names; these many are told apart.
MAX_TOLD_APART = 4
MAX_COUNTED = 1000  # places times members

_LETTERS = [charset.of(chr(point) + chr(point).upper()) for point in range(97, 123)]
_DIGITS = charset.of("0123456789")
_OTHERS = charset.complement(charset.normal(one for ranges in [*_LETTERS, _DIGITS] for one in ranges))
# How names may begin, so that names of two kinds are never equal.
_BEGINNINGS = [la.words([""])] + [la.cat(la.chars(ranges), la.ALL) for ranges in [*_LETTERS, _DIGITS, _OTHERS]]


class Member(msgspec.Struct, frozen=True, gc=False):
    """One declared member: its text after the opening quote of the name."""

    text: Expr
    required: bool


def counted_members(
    members: Members, declared: Sequence[Member], extra: Expr, extra_named: Callable[[la.Lang], Expr]
) -> list[State]:
    """The states of `members.low` to `members.high` members in declared order, from the last to the first.

    `extra` is any one additional member, `extra_named` one whose name is of the language.
    """
    most = MAX_COUNTED // (len(declared) + 1)
    if members.low > most:
        raise TooLarge(f"counting {members.low} members in any of {len(declared)} takes too many states")
    # A maximum that is too large to count to is lowered.
    high = None if members.high is None else min(members.high, most)
    top = members.low if high is None else high
    if extra is NOTHING:
        top = min(top, len(declared))
    if members.low > top:
        return [State((), False)]
    return _Counter(members.low, high, top, declared, extra, extra_named).states


class _Counter:
    def __init__(
        self,
        low: int,
        high: int | None,
        top: int,
        declared: Sequence[Member],
        extra: Expr,
        extra_named: Callable[[la.Lang], Expr],
    ) -> None:
        self.states: list[State] = []
        self._low = low
        self._high = high
        self._top = top  # what is counted to
        self._declared = declared
        self._extra = extra
        self._extra_named = extra_named
        self._numbers: dict[tuple[int, int], int] = {}
        for count in range(top, -1, -1):
            self._numbers[len(declared), count] = self._count_extras(count)
        for position in range(len(declared) - 1, -1, -1):
            for count in range(min(top, position if extra is NOTHING else top), -1, -1):
                self._count_declared(position, count)

    def _count_declared(self, position: int, count: int) -> None:
        member = self._declared[position]
        steps: list[tuple[Expr, int]] = []
        if self._high is None or count < self._top:
            steps.append((member.text, self._numbers[position + 1, min(count + 1, self._top)]))
        also = None if member.required else self._numbers[position + 1, count]
        self._numbers[position, count] = len(self.states)
        may_end = count >= self._low and not any(one.required for one in self._declared[position:])
        self.states.append(State(tuple(steps), may_end, also))

    def _count_extras(self, count: int) -> int:
        """The state in which only additional members may come, and `count` members have come."""
        end, n_missing = len(self._declared), self._low - count
        if self._extra is NOTHING or (self._high is not None and count == self._top):
            self.states.append(State((), n_missing <= 0))
        elif n_missing <= 1:
            # Itself, where nothing is counted any more.
            following = self._numbers.get((end, count + 1), len(self.states))
            self.states.append(State(((self._extra, following),), n_missing <= 0))
        elif n_missing > MAX_TOLD_APART:
            raise TooLarge(f"more than {MAX_TOLD_APART} additional members that must be there cannot be told apart")
        else:
            self._tell_apart(n_missing, self._numbers[end, self._low])
        return len(self.states) - 1

    def _tell_apart(self, n_missing: int, goal: int) -> None:
        """So many additional members whose names begin differently, in ascending or descending order of that.

        One name twice would be one member to whoever reads it.
        """
        texts = [text for names in _BEGINNINGS if (text := self._extra_named(names)) is not NOTHING]
        otherwise: int | None = None
        for order in (texts, texts[::-1]):
            places: dict[tuple[int, int], int] = {}
            for at in range(len(order), -1, -1):
                for left in range(1, n_missing + 1):
                    places[at, left] = len(self.states)
                    if at == len(order):
                        # Nobody has been chosen yet: it may be done in the other order.
                        self.states.append(State((), False, otherwise if left == n_missing else None))
                    else:
                        following = goal if left == 1 else places[at + 1, left - 1]
                        self.states.append(State(((order[at], following),), False, places[at + 1, left]))
            otherwise = places[0, n_missing]
