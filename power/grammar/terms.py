"""Boolean formulas over the places of a schema.

A term stands for the set of values that are valid there, without looking
inside; so a recursive schema has finitely many terms, and each becomes one
rule.  Constructors simplify; members are ordered by `key`, a number made of
content alone, so that equal formulas are equal values in every process.
"""

from __future__ import annotations

import msgspec


class Term(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    key: int


class Always(Term, frozen=True, cache_hash=True, gc=False):
    """Every value. `implied`: because nothing was said, as for an absent `additionalProperties`."""

    implied: bool


class Never(Term, frozen=True, cache_hash=True, gc=False):
    """No value."""


class At(Term, frozen=True, cache_hash=True, gc=False):
    """What is valid against the schema at the document's place number `index`."""

    index: int


class Value(Term, frozen=True, cache_hash=True, gc=False):
    """The JSON value written in `text`, canonically."""

    text: str


class Every(Term, frozen=True, cache_hash=True, gc=False):
    """All of the terms, at least two."""

    terms: tuple[Term, ...]


class Some(Term, frozen=True, cache_hash=True, gc=False):
    """At least one of the terms, at least two."""

    terms: tuple[Term, ...]


class Neg(Term, frozen=True, cache_hash=True, gc=False):
    """Not the term."""

    term: Term


TRUE = Always(1, False)
OPEN = Always(2, True)
FALSE = Never(3)


def at(index: int) -> Term:
    return At(hash((4, index)), index)


def value(text: str) -> Term:
    return Value(hash((5, tuple(map(ord, text)))), text)


def every(*terms: Term) -> Term:
    if len(terms) == 2 and (terms[0] is OPEN or terms[1] is OPEN):
        return terms[0] if terms[1] is OPEN else terms[1]
    seen: dict[Term, None] = {}
    for term in terms:
        seen |= dict.fromkeys(term.terms) if isinstance(term, Every) else {term: None}
    explicit = seen.pop(TRUE, seen) is None
    seen.pop(OPEN, None)
    if FALSE in seen or any(isinstance(term, Neg) and term.term in seen for term in seen):
        return FALSE
    if len({term for term in seen if isinstance(term, Value)}) > 1:
        return FALSE
    if not seen:
        return TRUE if explicit else OPEN
    return _joined(Every, 6, seen)


def some(*terms: Term) -> Term:
    seen: dict[Term, None] = {}
    for term in terms:
        seen |= dict.fromkeys(term.terms) if isinstance(term, Some) else {term: None}
    seen.pop(FALSE, None)
    if TRUE in seen or OPEN in seen or any(isinstance(term, Neg) and term.term in seen for term in seen):
        return TRUE
    return _joined(Some, 7, seen) if seen else FALSE


def _joined(kind: type[Every] | type[Some], mark: int, seen: dict[Term, None]) -> Term:
    if len(seen) == 1:
        return next(iter(seen))
    ordered = tuple(sorted(seen, key=lambda term: term.key))
    return kind(hash((mark, *[term.key for term in ordered])), ordered)


def neg(term: Term) -> Term:
    if isinstance(term, Neg):
        return term.term
    if isinstance(term, Always):
        return FALSE
    return TRUE if term is FALSE else Neg(hash((8, term.key)), term)
