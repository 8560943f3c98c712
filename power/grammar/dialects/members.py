"""Arguments told while they are written, as the members of a JSON object, whatever syntax they are written in.

An argument is told when it is whole; one that is a text, as far as it is certain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from power.grammar.dialects.marks import overlap
from power.grammar.dialects.source import Reading, Source, T, any_of


class Members:
    """The members told so far."""

    def __init__(self, more: Callable[[str], None] | None) -> None:
        self._more = more
        self._n_whole = 0
        self._open = 0  # characters told of a value that is not whole

    def grow(self, key: str, text: str) -> None:
        """More of an argument that is a text; `add` has to follow when it is whole."""
        if self._more is None or not text:
            return
        if not self._open:
            self._begin(key)
            self._tell('"')
        self._tell(_as_json(text)[1:-1])

    def add(self, arguments: Mapping[str, Any] | None) -> None:
        """These are whole now; None: what was written is none."""
        if self._more is None or arguments is None:
            return
        for key, value in arguments.items():
            if not self._open:
                self._begin(key)
            self._more(_as_json(value)[self._open :])
            self._n_whole, self._open = self._n_whole + 1, 0

    def done(self, arguments: Mapping[str, Any]) -> None:
        """These are all."""
        self.add(dict(islice(arguments.items(), self._n_whole, None)))
        if self._more is not None:
            self._more("}" if self._n_whole else "{}")

    def _begin(self, key: str) -> None:
        assert self._more is not None
        self._more(f"{', ' if self._n_whole else '{'}{_as_json(key)}: ")

    def _tell(self, text: str) -> None:
        assert self._more is not None
        self._more(text)
        self._open += len(text)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def told(source: Source, reading: Reading[str | None], more: Callable[[str], None] | None) -> Reading[str | None]:
    """Read a text whole, and give it out as it comes."""
    if more is None:
        return (yield from reading)
    given = source.at
    while True:
        try:
            next(reading)
        except StopIteration as end:
            text: str | None = end.value
            more(source.text[given:] if text is None else source.text[given : source.at])
            return text
        more(source.text[given:])  # whatever there is belongs to it, or it would have ended
        given = len(source.text)
        yield


def growing(source: Source, reading: Reading[T], stops: Sequence[str], grow: Callable[[str], None]) -> Reading[T]:
    """Read on, and give out what comes meanwhile: up to one of `stops`, and without space that ends in one."""
    given = scanned = source.at
    while True:
        try:
            next(reading)
        except StopIteration as end:
            result: T = end.value
            return result
        certain, scanned = _before(source.text, scanned, stops)
        text = source.text[given:certain].rstrip()
        grow(text)
        given += len(text)
        yield


def _before(text: str, start: int, stops: Sequence[str]) -> tuple[int, int]:
    """Where the first stop behind `start` begins, or may begin with what ends the text; and where to look next time."""
    found = any_of(tuple(stops)).search(text, start) if stops else None
    if found:
        return found.start(), start
    longest = max(map(len, stops), default=1)
    start = max(start, len(text) - longest + 1)
    return len(text) - max((len(overlap(text[start:], stop)) for stop in stops), default=0), start
