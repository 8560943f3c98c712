"""Objects: members in an order, optional ones, additional ones, and how many.

A few members may come in any order: the states are then the sets of members
that are still to come.  Otherwise the order is that of declaration, and
additional members come last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from power.grammar import automaton
from power.grammar import languages as la
from power.grammar import terms as te
from power.grammar.errors import TooLarge
from power.grammar.expressions import EMPTY, NOTHING, Expr, Text, alt, optional, seq
from power.grammar.sequences import State, write_list
from power.grammar.shapes import Members
from power.grammar.spelling import GAP, QUOTE, SPACE, spell_text
from power.grammar.terms import FALSE, Term

if TYPE_CHECKING:
    from power.grammar.values import ValueWriter

MAX_ANY_ORDER = 4  # members; five would already be 32 states and 80 steps
# Additional members that must be there need different names; these many are told apart.
MAX_TOLD_APART = 4


class Member(msgspec.Struct, frozen=True, gc=False):
    """One declared member: its text after the opening quote of the name."""

    text: Expr
    required: bool


class ObjectWriter:
    def __init__(self, values: ValueWriter) -> None:
        self._values = values

    def write(self, members: Members, hint: str) -> Expr:
        """The objects as an expression; NOTHING if there surely are none."""
        if members.some:
            return alt(*(self.write(one, hint) for one in self._with_one_of_some(members)))
        named = [self._member(members, name, term) for name, term in self._ordered(members)]
        if any(member.required and member.text == NOTHING for member in named):
            return NOTHING
        declared = [member for member in named if member.text != NOTHING]
        extra = self._extra(members)
        states = self._states(members, declared, extra)
        body = write_list(self._values.rules, states, f"{hint}-members", QUOTE)
        if body == NOTHING:
            return NOTHING
        body = optional(seq(body.item, SPACE)) if states[-1].may_end and body != EMPTY else seq(body, SPACE)  # type: ignore[union-attr]
        return seq(Text("{"), SPACE, body, Text("}"))

    def _ordered(self, members: Members) -> list[tuple[str, Term]]:
        """Declared members, then those that are only required."""
        known = {name for name, _ in members.named}
        return [*members.named, *((name, members.beyond(name)) for name in members.required if name not in known)]

    def _member(self, members: Members, name: str, term: Term) -> Member:
        required = name in members.required
        value = NOTHING if term == FALSE else self._values.value(term, name)
        return Member(seq(Text(f'{spell_text(name)}":'), GAP, value), required)

    def _extra(self, members: Members) -> Expr:
        """Any one additional member, or NOTHING."""
        known = la.words(name for name, _ in self._ordered(members))
        taken = [names for names, _ in members.regions]
        options = [self._extra_of(_minus(names, known), term) for names, term in members.regions]
        closed = self._values.closed and members.rest == te.OPEN and self._is_declared(members)
        if members.rest != FALSE and not closed:
            options.append(self._extra_of(la.negation(la.either(known, *taken)), members.rest))
        return alt(*(option for option in options if option != NOTHING))

    def _is_declared(self, members: Members) -> bool:
        """Whether the schema names members and so means these; `{"type": "object"}` means any."""
        return bool(members.named) and members.low <= len(members.named)

    def _extra_of(self, names: la.Lang, term: Term) -> Expr:
        if term == FALSE or names == la.NONE:
            return NOTHING
        value = self._values.value(term, "extra")
        if names == la.ALL:
            return self._values.rules.share("extra", seq(self._values.strings.write(la.ALL), Text('":'), GAP, value))
        return self._values.rules.share("extra", seq(self._values.strings.write(names), Text('":'), GAP, value))

    def _states(self, members: Members, declared: list[Member], extra: Expr) -> list[State]:
        n_required = sum(member.required for member in declared)
        high = members.high
        if high is not None and extra == NOTHING and high >= len(declared):
            high = None
        counted = members.low > n_required or high is not None
        if counted:
            return self._counted(members, declared, extra)
        if 1 < len(declared) <= MAX_ANY_ORDER:
            return _in_any_order([self._shared(member) for member in declared], extra)
        return _in_order(declared, extra)

    def _shared(self, member: Member) -> Member:
        """As a rule: in any order, it is written in many places."""
        return Member(self._values.rules.share("member", member.text), member.required)

    def _counted(self, members: Members, declared: list[Member], extra: Expr) -> list[State]:
        """States are pairs of a position and a number of members so far."""
        top = members.low if members.high is None else members.high
        if len(declared) * top > 3000:
            raise TooLarge(f"counting up to {top} members in any of {len(declared)} takes too many states")
        if extra == NOTHING:
            top = min(top, len(declared))
        if members.low > top:
            return [State((), False)]
        states: list[State] = []
        numbers: dict[tuple[int, int], int] = {}
        for position in range(len(declared), -1, -1):
            rest_required = sum(member.required for member in declared[position:])
            for count in range(min(top, _most(position, extra, top)), -1, -1):
                is_full = members.high is not None and count == top
                following = count if count == top else count + 1
                steps: list[tuple[Expr, int]] = []
                also = None
                if position == len(declared):
                    may_end = count >= members.low
                    if not is_full and extra != NOTHING:
                        steps.append(
                            (self._told_apart(extra, members, count), numbers.get((position, following), len(states)))
                        )
                else:
                    may_end = count >= members.low and not rest_required
                    if not is_full:
                        steps.append((declared[position].text, numbers[position + 1, following]))
                    if not declared[position].required:
                        also = numbers[position + 1, count]
                numbers[position, count] = len(states)
                states.append(State(tuple(steps), may_end, also))
        return states

    def _told_apart(self, extra: Expr, members: Members, count: int) -> Expr:
        return extra

    def _with_one_of_some(self, members: Members) -> list[Members]:
        """The objects, split by which member is the one that must be there."""
        (names, term), rest = members.some[0], members.some[1:]
        free = msgspec.structs.replace(members, some=rest)
        out = []
        for name, known in members.named:
            if la.matches(names, name) and te.every(known, term) != FALSE:
                named = tuple((one, te.every(old, term) if one == name else old) for one, old in members.named)
                out.append(msgspec.structs.replace(free, named=named, required=(*members.required, name)))
        return out


def _most(position: int, extra: Expr, top: int) -> int:
    """How many members there can be before this position."""
    return position if extra == NOTHING else top


def _minus(names: la.Lang, others: la.Lang) -> la.Lang:
    left = names if others == la.NONE else la.both(names, la.negation(others))
    if isinstance(others, la.Words) and not any(la.matches(names, word) for word in others.words):
        left = names
    return la.NONE if automaton.is_empty(left) else left


def _in_order(declared: list[Member], extra: Expr) -> list[State]:
    states = [State((), True, None, extra)]
    may_end = True
    for number, member in enumerate(reversed(declared)):
        may_end = may_end and not member.required
        states.append(State(((member.text, number),), may_end, None if member.required else number, extra))
    return states


def _in_any_order(declared: list[Member], extra: Expr) -> list[State]:
    """State numbers are sets of members still to come, as bits."""
    states = []
    required = sum(1 << index for index, member in enumerate(declared) if member.required)
    for left in range(1 << len(declared)):
        steps = [(member.text, left & ~(1 << index)) for index, member in enumerate(declared) if left & (1 << index)]
        states.append(State(tuple(steps), not left & required, None, extra))
    return states
