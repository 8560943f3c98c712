r"""ECMA-262 regular expressions, read into languages.

`search_language` is the language of the texts in which the pattern is found
somewhere (what `pattern` means in a JSON Schema), `full_language` that of the
texts which the pattern matches from end to end.

An assertion is no language by itself, so the parser leaves `^`, `$` and
look-ahead as marks, and `_resolve` works out what a marked expression matches
when it begins, or does not begin, at the start of the text, and likewise for
the end.  Look-ahead is an intersection with all that follows.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from power.grammar import charset, unicode_classes
from power.grammar import languages as la
from power.grammar.charset import LAST, Ranges
from power.grammar.errors import PatternError

MAX_PATTERN = 20_000  # characters
MAX_NESTING = 100
MAX_MARKS = 24  # anchors and look-aheads; each may double the work
MAX_COUNT = 100_000  # of a bounded repeat

_DIGIT: Ranges = ((48, 57),)
_WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
# ECMA-262 WhiteSpace and LineTerminator.
_SPACE = charset.normal(
    [(9, 13), (32, 32), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029)]
    + [(0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)]
)
_NOT_NEWLINE = charset.complement(charset.normal([(10, 10), (13, 13), (0x2028, 0x2029)]))
_CLASSES = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_GROUP_ERRORS = {"<=": "look-behind is not supported", "<!": "look-behind is not supported"}


class Start(msgspec.Struct, frozen=True, gc=False):
    """`^`"""


class End(msgspec.Struct, frozen=True, gc=False):
    """`$`"""


class Look(msgspec.Struct, frozen=True, gc=False):
    """`(?=…)`, or `(?!…)` where `negative`."""

    inner: Node
    negative: bool


class Row(msgspec.Struct, frozen=True, gc=False):
    """A concatenation with marks in it."""

    parts: tuple[Node, ...]


class Choice(msgspec.Struct, frozen=True, gc=False):
    """An alternation with marks in it."""

    options: tuple[Node, ...]


Node = la.Lang | Start | End | Look | Row | Choice


@lru_cache(maxsize=1000)
def search_language(source: str) -> la.Lang:
    """The texts that hold a match of the pattern.

    Raises:
        PatternError: malformed, or a construct that is not supported; the message names it.
    """
    node = _Parser(source).parse()
    return la.either(*(_resolve(Row((la.ALL, *_parts(one), la.ALL)), True, True) for one in _options(node)))


@lru_cache(maxsize=1000)
def full_language(source: str) -> la.Lang:
    """The texts that the pattern matches as a whole. Raises PatternError like `search_language`."""
    return _resolve(_Parser(source).parse(), True, True)


def _options(node: Node) -> tuple[Node, ...]:
    return tuple(one for option in node.options for one in _options(option)) if isinstance(node, Choice) else (node,)


def _parts(node: Node) -> tuple[Node, ...]:
    return node.parts if isinstance(node, Row) else (node,)


def _resolve(node: Node, at_start: bool, at_end: bool) -> la.Lang:
    """What `node` matches if it begins (or does not) at the text's start and ends (or does not) at its end."""
    match node:
        case la.Lang():
            return node
        case Start():
            return la.EPSILON if at_start else la.NONE
        case End():
            return la.EPSILON if at_end else la.NONE
        case Choice():
            return la.either(*(_resolve(option, at_start, at_end) for option in node.options))
        case Look():
            return _resolve_row(node, (), at_start, at_end)
        case Row():
            return _resolve_row(node.parts[0], node.parts[1:], at_start, at_end)
    raise AssertionError(node)


def _resolve_row(first: Node, rest: tuple[Node, ...], at_start: bool, at_end: bool) -> la.Lang:
    following = Row(rest) if rest else la.EPSILON
    if isinstance(first, Look):
        if not at_end:
            raise PatternError("look-ahead inside a repeated or nested group is not supported", 0)
        ahead = _resolve(Row((*_parts(first.inner), la.ALL)), at_start, True)
        return la.both(_resolve(following, at_start, True), la.negation(ahead) if first.negative else ahead)
    if not rest:
        return _resolve(first, at_start, at_end)
    if isinstance(first, Start):
        return _resolve(following, True, at_end) if at_start else la.NONE
    if isinstance(first, End):
        return la.EPSILON if at_end and _resolve(following, at_start, True).nullable else la.NONE
    if isinstance(first, la.Lang):
        inside = _resolve(following, False, at_end)
        touching = _resolve(following, at_start, at_end) if first.nullable else la.NONE
        if touching == inside or not first.nullable:
            return la.cat(first, inside)
        return la.either(la.cat(la.nonempty(first), inside), touching)
    return _resolve_marked(first, following, at_start, at_end)


def _resolve_marked(first: Node, following: Node, at_start: bool, at_end: bool) -> la.Lang:
    """Two marked expressions: where one of them is empty, the other touches the text's end as well."""
    left, right = _resolve(first, at_start, False), _resolve(following, False, at_end)
    options = [la.cat(la.nonempty(left), la.nonempty(right))]
    if left.nullable:
        options.append(la.nonempty(_resolve(following, at_start, at_end)))
    if right.nullable:
        options.append(la.nonempty(_resolve(first, at_start, at_end)))
    if _resolve(first, at_start, at_end).nullable and _resolve(following, at_start, at_end).nullable:
        options.append(la.EPSILON)
    return la.either(*options)


class _Parser:
    """Recursive descent over the source; `self.at` is the index of the next character."""

    def __init__(self, source: str) -> None:
        if len(source) > MAX_PATTERN:
            raise PatternError(f"the pattern is longer than {MAX_PATTERN} characters", MAX_PATTERN)
        self.source = source
        self.at = 0
        self.depth = 0
        self.n_marks = 0

    def parse(self) -> Node:
        node = self._choice()
        if self.at < len(self.source):
            raise self._error("unmatched ')'")
        return node

    def _choice(self) -> Node:
        options = [self._row()]
        while self._take("|"):
            options.append(self._row())
        if all(isinstance(option, la.Lang) for option in options):
            return la.either(*(option for option in options if isinstance(option, la.Lang)))
        return Choice(tuple(options))

    def _row(self) -> Node:
        parts: list[Node] = []
        while self.at < len(self.source) and self.source[self.at] not in "|)":
            for part in _parts(self._quantified()):
                if isinstance(part, la.Lang) and parts and isinstance(parts[-1], la.Lang):
                    parts[-1] = la.cat(parts[-1], part)
                else:
                    parts.append(part)
        self.n_marks += sum(not isinstance(part, la.Lang) for part in parts)
        if self.n_marks > MAX_MARKS:
            raise self._error(f"more than {MAX_MARKS} anchors and look-aheads")
        if not parts:
            return la.EPSILON
        return Row(tuple(parts)) if len(parts) > 1 else parts[0]

    def _quantified(self) -> Node:
        begin = self.at
        node = self._atom()
        bounds = self._bounds()
        if bounds is None:
            return node
        low, high = bounds
        if isinstance(node, la.Lang):
            return la.repeat(node, low, high)
        if (low, high) == (0, 1):
            return Choice((node, la.EPSILON))
        self.at = begin
        raise self._error("an anchor or look-ahead inside a repeat is not supported")

    def _bounds(self) -> tuple[int, int | None] | None:
        bounds: tuple[int, int | None] | None = None
        if self._take("*"):
            bounds = (0, None)
        elif self._take("+"):
            bounds = (1, None)
        elif self._take("?"):
            bounds = (0, 1)
        elif self._peek() == "{":
            bounds = self._braces()
        if bounds is not None:
            self._take("?")  # lazy: the same language
            if self._peek() in ("*", "+", "?"):
                raise self._error("nothing to repeat")
        return bounds

    def _braces(self) -> tuple[int, int | None] | None:
        end = self.source.find("}", self.at)
        low, comma, high = self.source[self.at + 1 : end].partition(",")
        if end < 0 or not low.isdecimal() or not (low + high).isascii() or (high and not high.isdecimal()):
            return None  # a literal brace, as browsers have it
        bounds = int(low[:9]), int(low[:9]) if not comma else int(high[:9]) if high else None
        if max(bounds[0], bounds[1] or 0) > MAX_COUNT:
            raise self._error(f"a repeat of more than {MAX_COUNT}")
        if bounds[1] is not None and bounds[1] < bounds[0]:
            raise self._error("a repeat whose bounds are out of order")
        self.at = end + 1
        return bounds

    def _atom(self) -> Node:
        char = self.source[self.at]
        self.at += 1
        match char:
            case "^":
                return Start()
            case "$":
                return End()
            case ".":
                return la.chars(_NOT_NEWLINE)
            case "(":
                return self._group()
            case "[":
                return la.chars(self._class())
            case "\\":
                return self._escape()
            case "*" | "+" | "?":
                self.at -= 1
                raise self._error("nothing to repeat")
        return la.words([char])

    def _group(self) -> Node:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self._error(f"groups nested deeper than {MAX_NESTING}")
        negative: bool | None = None
        if self._take("?"):
            negative = self._group_kind()
        node = self._choice()
        if not self._take(")"):
            raise self._error("a group that is not closed")
        self.depth -= 1
        return node if negative is None else Look(node, negative)

    def _group_kind(self) -> bool | None:
        if self._take(":"):
            return None
        if self._take("="):
            return False
        if self._take("!"):
            return True
        for mark, why in _GROUP_ERRORS.items():
            if self.source.startswith(mark, self.at):
                raise self._error(why)
        if self._peek() in ("<", "P") and (end := self.source.find(">", self.at)) > 0:
            self.at = end + 1  # a named group
            return None
        raise self._error("an inline flag or unknown group is not supported")

    def _escape(self) -> la.Lang:
        char = self._peek()
        if char in ("b", "B"):
            raise self._error("a word boundary is not supported")
        if char == "k" or (char.isdecimal() and char != "0"):
            raise self._error("a back-reference is not supported")
        known = self._class_escape()
        if known is not None:
            return la.chars(known)
        return la.words([chr(self._char_escape())])

    def _class_escape(self) -> Ranges | None:
        char = self._peek()
        if char in ("p", "P") and (end := self.source.find("}", self.at)) > 0 and self.source[self.at + 1] == "{":
            ranges = unicode_classes.ranges(self.source[self.at + 2 : end])
            if ranges is None:
                raise self._error("an unknown Unicode property")
            self.at = end + 1
            return charset.complement(ranges) if char == "P" else ranges
        ranges = _CLASSES.get(char.lower())
        if ranges is None:
            return None
        self.at += 1
        return charset.complement(ranges) if char.isupper() else ranges

    def _char_escape(self) -> int:
        """The code point after a backslash."""
        char = self._peek()
        if not char:
            raise self._error("a backslash at the end")
        self.at += 1
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char == "0":
            return 0
        if char == "c" and self._peek().isalpha() and self._peek().isascii():
            self.at += 1
            return ord(self.source[self.at - 1]) % 32
        if char in ("x", "u"):
            return self._hexadecimal(2 if char == "x" else 4, ord(char))
        return ord(char)

    def _hexadecimal(self, n_digits: int, otherwise: int) -> int:
        if n_digits == 4 and self._peek() == "{" and (end := self.source.find("}", self.at)) > 0:
            digits, after = self.source[self.at + 1 : end], end + 1
        else:
            digits, after = self.source[self.at : self.at + n_digits], self.at + n_digits
            if len(digits) < n_digits:
                return otherwise
        if not digits or not _HEXADECIMAL.issuperset(digits):
            return otherwise
        point = int(digits, 16)
        if point > LAST:
            raise self._error("a code point past the end of Unicode")
        self.at = after
        return self._joined(point)

    def _joined(self, point: int) -> int:
        """A surrogate pair written as two escapes is one character."""
        if 0xD800 <= point < 0xDC00 and self.source.startswith("\\u", self.at):
            digits = self.source[self.at + 2 : self.at + 6]
            low = int(digits, 16) if _HEXADECIMAL.issuperset(digits) and digits else 0
            if 0xDC00 <= low < 0xE000:
                self.at += 6
                return 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00)
        return point

    def _class(self) -> Ranges:
        begin, negative = self.at, self._take("^")
        ranges: list[tuple[int, int]] = []
        while not self._take("]"):
            if self.at >= len(self.source):
                self.at = begin
                raise self._error("a character class that is not closed")
            low = self._class_atom()
            if self._peek() == "-" and self.source[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                ranges += self._range(low, self._class_atom())
            else:
                ranges += low
        joined = charset.normal(ranges)
        return charset.complement(joined) if negative else joined

    def _range(self, low: Ranges, high: Ranges) -> Ranges:
        if len(low) != 1 or len(high) != 1 or low[0][0] != low[0][1] or high[0][0] != high[0][1]:
            return charset.normal([*low, *high, (45, 45)])  # `[\d-x]`: the hyphen stands for itself
        if low[0][0] > high[0][0]:
            raise self._error("a character range that is out of order")
        return ((low[0][0], high[0][0]),)

    def _class_atom(self) -> Ranges:
        char = self.source[self.at]
        self.at += 1
        if char != "\\":
            return ((ord(char), ord(char)),)
        if self._peek() == "b":
            self.at += 1
            return ((8, 8),)
        known = self._class_escape()
        if known is not None:
            return known
        point = self._char_escape()
        return ((point, point),)

    def _peek(self) -> str:
        return self.source[self.at : self.at + 1]

    def _take(self, text: str) -> bool:
        if self.source.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def _error(self, message: str) -> PatternError:
        return PatternError(message, self.at)
