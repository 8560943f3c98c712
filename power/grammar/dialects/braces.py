"""Arguments in braces with bare keys, whole or as models leave them.

    {city:<|"|>Rome<|"|>,days:2}

What was certainly meant is read: a text whose last mark is missing, an object whose
brace is, and a single text that has no marks at all.
"""

from __future__ import annotations

import re
from typing import Any

from power.grammar.dialects.literals import literal
from power.grammar.dialects.typed import Schema, types_of


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
