"""Go's `fmt.Sprintf` and `fmt.Sprint`, for the values that templates have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from power.prompt.gotemplate.values import Printed, PrintedList, Struct, Words, go_float, go_string, type_name

MAX_WIDTH = 1_000_000  # Go's own; more is a bad width
_VERB = re.compile(r"%([-+# 0]*)(?:\[(\d+)\])?(\*|\d+)?(?:\.(\*|\d*))?(?:\[(\d+)\])?(.|$)", re.DOTALL)
_SIMPLE = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}


def sprint(values: Sequence[Any]) -> str:
    """Values one after the other, with a space between two of which neither is a string."""
    out: list[str] = []
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            out.append(" ")
        out.append(go_string(value))
    return "".join(out)


def sprintf(form: str, values: Sequence[Any]) -> str:
    """`form` with its verbs replaced; what is wrong with a verb is said in its place, as Go does."""
    arguments = _Arguments(values)
    out: list[str] = []
    end = 0
    for match in _VERB.finditer(form):
        out += (form[end : match.start()], _replacement(match, arguments))
        end = match.end()
    out.append(form[end:])
    if arguments.n_unused > 0:
        extra = ", ".join(f"{type_name(value)}={go_string(value)}" for value in arguments.unused())
        out.append(f"%!(EXTRA {extra})")
    return "".join(out)


class _Arguments:
    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values
        self._next = 0
        self._reordered = False

    @property
    def n_unused(self) -> int:
        return 0 if self._reordered else len(self._values) - self._next

    def unused(self) -> Iterator[Any]:
        yield from self._values[self._next :]

    def jump(self, number: str | None) -> None:
        if number is not None:
            self._next, self._reordered = int(number) - 1, True

    def take(self) -> tuple[bool, Any]:
        """Whether there is one, and the next argument."""
        if not 0 <= self._next < len(self._values):
            return False, None
        self._next += 1
        return True, self._values[self._next - 1]


def _replacement(match: re.Match[str], arguments: _Arguments) -> str:
    flags, index, width, precision, late_index, verb = match.groups()
    if verb == "%" and not flags and not width:
        return "%"
    if verb == "":
        return "%!(NOVERB)"
    arguments.jump(index or late_index)
    n_width, n_precision = _number(width, arguments), _number(precision, arguments)
    if n_width is None or abs(n_width) > MAX_WIDTH or (n_precision or 0) > MAX_WIDTH:
        return "%!(BADWIDTH)"
    if n_width < 0:
        flags, n_width = flags + "-", -n_width
    found, value = arguments.take()
    if not found:
        return f"%!{verb}(BADINDEX)" if index or late_index else f"%!{verb}(MISSING)"
    text = _formatted(value, verb, flags, None if precision is None else n_precision or 0)
    return _padded(text, flags, n_width, isinstance(value, int | float) and verb not in "qcT")


def _number(text: str | None, arguments: _Arguments) -> int | None:
    if text == "*":
        value = arguments.take()[1]
        return value if isinstance(value, int) else None
    return int(text or 0) if len(text or "") < 8 else None


def _padded(text: str, flags: str, width: int, is_number: bool) -> str:
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and is_number:
        sign = text[:1] if text[:1] in ("-", "+") else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width, "0" if "0" in flags else " ")


def _formatted(value: Any, verb: str, flags: str, precision: int | None) -> str:
    if verb == "T":
        return type_name(value)
    if verb == "v" and not isinstance(value, int | float | str) and "#" not in flags:
        return go_string(value)
    match value:
        case bool():
            return go_string(value) if verb in "tv" else _bad(verb, value)
        case int():
            return _integer(value, verb, flags)
        case float():
            return _float(value, verb, flags, precision)
        case str():
            return _text(value, verb, flags, precision)
        case Printed() | PrintedList() | Words() | Struct() if verb in "sqxX":
            if not isinstance(value, Struct) or value.prints_json:
                return _text(go_string(value), verb, flags, precision)
        case None:
            return f"%!{verb}(<nil>)"
    if isinstance(value, list):
        return f"[{' '.join(_formatted(item, verb, flags, precision) for item in value)}]"
    if isinstance(value, dict):
        items = (
            f"{_formatted(key, verb, flags, precision)}:{_formatted(value[key], verb, flags, precision)}"
            for key in sorted(value)
        )
        return f"map[{' '.join(items)}]"
    if isinstance(value, Struct):
        return f"{{{' '.join(_formatted(item, verb, flags, precision) for item in value.fields.values())}}}"
    return _bad(verb, value)


def _bad(verb: str, value: Any) -> str:
    return f"%!{verb}({type_name(value)}={go_string(value)})"


def _integer(value: int, verb: str, flags: str) -> str:
    sign = "+" if "+" in flags and value >= 0 else " " if " " in flags and value >= 0 else ""
    match verb:
        case "d" | "v":
            return f"{sign}{value}"
        case "b" | "o" | "x" | "X":
            return f"{sign}{value:{'#' if '#' in flags and verb != 'o' else ''}{verb}}"
        case "O":
            return f"{sign}0o{value:o}"
        case "c":
            return chr(value) if 0 <= value < 0x110000 else "\ufffd"
        case "q":
            return quoted(chr(value) if 0 <= value < 0x110000 else "\ufffd", "'")
        case "U":
            return f"U+{value:04X}"
    return _bad(verb, value)


def _float(value: float, verb: str, flags: str, precision: int | None) -> str:
    sign = "+" if "+" in flags and value >= 0 else " " if " " in flags and value >= 0 else ""
    match verb:
        case "v" | "g" | "G" if precision is None:
            text = go_float(value)
        case "v" | "g" | "G":
            text = f"{value:.{precision}g}"
        case "f" | "F" | "e" | "E":
            text = f"{value:.{6 if precision is None else precision}{verb}}"
        case _:
            return _bad(verb, value)
    return sign + (text.upper() if verb in "GE" else text)


def _text(value: str, verb: str, flags: str, precision: int | None) -> str:
    cut = value if precision is None else value[:precision]
    match verb:
        case "v" if "#" in flags:
            return quoted(value)
        case "s" | "v":
            return cut
        case "q":
            if "#" in flags and "`" not in cut and cut.isprintable():
                return f"`{cut}`"
            return quoted(cut)
        case "x" | "X":
            text = value.encode(errors="replace")[:precision].hex(*" " if " " in flags else ())
            return text.upper() if verb == "X" else text
    return _bad(verb, value)


def quoted(text: str, quote: str = '"') -> str:
    """As Go's `strconv.Quote` does it."""
    out: list[str] = []
    for character in text:
        if character == quote:
            out.append("\\" + quote)
        elif character in _SIMPLE:
            out.append(_SIMPLE[character])
        elif character.isprintable():
            out.append(character)
        else:
            code = ord(character)
            out.append(f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return quote + "".join(out) + quote
