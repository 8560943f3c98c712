"""`unevaluatedProperties` and `unevaluatedItems`: for what nothing at the same place has looked at."""

from __future__ import annotations

import msgspec

from power.grammar import automaton
from power.grammar import languages as la
from power.grammar import shapes as sh
from power.grammar import terms as te
from power.grammar.schema import Document, Place
from power.grammar.shapes import Items, Members, Shape
from power.grammar.terms import Term


def restrict(document: Document, place: Place, shape: Shape) -> Shape:
    """The shape of all other keywords at the place, with these two added."""
    if "unevaluatedProperties" in place.schema:
        left = document.term(place.schema["unevaluatedProperties"], place, "unevaluatedProperties")
        joined = [_members(one, left) for one in shape.members]
        shape = msgspec.structs.replace(shape, members=tuple(one for one in joined if one is not None))
    if "unevaluatedItems" in place.schema:
        left = document.term(place.schema["unevaluatedItems"], place, "unevaluatedItems")
        arrays = [_items(one, left) for one in shape.items]
        shape = msgspec.structs.replace(shape, items=tuple(one for one in arrays if one is not None))
    return shape


def _members(members: Members, left: Term) -> Members | None:
    named = tuple((name, one if la.matches(members.seen, name) else te.every(one, left)) for name, one in members.named)
    unseen = la.negation(members.seen)
    regions = []
    for names, term in members.regions:
        regions += [(la.both(names, members.seen), term), (la.both(names, unseen), te.every(term, left))]
    free = la.both(
        members.seen, la.negation(la.either(la.words(n for n, _ in named), *(n for n, _ in members.regions)))
    )
    rest = te.every(members.rest, left)
    if not automaton.is_empty(free):
        regions.append((free, members.rest))
    kept = tuple((names, term) for names, term in regions if not automaton.is_empty(names))
    return sh.tidy_members(msgspec.structs.replace(members, named=named, regions=kept, rest=rest, seen=la.ALL))


def _items(items: Items, left: Term) -> Items | None:
    if items.seen is None:
        return items
    allowed = te.some(left, *items.seen_like)
    n_prefix = max(items.seen, len(items.prefix))
    prefix = tuple(
        items.item(index) if index < items.seen else te.every(items.item(index), allowed) for index in range(n_prefix)
    )
    return sh.tidy_items(msgspec.structs.replace(items, prefix=prefix, rest=te.every(items.rest, allowed), seen=None))
