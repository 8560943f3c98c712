"""Text that comes in pieces, read as if it were all there.

Readers are generators: where one needs more text than has come it yields, and goes
on when `Source` has more or has ended.  A reader sees positions in one growing text
and never where the pieces were cut, so cutting differently cannot change what it reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")
Reading = Generator[None, None, T]
"""A reader that yields for more text and returns a T."""

_SPACE = re.compile(r"\s*")
_JSON_MARKS = re.compile(r'["{}\[\]]')
_STRING_REST = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)
MAX_DEPTH = 500  # of brackets; json.loads gives up at about a thousand
MAX_HEADER = 400  # characters between a mark and the arguments


class Source:
    """What has come of a text, and how far it is read."""

    def __init__(self) -> None:
        self.text = ""
        self.at = 0
        self.ended = False

    def drop_read(self) -> None:
        """Forget what has been read."""
        self.text, self.at = self.text[self.at :], 0

    @property
    def rest(self) -> str:
        return self.text[self.at :]


def skip_space(source: Source) -> Reading[None]:
    while True:
        match = _SPACE.match(source.text, source.at)
        assert match is not None
        source.at = match.end()
        if source.at < len(source.text) or source.ended:
            return
        yield


def take(source: Source, literal: str) -> Reading[bool]:
    """Whether `literal` comes next; then it is read."""
    while True:
        if source.text.startswith(literal, source.at):
            source.at += len(literal)
            return True
        if source.ended or not literal.startswith(source.text[source.at : source.at + len(literal)]):
            return False
        yield


def take_loosely(source: Source, words: Sequence[str]) -> Reading[bool]:
    """Whether these come next, with any space before each of them; then they are read."""
    start = source.at
    for word in words:
        yield from skip_space(source)
        if not (yield from take(source, word)):
            source.at = start
            return False
    return True


def take_any(source: Source, literals: Sequence[str]) -> Reading[str]:
    """The first of `literals` that comes next, read; or an empty text."""
    for literal in literals:
        if literal and (yield from take(source, literal)):
            return literal
    return ""


def peek_any(source: Source, literals: Sequence[str]) -> Reading[str]:
    """The first of `literals` that comes next, not read."""
    start = source.at
    found = yield from take_any(source, literals)
    source.at = start
    return found


def find(source: Source, stops: Sequence[str], *, limit: int | None = None) -> Reading[tuple[str, str] | None]:
    """The text up to the first of `stops`, and which that is; both are read.

    Of those at one place, the one that comes first in `stops`.  None if there is
    none, or none within `limit` characters; nothing is read then.
    """
    longest = max(map(len, stops))
    pattern = any_of(tuple(stops))
    start = scanned = source.at
    while True:
        text = source.text
        found = pattern.search(text, scanned)
        at, order = (found.start(), stops.index(found[0])) if found else (len(text), len(stops))
        if not _open(text, max(scanned, len(text) - longest + 1), at, order, stops) or source.ended:
            if found and (limit is None or at - start <= limit):
                source.at = at + len(stops[order])
                return text[start:at], stops[order]
            if found or source.ended:
                return None
        scanned = max(scanned, min(at, len(text) - longest + 1))
        if source.ended or (limit is not None and scanned - start > limit):
            return None
        yield


@lru_cache(maxsize=256)
def any_of(stops: tuple[str, ...]) -> re.Pattern[str]:
    """The leftmost of these, and of those at one place the first; every text is looked at once."""
    return re.compile("|".join(map(re.escape, stops)))


def flow(source: Source, stops: Sequence[str], emit: Callable[[str], None]) -> Reading[str]:
    """Give out text as it comes, up to the first of `stops`, which is read and returned; empty at the end of all.

    What has been given out is forgotten: whoever calls this keeps no position in the source.
    """
    longest = max(map(len, stops), default=1)
    while True:
        text, start = source.text, source.at
        found = [(at, order) for order, stop in enumerate(stops) if (at := text.find(stop, start)) >= 0]
        at, order = min(found, default=(len(text), len(stops)))
        begun = len(text) - longest + 1
        certain = at
        if not source.ended:
            maybe = (n for n in range(max(start, begun), min(at + 1, len(text))) if _open(text, n, n, order, stops))
            certain = next(maybe, at)
        if certain > start:
            emit(text[start:certain])
            source.at = certain
        if found and certain == at and (source.ended or not _open(text, at, at, order, stops)):
            source.at = at + len(stops[order])
            return stops[order]
        if source.ended:
            return ""
        source.drop_read()
        yield


def _open(text: str, start: int, at: int, order: int, stops: Sequence[str]) -> bool:
    """Whether a stop that would win over the one at `at` may have begun and not be whole."""
    for begin in range(start, min(at + 1, len(text))):
        rivals = stops if begin < at else stops[:order]
        tail = text[begin:]
        if any(len(stop) > len(tail) and stop.startswith(tail) for stop in rivals):
            return True
    return False


def take_json(source: Source) -> Reading[str | None]:
    """The text of the JSON object, array or string that comes next, by its brackets and quotes; read if it is whole."""
    start = scan = source.at
    depth = 0
    while True:
        match = _JSON_MARKS.search(source.text, scan)
        if match is None:
            scan = len(source.text)
            if source.ended:
                return None
            yield
            continue
        mark, scan = match[0], match.end()
        if mark == '"':
            scan = yield from _string_end(source, scan)
            if scan < 0:
                return None
        else:
            depth += 1 if mark in "{[" else -1
        if depth > MAX_DEPTH or depth < 0:
            return None
        if depth == 0:
            source.at = scan
            return source.text[start:scan]


def _string_end(source: Source, scan: int) -> Reading[int]:
    """The end of the string that is open at `scan`, behind its quote; -1 if there is none."""
    while True:
        match = _STRING_REST.match(source.text, scan)
        assert match is not None
        scan = match.end()
        if source.text.startswith('"', scan):
            return scan + 1
        if source.ended:
            return -1
        yield
