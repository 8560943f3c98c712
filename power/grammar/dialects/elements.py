"""Arguments as elements that are named after them, nested as deep as their values are.

Each tag has a mark before it: `M<city>RomeM</city>`, a list `M<days>M<item>1M</item>M</days>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from power.grammar.dialects.members import Members, growing
from power.grammar.dialects.source import MAX_HEADER, Reading, Source, find
from power.grammar.dialects.typed import TYPES, Schema, as_text, typed, types_of

ITEM = "item"
MAX_DEPTH = 50


def take_elements(source: Source, mark: str, schema: Schema, close: str, members: Members) -> Reading[str | None]:
    """The text up to `close`, which is read; each element in it that is in no other is one of the members."""
    start = piece = source.at
    depth, tags = 0, [close, f"{mark}</", f"{mark}<"]
    text = find(source, tags)
    while found := (yield from text):
        text = find(source, tags)
        if found[1] == close:
            return source.text[start : source.at - len(close)]
        is_open = found[1] == tags[-1]
        depth += 1 if is_open else -1
        if depth != is_open:
            continue
        name = yield from find(source, [">"], limit=MAX_HEADER)
        if name and is_open and types_of(_below(schema, name[0]), schema) == {"string"}:
            text = growing(source, text, tags, partial(members.grow, name[0]))
        elif name and not is_open:
            members.add(elements_of(source.text[piece : source.at], mark, schema))
            piece = source.at
    return None


def elements_of(text: str, mark: str, schema: Schema) -> dict[str, Any] | None:
    """The arguments that a text of elements holds; None: it does not hold together."""
    try:
        return read_elements(text, mark, schema)
    except ValueError:
        return None


def read_elements(text: str, mark: str, schema: Schema) -> dict[str, Any]:
    """The arguments that a text of elements holds. Raises ValueError."""
    parts = list(_parts(text, mark))
    value, at = _members(parts, 0, schema, schema, 0)
    if at != len(parts) or not isinstance(value, dict):
        raise ValueError("elements that do not match")
    return value


def write_elements(arguments: dict[str, Any], mark: str) -> str:
    """The same the other way round."""
    return "".join(_element(key, value, mark) for key, value in arguments.items() if value is not None)


def _element(key: str, value: Any, mark: str) -> str:
    if isinstance(value, dict):
        inner = write_elements(value, mark)
    elif isinstance(value, list):
        inner = "".join(_element(ITEM, each, mark) for each in value)
    else:
        inner = as_text(value)
    return f"{mark}<{key}>{inner}{mark}</{key}>"


Part = tuple[str, str]
"""A tag's name ("/" before it if it closes), and the text behind it."""


def _parts(text: str, mark: str) -> Iterator[Part]:
    before, *tags = text.split(f"{mark}<")
    if before.strip():
        raise ValueError("text outside of elements")
    for tag in tags:
        name, found, rest = tag.partition(">")
        if not found or not re.fullmatch(r"/?[^\s<>/]+", name):
            raise ValueError("no tag")
        yield name, rest


def _members(parts: list[Part], at: int, schema: Any, root: Schema, depth: int) -> tuple[Any, int]:
    """The object or list that elements from `at` on make up, and where they end."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    members: dict[str, Any] = {}
    items: list[Any] = []
    while at < len(parts) and not parts[at][0].startswith("/"):
        name, text = parts[at]
        inner = _below(schema, name)
        if at + 1 < len(parts) and not parts[at + 1][0].startswith("/"):
            value, at = _members(parts, at + 1, inner, root, depth + 1)
        else:
            value, at = typed(text, types_of(inner, root) if inner else TYPES), at + 1
        if at >= len(parts) or parts[at][0] != f"/{name}":
            raise ValueError("an element without end")
        at += 1
        members[name] = value
        items.append(value)
    is_list = set(members) == {ITEM} and not (isinstance(schema, dict) and ITEM in (schema.get("properties") or {}))
    return (items if is_list else members), at


def _below(schema: Any, name: str) -> Any:
    if not isinstance(schema, dict):
        return None
    properties = schema.get("properties")
    if isinstance(properties, dict) and name in properties:
        return properties[name]
    return schema.get("items") if name == ITEM else None
