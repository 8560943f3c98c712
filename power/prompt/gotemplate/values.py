"""Go's values as Python's, and how Go writes them.

bool, int, float, str, list and dict stand for themselves (a dict for a map, whose
order Go does not know: it is written and walked sorted), None for nil and for what
a map does not have, and `Struct` for a struct.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from power.prompt.fuel import Holder

_JSON_ESCAPES = {
    '"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f",
    "<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029",
}  # fmt: skip
_JSON_SPECIAL = re.compile('["\\\\<>&\x00-\x1f\u2028\u2029]|[\ud800-\udfff]')


class Struct(Holder):
    """A struct: fields in their order, and how it is written.

    `json` are the fields as its JSON has them, or None where it has none of its
    own; `prints_json` says that it prints so, too.
    """

    __slots__ = ("fields", "json", "prints_json", "type_name")

    def __init__(
        self,
        type_name: str,
        fields: Mapping[str, Any],
        json: Mapping[str, Any] | None = None,
        *,
        prints_json: bool = False,
    ) -> None:
        self.type_name = type_name
        self.fields = fields
        self.json = fields if json is None else json
        self.prints_json = prints_json

    def held(self) -> Iterable[Any]:
        return self.fields.values()

    def __repr__(self) -> str:
        return f"<{self.type_name} {dict(self.fields)}>"


class Printed(dict[str, Any]):
    """A map that prints as its JSON."""


class PrintedList(list[Any]):
    """A slice that prints as its JSON."""


class Words(list[str]):
    """A slice of strings that prints as the string where it has but one: a property's type."""


def is_true(value: Any) -> bool:
    """Structs are, and everything that is not zero, empty or nil."""
    return isinstance(value, Struct) or bool(value)


def type_name(value: Any) -> str:
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float64"
        case str():
            return "string"
        case Struct():
            return value.type_name
        case list():
            return "[]interface {}"
    return "map[string]interface {}"


def go_string(value: Any, *, top: bool = True) -> str:
    """As `%v` writes it."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return go_float(value)
        case Words() if len(value) == 1:
            return value[0]
        case Printed() | PrintedList():
            return go_json(value)
        case dict():
            items = (f"{go_string(key)}:{go_string(value[key], top=False)}" for key in sorted(value))
            return f"map[{' '.join(items)}]"
        case list() | tuple():
            return f"[{' '.join(go_string(item, top=False) for item in value)}]"
        case Struct():
            if value.prints_json:
                return go_json(value)
            return f"{{{' '.join(go_string(field, top=False) for field in value.fields.values())}}}"
    return str(value)


def go_float(value: float, large: int = 6) -> str:
    """Shortest digits that read back the same; with an exponent below -4 and from `large` on."""
    if not math.isfinite(value):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    sign, digits, n = _digits(value)
    if n < -4 or n >= large:
        return f"{sign}{digits[0]}{'.' + digits[1:] if len(digits) > 1 else ''}e{n:+03d}"
    return _positional(sign, digits, n)


def _digits(value: float) -> tuple[str, str, int]:
    """Sign, significant digits, and the exponent of the first."""
    negative, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits))
    n = len(text) + int(exponent) - 1 if value else 0
    return "-" if negative else "", text.rstrip("0") or "0", n


def _positional(sign: str, digits: str, n: int) -> str:
    if n < 0:
        return f"{sign}0.{'0' * (-n - 1)}{digits}"
    whole, rest = digits[: n + 1].ljust(n + 1, "0"), digits[n + 1 :]
    return f"{sign}{whole}{'.' + rest if rest else ''}"


def go_json(value: Any) -> str:
    """Compact, with <, > and & escaped; the keys of maps sorted, those of structs in their order."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return _json_float(value)
        case int():
            return str(value)
        case str():
            return f'"{_JSON_SPECIAL.sub(_json_escape, value)}"'
        case Words() if len(value) == 1:
            return go_json(value[0])
        case Struct():
            return _json_object(list(value.json.items()))
        case dict():
            return _json_object(sorted((str(key), item) for key, item in value.items()))
        case list() | tuple():
            return f"[{','.join(map(go_json, value))}]"
    raise ValueError(f"json: unsupported type: {type_name(value)}")


def _json_object(items: list[tuple[str, Any]]) -> str:
    return "{" + ",".join(f"{go_json(key)}:{go_json(item)}" for key, item in items) + "}"


def _json_escape(match: re.Match[str]) -> str:
    character = match.group()
    if "\ud800" <= character <= "\udfff":
        return "\\ufffd"
    return _JSON_ESCAPES.get(character) or f"\\u{ord(character):04x}"


def _json_float(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"json: unsupported value: {go_float(value)}")
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return _positional(*_digits(value))
    return re.sub(r"e-0(\d)$", r"e-\1", go_float(value))
