"""How many members an object has, and which there must be, where the schema does not name them."""

from __future__ import annotations

from typing import Any

import pytest

from power.errors import BadRequest
from power.grammar import mismatch, parse_gbnf, schema_to_gbnf


def accepts(schema: Any, text: str) -> bool:
    return mismatch(parse_gbnf(schema_to_gbnf(schema, objects="open")), text) is None


@pytest.mark.parametrize(
    "text", ['{"a": 1, "b": 2}', '{"b": 1, "a": 2}', '{"": 1, "7": 2}', '{"a": 1, "b": 2, "a": 3}']
)
def test_members_that_are_counted_are_told_apart_by_their_beginnings(text: str) -> None:
    assert accepts({"type": "object", "minProperties": 2}, text)


@pytest.mark.parametrize("text", ["{}", '{"a": 1}', '{"a": 1, "a": 2}', '{"a": 1, "A": 2}', '{"a": 1, "a": 2, "b": 3}'])
def test_one_name_twice_is_not_two_members(text: str) -> None:
    assert not accepts({"type": "object", "minProperties": 2}, text)


def test_declared_members_count_as_well() -> None:
    schema = {"type": "object", "minProperties": 3, "properties": {"foo": {}}}

    assert accepts(schema, '{"foo": 1, "a": 2, "b": 2}')
    assert accepts(schema, '{"c": 1, "b": 2, "a": 3}')
    assert not accepts(schema, '{"foo": 1, "a": 2}')
    assert not accepts(schema, '{"a": 1, "b": 2, "b": 3}')


def test_more_than_can_be_told_apart_are_refused() -> None:
    with pytest.raises(BadRequest, match="cannot be told apart"):
        schema_to_gbnf({"type": "object", "minProperties": 9})


def test_a_member_that_nobody_names_may_have_to_be_there() -> None:
    anything = {"not": {"const": {}}, "type": "object"}
    no_text = {"type": "object", "not": {"additionalProperties": {"type": "string"}}}

    assert accepts(anything, '{"a": 1, "b": 2}')
    assert not accepts(anything, "{}")
    assert accepts(no_text, '{"a": "x", "b": 1}')
    assert not accepts(no_text, '{"a": "x"}')


def test_what_must_be_there_is_not_said_otherwise_later() -> None:
    """Readers take the last of two members of one name."""
    no_text = {"type": "object", "not": {"additionalProperties": {"type": "string"}}}

    assert not accepts(no_text, '{"a": 1, "a": "x"}')
