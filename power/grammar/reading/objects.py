"""What the keywords of objects say, but for `propertyNames`, which looks into a schema."""

from __future__ import annotations

import msgspec

from power.grammar import languages as la
from power.grammar import shapes as sh
from power.grammar import terms as te
from power.grammar.pattern import search_language
from power.grammar.reading import fields
from power.grammar.schema import Document, Place
from power.grammar.shapes import Members
from power.grammar.terms import FALSE, OPEN, Term

KEYWORDS = (
    "properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
    "maxProperties",
)  # fmt: skip


def members(document: Document, place: Place) -> Members:
    """The objects that they allow, `patternProperties` and `propertyNames` aside."""
    schema = place.schema
    declared = fields.mapping(place, "properties")
    named = {name: document.term(one, place, "properties", name) for name, one in declared.items()}
    rest: Term = OPEN
    if "additionalProperties" in schema:
        rest = document.term(schema["additionalProperties"], place, "additionalProperties")
    seen: la.Lang = la.NONE
    if document.has_unevaluated:
        seen = la.ALL if rest is not OPEN else la.words(named)
    return Members(
        tuple(named.items()), tuple(dict.fromkeys(fields.names(schema.get("required")))), (), rest,
        fields.natural(place, "minProperties", 0) or 0, fields.natural(place, "maxProperties", None), (), seen,
    )  # fmt: skip


def with_patterns(document: Document, place: Place, members: Members) -> Members | None:
    """The members with `patternProperties`, which apply to declared names as well, and go before `rest`."""
    free = msgspec.structs.replace(members, rest=OPEN)
    joined: Members | None = Members()
    covered: list[la.Lang] = []
    for source, one in fields.mapping(place, "patternProperties").items():
        names = search_language(source)
        term = document.term(one, place, "patternProperties", source)
        term = te.TRUE if term is OPEN else term
        seen = names if document.has_unevaluated else la.NONE
        region = Members(regions=((names, term),), seen=seen)
        joined = region if not covered else joined and sh.intersection_of_members(joined, region)
        covered.append(names)
    joined = joined and sh.intersection_of_members(free, joined)
    if joined is None or members.rest is OPEN:
        return joined
    # `rest` is for names that neither `properties` nor a pattern speaks of.
    others = la.negation(la.either(*covered, la.words(name for name, _ in members.named)))
    known = dict(members.named)
    named = tuple(
        (name, te.every(one, members.rest) if name not in known and la.matches(others, name) else one)
        for name, one in joined.named
    )
    return msgspec.structs.replace(joined, named=named, rest=members.rest)


def with_names(names: la.Lang) -> Members:
    """`propertyNames`: whatever has another name must not be there."""
    return Members(regions=((la.negation(names), FALSE),))
