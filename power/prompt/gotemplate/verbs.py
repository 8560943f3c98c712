"""One value by one verb of Go's `fmt`: what `%5.2f` makes of it, and what of the wrong kind of value.

A port of fmt's format.go and print.go (Go 1.26) for the values that templates have.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from power.prompt.gotemplate.values import Printed, PrintedList, Struct, Words, go_float, go_string, type_name

_SIMPLE = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}
_BASES = {"d": 10, "v": 10, "b": 2, "o": 8, "O": 8, "x": 16, "X": 16}


class Verb(msgspec.Struct, kw_only=True):
    """A verb with its flags."""

    letter: str = "v"
    plus: bool = False
    minus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    names_fields: bool = False  # %+v
    go_syntax: bool = False  # %#v
    width: int | None = None
    precision: int | None = None
    failing: bool = False  # it is not for this value, which is shown for the error

    def settled(self) -> Verb:
        """The flags as `v` understands them."""
        if self.letter != "v":
            return self
        return msgspec.structs.replace(self, go_syntax=self.sharp, names_fields=self.plus, sharp=False, plus=False)

    def padded(self, text: str) -> str:
        if self.width is None or self.minus:
            return text.ljust(self.width or 0)
        return text.rjust(self.width, "0" if self.zero else " ")


def formatted(value: Any, verb: Verb) -> str:
    """A whole argument."""
    if value is None:
        return verb.padded("<nil>") if verb.letter in "Tv" else f"%!{verb.letter}(<nil>)"
    if verb.letter == "T":
        return _string(type_name(value), msgspec.structs.replace(verb, letter="s"))
    return _value(value, verb)


def _value(value: Any, verb: Verb) -> str:
    if _prints_itself(value) and verb.letter in "vsxXq" and not verb.go_syntax and not verb.failing:
        return _string(go_string(value), verb)
    match value:
        case None:
            return "interface {}(nil)" if verb.go_syntax else "<nil>"
        case bool():
            return verb.padded(go_string(value)) if verb.letter in "tv" else _bad(value, verb)
        case int():
            return _integer(value, verb)
        case float():
            return _float(value, verb)
        case str():
            return _string(value, verb)
        case dict():
            return _map(value, verb)
        case list() | tuple():
            parts = [_value(item, verb) for item in value]
            return f"{type_name(value)}{{{', '.join(parts)}}}" if verb.go_syntax else f"[{' '.join(parts)}]"
        case Struct():
            return _struct(value, verb)
    return _bad(value, verb)


def _prints_itself(value: Any) -> bool:
    return isinstance(value, Printed | PrintedList | Words) or (isinstance(value, Struct) and value.prints_json)


def _map(value: dict[str, Any], verb: Verb) -> str:
    parts = [f"{_value(key, verb)}:{_value(value[key], verb)}" for key in sorted(value)]
    return f"{type_name(value)}{{{', '.join(parts)}}}" if verb.go_syntax else f"map[{' '.join(parts)}]"


def _struct(value: Struct, verb: Verb) -> str:
    named = verb.names_fields or verb.go_syntax
    parts = [(f"{name}:" if named else "") + _value(field, verb) for name, field in value.fields.items()]
    return f"{value.type_name}{{{', '.join(parts)}}}" if verb.go_syntax else f"{{{' '.join(parts)}}}"


def _bad(value: Any, verb: Verb) -> str:
    shown = _value(value, msgspec.structs.replace(verb, letter="v", failing=True))
    return f"%!{verb.letter}({type_name(value)}={shown})"


def _integer(value: int, verb: Verb) -> str:
    letter = verb.letter
    if letter in _BASES:
        return _digits(value, _BASES[letter], verb)
    if letter not in "cqU":
        return _bad(value, verb)
    if letter == "U":
        return _unicode(value, verb)
    character = chr(value) if 0 <= value < 0x110000 and not 0xD800 <= value < 0xE000 else "\ufffd"
    return verb.padded(character if letter == "c" else quoted(character, "'", ascii_only=verb.plus))


def _digits(value: int, base: int, verb: Verb) -> str:
    n_least = 0
    if verb.precision is not None:
        n_least = verb.precision
        if n_least == 0 and value == 0:
            return " " * (verb.width or 0)
    elif verb.zero and not verb.minus and verb.width is not None:
        n_least = verb.width - (value < 0 or verb.plus or verb.space)
    digits = format(abs(value), {10: "d", 2: "b", 8: "o", 16: "x"}[base]).rjust(n_least, "0")
    if verb.sharp and base != 10:
        digits = {2: "0b", 8: "" if digits.startswith("0") else "0", 16: "0x"}[base] + digits
    if verb.letter == "O":
        digits = "0o" + digits
    sign = "-" if value < 0 else "+" if verb.plus else " " if verb.space else ""
    text = sign + (digits.upper() if verb.letter == "X" else digits)
    return msgspec.structs.replace(verb, zero=False).padded(text)


def _unicode(value: int, verb: Verb) -> str:
    text = f"U+{value % 2**64:0{max(4, verb.precision or 0)}X}"  # a negative number is a large one to Go
    if verb.sharp and 0 <= value < 0x110000 and chr(value).isprintable():
        text += f" '{chr(value)}'"
    return msgspec.structs.replace(verb, zero=False).padded(text)


def _float(value: float, verb: Verb) -> str:
    letter = {"v": "g", "F": "f"}.get(verb.letter, verb.letter)
    if letter not in ("g", "G", "f", "e", "E", "x", "X", "b"):
        return _bad(value, verb)
    precision = verb.precision if verb.precision is not None else 6 if letter in "feE" else None
    digits = _float_digits(abs(value), letter, precision)
    if not math.isfinite(value):
        verb = msgspec.structs.replace(verb, zero=False)
    negative = math.copysign(1, value) < 0 and not math.isnan(value)
    sign = "-" if negative else "+" if verb.plus else " " if verb.space else ""
    if value == math.inf and not sign:
        sign = "+"
    if sign and verb.zero and not verb.minus and verb.width is not None:
        return sign + digits.rjust(verb.width - len(sign), "0")
    return verb.padded(sign + digits)


def _float_digits(value: float, letter: str, precision: int | None) -> str:
    if not math.isfinite(value):
        return "Inf" if math.isinf(value) else "NaN"
    if letter in "feE":
        return f"{value:.{precision}{letter}}"
    if letter in "gG":
        text = go_float(value) if precision is None else f"{value:.{precision or 1}g}"
        return text.upper() if letter == "G" else text
    if letter == "b":
        mantissa, exponent = math.frexp(value)
        return f"{int(mantissa * 2**53)}p{exponent - 53:+d}"
    return _hexadecimal(value, letter)


def _hexadecimal(value: float, letter: str) -> str:
    mantissa, _, exponent = value.hex().partition("p")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    text = f"{mantissa if mantissa != '0x' else '0x0'}p{int(exponent):+03d}"
    return text.upper() if letter == "X" else text


def _string(value: str, verb: Verb) -> str:
    cut = value if verb.precision is None else value[: verb.precision]
    match verb.letter:
        case "v" if verb.go_syntax:
            return verb.padded(quoted(cut))
        case "s" | "v":
            return verb.padded(cut)
        case "q":
            if verb.sharp and "`" not in cut and all(c.isprintable() or c == "\t" for c in cut):
                return verb.padded(f"`{cut}`")
            return verb.padded(quoted(cut, ascii_only=verb.plus))
        case "x" | "X":
            return _bytes(value, verb)
    return _bad(value, verb)


def _bytes(value: str, verb: Verb) -> str:
    data = value.encode(errors="replace")[: verb.precision]
    lead = "0x" if verb.sharp and data else ""
    pairs = [f"{byte:02x}" for byte in data]
    text = (" " + lead).join(["", *pairs])[1:] if verb.space else lead + "".join(pairs)
    return verb.padded(text.upper() if verb.letter == "X" else text)


def quoted(text: str, quote: str = '"', *, ascii_only: bool = False) -> str:
    """As Go's `strconv.Quote` does it."""
    out: list[str] = []
    for character in text:
        if character == quote:
            out.append("\\" + quote)
        elif character in _SIMPLE:
            out.append(_SIMPLE[character])
        elif character.isprintable() and (character.isascii() or not ascii_only):
            out.append(character)
        else:
            code = ord(character)
            out.append(f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return quote + "".join(out) + quote
