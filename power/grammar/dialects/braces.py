"""Arguments in braces with bare keys, whole or as models leave them.

    {city:<|"|>Rome<|"|>,days:2}

What was certainly meant is read: a text whose last mark is missing, an object whose
brace is, and a single text that has no marks at all.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from power.grammar.dialects.literals import literal
from power.grammar.dialects.members import Members, growing
from power.grammar.dialects.source import Reading, Source, find
from power.grammar.dialects.typed import Schema, types_of

_KEY = re.compile(r"""\s*([^\s{}\[\]",:]+)\s*:\s*""")


def take_braces(source: Source, quote: str, members: Members) -> Reading[str | None]:
    """The text up to the brace that closes the one that comes next; marked strings may hold any."""
    start, depth, n_lists = source.at, 0, 0
    piece = start + len("{")  # where the member begins that is being read
    while True:
        found = yield from find(source, [*"{}[],", *([quote] if quote else [])])
        if found is None:
            return None
        mark, is_outer = found[1], (depth, n_lists) == (1, 0)
        if mark == quote:
            text = find(source, [quote])
            if is_outer and (key := _KEY.fullmatch(source.text, piece, source.at - len(quote))):
                text = growing(source, text, [quote], partial(members.grow, key[1]))
            if (yield from text) is None:
                return None
        elif mark == "," and is_outer:
            members.add(braced(f"{{{source.text[piece : source.at - 1]}}}", quote))
            piece = source.at
        depth += (mark == "{") - (mark == "}")
        n_lists += (mark == "[") - (mark == "]")
        if depth == 0:
            return source.text[start : source.at]


def braced(text: str | None, quote: str) -> dict[str, Any] | None:
    """The object that a text is; `quote` stands around strings."""
    if text is None:
        return None
    try:
        value = literal(text, quote=quote)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def repaired(text: str, quote: str, schema: Schema) -> dict[str, Any] | None:
    """The object that a text, up to what closes its call, was meant to be."""
    text = text.strip()
    opened = text.removesuffix("}")
    ends = (f"{opened}{quote}}}", f"{text}{quote}}}") if quote and text.count(quote) % 2 else (text + "}",)
    found = (braced(each, quote) for each in ends)
    return next((value for value in found if value is not None), None) or _unmarked(opened, quote, schema)


def _unmarked(text: str, quote: str, schema: Schema) -> dict[str, Any] | None:
    """The one argument of a text without marks, if its schema says that it is a text."""
    match = re.fullmatch(r"\{\s*([\w.-]+)\s*:(.*)", text, re.DOTALL)
    properties = schema.get("properties")
    if match is None or not isinstance(properties, dict) or (quote and quote in text):
        return None
    is_text = match[1] in properties and types_of(properties[match[1]], schema) == {"string"}
    return {match[1]: match[2]} if is_text else None
