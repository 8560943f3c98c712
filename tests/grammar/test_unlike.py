"""Lists of texts of which no two are equal."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.grammar import check_gbnf, mismatch, parse_gbnf, schema_to_gbnf
from power.grammar.unlike import N_PLACES

from .walk import Walk

UNLIKE = parse_gbnf(schema_to_gbnf({"type": "array", "items": {"type": "string"}, "uniqueItems": True}))
FILLED = parse_gbnf(
    schema_to_gbnf({"type": "array", "items": {"type": "string", "minLength": 1}, "uniqueItems": True, "minItems": 1})
)


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [""],
        ["python", "pytorch", "pandas"],
        ["item1", "item2", "item3", "item9"],
        ["item3", "item2"],
        ["a", ""],
        ["", "b", "c"],
        ["abc", "ab"],
        ["minecraft:stone", "minecraft:deepslate"],
        ["grün", "grau"],
        ['"', "\\"],
        ["x" * (N_PLACES - 1) + "1", "x" * (N_PLACES - 1) + "2"],
        ["y" * 500],
    ],
)
def test_texts_that_differ_may_come(texts: list[str]) -> None:
    assert mismatch(UNLIKE, json.dumps(texts, ensure_ascii=False)) is None


@given(st.lists(st.text("ab1é"), max_size=5), st.data())
def test_no_text_comes_twice(texts: list[str], data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(texts or [""]))
    at = data.draw(st.integers(0, len(texts)))
    doubled = [*texts[:at], again, *texts[at:]] if texts else [again, again]

    assert mismatch(UNLIKE, json.dumps(doubled, ensure_ascii=False)) is not None


def test_what_is_written_is_unlike() -> None:
    # Working out how a text of the many rules is ended takes a while, so there is one walk of each.
    of_any, of_filled = (Walk(grammar, random.Random(1), long=80) for grammar in (UNLIKE, FILLED))
    for _ in range(60):
        any_text, filled = json.loads(of_any.text()), json.loads(of_filled.text())

        assert len(set(any_text)) == len(any_text)
        assert len(set(filled)) == len(filled) > 0
        assert all(filled)


def test_empty_texts_are_told_from_the_others() -> None:
    assert mismatch(FILLED, '["a", "b", "cd"]') is None
    assert mismatch(FILLED, '["b", "a"]') is None
    for text in ('[""]', '["a", ""]', '["", "a"]', "[]", '["ba", ""]'):
        assert mismatch(FILLED, text) is not None


def test_names_of_members_are_no_names_of_its_rules() -> None:
    listed = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    names = {name: {"type": "object", "properties": {name: listed}} for name in ("u", "u-1", "unlike", "u-rest", "U")}
    grammar = schema_to_gbnf({"type": "object", "properties": names, "required": list(names)})
    text = json.dumps({name: {name: ["a", "b"]} for name in names})

    check_gbnf(grammar)
    assert mismatch(parse_gbnf(grammar), text) is None
    assert mismatch(parse_gbnf(grammar), text.replace("b", "a")) is not None
