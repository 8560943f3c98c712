"""Schemas and values out of small pools, so that they often have to do with each other."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "ab", "c", "$x"])
TEXTS = st.sampled_from(["", "a", "b", "ab", "aab", "ba", "abc", "a b", 'q"', "é", "\n", "2024-02-29"])
NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 6, 10, -1, -2, 0.5, 1.5, 2.25, -0.5, 12, 100])
PATTERNS = st.sampled_from(
    ["a", "^a", "b$", "^a*$", "^(a|b)+$", "^[^a]*$", "^.{2}$", "a?b", "^$", "^(?!a)", "[ab]{2,3}"]
)
COUNTS = st.integers(0, 3)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS


def values() -> st.SearchStrategy[Any]:
    return st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=5,
    )


def schemas(*, depth: int = 2) -> st.SearchStrategy[Any]:
    """JSON Schemas of 2020-12 that are valid as such; most of them allow something."""
    if depth == 0:
        return _scalar_schemas() | st.booleans()
    inner = schemas(depth=depth - 1)
    return st.one_of(_scalar_schemas(), _objects(inner), _objects(inner), _arrays(inner), _combined(inner))


def _some_of(keywords: dict[str, st.SearchStrategy[Any]], base: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    drawn = st.fixed_dictionaries({}, optional=keywords)
    return drawn.map(lambda schema: {**(base or {}), **schema})


def _scalar_schemas() -> st.SearchStrategy[Any]:
    types = ["null", "boolean", "integer", "number", "string", "array", "object"]
    return st.one_of(
        st.builds(
            dict, type=st.sampled_from(types) | st.lists(st.sampled_from(types), min_size=1, max_size=3, unique=True)
        ),
        st.builds(dict, enum=st.lists(values(), min_size=1, max_size=4)),
        st.builds(dict, const=values()),
        _some_of({"minLength": COUNTS, "maxLength": COUNTS, "pattern": PATTERNS}, {"type": "string"}),
        _some_of({"minLength": COUNTS, "maxLength": COUNTS, "pattern": PATTERNS}),
        _some_of(_bounds(), {"type": "integer"}),
        _some_of(_bounds(), {"type": "number"}),
    )


def _bounds() -> dict[str, st.SearchStrategy[Any]]:
    return {
        "minimum": NUMBERS,
        "maximum": NUMBERS,
        "exclusiveMinimum": NUMBERS,
        "exclusiveMaximum": NUMBERS,
        "multipleOf": st.sampled_from([1, 2, 3, 0.5, 0.25]),
    }


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return _some_of(
        {
            "type": st.just("object"),
            "properties": st.dictionaries(NAMES, inner, max_size=4),
            "required": st.lists(NAMES, max_size=2, unique=True),
            "additionalProperties": inner,
            "patternProperties": st.dictionaries(PATTERNS, inner, min_size=1, max_size=2),
            "propertyNames": _some_of({"minLength": COUNTS, "maxLength": COUNTS, "pattern": PATTERNS}),
            "minProperties": st.integers(0, 2),
            "maxProperties": COUNTS,
            "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=2, unique=True), max_size=2),
            "dependentSchemas": st.dictionaries(NAMES, inner, max_size=1),
        }
    )


def _arrays(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return _some_of(
        {
            "type": st.just("array"),
            "items": inner,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "minItems": COUNTS,
            "maxItems": COUNTS,
            "contains": inner,
            "uniqueItems": st.booleans(),
        }
    )


def _combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(dict, anyOf=several),
        st.builds(dict, oneOf=several),
        st.builds(dict, allOf=several),
        st.builds(lambda one: {"not": one}, inner),
        st.builds(lambda a, b, c: {"if": a, "then": b, "else": c}, inner, inner, inner),
        st.builds(
            lambda one, several: {**one, "anyOf": several}, inner.filter(lambda one: isinstance(one, dict)), several
        ),
    )
