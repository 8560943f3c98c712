"""What a tool's schema makes of a text that does not say its type.

Between tags, `42` may be a number or a text.  The schema of the parameter decides:
where it allows only texts it is one; else it is read as JSON if that gives a value
of an allowed type, and is a text if not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from power.grammar.dialects.literals import WORDS, literal, load_json
from power.messages import Tool

Schema = dict[str, Any]
TYPES = frozenset(("string", "number", "integer", "boolean", "null", "object", "array"))
MAX_HOPS = 50  # of references, unions and such


class Tools:
    """The tools of a request, by name."""

    def __init__(self, tools: Sequence[Tool] = ()) -> None:
        self._schemas: dict[str, Schema] = {}
        for tool in tools:
            function = tool.get("function", tool)
            if isinstance(function, dict) and isinstance(function.get("name"), str):
                parameters = function.get("parameters")
                self._schemas[function["name"]] = parameters if isinstance(parameters, dict) else {}

    def __contains__(self, name: str) -> bool:
        return name in self._schemas

    def __bool__(self) -> bool:
        return bool(self._schemas)

    def __iter__(self) -> Any:
        return iter(self._schemas)

    def schema(self, name: str) -> Schema:
        """The schema of a tool's arguments; empty if nobody gave one."""
        return self._schemas.get(name, {})

    def value(self, tool: str, key: str, text: str) -> Any:
        """What `text` means as an argument of a tool."""
        if tool not in self:
            return text
        schema = self.schema(tool)
        properties = schema.get("properties")
        if not isinstance(properties, dict) or key not in properties:
            return typed(text, TYPES)
        return typed(text, types_of(properties[key], schema))

    def is_text(self, tool: str, key: str) -> bool:
        """Whether an argument of a tool can only be a text."""
        schema = self.schema(tool)
        properties = schema.get("properties")
        return isinstance(properties, dict) and key in properties and types_of(properties[key], schema) == {"string"}

    def has_required(self, tool: str, arguments: dict[str, Any]) -> bool:
        """Whether no argument is missing that the schema demands."""
        required = self.schema(tool).get("required")
        return not isinstance(required, list) or all(key in arguments for key in required if isinstance(key, str))


def types_of(schema: Any, root: Schema) -> frozenset[str]:
    """The types of JSON that a schema may allow: at least those that it does."""
    return _types(schema, root, [MAX_HOPS]) or TYPES


def _types(schema: Any, root: Schema, hops: list[int]) -> frozenset[str]:
    hops[0] -= 1
    if not isinstance(schema, dict) or hops[0] < 0:
        return TYPES
    types = TYPES
    named = schema.get("type")
    if isinstance(named, str | list):
        types = frozenset([named] if isinstance(named, str) else [each for each in named if isinstance(each, str)])
    if "const" in schema or isinstance(schema.get("enum"), list):
        values = [schema["const"]] if "const" in schema else schema["enum"]
        types &= (
            {type_of(value) for value in values} | {"number", "integer"}
            if _numbers(values)
            else {type_of(value) for value in values}
        )
    for union in ("anyOf", "oneOf"):
        if isinstance(schema.get(union), list) and schema[union]:
            types &= frozenset().union(*(_types(each, root, hops) for each in schema[union]))
    if isinstance(schema.get("$ref"), str):
        types &= _types(_resolved(schema["$ref"], root), root, hops)
    if isinstance(schema.get("allOf"), list):
        for each in schema["allOf"]:
            types &= _types(each, root, hops)
    if schema.get("nullable") is True:  # OpenAPI's
        types |= {"null"}
    return types


def _numbers(values: list[Any]) -> bool:
    return any(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _resolved(reference: str, root: Schema) -> Any:
    found: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) and part else found
    return found if reference.startswith("#") else {}


def typed(text: str, types: frozenset[str]) -> Any:
    """The value of one of these types that `text` writes, or `text` itself."""
    if types == {"string"}:
        return text
    try:
        value = _read(text.strip())
    except (ValueError, RecursionError):
        return text
    kind = type_of(value)
    if kind in types or (kind == "integer" and "number" in types):
        return value
    if kind == "number" and "integer" in types and value == int(value):
        return int(value)
    if "string" in types:
        return text
    return value


def _read(text: str) -> Any:
    if text in WORDS:
        return WORDS[text]
    try:
        return load_json(text)
    except ValueError:
        # What Python prints: some templates write arguments with `str`, and their models learnt it.
        return literal(text) if text[:1] in ("{", "[", "(") else _no_value(text)


def _no_value(text: str) -> Any:
    raise ValueError(text)


def type_of(value: Any) -> str:
    """The type of JSON that a value has."""
    if isinstance(value, bool):
        return "boolean"
    kinds = {str: "string", int: "integer", float: "number", type(None): "null", dict: "object", list: "array"}
    return kinds[type(value)]


def as_text(value: Any, *, python_words: bool = False) -> str:
    """A value as templates write it between tags; texts stand as they are."""
    if isinstance(value, str):
        return value
    if python_words and (value is None or isinstance(value, bool)):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
