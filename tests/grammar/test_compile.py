"""Schemas compiled: which texts are accepted, which are not, and what is refused."""

# ruff: noqa: E501 -- tables of cases read best as long lines

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from power.grammar import SchemaError, check_gbnf, compile_schema, mismatch, parse_gbnf, schema_to_gbnf


def accepts(schema: Any, text: str, **options: Any) -> bool:
    grammar = schema_to_gbnf(schema, **options)
    check_gbnf(grammar)
    return mismatch(parse_gbnf(grammar), text) is None


PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
}
TREE = {
    "$defs": {"node": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}}}},
    "$ref": "#/$defs/node",
}
EMBEDDED = {
    "$id": "https://example.com/root.json",
    "$ref": "item#place",
    "$defs": {
        "item": {"$id": "item", "$defs": {"p": {"$anchor": "place", "type": "array", "items": {"$ref": "#/$defs/q"}}, "q": {"type": "null"}}}
    },
}  # fmt: skip
THING = {"type": "object", "properties": {"n": {"type": "integer"}, "id": {"type": "string"}}, "required": ["id"]}
TWO_KINDS = {
    "type": "array",
    "items": {"enum": [0, 1, 2]},
    "allOf": [{"contains": {"const": 1}, "maxContains": 1}, {"contains": {"const": 2}, "maxContains": 2}],
}
PRIVILEGES = {
    "oneOf": [{"type": "object", "properties": {f"p{n}": {}}, "additionalProperties": False} for n in range(9)]
}
TABLES = {
    "type": "object",
    "patternProperties": {f"^kind{n} ": {"const": n} for n in range(25)},
    "additionalProperties": False,
}
SHAPES = {
    "oneOf": [
        {"properties": {"kind": {"const": "circle"}, "r": {"type": "number"}}, "required": ["kind", "r"]},
        {"properties": {"kind": {"const": "square"}, "side": {"type": "number"}}, "required": ["kind", "side"]},
    ],
    "type": "object",
}


@pytest.mark.parametrize(
    ("schema", "accepted", "rejected"),
    [
        (PERSON, ['{"name": "a"}', '{"age":3,"name":"b"}', '{\n  "name": "c",\n  "age": 0\n}'], ["{}", '{"name": ""}']),
        (PERSON, ['{"name": "\\n\\"é"}'], ['{"name": "a", "age": -1}', '{"name": "a", "name": "b"}', '{"name": "a",}']),
        ({"type": ["string", "null"]}, ['"a"', "null", '"\\ud83d\\ude00"'], ["1", '"\\ud83d"', '"\n"', '"\\x"']),
        ({"enum": [1, "a", None, {"b": [2]}]}, ["1", '"a"', "null", '{"b": [2]}'], ["2", '"b"', '{"b": []}']),
        ({"const": False}, ["false"], ["0", "true", "null"]),
        ({"type": "integer", "multipleOf": 7}, ["14", "-7", "0"], ["8", "7.5", "07", "7.0"]),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 2.5}, ["0.1", "2.5", "2"], ["0", "2.51", "-1", "3"]),
        ({"type": "string", "pattern": "^[A-Z]{2}$"}, ['"AB"'], ['"A"', '"AB\\n"', '"\\u0041B"']),
        ({"type": "string", "pattern": "b"}, ['"abc"', '"\\nb"'], ['"a"', '"\\u0062"']),
        ({"type": "string", "pattern": "^a+$", "minLength": 2, "maxLength": 3}, ['"aa"', '"aaa"'], ['"a"', '"aaaa"']),
        ({"type": "string", "pattern": "^(ab|c)*$", "maxLength": 3}, ['""', '"abc"', '"ccc"'], ['"abab"', '"a"']),
        ({"type": "string", "maxLength": 300}, [json.dumps("x" * 300)], [json.dumps("x" * 301)]),
        ({"type": "string", "minLength": 2}, ['"é🙂"'], ['"🙂"', '"\\ud83d\\ude00"']),
        ({"type": "string", "not": {"enum": ["no", "nope"]}}, ['"n"', '"non"', '""'], ['"no"', '"nope"', '"\\u006eo"']),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}, ["[1]", "[1, 2]"], ["[]", "[1,2,3]"]),
        ({"type": "array", "maxItems": 1000}, ["[]", json.dumps([0] * 1000)], [json.dumps([0] * 1001)]),
        ({"prefixItems": [{"type": "null"}], "items": False, "type": "array"}, ["[]", "[null]"], ["[1]", "[null, null]"]),
        ({"items": [{"const": 1}], "additionalItems": {"const": 2}, "type": "array"}, ["[1, 2, 2]"], ["[2]", "[1, 1]"]),
        ({"type": "array", "contains": {"const": 1}, "maxContains": 1}, ["[0, 1, 0]"], ["[]", "[0]", "[1, 1]"]),
        (TWO_KINDS, ["[1, 2]", "[2, 0, 1]"], ["[]", "[1]", "[2]", "[1, 1, 2]", "[1, 2, 2, 2]"]),
        ({"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True}, ["[]", "[2, 1]", "[3, 1, 2]"], ["[1, 1]"]),
        ({"type": "array", "items": THING, "uniqueItems": True},
         ["[]", '[{"id": "a"}]', '[{"id": "b", "n": 1}, {"id": "a", "n": 1}]'],
         ['[{"id": "a"}, {"id": "a"}]', '[{"id": "a", "n": 1}, {"id": "b"}, {"n": 1, "id": "a"}]', "[{}]"]),
        ({"type": "array", "uniqueItems": True},
         ['["a", "b", {}, [1]]', "[[]]", '[{"a": 1}]'], ['["a", "a"]', "[{}, {}]", "[[1], [1]]", "[1, 1.0]"]),
        (TREE, ['{"v": 1, "next": {"v": 2, "next": {}}}'], ['{"v": "1"}', '{"next": null}']),
        (EMBEDDED, ["[null, null]"], ["[1]", "{}"]),
        (PRIVILEGES, ['{"p0": 1}', '{"p7": null}'], ["{}", '{"p0": 1, "p1": 1}', '{"q": 1}']),
        (TABLES, ['{"kind3 x": 3}', '{"kind24 ": 24}'], ['{"kind3 x": 4}', '{"kind25 x": 25}', '{"kind2": 2}']),
        ({"type": "string", "format": "regex"},
         ['"^/api/(.*)$"', '"(?:v)?[0-9a-f-]{2,}"', '"a||b"'], ['"("', '"a**"', '"[b-a]"', '"a{3,2}"', '"["']),
        (SHAPES, ['{"kind": "circle", "r": 1}'], ['{"kind": "circle", "side": 1}', '{"kind": "square"}']),
        ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, ["1", "2.5", '"x"'][:2], ["3", "1.5"]),
        ({"not": {"type": ["string", "object", "array"]}}, ["1", "null"], ['"a"', "{}", "[]"]),
        ({"if": {"type": "string"}, "then": {"const": "a"}, "else": {"const": 1}}, ['"a"', "1"], ['"b"', "2", "null"]),
        ({"allOf": [{"minLength": 2}, {"pattern": "^a"}], "type": "string"}, ['"ab"'], ['"a"', '"ba"']),
        ({"type": "object", "patternProperties": {"^x": {"type": "null"}}, "additionalProperties": False},
         ["{}", '{"xa": null}'], ['{"xa": 1}', '{"a": null}', '{"\\u0078a": 1}']),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "null"}},
         ['{"a": 1, "b": null}', '{"b": null, "a": 1}'], ['{"b": 1}', '{"a": 1, "a": null}', '{"\\u0061": null, "a": 1}']),
        ({"type": "object", "propertyNames": {"maxLength": 1}}, ['{"a": 1}'], ['{"ab": 1}']),
        ({"type": "object", "minProperties": 1, "maxProperties": 2}, ['{"a": 1}', '{"a": 1, "b": 2}'], ["{}"]),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "dependentRequired": {"a": ["b"]}},
         ["{}", '{"b": 1}', '{"a": 1, "b": 2}'], ['{"a": 1}']),
        ({"properties": {"a": {"const": 1}}, "unevaluatedProperties": False, "type": "object"}, ['{"a": 1}'], ['{"b": 1}']),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer", "minimum": 1, "exclusiveMinimum": True},
         ["2"], ["1", "2.0"]),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/a", "type": "null",
          "definitions": {"a": {"const": 1}}}, ["1"], ["null"]),
        (True, ["1", "{}", '[{"a": null}]'], ["", "01"]),
    ],
)  # fmt: skip
def test_a_grammar_accepts_what_is_valid_and_nothing_else(
    schema: Any, accepted: list[str], rejected: list[str]
) -> None:
    assert [text for text in accepted if not accepts(schema, text)] == []
    assert [text for text in rejected if accepts(schema, text)] == []


@pytest.mark.parametrize(
    ("name", "accepted", "rejected"),
    [
        ("date", ["2024-02-29", "1999-12-31"], ["2023-02-29", "2024-13-01", "1900-02-29", "24-01-01"]),
        ("time", ["23:59:59Z", "00:00:00.5+02:00"], ["24:00:00Z", "12:00:00"]),
        ("date-time", ["2024-02-29T12:00:00Z"], ["2024-02-29 12:00:00Z", "2024-02-29"]),
        ("duration", ["P1Y2M3D", "PT1H", "P2W"], ["P", "1Y", "PT", "P1H"]),
        ("email", ["a.b+c@example.com"], ["a@", "@b", "a..b@c", "a b@c"]),
        ("hostname", ["example.com", "a"], ["-a", "a..b", "a" * 64]),
        ("ipv4", ["127.0.0.1"], ["256.0.0.1", "1.2.3", "01.2.3.4"]),
        ("ipv6", ["::1", "fe80::1:2", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8"], ["1::2::3", "12345::", "1:2:3"]),
        ("uri", ["https://a.example/b?c#d", "urn:isbn:1", "mailto:a@b"], ["a/b", "//a", "http://a b"]),
        ("uri-reference", ["a/b", "//a", "#x", "", "https://a"], ["a b", "\\\\a"]),
        ("uuid", ["2EB8AA08-aa98-11ea-b4aa-73b441d16380"], ["2eb8aa08aa9811eab4aa73b441d16380", "2eb8"]),
        ("json-pointer", ["", "/a~0b/~1"], ["a", "/~2"]),
        ("unheard-of", ["anything"], []),
    ],
)
def test_a_format_holds(name: str, accepted: list[str], rejected: list[str]) -> None:
    schema = {"type": "string", "format": name}

    assert [text for text in accepted if not accepts(schema, json.dumps(text))] == []
    assert [text for text in rejected if accepts(schema, json.dumps(text))] == []


def test_objects_are_closed_unless_they_are_to_be_open() -> None:
    text = '{"name": "a", "more": 1}'

    assert not accepts(PERSON, text)
    assert accepts(PERSON, text, objects="open")
    assert accepts({"type": "object"}, text)
    assert accepts({**PERSON, "additionalProperties": True}, text)


@pytest.mark.parametrize(
    ("schema", "keyword", "pointer", "why"),
    [
        ({"properties": {"a": {"pattern": "(?<=a)b"}}}, "pattern", "/properties/a/pattern", "look-behind"),
        ({"$ref": "https://example.com/x"}, "$ref", "/$ref", "not fetched"),
        ({"items": {"$ref": "#/nowhere"}}, "$ref", "/items/$ref", "not there"),
        ({"$ref": "#"}, "$ref", "", "refers to itself"),
        ({"type": "int"}, "type", "/type", "unknown type"),
        ({"properties": {"a/b": 1}}, None, "/properties/a~1b", "an object or a boolean"),
        ({"minLength": -1}, "minLength", "/minLength", "a whole number"),
        ({"enum": 1}, "enum", "/enum", "a list"),
        ({"extends": {}}, "extends", "/extends", "not supported"),
        (False, None, "", "no value is valid"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, None, "", "no value is valid"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 1}}}, None, "",
         "no value is valid"),
    ],
)  # fmt: skip
def test_what_cannot_be_compiled_is_refused_with_its_place(schema: Any, keyword: str, pointer: str, why: str) -> None:
    with pytest.raises(SchemaError, match=why) as caught:
        schema_to_gbnf(schema)

    assert (caught.value.keyword, caught.value.pointer, caught.value.field) == (keyword, pointer, "format")


def test_a_warning_instead_of_a_refusal_names_the_pointers() -> None:
    compiled = compile_schema({"properties": {"a": {"pattern": "\\b"}}}, on_unsupported="warn")

    assert compiled.ignored == ("/properties/a/pattern",)
    assert mismatch(parse_gbnf(compiled.grammar), '{"a": "x"}') is None


def test_equal_schemas_compile_equally_in_every_process() -> None:
    schema = {**SHAPES, "properties": {"x": {"enum": ["b", "a", "c", "d"]}, "y": {"pattern": "^(a|b|c+)$"}}}
    program = "import json,sys; from power.grammar import schema_to_gbnf; print(schema_to_gbnf(json.load(sys.stdin)))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps(schema),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }

    assert outputs == {schema_to_gbnf(json.loads(json.dumps(schema))) + "\n"}
