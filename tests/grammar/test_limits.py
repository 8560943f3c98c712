"""Schemas that mean harm are compiled small or refused soon."""

import time
from contextlib import suppress
from typing import Any

import pytest

from power.errors import BadRequest
from power.grammar import check_gbnf, choice_to_gbnf, parse_gbnf, regex_to_gbnf, schema_to_gbnf


def _nested(depth: int, keyword: str) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(depth):
        schema = {keyword: {"a": schema}} if keyword == "properties" else {keyword: [schema, {"type": "null"}]}
    return schema


BOMBS: dict[str, Any] = {
    "a long text": {"type": "string", "maxLength": 32767},
    "a very long text": {"type": "string", "minLength": 10**9},
    "many items": {"type": "array", "minItems": 10**6, "items": {"type": "integer"}},
    "a pattern with counts within counts": {"pattern": "^(((a{50}){50}){50}){50}$"},
    "a long pattern cut short": {"pattern": "^(ab|c|d+e)*$", "maxLength": 30_000},
    "a pattern of many states": {"pattern": "a.{20}$", "not": {"pattern": "b.{19}$"}},
    "many words": {"enum": [f"word {n}" for n in range(20_000)]},
    "many names": {"properties": {f"name{n}": {"type": "null"} for n in range(2000)}, "type": "object"},
    "many required names": {"required": [f"name{n}" for n in range(2000)], "type": "object"},
    "many prefix items": {"prefixItems": [{"type": "null"}] * 2000},
    "many choices that overlap": {"oneOf": [{"required": [f"a{n}"]} for n in range(40)]},
    "many conditions": {"allOf": [{"if": {"required": [f"a{n}"]}, "then": {"required": [f"b{n}"]}} for n in range(30)]},
    "many dependencies": {"dependentSchemas": {f"a{n}": {"required": [f"b{n}"]} for n in range(30)}},
    "overlapping names": {"patternProperties": {f"{n}": {"const": n} for n in range(20)}},
    "deep objects": _nested(60, "properties"),
    "deep alternatives": _nested(60, "anyOf"),
    "too deep": _nested(500, "properties"),
    "counted members": {"minProperties": 500, "properties": {f"a{n}": {} for n in range(1000)}},
    "a huge maximum of members": {"type": "object", "maxProperties": 10**9},
    "a huge minimum of members": {"type": "object", "minProperties": 10**9, "properties": {"a": {}}},
    "a million values": {"enum": list(range(10**6))},
    "a million words": {"enum": [f"w{n}" for n in range(10**6)]},
    "remainders": {"type": "integer", "multipleOf": 1_000_003},
    "many remainders": {"allOf": [{"type": "integer", "multipleOf": n} for n in (97, 89, 83, 79)]},
    "references in a ring": {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    "an opposite within itself": {"not": {"$ref": "#"}},
    "a tower of references": {
        "$defs": {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(50)}
        | {"a50": {"type": "null"}},
        "$ref": "#/$defs/a0",
    },
    "products": {
        "allOf": [{"anyOf": [{"properties": {f"p{i}{j}": {"type": "null"}}} for j in range(6)]} for i in range(6)]
    },
    "large numbers": {"minimum": 1e300, "maximum": 1e301},
}


@pytest.mark.parametrize("schema", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_does_not_go_off(schema: Any) -> None:
    start = time.process_time()
    try:
        grammar = schema_to_gbnf(schema)
    except BadRequest:
        grammar = 'root ::= "x"'

    assert time.process_time() - start < 3
    assert len(grammar) < 1_000_000
    if len(grammar) < 50_000:
        check_gbnf(grammar)


def test_a_long_repeat_is_built_of_blocks() -> None:
    rules = parse_gbnf(schema_to_gbnf({"type": "string", "maxLength": 32767})).rules

    assert len(rules) < 10


@pytest.mark.parametrize("pattern", ["(" * 3000, "a{99999}{99999}", "(a|b){5000}c", "[a-z]{10,20000}", "x" * 20_001])
def test_a_regex_bomb_does_not_go_off(pattern: str) -> None:
    start = time.process_time()
    with suppress(BadRequest):
        check_gbnf(regex_to_gbnf(pattern))

    assert time.process_time() - start < 3


def test_choices_and_expressions_become_grammars() -> None:
    assert choice_to_gbnf(["no", "yes"]) == 'root ::= "no" | "yes"\n'
    assert regex_to_gbnf("a|b+") == 'root ::= "a" | "b"+\n'


@pytest.mark.parametrize("choices", [[], [1], ["x"] * 20_000])
def test_a_choice_of_nothing_or_too_much_is_refused(choices: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        choice_to_gbnf(choices)

    assert caught.value.field == "choice"
