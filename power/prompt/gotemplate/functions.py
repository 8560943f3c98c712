"""The functions of Go templates: Go's own, and those that Ollama adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import msgspec

from power.prompt.gotemplate.printf import sprint, sprintf
from power.prompt.gotemplate.values import Struct, go_json, go_string, is_true, type_name


class Builtin(msgspec.Struct, frozen=True):
    """A function: called with `at_least` to `at_most` values. Raises ValueError with Go's words."""

    call: Callable[..., Any]
    at_least: int = 0
    at_most: int | None = None  # None: any number
    growth: int = 1  # how many times as long as its arguments the result can be


def _len(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode(errors="replace"))  # bytes, as Go counts
    if isinstance(value, list | tuple | dict):
        return len(value)
    raise ValueError("len of nil pointer" if value is None else f"len of type {type_name(value)}")


def _index(value: Any, *keys: Any) -> Any:
    if value is None:
        raise ValueError("index of untyped nil")
    for key in keys:
        value = _item(value, key)
    return value


def _item(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        if not isinstance(key, str):
            raise ValueError(f"value has type {type_name(key)}; should be string")
        return value.get(key)
    if value is None:
        raise ValueError("index of untyped nil")
    if not isinstance(value, list | tuple | str):
        raise ValueError(f"can't index item of type {type_name(value)}")
    _check_index(key, _len(value) - 1)
    return value.encode(errors="replace")[key] if isinstance(value, str) else value[key]


def _check_index(key: Any, largest: int) -> None:
    if key is None:
        raise ValueError("cannot index slice/array with nil")
    if not isinstance(key, int) or isinstance(key, bool):
        raise ValueError(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key <= largest:
        raise ValueError(f"index out of range: {key}")


def _slice(value: Any, *bounds: Any) -> Any:
    if value is None:
        raise ValueError("slice of untyped nil")
    if not isinstance(value, list | tuple | str):
        raise ValueError(f"can't slice item of type {type_name(value)}")
    if len(bounds) > 3:
        raise ValueError(f"too many slice indexes: {len(bounds)}")
    if len(bounds) == 3 and isinstance(value, str):
        raise ValueError("cannot 3-index slice a string")
    for bound in bounds:
        _check_index(bound, _len(value))
    start, end = (*bounds, *(0, _len(value))[len(bounds) :])[:2]
    if start > end or (len(bounds) == 3 and end > bounds[2]):
        raise ValueError(f"invalid slice index: {start} > {end}")
    # Bytes, as Go counts; half a character could not go into a prompt.
    return (
        value.encode(errors="replace")[start:end].decode(errors="replace")
        if isinstance(value, str)
        else value[start:end]
    )


# -- comparison --


def _kind(value: Any) -> str:
    for kind, types in (("bool", bool), ("int", int), ("float", float), ("string", str)):
        if isinstance(value, types):
            return kind
    return "nil" if value is None else "other"


def _equal(left: Any, right: Any) -> bool:
    kinds = _kind(left), _kind(right)
    if "nil" in kinds:
        return left is right
    if kinds[0] != kinds[1]:
        raise _incompatible(left, right)
    if kinds[0] == "other":
        raise ValueError(f"non-comparable type {go_string(left)}: {type_name(left)}")
    return bool(left == right)


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    return any(_equal(first, other) for other in others)


def _less(left: Any, right: Any) -> bool:
    for value in (left, right):
        if _kind(value) not in ("int", "float", "string"):
            raise ValueError("invalid type for comparison")
    if _kind(left) != _kind(right):
        raise _incompatible(left, right)
    return bool(left < right)


def _incompatible(left: Any, right: Any) -> ValueError:
    return ValueError(f"incompatible types for comparison: {type_name(left)} and {type_name(right)}")


# -- text --

_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"}


def _text(values: Sequence[Any]) -> str:
    return sprint(["<no value>" if value is None else value for value in values])


def _html(*values: Any) -> str:
    return "".join(_HTML.get(character, character) for character in _text(values))


def _js(*values: Any) -> str:
    return "".join(map(_js_escaped, _text(values)))


def _js_escaped(character: str) -> str:
    if character in "\\'\"":
        return "\\" + character
    if character in "<>&=" or ord(character) < 0x20 or (ord(character) > 0x7E and not character.isprintable()):
        return f"\\u{ord(character):04X}"
    return character


def _printf(form: Any, *values: Any) -> str:
    if not isinstance(form, str):
        raise ValueError(f"wrong type for value; expected string; got {type_name(form)}")
    return sprintf(form, values)


def _println(*values: Any) -> str:
    return " ".join(map(go_string, values)) + "\n"


# -- Ollama's --

_TYPESCRIPT = {
    "string": "string", "number": "number", "integer": "number", "boolean": "boolean", "array": "any[]",
    "object": "Record<string, any>", "null": "null",
}  # fmt: skip


def typescript(prop: Any) -> str:
    """A schema property's type as TypeScript writes it; unions with bars."""
    fields = prop.fields if isinstance(prop, Struct) else prop if isinstance(prop, dict) else {"Type": prop}
    if options := fields.get("AnyOf"):
        return " | ".join(map(typescript, options))
    types = fields.get("Type") or []
    types = [types] if isinstance(types, str) else types
    return " | ".join(_TYPESCRIPT.get(kind, "any") for kind in types) or "any"


def _date(days_ago: int) -> Callable[..., str]:
    return lambda *_: (datetime.now().astimezone() - timedelta(days=days_ago)).strftime("%Y-%m-%d")


def _call(function: Any, *_: Any) -> None:
    raise ValueError("call of nil" if function is None else f"non-function of type {type_name(function)}")


FUNCTIONS: dict[str, Builtin] = {
    # The interpreter evaluates the arguments of these two itself, and only as many as it needs.
    "and": Builtin(lambda *values: values[-1], 1),
    "or": Builtin(lambda *values: values[-1], 1),
    "not": Builtin(lambda value: not is_true(value), 1, 1),
    "len": Builtin(_len, 1, 1),
    "index": Builtin(_index, 1),
    "slice": Builtin(_slice, 1),
    "call": Builtin(_call, 1),
    "eq": Builtin(_eq, 1),
    "ne": Builtin(lambda left, right: not _equal(left, right), 2, 2),
    "lt": Builtin(_less, 2, 2),
    "le": Builtin(lambda left, right: _less(left, right) or _equal(left, right), 2, 2),
    "gt": Builtin(lambda left, right: not (_less(left, right) or _equal(left, right)), 2, 2),
    "ge": Builtin(lambda left, right: not _less(left, right), 2, 2),
    "print": Builtin(lambda *values: sprint(values)),
    "printf": Builtin(_printf, 1, growth=12),
    "println": Builtin(_println),
    "html": Builtin(_html, growth=6),
    "js": Builtin(_js, growth=6),
    "urlquery": Builtin(lambda *values: quote_plus(_text(values), errors="replace"), growth=9),
    "json": Builtin(go_json, 1, 1, growth=6),
    "currentDate": Builtin(_date(0)),
    "yesterdayDate": Builtin(_date(1)),
    "toTypeScriptType": Builtin(typescript, 1, 1),
}
