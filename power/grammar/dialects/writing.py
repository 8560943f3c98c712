"""Write calls in a dialect: what a model would have written.

For conversations whose template leaves calls out, and to try a dialect: whatever is
written here is read back as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from power.grammar.dialects.dialect import CDATA, Dialect, Syntax
from power.grammar.dialects.elements import write_elements
from power.grammar.dialects.header import filled
from power.grammar.dialects.typed import as_text, type_of
from power.messages import ToolCall


def write_calls(dialect: Dialect, calls: Sequence[ToolCall]) -> str:
    """The text of one answer's calls."""
    written = [_call(dialect, call, number) for number, call in enumerate(calls, dialect.first_index)]
    inside = dialect.separator.join(written)
    first = dialect.section_open
    return f"{first}{inside}{dialect.section_close}" if written else ""


def _call(dialect: Dialect, call: ToolCall, number: int) -> str:
    opened, named = (
        filled(text, id=call.id, index=number, name=call.name) for text in (dialect.call_open, dialect.name_end)
    )
    match dialect.syntax:
        case Syntax.OBJECT:
            return f"{opened}{_object(dialect, call, number)}{dialect.call_close}"
        case Syntax.PYTHON:
            arguments = ", ".join(f"{key}={_python(value)}" for key, value in call.arguments.items())
            return f"{opened}{call.name}({arguments}){dialect.call_close}"
        case Syntax.ARGUMENTS:
            inner = _json(call.arguments)
        case Syntax.BRACES:
            named, inner = named.removesuffix("{"), _braces(call.arguments, dialect.quote)
        case Syntax.ELEMENTS:
            inner = write_elements(call.arguments, dialect.element)
        case Syntax.CHANNEL:
            return f" to=functions.{call.name}<|channel|>commentary json<|message|>{_json(call.arguments)}"
        case _:
            inner = "".join(_parameter(dialect, key, value) for key, value in call.arguments.items())
    return f"{opened}{call.name}{named}{inner}{dialect.call_close}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _object(dialect: Dialect, call: ToolCall, number: int) -> str:
    if dialect.keyed:
        return _json({call.name: call.arguments})
    arguments = _json(_json(call.arguments)) if dialect.escaped else _json(call.arguments)
    fields = {key: filled(value, id=call.id, index=number, name=call.name) for key, value in dialect.fields}
    fields |= {dialect.name_key: _json(call.name), dialect.arguments_key: arguments}
    if dialect.id_key:
        fields[dialect.id_key] = _json(call.id)
    inner = _members({key: fields[key] for key in dialect.keys if key in fields})
    if not dialect.wrapper_key:
        return inner
    outer = {key: value for key, value in fields.items() if key not in dialect.keys}
    return _members({**outer, dialect.wrapper_key: inner})


def _members(members: dict[str, str]) -> str:
    return "{" + ", ".join(f"{_json(key)}: {value}" for key, value in members.items()) + "}"


def _python(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_python, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_json(key)}: {_python(each)}" for key, each in value.items()) + "}"
    return _json(value) if isinstance(value, str) else repr(value)


def _braces(value: Any, quote: str) -> str:
    if isinstance(value, str):
        return f"{quote}{value}{quote}"
    if isinstance(value, list):
        return "[" + ",".join(_braces(each, quote) for each in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_braces(each, quote)}" for key, each in value.items()) + "}"
    return _json(value)


def _parameter(dialect: Dialect, key: str, value: Any) -> str:
    text = as_text(value, python_words=dialect.python_words)
    if dialect.cdata and isinstance(value, str) and re.search(r"[<&\n]", text):
        text = text.join(CDATA)
    return f"{dialect.key_open}{key}{dialect.key_end(type_of(value))}{text}{dialect.value_close}"
