"""Values that stand between tags, or in objects with marks around their texts, as grammars.

Between tags a text is written as it is, up to the tag that closes it; anything else as
JSON.  In the two nested syntaxes the same goes for each part of a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from power.grammar.compose import literal
from power.grammar.dialects.parts import Parts
from power.grammar.dialects.rulebook import Rulebook
from power.grammar.dialects.typed import TYPES, Schema, types_of

MAX_DEPTH = 8  # of nested objects; below, any value will do
WORD = "[A-Za-z_] [A-Za-z0-9_-]{0,63}"  # a key that nobody has declared
MAX_ITEMS = 100  # that are counted
_BOUNDS = frozenset(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"))


def choices(schema: Any) -> list[Any] | None:
    """The values that a schema names one by one."""
    if not isinstance(schema, dict):
        return None
    if "const" in schema:
        return [schema["const"]]
    return schema["enum"] if isinstance(schema.get("enum"), list) and schema["enum"] else None


def raw_value(parts: Parts, schema: Any, types: frozenset[str], close: str, name: str) -> str:
    """A value between tags: a text where the schema allows one, and JSON where not."""
    if "string" in types:
        text = parts.bound_text(schema, close, f"{name}-text")
        if not text:  # whatever is written is one
            return parts.text(schema, close, name)
        others = types - {"string"} if isinstance(schema.get("type"), list) else None
        if not others:
            return f"{text} {literal(close)}"
        schema, types = of_types(schema, others), frozenset(others)
        return f"( {text} | {with_words(parts.json(schema, name), schema, types)} ) {literal(close)}"
    return f"{with_words(parts.json(schema, name), schema, types)} {literal(close)}"


def of_types(schema: Any, types: Collection[str]) -> Schema:
    """Those of the schema's values that are of these types."""
    return {**schema, "type": sorted(types)} if isinstance(schema, dict) else {"type": sorted(types)}


def with_words(json_rule: str, schema: Any, types: frozenset[str]) -> str:
    """JSON of a schema, or what Python would write instead of its words."""
    if choices(schema) is not None:
        return json_rule
    words = [*(('"True"', '"False"') if "boolean" in types else ()), *(('"None"',) if "null" in types else ())]
    return f"( {' | '.join([json_rule, *words])} )" if words else json_rule


class Nested:
    """Values whose parts are written one in the other, for `braces` and for `elements`."""

    def __init__(self, rules: Rulebook, root: Schema, parts: Parts, *, quote: str = "", mark: str = "") -> None:
        self._rules = rules
        self._root = root
        self._parts = parts
        self._quote = quote
        self._mark = mark
        self._text = rules.text_before(quote) if quote else ""

    # -- {key:<|"|>text<|"|>,other:1} --

    def braces(self, schema: Any, name: str, depth: int = 0) -> str:
        """The body of a rule for one value."""
        named = choices(schema)
        if named is not None:
            return " | ".join(self._braced(value) for value in named)
        kinds = types_of(schema, self._root) if depth < MAX_DEPTH else TYPES
        return " | ".join(self._kind(kind, schema, name, depth) for kind in sorted(kinds) if kind in TYPES)

    def _kind(self, kind: str, schema: Any, name: str, depth: int) -> str:
        schema = schema if isinstance(schema, dict) else {}
        if kind == "object":
            return self.members(schema, name, depth)
        if kind == "array":
            inner = schema.get("items")
            item = self._rules.add(
                f"{name}-item", self.braces(inner, f"{name}-item", depth + 1) if inner else self.any()
            )
            return f'"[" {_times(item, schema, ",")} "]"'
        if kind == "string":
            return f"{literal(self._quote)} {self._parts.text(schema, self._quote, f'{name}-text')}"
        if kind in ("integer", "number") and not _BOUNDS.isdisjoint(schema):
            return self._parts.json(of_types(schema, [kind]), f"{name}-{kind}")
        simple = {
            "boolean": '"true" | "false"',
            "null": '"null"',
            "integer": '"-"? ( "0" | [1-9] [0-9]{0,15} )',
        }
        return simple.get(kind) or '"-"? ( "0" | [1-9] [0-9]{0,15} ) ( "." [0-9]{1,15} )?'

    def members(self, schema: Schema, name: str, depth: int = 0) -> str:
        """An object of the declared members, in their order; of any, if none is declared."""
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not properties:
            if depth == 0:
                return '"{" "}"'
            return f'"{{" ( {self._pair()} ( "," {self._pair()} )* )? "}}"'
        pairs = []
        for key, inner in properties.items():
            value = self._rules.add(f"{name}-{slug(key)}", self.braces(inner, f"{name}-{slug(key)}", depth + 1))
            pairs.append((key, f'{literal(key)} ":" {value}'))
        body = listed(self._rules, f"{name}-rest", pairs, required_of(schema), literal(","))
        return f'"{{" {body} "}}"'

    def _pair(self) -> str:
        return f'{WORD} ":" {self.any()}'

    def any(self) -> str:
        """Any value at all."""
        text = f"{literal(self._quote)} {self._text}"
        number = '"-"? ( "0" | [1-9] [0-9]{0,15} ) ( "." [0-9]{1,15} )?'
        pair = f'{WORD} ":" any-braced'
        objects = f'"{{" ( {pair} ( "," {pair} )* )? "}}" | "[" ( any-braced ( "," any-braced )* )? "]"'
        return self._rules.add("any-braced", f'{text} | {number} | "true" | "false" | "null" | {objects}')

    def _braced(self, value: Any) -> str:
        if isinstance(value, str):
            return f"{literal(self._quote)} {literal(value)} {literal(self._quote)}"
        return literal(json.dumps(value, ensure_ascii=False))

    # -- M<key>textM</key> --

    def elements(self, schema: Any, name: str, depth: int = 0) -> str:
        """The elements of an object's members."""
        properties = schema.get("properties") if isinstance(schema, dict) else None
        if not isinstance(properties, dict) or not properties:
            return '""'
        pairs = [(key, self._element(key, inner, f"{name}-{slug(key)}", depth)) for key, inner in properties.items()]
        return listed(self._rules, f"{name}-rest", pairs, required_of(schema), "")

    def _element(self, key: str, schema: Any, name: str, depth: int) -> str:
        opening, closing = f"{self._mark}<{key}>", f"{self._mark}</{key}>"
        types = types_of(schema, self._root)
        if types <= {"object"} and depth < MAX_DEPTH:
            return f"{literal(opening)} {self.elements(schema, name, depth + 1)} {literal(closing)}"
        if types <= {"array"} and depth < MAX_DEPTH:
            item = self._rules.add(name, self._element("item", schema.get("items"), f"{name}-item", depth + 1))
            return f"{literal(opening)} {_times(item, schema)} {literal(closing)}"
        if "string" in types:
            return f"{literal(opening)} {self._parts.text(schema, closing, f'{name}-text')}"
        named = choices(schema)
        kinds = (
            [literal(json.dumps(value)) for value in named]
            if named
            else [self._kind(kind, schema, name, MAX_DEPTH) for kind in sorted(types - {"object", "array"})]
        )
        return f"{literal(opening)} ( {' | '.join(kinds)} ) {literal(closing)}"


def _times(item: str, schema: Any, separator: str = "") -> str:
    """As many items as the schema of an array allows."""
    low, high = (schema.get(key) if isinstance(schema, dict) else None for key in ("minItems", "maxItems"))
    least = low if isinstance(low, int) and 0 <= low <= MAX_ITEMS else 0
    most = high if isinstance(high, int) and least <= high <= MAX_ITEMS else None
    if most == 0:
        return '""'
    if not separator:
        return f"{item}{{{least},{'' if most is None else most}}}"
    rest = f"( {literal(separator)} {item} ){{{max(0, least - 1)},{'' if most is None else most - 1}}}"
    return f"{item} {rest}" if least else f"( {item} {rest} )?"


def required_of(schema: Any) -> set[str]:
    """The members that an object has to have."""
    required = schema.get("required") if isinstance(schema, dict) else None
    return {key for key in required if isinstance(key, str)} if isinstance(required, list) else set()


def listed(rules: Rulebook, name: str, pairs: list[tuple[str, str]], required: set[str], separator: str) -> str:
    """Members in their order, each of which may be left out unless it is required.

    Two rules for each place: nothing has been written so far, or something has.
    """
    first = rest = '""'
    for number, (key, body) in reversed(list(enumerate(pairs))):
        member = rules.add(f"{name}-{number}", body)
        after = rules.add(f"{name}-{number}-after", rest)
        skipped = "" if key in required else f" | {first}"
        first_here = f"{member} {after}{skipped}"
        rest_here = f"{separator} {member} {after}" + ("" if key in required else f" | {rest}")
        first = rules.add(f"{name}-{number}-first", first_here)
        rest = rules.add(f"{name}-{number}-rest", rest_here)
    return first


def slug(key: str) -> str:
    """A key as part of a rule's name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", key)[:30] or "x"
