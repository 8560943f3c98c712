"""A call as it was read, and what JSON says of one.

Models name things as they please: `arguments` or `parameters`, an object or an
object in a string.  Whatever can only mean a call is one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from power.grammar.dialects.dialect import Dialect
from power.grammar.dialects.literals import load_json

NAME_KEYS = ("name", "tool_name", "function_name", "tool")
ARGUMENT_KEYS = ("arguments", "parameters", "args", "input")


class Call(NamedTuple):
    """One call, as written."""

    name: str
    arguments: dict[str, Any]
    id: str = ""


def dictionary(text: str | None) -> dict[str, Any] | None:
    """JSON arguments: an object, or an object in a string, or nothing."""
    if text is None:
        return None
    try:
        value = load_json(text)
        value = load_json(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def call_of(text: str, dialect: Dialect) -> Call | None:
    """The call that a JSON object is."""
    try:
        value = load_json(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    if dialect.keyed and len(value) == 1:
        name, arguments = next(iter(value.items()))
        return Call(name, arguments) if name and isinstance(arguments, dict) else None
    call_id = _first(value, (dialect.id_key, "id", "tool_call_id"))
    inner = value.get(dialect.wrapper_key or "function")
    if isinstance(inner, dict):
        value = inner
    name = _first(value, (dialect.name_key, *NAME_KEYS))
    arguments = _first(value, (dialect.arguments_key, *ARGUMENT_KEYS))
    if isinstance(arguments, str):
        arguments = dictionary(arguments)
        if arguments is None:
            return None
    arguments = {} if arguments is None else arguments  # a tool without parameters
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return None
    return Call(name, arguments, call_id if isinstance(call_id, str) else "")


def _first(value: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((value[key] for key in keys if key in value), None)
