"""Types, values, numbers and texts."""

from __future__ import annotations

import json
from fractions import Fraction
from functools import lru_cache
from typing import Any

import msgspec

from power.grammar import formats
from power.grammar import languages as la
from power.grammar import numbers as nu
from power.grammar import shapes as sh
from power.grammar import terms as te
from power.grammar.errors import SchemaError
from power.grammar.pattern import search_language
from power.grammar.reading import fields
from power.grammar.schema import Place
from power.grammar.shapes import Items, Members, Shape
from power.grammar.terms import FALSE, Term

OF_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
OF_TEXTS = ("minLength", "maxLength", "pattern", "format")
_TYPES = frozenset(["null", "boolean", "integer", "number", "string", "array", "object"])


def of_type(place: Place) -> Shape:
    """`type`: everything of the types it names."""
    named = place.schema.get("type")
    if named is None:
        return sh.ALL
    if isinstance(named, str) and named in _TYPES:
        return _of_names(frozenset((named,)))
    names = named if isinstance(named, list) else [named]
    if not all(isinstance(name, str) and (name in _TYPES or name == "any") for name in names):
        raise SchemaError("an unknown type", keyword="type", pointer=f"{place.pointer}/type")
    return _of_names(frozenset(names))


@lru_cache
def _of_names(names: frozenset[str]) -> Shape:
    if "any" in names:
        return sh.ALL
    return Shape(
        "null" in names,
        sh.BOOLEANS if "boolean" in names else frozenset(),
        (nu.of_types(names),) if names & {"integer", "number"} else (),
        la.ALL if "string" in names else la.NONE,
        (sh.ITEMS,) if "array" in names else (),
        (sh.MEMBERS,) if "object" in names else (),
    )


def of_values(place: Place, keyword: str) -> Shape:
    """`enum` and `const`."""
    values = place.schema[keyword] if keyword == "enum" else [place.schema[keyword]]
    if not isinstance(values, list):
        raise SchemaError("'enum' is a list", keyword=keyword, pointer=f"{place.pointer}/{keyword}")
    texts = la.words(value for value in values if isinstance(value, str))
    others = [of_value(value) for value in values if not isinstance(value, str)]
    return sh.union([msgspec.structs.replace(sh.EMPTY, strings=texts), *others])


def of_value(value: Any) -> Shape:
    """The shape of exactly this JSON value."""
    match value:
        case None:
            return msgspec.structs.replace(sh.EMPTY, null=True)
        case bool():
            return msgspec.structs.replace(sh.EMPTY, booleans=frozenset([value]))
        case int() | float():
            among = frozenset([Fraction(str(value))])
            return msgspec.structs.replace(sh.EMPTY, numbers=(nu.Numbers(among=among, plain=isinstance(value, int)),))
        case str():
            return msgspec.structs.replace(sh.EMPTY, strings=la.words([value]))
        case list():
            prefix = tuple(_term_of(one) for one in value)
            return msgspec.structs.replace(sh.EMPTY, items=(Items(prefix, FALSE, len(prefix), len(prefix)),))
        case dict():
            named = tuple((name, _term_of(one)) for name, one in value.items())
            members = Members(named, tuple(value), (), FALSE)
            return msgspec.structs.replace(sh.EMPTY, members=(members,))
    raise AssertionError(value)


def _term_of(value: Any) -> Term:
    return te.value(json.dumps(value, ensure_ascii=False, sort_keys=True))


def numbers(place: Place) -> nu.Numbers | None:
    """What the bounds and `multipleOf` leave; None if that is nothing."""
    low, high = (fields.number(place, keyword) for keyword in ("minimum", "maximum"))
    if low is not None and high is not None and low > high:
        return None
    left: nu.Numbers | None = nu.Numbers(low=low, high=high)
    for keyword, sign in (("exclusiveMinimum", 1), ("exclusiveMaximum", -1)):
        bound = place.schema.get(keyword)
        if left is not None and isinstance(bound, bool):  # draft-04
            change = {"low_open": bound} if sign > 0 else {"high_open": bound}
            left = msgspec.structs.replace(left, **change)
        elif not isinstance(bound, bool) and (exact := fields.number(place, keyword)) is not None:
            other = nu.Numbers(low=exact, low_open=True) if sign > 0 else nu.Numbers(high=exact, high_open=True)
            left = left and nu.intersection(left, other)
    divisor = fields.number(place, "multipleOf")
    if divisor is None:
        return left
    if divisor <= 0:
        raise SchemaError("'multipleOf' is above zero", keyword="multipleOf", pointer=f"{place.pointer}/multipleOf")
    return left and msgspec.structs.replace(left, multiples=frozenset([divisor]))


def texts(place: Place, keyword: str) -> la.Lang:
    """`minLength`, `maxLength`, `pattern` or `format`."""
    match keyword:
        case "minLength":
            return la.length(fields.natural(place, keyword, 0) or 0, None)
        case "maxLength":
            return la.length(0, fields.natural(place, keyword, None))
        case "pattern":
            return search_language(fields.text(place, keyword))
    known = formats.language(fields.text(place, keyword))
    return la.ALL if known is None else known
