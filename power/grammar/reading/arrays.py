"""What the keywords of arrays say."""

from __future__ import annotations

from power.grammar import shapes as sh
from power.grammar.reading import fields
from power.grammar.schema import Document, Place
from power.grammar.shapes import Items
from power.grammar.terms import OPEN, Term

KEYWORDS = ("items", "prefixItems", "additionalItems", "minItems", "maxItems", "contains", "uniqueItems")


def items(document: Document, place: Place) -> Items | None:
    """The arrays that they allow; None if there are none."""
    prefix, rest = _prefix_and_rest(document, place)
    low, high = fields.natural(place, "minItems", 0) or 0, fields.natural(place, "maxItems", None)
    contains: tuple[tuple[Term, int, int | None], ...] = ()
    seen_like: tuple[Term, ...] = ()
    if "contains" in place.schema and document.draft != 4:
        term = document.term(place.schema["contains"], place, "contains")
        least = fields.natural(place, "minContains", 1)
        contains = ((term, 1 if least is None else least, fields.natural(place, "maxContains", None)),)
        seen_like = (term,) if document.has_unevaluated else ()
    unique = True if place.schema.get("uniqueItems") is True else None
    seen = None if rest is not OPEN else len(prefix)
    return sh.tidy_items(
        Items(prefix, rest, low, high, contains, unique, seen if document.has_unevaluated else 0, seen_like)
    )


def _prefix_and_rest(document: Document, place: Place) -> tuple[tuple[Term, ...], Term]:
    schema = place.schema
    listed, keyword = schema.get("prefixItems"), "prefixItems"
    following, after = schema.get("items"), "items"
    if isinstance(following, list):
        listed, keyword = following, "items"
        following, after = schema.get("additionalItems"), "additionalItems"
    prefix = () if listed is None else document.terms(listed, place, keyword)
    return prefix, OPEN if following is None else document.term(following, place, after)
