"""Sets of JSON values, one level deep, in a normal form with intersection, union and complement.

A shape says for every JSON type which values of it belong.  Numbers, arrays and
objects are unions of conjunctions; what is inside arrays and objects are terms,
which are only looked into when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from power.grammar import automaton
from power.grammar import languages as la
from power.grammar import numbers as nu
from power.grammar import terms as te
from power.grammar.errors import TooLarge
from power.grammar.terms import FALSE, OPEN, Always, Term

MAX_ALTERNATIVES = 400  # conjunctions of one type in one shape
MAX_REGIONS = 40  # kinds of property names that a conjunction tells apart


class Items(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """Arrays: `prefix` item by item, then `rest`; `low` to `high` items.

    `contains` counts items that match a term; `unique` None asks nothing, False
    asks for two equal items.  `seen` and `seen_like` say which items a schema has
    evaluated, for `unevaluatedItems`; `seen` None means all of them.
    """

    prefix: tuple[Term, ...] = ()
    rest: Term = OPEN
    low: int = 0
    high: int | None = None
    contains: tuple[tuple[Term, int, int | None], ...] = ()
    unique: bool | None = None
    seen: int | None = 0
    seen_like: tuple[Term, ...] = ()

    def item(self, index: int) -> Term:
        return self.prefix[index] if index < len(self.prefix) else self.rest


class Members(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """Objects: what is valid under each name, which names must be there, and how many.

    `named` in the order of declaration.  `regions` are disjoint languages of other
    names, `rest` is for names in none of them.  For each of `some`, at least one
    member has a name of the language and a value of the term.  `seen` are the names
    that a schema has evaluated, for `unevaluatedProperties`.
    """

    named: tuple[tuple[str, Term], ...] = ()
    required: tuple[str, ...] = ()
    regions: tuple[tuple[la.Lang, Term], ...] = ()
    rest: Term = OPEN
    low: int = 0
    high: int | None = None
    some: tuple[tuple[la.Lang, Term], ...] = ()
    seen: la.Lang = la.NONE

    def under(self, name: str) -> Term:
        """What is valid under this name."""
        for known, term in self.named:
            if known == name:
                return term
        return self.beyond(name)

    def beyond(self, name: str) -> Term:
        """What is valid under a name that is not in `named`."""
        for names, term in self.regions:
            if la.matches(names, name):
                return term
        return self.rest


class Shape(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """A set of JSON values. `items` and `members` are the arrays and the objects."""

    null: bool
    booleans: frozenset[bool]
    numbers: tuple[nu.Numbers, ...]
    strings: la.Lang
    items: tuple[Items, ...]
    members: tuple[Members, ...]


BOOLEANS = frozenset([False, True])
NUMBERS = nu.Numbers()
ITEMS = Items()
MEMBERS = Members()
ALL = Shape(True, BOOLEANS, (NUMBERS,), la.ALL, (ITEMS,), (MEMBERS,))
EMPTY = Shape(False, frozenset(), (), la.NONE, (), ())

T = TypeVar("T", nu.Numbers, Items, Members)


def is_only_texts(shape: Shape) -> bool:
    return not (shape.null or shape.booleans or shape.numbers or shape.items or shape.members)


def union(shapes: Iterable[Shape]) -> Shape:
    parts = list(shapes)
    if len(parts) == 1:
        return parts[0]
    return Shape(
        any(part.null for part in parts),
        frozenset().union(*(part.booleans for part in parts)),
        _joined([one for part in parts for one in part.numbers], NUMBERS),
        la.either(*(part.strings for part in parts)),
        _joined([one for part in parts for one in part.items], ITEMS),
        _joined([one for part in parts for one in part.members], MEMBERS),
    )


def _joined(parts: list[T], everything: T) -> tuple[T, ...]:
    distinct = tuple(dict.fromkeys(parts))
    if len(distinct) > MAX_ALTERNATIVES:
        raise TooLarge(f"combining the alternatives makes more than {MAX_ALTERNATIVES} of one type")
    # What has been evaluated on the way is lost if the other alternatives are dropped.
    return (everything,) if everything in distinct and all(_is_unseen(one) for one in distinct) else distinct


def _is_unseen(one: nu.Numbers | Items | Members) -> bool:
    match one:
        case Items():
            return one.seen == 0 and not one.seen_like
        case Members():
            return one.seen is la.NONE
    return True


def intersection(left: Shape, right: Shape) -> Shape:
    if left is ALL or left is right:
        return right
    if right is ALL:
        return left
    return Shape(
        left.null and right.null,
        left.booleans & right.booleans,
        product(left.numbers, right.numbers, nu.intersection),
        la.both(left.strings, right.strings),
        product(left.items, right.items, intersection_of_items),
        product(left.members, right.members, intersection_of_members),
    )


def product(left: tuple[T, ...], right: tuple[T, ...], join: Callable[[T, T], T | None]) -> tuple[T, ...]:
    """Every combination that is not surely nothing."""
    if len(left) == len(right) == 1:
        one = left[0] if left[0] is right[0] else join(left[0], right[0])
        return () if one is None else (one,)
    if len(left) * len(right) > MAX_ALTERNATIVES * 4:
        raise TooLarge(f"combining the alternatives makes more than {MAX_ALTERNATIVES} of one type")
    joined = dict.fromkeys(join(one, other) for one in left for other in right)
    return tuple(one for one in joined if one is not None)


def intersection_of_items(left: Items, right: Items) -> Items | None:
    """Arrays in both; None if that is surely nothing."""
    if left is ITEMS or right is ITEMS:
        return right if left is ITEMS else left
    if left.unique is not None and right.unique is not None and left.unique != right.unique:
        return None
    n_prefix = max(len(left.prefix), len(right.prefix))
    prefix = tuple(te.every(left.item(index), right.item(index)) for index in range(n_prefix))
    high = left.high if right.high is None else right.high if left.high is None else min(left.high, right.high)
    return tidy_items(
        Items(
            prefix, te.every(left.rest, right.rest), max(left.low, right.low), high,
            tuple(dict.fromkeys(left.contains + right.contains)),
            left.unique if right.unique is None else right.unique,
            None if left.seen is None or right.seen is None else max(left.seen, right.seen),
            tuple(dict.fromkeys(left.seen_like + right.seen_like)),
        )
    )  # fmt: skip


def tidy_items(items: Items) -> Items | None:
    """The same arrays, with what is impossible cut off; None if nothing is left."""
    prefix, rest, high = items.prefix, items.rest, items.high
    for index, term in enumerate(prefix):
        if term is FALSE:
            prefix, rest, high = prefix[:index], FALSE, index if high is None else min(high, index)
            break
    if rest is FALSE:
        high = len(prefix) if high is None else min(high, len(prefix))
    if high is not None and items.low > high:
        return None
    for term, low, _ in items.contains:
        if low > 0 and (term is FALSE or (high is not None and low > high)):
            return None
    if (prefix, rest, high) == (items.prefix, items.rest, items.high):
        return items
    return msgspec.structs.replace(items, prefix=prefix[:high] if high is not None else prefix, rest=rest, high=high)


def intersection_of_members(left: Members, right: Members) -> Members | None:
    """Objects in both; None if that is surely nothing."""
    if left is MEMBERS or right is MEMBERS:
        return right if left is MEMBERS else left
    in_left, in_right = dict(left.named), dict(right.named)
    named = []
    for name in in_left | in_right:
        one = in_left[name] if name in in_left else left.beyond(name)
        other = in_right[name] if name in in_right else right.beyond(name)
        named.append((name, te.every(one, other)))
    high = left.high if right.high is None else right.high if left.high is None else min(left.high, right.high)
    return tidy_members(
        Members(
            tuple(named), tuple(dict.fromkeys(left.required + right.required)),
            _regions(left, right), te.every(left.rest, right.rest),
            max(left.low, right.low), high, tuple(dict.fromkeys(left.some + right.some)),
            la.either(left.seen, right.seen),
        )
    )  # fmt: skip


def _regions(left: Members, right: Members) -> tuple[tuple[la.Lang, Term], ...]:
    out: list[tuple[la.Lang, Term]] = []
    # Patterns that have no name in common are not taken out of each other: most have none.
    mine: list[list[la.Lang]] = [[] for _ in left.regions]
    theirs: list[list[la.Lang]] = [[] for _ in right.regions]
    for i, (names, term) in enumerate(left.regions):
        for j, (others, other) in enumerate(right.regions):
            shared = la.both(names, others)
            if not automaton.is_empty(shared):
                out.append((shared, te.every(term, other)))
                mine[i].append(others)
                theirs[j].append(names)
    for overlaps, (names, term) in zip(mine, left.regions, strict=True):
        out.append((_without(names, la.either(*overlaps)), te.every(term, right.rest)))
    for overlaps, (names, term) in zip(theirs, right.regions, strict=True):
        out.append((_without(names, la.either(*overlaps)), te.every(term, left.rest)))
    kept = tuple((names, term) for names, term in out if names is not la.NONE)
    if len(kept) > MAX_REGIONS:
        kept = tuple((names, term) for names, term in kept if not automaton.is_empty(names))
    if len(kept) > MAX_REGIONS:
        raise TooLarge(f"patterns of property names overlap in more than {MAX_REGIONS} ways")
    return kept


def _without(names: la.Lang, others: la.Lang) -> la.Lang:
    return names if others is la.NONE else la.both(names, la.negation(others))


def tidy_members(members: Members) -> Members | None:
    """The same objects; None if there surely are none."""
    if members.required and any(members.under(name) is FALSE for name in members.required):
        return None
    if members.high is not None and max(members.low, len(members.required)) > members.high:
        return None
    for names, term in members.some:
        if term is FALSE or names is la.NONE:
            return None
    if members.low and members.rest is FALSE and not members.regions:
        possible = sum(term is not FALSE for _, term in members.named)
        return members if members.low <= possible else None
    return members


def complement(shape: Shape) -> Shape:
    return Shape(
        not shape.null,
        BOOLEANS - shape.booleans,
        _complement_of(shape.numbers, NUMBERS, nu.complement, nu.intersection),
        la.negation(shape.strings),
        _complement_of(shape.items, ITEMS, complement_of_items, intersection_of_items),
        _complement_of(shape.members, MEMBERS, complement_of_members, intersection_of_members),
    )


def _complement_of(
    parts: tuple[T, ...], everything: T, complement: Callable[[T], list[T]], join: Callable[[T, T], T | None]
) -> tuple[T, ...]:
    left: tuple[T, ...] = (everything,)
    for part in parts:
        left = product(left, tuple(complement(part)), join)
        if not left:
            break
    return left


def complement_of_items(items: Items) -> list[Items]:
    """Arrays that break at least one condition, one entry per condition."""
    out = []
    for index, term in enumerate(items.prefix):
        if not isinstance(term, Always):
            out.append(Items((OPEN,) * index + (te.neg(term),), OPEN, index + 1))
    if not isinstance(items.rest, Always):
        free = (OPEN,) * len(items.prefix)
        if items.rest is FALSE:
            out.append(Items(low=len(free) + 1))
        elif not free:
            out.append(Items(contains=((te.neg(items.rest), 1, None),), low=1))
        else:
            raise TooLarge("the opposite of items after a prefix cannot be said")
    out += [Items(high=items.low - 1)] if items.low else []
    out += [Items(low=items.high + 1)] if items.high is not None else []
    for term, low, high in items.contains:
        out += [Items(contains=((term, 0, low - 1),))] if low else []
        out += [Items(contains=((term, high + 1, None),))] if high is not None else []
    out += [Items(unique=not items.unique)] if items.unique is not None else []
    return [one for one in map(tidy_items, out) if one is not None]


def complement_of_members(members: Members) -> list[Members]:
    """Objects that break at least one condition, one entry per condition."""
    out = []
    known = la.words(name for name, _ in members.named)
    for name in members.required:
        out.append(Members(((name, FALSE),)))
    for name, term in members.named:
        if not isinstance(term, Always):
            out.append(Members(((name, te.neg(term)),), (name,)))
    for names, term in members.regions:
        if not isinstance(term, Always):
            out.append(Members(some=((_without(names, known), te.neg(term)),)))
    if not isinstance(members.rest, Always):
        others = la.either(known, *(names for names, _ in members.regions))
        out.append(Members(some=((la.negation(others), te.neg(members.rest)),)))
    out += [Members(high=members.low - 1)] if members.low else []
    out += [Members(low=members.high + 1)] if members.high is not None else []
    out += [Members(regions=((names, te.neg(term)),)) for names, term in members.some]
    return [one for one in map(tidy_members, out) if one is not None]
