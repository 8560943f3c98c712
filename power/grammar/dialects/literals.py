"""Values as models write them in calls: JSON, Python, or both at once.

`literal` takes what either language allows within the other's brackets, since
models mix them (`[True, null, 'a']`).  Nothing is evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_WORD = re.compile(r"[A-Za-z_]+")
_SPACE = re.compile(r"\s*")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|U[0-9a-fA-F]{8}|\n|.)", re.DOTALL)
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "a": "\a", "v": "\v", "\n": ""}
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_PARTS = re.compile(rf"[^\\]+|{_ESCAPE.pattern}", re.DOTALL)
_LONG = ("\\u", "\\x", "\\U")
LONGEST_ESCAPE = len("\\U0001F642")
_HIGH = re.compile(r"\\(?:u|U0000)[dD][89abAB][0-9a-fA-F]{2}")  # the first half of a surrogate pair
_HALF = re.compile("[\ud800-\udfff]")
MAX_DEPTH = 100
MAX_DIGITS = 4000  # Python refuses to read longer integers


def load_json(text: str) -> Any:
    """JSON that can be written out again as it is: no NaN, no infinity, no half a surrogate pair.

    Raises:
        ValueError: it is not; or RecursionError, for nesting.
    """
    value = json.loads(text, strict=False)  # models write real line ends into strings
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    return value


def literal(text: str, *, quote: str = "") -> Any:
    """The value that `text` is, whole; `quote` is a mark that strings may stand between.

    Raises:
        ValueError: it is none.
    """
    reader = LiteralReader(text, quote)
    value = reader.value(0)
    reader.space()
    if reader.at != len(text):
        raise ValueError("more than a value")
    return value


class LiteralReader:
    """Reads values out of a text that is whole."""

    def __init__(self, text: str, quote: str = "", at: int = 0) -> None:
        self.text, self.quote, self.at = text, quote, at

    def value(self, depth: int) -> Any:
        self.space()
        char = self.text[self.at : self.at + 1]
        if depth > MAX_DEPTH or not char:
            raise ValueError("no value")
        if self.quote and self.take(self.quote):
            return self._between_quotes()
        if char == "{":
            return self.object(depth)
        if char in "[(":
            return self._array(depth, {"[": "]", "(": ")"}[char])
        if char in "\"'":
            return self._string(char)
        return self._number() if char in "+-.0123456789" else self._word()

    def space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def take(self, literal: str) -> bool:
        if self.text.startswith(literal, self.at):
            self.at += len(literal)
            return True
        return False

    def object(self, depth: int) -> dict[str, Any]:
        """`{key: value, …}`, with keys bare or between quotes."""
        self._expect("{")
        members: dict[str, Any] = {}
        self.space()
        while not self.take("}"):
            key = self._key()
            self.space()
            self._expect(":")
            members[key] = self.value(depth + 1)
            self._comma("}")
        return members

    def _key(self) -> str:
        if self.quote and self.take(self.quote):
            return self._between_quotes()
        if self.text[self.at : self.at + 1] in ("'", '"'):
            return self._string(self.text[self.at])
        end = self.text.find(":", self.at)
        key = self.text[self.at : end].strip()
        if end < 0 or not key or re.search(r'[\s{}\[\]",]', key):
            raise ValueError("no key")
        self.at = end
        return key

    def _array(self, depth: int, close: str) -> list[Any]:
        self.at += 1
        items: list[Any] = []
        self.space()
        while not self.take(close):
            items.append(self.value(depth + 1))
            self._comma(close)
        return items

    def _comma(self, close: str) -> None:
        """A comma, which may be the last, or what closes (left for the caller)."""
        self.space()
        if not self.take(",") and not self.text.startswith(close, self.at):
            raise ValueError("no comma")
        self.space()

    def _expect(self, char: str) -> None:
        if not self.take(char):
            raise ValueError(f"no {char}")

    def _between_quotes(self) -> str:
        end = self.text.find(self.quote, self.at)
        if end < 0:
            raise ValueError("a string without end")
        value = self.text[self.at : end]
        self.at = end + len(self.quote)
        return value

    def _string(self, mark: str) -> str:
        body = re.compile(rf"(?:[^{mark}\\]|\\.)*", re.DOTALL).match(self.text, self.at + 1)
        assert body is not None
        self.at = body.end()
        self._expect(mark)
        return _whole(_unescape(body[0]))

    def _number(self) -> int | float:
        match = _NUMBER.match(self.text, self.at)
        if match is None or len(match[0]) > MAX_DIGITS:
            raise ValueError("no number")
        self.at = match.end()
        digits = match[0].replace("_", "")
        value = int(digits) if re.fullmatch(r"[-+]?\d+", digits) else float(digits)
        if value in (float("inf"), float("-inf")):
            raise ValueError("a number without bounds")
        return value

    def _word(self) -> Any:
        match = _WORD.match(self.text, self.at)
        if match is None or match[0] not in WORDS:
            raise ValueError("no value")
        self.at = match.end()
        return WORDS[match[0]]


class Unescaping:
    """What a string means whose inside comes in pieces; no more of it than is certain."""

    def __init__(self, give: Callable[[str], None]) -> None:
        self._give = give
        self._raw = ""  # that is not certain

    def feed(self, raw: str) -> None:
        self._raw += raw
        end = 0
        for match in _PARTS.finditer(self._raw):
            part = match[0]
            if part in _LONG and match.start() > len(self._raw) - LONGEST_ESCAPE:
                break  # there are digits to come, or may be
            end = end if _HIGH.fullmatch(part) else match.end()
        text = _unescape(self._raw[:end])
        if _HALF.search(text):
            self._give = lambda _: None  # such a string is none
        self._give(text)
        self._raw = self._raw[end:]


def _unescape(body: str) -> str:
    return _PAIR.sub(_paired, _ESCAPE.sub(_unescaped, body))


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        point = int(code[1:], 16)
        return chr(point) if point <= 0x10FFFF else match[0]
    # An escape that no language knows is no escape: "\d" in a regular expression.
    return _SHORT.get(code, code if code in "\\\"'/" else match[0])


def _paired(match: re.Match[str]) -> str:
    return match[0].encode("utf-16", "surrogatepass").decode("utf-16")


def _whole(text: str) -> str:
    text.encode()  # UnicodeEncodeError, a ValueError, for half a surrogate pair
    return text
