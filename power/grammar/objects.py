"""Objects: members in an order, optional ones, additional ones, and how many.

A few members may come in any order: the states are then the sets of members
that are still to come.  Otherwise the order is that of declaration, and
additional members come last.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from power.grammar import automaton
from power.grammar import languages as la
from power.grammar import terms as te
from power.grammar.counting import Member, counted_members
from power.grammar.errors import TooLarge
from power.grammar.expressions import NOTHING, Expr, Repeat, Text, alt, optional, seq
from power.grammar.sequences import State, write_list
from power.grammar.shapes import Members
from power.grammar.spelling import GAP, QUOTE, SPACE, spell_text
from power.grammar.terms import FALSE, Term

if TYPE_CHECKING:
    from power.grammar.values import ValueWriter

MAX_ANY_ORDER = 4  # members; five would already be 32 states and 80 steps
MAX_GIVEN = 3  # the same for unique objects, which are written once for each beginning of a member
MAX_SPLIT = 200  # ways to choose members of which one must be there


class Special(msgspec.Struct, frozen=True, gc=False):
    """Some additional member of these names and this value."""

    names: la.Lang
    term: Term


class ObjectWriter:
    def __init__(self, values: ValueWriter) -> None:
        self._values = values

    def write(self, members: Members, hint: str) -> Expr:
        """The objects as an expression; NOTHING if there surely are none."""
        if not members.some:
            return self._write(members, None, hint)
        return alt(*(self._write(one, special, hint) for one, special in self._split(members)))

    def write_with(self, members: Members, name: str, value: Expr, hint: str) -> Expr:
        """The objects that have a member of this declared name and one of these values."""
        required = tuple(dict.fromkeys((*members.required, name)))
        return self._write(msgspec.structs.replace(members, required=required), None, hint, (name, value))

    def _write(
        self, members: Members, special: Special | None, hint: str, given: tuple[str, Expr] | None = None
    ) -> Expr:
        """Objects without `some`; `special` is an additional member that must be there, and `given` a declared one."""
        declared = []
        for name, term in self._ordered(members):
            if given is not None and name == given[0]:
                member = Member(_text(name, given[1]), True)
            else:
                member = self._member(members, name, term)
            if member.text is not NOTHING:
                declared.append(member)
            elif member.required:
                return NOTHING
        states = self._states(members, declared, special, MAX_ANY_ORDER if given is None else MAX_GIVEN)
        body = write_list(self._values.rules, states, f"{hint}-members", QUOTE)
        if body is NOTHING:
            return NOTHING
        if states[-1].may_end and isinstance(body, Repeat):  # so that the space goes with the members
            return seq(Text("{"), SPACE, optional(seq(body.item, SPACE)), Text("}"))
        return seq(Text("{"), SPACE, seq(body, SPACE), Text("}"))

    def _ordered(self, members: Members) -> list[tuple[str, Term]]:
        """Declared members, then those that are only required."""
        ordered, known = list(members.named), dict(members.named)
        for name in members.required:
            if name not in known:
                ordered.append((name, members.beyond(name)))
        return ordered

    def _member(self, members: Members, name: str, term: Term) -> Member:
        required = name in members.required
        value = NOTHING if term is FALSE else self._values.value(term, name)
        return Member(_text(name, value), required)

    def _extra(self, members: Members, names: la.Lang = la.ALL, term: Term = te.TRUE) -> Expr:
        """Any one additional member with one of these names and a value of the term, or NOTHING."""
        has_rest = members.rest is not FALSE
        if self._values.closed and members.rest is te.OPEN and self._is_declared(members):
            has_rest = False
        if not has_rest and not members.regions:
            return NOTHING
        known = la.words(name for name, _ in self._ordered(members))
        taken = [others for others, _ in members.regions]
        options = [
            self._extra_of(_minus(la.both(others, names), known), te.every(own, term))
            for others, own in members.regions
        ]
        if has_rest:
            free = la.both(la.negation(la.either(known, *taken)), names)
            options.append(self._extra_of(free, te.every(members.rest, term)))
        return alt(*options)

    def _is_declared(self, members: Members) -> bool:
        """Whether the schema names members and so means these; `{"type": "object"}` means any."""
        return bool(members.named) and members.low <= len(members.named)

    def _extra_of(self, names: la.Lang, term: Term) -> Expr:
        if term is FALSE or names is la.NONE:
            return NOTHING
        value, written = self._values.value(term, "extra"), self._values.strings.write(names)
        return self._values.rules.share("extra", seq(written, Text('":'), GAP, value))

    def _states(
        self, members: Members, declared: list[Member], special: Special | None, n_any_order: int
    ) -> list[State]:
        extra = self._extra(members)
        n_required = sum([member.required for member in declared])
        if special is not None:
            return self._with_special(members, declared, extra, special)
        high = members.high
        if high is not None and extra is NOTHING and high >= len(declared):
            high = None
        counted = members.low > n_required or high is not None
        if counted:
            return counted_members(members, declared, extra, partial(self._extra, members))
        if 1 < len(declared) <= n_any_order:
            return _in_any_order([self._shared(member) for member in declared], extra)
        return _in_order(declared, extra)

    def _with_special(self, members: Members, declared: list[Member], extra: Expr, special: Special) -> list[State]:
        """An additional member that must be there; where its value matters, no other that may have its name follows."""
        n_certain = 1 + sum(member.required for member in declared)
        text = self._extra(members, special.names, special.term)
        if members.low > n_certain or members.high is not None or text is NOTHING:
            return [State((), False)]  # nothing: counting as well would take too many states
        after = extra if isinstance(special.term, te.Always) else NOTHING
        base = [State((), True, None, after), State(((text, 0),), False, None, extra)]
        return _in_order(declared, extra, base)

    def _shared(self, member: Member) -> Member:
        """As a rule: in any order, it is written in many places."""
        return Member(self._values.rules.share("member", member.text), member.required)

    def _split(self, members: Members) -> list[tuple[Members, Special | None]]:
        """The objects by which member it is of which at least one must be there."""
        if not members.some:
            return [(members, None)]
        (names, term), rest = members.some[0], members.some[1:]
        free = msgspec.structs.replace(members, some=rest)
        if isinstance(term, te.Always) and any(la.matches(names, name) for name in members.required):
            return self._split(free)
        out: list[tuple[Members, Special | None]] = []
        for name, known in members.named:
            if la.matches(names, name) and te.every(known, term) is not FALSE:
                named = tuple((one, te.every(old, term) if one == name else old) for one, old in members.named)
                out += self._split(msgspec.structs.replace(free, named=named, required=(*members.required, name)))
                if len(out) > MAX_SPLIT:
                    raise TooLarge(f"members of which one must be there can be chosen in more than {MAX_SPLIT} ways")
        if members.rest is FALSE and not members.regions:
            return out  # there are no additional members
        for one, special in self._split(free):
            # One additional member may do for several; several of them would have to be told apart.
            both = special or Special(la.ALL, te.TRUE)
            out.append((one, Special(la.both(names, both.names), te.every(term, both.term))))
        return out


def _text(name: str, value: Expr) -> Expr:
    return seq(Text(f'{spell_text(name)}":'), GAP, value)


def _minus(names: la.Lang, others: la.Lang) -> la.Lang:
    left = names if others is la.NONE else la.both(names, la.negation(others))
    if isinstance(others, la.Words) and not any(la.matches(names, word) for word in others.words):
        left = names
    return la.NONE if automaton.is_empty(left) else left


def _in_order(declared: list[Member], extra: Expr, base: list[State] | None = None) -> list[State]:
    """One declared member after the other, then what the last state of `base` says: by default, the end."""
    states = base or [State((), True, None, extra)]
    n_base, may_end = len(states), states[-1].may_end
    for number, member in enumerate(reversed(declared), n_base - 1):
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
