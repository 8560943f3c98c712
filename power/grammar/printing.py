"""Rules as GBNF text, in the dialect of llama.cpp's parser."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from power.grammar import charset
from power.grammar.charset import Ranges
from power.grammar.expressions import Alt, Chars, Expr, Ref, Repeat, Seq, Text
from power.grammar.spelling import SHARED

_IN_TEXT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_IN_CLASS = {"]": "\\]", "[": "\\[", "\\": "\\\\", "-": "\\-", "^": "\\x5E", "\n": "\\n", "\r": "\\r", "\t": "\\t"}

_MARKS = {(0, None): "*", (1, None): "+", (0, 1): "?"}
_GROUPS = (Seq, Alt, Repeat)

# llama.cpp refuses a repeat if the rules it makes of it are more than 2000.
MAX_WEIGHT = 1000


class Written(msgspec.Struct, frozen=True):
    """A grammar as llama.cpp reads it, and as the values that the text says; without values, only as text."""

    text: str
    rules: dict[str, Expr]


def print_rules(bodies: Mapping[str, Expr], root: str) -> str:
    """The root's rule and all that it needs out of `bodies` and the shared ones, one a line."""
    return _Printer(bodies).print(root)


def write_rules(bodies: Mapping[str, Expr]) -> Written:
    """The same for the rule `root`, and these rules."""
    printer = _Printer(bodies)
    return Written(printer.print("root"), printer.rules())


class _Printer:
    """Prints bodies; what would be too heavy a repeat within them becomes a rule."""

    def __init__(self, bodies: Mapping[str, Expr]) -> None:
        self._bodies = {**SHARED, **bodies}
        self._seen: dict[str, str] = {}  # names in rules, and what is written for them
        self._todo: list[str] = []
        self._extra: list[str] = []

    def print(self, root: str) -> str:
        self._bodies[root] = self._bodies[self._followed(root)]
        self._seen[root] = root
        lines = [f"{root} ::= {self._print(self._bodies[root])}\n"]
        while self._todo:
            name = self._todo.pop()
            if self._bodies[name] is SHARED.get(name):
                line, needed = _SHARED_LINES[name]
                lines.append(line)
                for one in needed:
                    self._name(one)
            else:
                lines.append(f"{name} ::= {self._print(self._bodies[name])}\n")
        return "".join(lines + self._extra)

    def rules(self) -> dict[str, Expr]:
        """What has been printed, under all names that it is referred to by."""
        return {name: self._bodies[written] for name, written in self._seen.items()}

    def _name(self, name: str) -> str:
        written = self._seen.get(name)
        if written is None:
            written = self._followed(name) if type(self._bodies.get(name)) is Ref else name
            self._seen[name] = written
            if written not in self._seen or written == name:
                self._seen[written] = written
                self._todo.append(written)
        return written

    def _followed(self, name: str) -> str:
        """The name at the end of rules that are mere names."""
        for _ in range(100):
            body = self._bodies.get(name)
            if not isinstance(body, Ref):
                break
            name = body.name
        return name

    def _print(self, expr: Expr) -> str:
        """The expression as the right side of a rule."""
        # `type(…) is` takes a third of the time of isinstance with a union, and most of printing is this.
        if type(expr) is Text:
            return _print_text(expr.text)
        if type(expr) is Ref:
            return self._name(expr.name)
        if type(expr) is Seq:
            return self._sequence(expr)
        if type(expr) is Alt:
            return " | ".join([self._print(option) for option in expr.options])
        if type(expr) is Chars:
            return print_chars(expr.ranges)
        assert isinstance(expr, Repeat)
        return self._repeat(expr)

    def _sequence(self, expr: Seq) -> str:
        # Most of a grammar is texts and names in a row, which need no call each.
        out, seen = [], self._seen
        for item in expr.items:
            if type(item) is Text:
                out.append(_print_text(item.text))
            elif type(item) is Ref:
                out.append(seen.get(item.name) or self._name(item.name))
            elif type(item) is Alt:
                out.append(f"({self._print(item)})")
            else:
                out.append(self._print(item))
        return " ".join(out) or '""'

    def _repeat(self, expr: Repeat) -> str:
        item, text = expr.item, self._print(expr.item)
        if isinstance(item, _GROUPS) or (isinstance(item, Text) and len(item.text) > 1):
            # llama.cpp repeats the whole literal before a mark; a group says so to everybody.
            text = f"({text})"
            times = expr.high or expr.low or 1
            # Without counts, nothing weighs more than it has characters.
            is_light = "{" not in text and len(text) * times <= MAX_WEIGHT
            if not is_light and _weight(item) * times > MAX_WEIGHT:
                name = f"part-{len(self._extra)}"
                self._extra.append(f"{name} ::= {text}\n")
                text = name
        return text + _bounds(expr.low, expr.high)


def _weight(expr: Expr) -> int:
    """How many rules llama.cpp makes of an expression."""
    match expr:
        case Seq():
            return 1 + sum(map(_weight, expr.items))
        case Alt():
            return 1 + sum(map(_weight, expr.options))
        case Repeat():
            return _weight(expr.item) + (expr.high or expr.low or 1)
    return 0


@lru_cache(maxsize=4000)
def _print_text(text: str) -> str:
    if text.isprintable():
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return '"' + "".join(_char(char, _IN_TEXT) for char in text) + '"'


def _bounds(low: int, high: int | None) -> str:
    known = _MARKS.get((low, high))
    return known or (f"{{{low}}}" if low == high else f"{{{low},{'' if high is None else high}}}")


@lru_cache(maxsize=4000)
def print_chars(ranges: Ranges) -> str:
    """A character class; negated where it reaches to the end of Unicode."""
    negative = bool(ranges) and ranges[-1][1] == charset.LAST
    ranges = charset.complement(ranges) if negative else ranges
    if negative and not ranges:
        return "."
    body = "".join(_point(low) if low == high else f"{_point(low)}-{_point(high)}" for low, high in ranges)
    return f"[{'^' if negative else ''}{body}]"


def _point(point: int) -> str:
    return _char(chr(point), _IN_CLASS)


def _char(char: str, known: dict[str, str]) -> str:
    point = ord(char)
    if char in known:
        return known[char]
    if char.isprintable() and not 0xD800 <= point < 0xE000:
        return char
    return f"\\x{point:02X}" if point < 0x100 else f"\\u{point:04X}" if point < 0x10000 else f"\\U{point:08X}"


def _shared_line(name: str) -> tuple[str, tuple[str, ...]]:
    """A shared rule as a line, and the names in it."""
    printer = _Printer(SHARED)
    line = f"{name} ::= {printer._print(SHARED[name])}\n"
    return line, tuple(printer._todo)


_SHARED_LINES = {name: _shared_line(name) for name in SHARED}
