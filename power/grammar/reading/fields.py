"""Keywords' values, of the type they must have."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from power.grammar.errors import SchemaError
from power.grammar.schema import Place

MAX_NUMBER = 1e300  # a bound beyond which nobody reads numbers alike


def natural(place: Place, keyword: str, default: int | None) -> int | None:
    """A whole number from zero; `1.0` is one, too."""
    value = place.schema.get(keyword)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(min(value, 1e18)):
        raise _mistyped(place, keyword, "a whole number")
    return int(value)


def number(place: Place, keyword: str) -> Fraction | None:
    value = place.schema.get(keyword)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > MAX_NUMBER:
        raise _mistyped(place, keyword, "a number")
    return Fraction(value) if isinstance(value, int) else Fraction(str(value))


def text(place: Place, keyword: str) -> str:
    value = place.schema[keyword]
    if not isinstance(value, str):
        raise _mistyped(place, keyword, "a text")
    return value


def mapping(place: Place, keyword: str) -> dict[str, Any]:
    found = place.schema.get(keyword, {})
    if not isinstance(found, dict):
        raise _mistyped(place, keyword, "an object")
    return found


def names(value: Any) -> tuple[str, ...]:
    """The names in a list of them; whatever else stands there says nothing."""
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()


def _mistyped(place: Place, keyword: str, what: str) -> SchemaError:
    return SchemaError(f"{keyword!r} is {what}", keyword=keyword, pointer=f"{place.pointer}/{keyword}")
