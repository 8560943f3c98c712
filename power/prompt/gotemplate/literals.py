"""Go's literals: what they say, read as Go reads them. All raise ValueError."""

from __future__ import annotations

import re

_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)


def read_string(literal: str) -> str:
    """`"…"` with its escapes, or `…` between backquotes as it is."""
    if literal.startswith("`"):
        return literal[1:-1].replace("\r", "")
    return _unescape(literal[1:-1], '"')


def read_char(literal: str) -> int:
    """The code point of `'x'`."""
    text = _unescape(literal[1:-1], "'")
    if len(text) != 1:
        raise ValueError(f"malformed character constant: {literal}")
    return ord(text)


def read_number(literal: str) -> int | float:
    """What has a point or an exponent is a float."""
    if re.search(r"^[+-]?0[xXbBoO]", literal):
        return int(literal, 0)
    if re.search(r"[.eE]", literal):
        return float(literal)
    digits = literal.lstrip("+-").replace("_", "")
    if len(digits) > 100:  # Python itself refuses some thousand
        raise ValueError(f"integer overflow: {literal[:100]}…")
    octal = len(digits) > 1 and digits[0] == "0"
    number = (-1 if literal[0] == "-" else 1) * int(digits, 8 if octal else 10)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"integer overflow: {literal}")
    return number


def _unescape(text: str, quote: str) -> str:
    """Bytes written as \\xff or \\377 that make no UTF-8 become U+FFFD, as they would in a prompt."""
    out = bytearray()
    end = 0
    for match in _ESCAPE.finditer(text):
        out += text[end : match.start()].encode()
        out += _escaped(match, quote)
        end = match.end()
    return (bytes(out) + text[end:].encode()).decode(errors="replace")


def _escaped(match: re.Match[str], quote: str) -> bytes:
    byte, short, long, octal, letter = match.groups()
    if byte or octal:
        return bytes([int(byte, 16) if byte else int(octal, 8)])
    if short or long:
        return chr(int(short or long, 16)).encode()
    if letter not in _SIMPLE or (letter in "\"'" and letter != quote):
        raise ValueError(f"invalid syntax: \\{letter}")
    return _SIMPLE[letter].encode()
