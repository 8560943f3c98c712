"""Instances drawn by hypothesis-jsonschema, whose last release knows an older Hypothesis.

It asks a private class of Hypothesis for `more`, which is an iterator there by now.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.internal.conjecture.utils import many
from hypothesis_jsonschema import from_schema


def _more(elements: Any) -> bool:
    iterator = elements.__dict__.get("_iterator")
    if iterator is None:
        iterator = elements._iterator = iter(elements.__enter__())
    return next(iterator, elements) is not elements


if not hasattr(many, "more"):
    many.more = _more  # type: ignore[attr-defined]


def instances(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that are valid as far as draft-07 has the schema's keywords."""
    drawn: st.SearchStrategy[Any] = from_schema(schema)
    return drawn
