"""GBNF text, read into expressions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import lark
import msgspec

from power.grammar import charset
from power.grammar.charset import LAST, Ranges
from power.grammar.errors import GrammarError
from power.grammar.expressions import EMPTY, Alt, Chars, Expr, Ref, Repeat, Seq, Text

MAX_TEXT = 4_000_000  # characters of a grammar
MAX_NESTING = 100  # of parentheses
MAX_REPEAT = 2000  # llama.cpp takes a larger maximum for none at all, and refuses a larger minimum

_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"', "[": "[", "]": "]", "-": "-"}
_HEXADECIMAL = {"x": 2, "u": 4, "U": 8}
_MARKS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class Position(msgspec.Struct, frozen=True):
    """A place in the text; both count from one."""

    line: int
    column: int


class Grammar(msgspec.Struct, frozen=True):
    """The rules in the order of their definition, where each is defined, and where each name is first used."""

    rules: dict[str, Expr]
    defined: dict[str, Position]
    used: dict[str, Position]


def parse_gbnf(text: str) -> Grammar:
    """Read a grammar.

    Raises:
        GrammarError: the text is no grammar, or defines a rule twice.
    """
    if len(text) > MAX_TEXT:
        raise GrammarError(f"the grammar is longer than {MAX_TEXT} characters", 1, 1)
    if "\0" in text:
        raise GrammarError("a NUL character", *_position_of(text, text.index("\0")))
    try:
        tree = _parser().parse(text)
    except lark.UnexpectedCharacters as error:
        raise GrammarError(f"unexpected {error.char!r}", error.line, error.column) from error
    except lark.UnexpectedToken as error:
        raise _unexpected(error, text) from error
    return _Builder().grammar(tree)


def _unexpected(error: lark.UnexpectedToken, text: str) -> GrammarError:
    if error.token.type == "$END":
        line = text.count("\n") + 1
        return GrammarError("the grammar ends too early", line, len(text) - text.rfind("\n"))
    shown = "end of line" if error.token.type == "_LINE_END" else repr(str(error.token))
    return GrammarError(f"unexpected {shown}", error.token.line or 1, error.token.column or 1)


def _position_of(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


class _LineEnds:
    """Leaves one line end after each rule, and drops all others."""

    always_accept = ("_LINE_END",)

    def process(self, stream: Iterator[lark.Token]) -> Iterator[lark.Token]:
        depth, last = 0, "_LINE_END"
        for token in stream:
            if token.type == "_LINE_END" and (depth or last in ("_LINE_END", "_DEFINES", "_OR")):
                continue
            depth += (token.type == "_OPEN") - (token.type == "_CLOSE")
            if depth > MAX_NESTING:
                raise GrammarError(f"parentheses nested deeper than {MAX_NESTING}", token.line or 1, token.column or 1)
            last = token.type
            yield token
        if last != "_LINE_END":
            yield lark.Token("_LINE_END", "\n")


@cache
def _parser() -> lark.Lark:
    source = Path(__file__).with_name("gbnf.lark").read_text(encoding="utf-8")
    return lark.Lark(source, parser="lalr", lexer="basic", postlex=_LineEnds())


class _Builder:
    """From Lark's tree to expressions; not simplified, so that errors stay where they are."""

    def __init__(self) -> None:
        self._used: dict[str, Position] = {}

    def grammar(self, tree: Any) -> Grammar:
        rules: dict[str, Expr] = {}
        defined: dict[str, Position] = {}
        for rule in tree.children:
            name, body = rule.children
            if name in rules:
                raise _error(f"the rule {str(name)!r} is defined twice", name)
            defined[str(name)] = Position(name.line, name.column)
            rules[str(name)] = self._alternatives(body)
        return Grammar(rules, defined, self._used)

    def _alternatives(self, tree: Any) -> Expr:
        options = tuple(self._sequence(child) for child in tree.children)
        return options[0] if len(options) == 1 else Alt(options)

    def _sequence(self, tree: Any) -> Expr:
        items = tuple(self._repeated(child) for child in tree.children)
        return items[0] if len(items) == 1 else Seq(items)

    def _repeated(self, tree: Any) -> Expr:
        atom, *marks = tree.children
        expr = self._atom(atom)
        for mark in marks:
            if expr == EMPTY:
                raise _error("nothing to repeat", mark)
            expr = Repeat(expr, *_bounds(mark))
        return expr

    def _atom(self, atom: Any) -> Expr:
        if isinstance(atom, lark.Tree):
            return self._alternatives(atom.children[0])
        match atom.type:
            case "NAME":
                self._used.setdefault(str(atom), Position(atom.line, atom.column))
                return Ref(str(atom))
            case "TEXT":
                content = "".join(char for char, _ in _characters(atom))
                return Text(content) if content else EMPTY
            case "CLASS":
                return Chars(_class(atom))
            case "ANY":
                return Chars(charset.ALL)
        raise _error("references to tokens are not supported", atom)


def _bounds(mark: lark.Token) -> tuple[int, int | None]:
    if mark in _MARKS:
        return _MARKS[mark]
    low, comma, high = mark[1:-1].replace(" ", "").replace("\t", "").partition(",")
    bounds = int(low[:9]), int(low[:9]) if not comma else int(high[:9]) if high else None
    if max(bounds[0], bounds[1] or 0) > MAX_REPEAT:
        raise _error(f"a repeat of more than {MAX_REPEAT}", mark)
    if bounds[1] is not None and bounds[1] < bounds[0]:
        raise _error("a repeat whose bounds are out of order", mark)
    return bounds


def _class(token: lark.Token) -> Ranges:
    chars = list(_characters(token))
    negative = bool(chars) and chars[0] == ("^", False)
    chars = chars[negative:]
    ranges, index = [], 0
    while index < len(chars):
        low, high = chars[index][0], chars[index][0]
        if index + 2 < len(chars) and chars[index + 1] == ("-", False):
            high = chars[index + 2][0]
            index += 2
        if low > high:
            raise _error("a character range that is out of order", token)
        ranges.append((ord(low), ord(high)))
        index += 1
    if not ranges:
        raise _error("an empty character class", token)
    joined = charset.normal(ranges)
    return charset.complement(joined) if negative else joined


def _characters(token: lark.Token) -> Iterator[tuple[str, bool]]:
    """The characters within the quotes or brackets, and whether each was escaped."""
    body, index = token[1:-1], 0
    while index < len(body):
        if body[index] != "\\":
            yield body[index], False
            index += 1
            continue
        kind = body[index + 1]
        if kind in _ESCAPES:
            yield _ESCAPES[kind], True
            index += 2
        elif kind in _HEXADECIMAL:
            n_digits = _HEXADECIMAL[kind]
            yield _code_point(body[index + 2 : index + 2 + n_digits], n_digits, token), True
            index += 2 + n_digits
        else:
            raise _error(f"unknown escape {body[index : index + 2]!r}", token)


def _code_point(digits: str, n_digits: int, token: lark.Token) -> str:
    if len(digits) < n_digits or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
        raise _error(f"an escape without its {n_digits} digits", token)
    if int(digits, 16) > LAST:
        raise _error("a code point past the end of Unicode", token)
    return chr(int(digits, 16))


def _error(message: str, token: lark.Token) -> GrammarError:
    return GrammarError(message, token.line or 1, token.column or 1)
