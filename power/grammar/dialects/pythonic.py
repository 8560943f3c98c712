"""Python calls with keyword arguments, as models write them."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from power.grammar.dialects.literals import LiteralReader, Unescaping
from power.grammar.dialects.members import Members, growing
from power.grammar.dialects.source import Reading, Source, find

_KEYWORD = re.compile(r"\s*([^\W\d]\w*)\s*=\s*")


def take_parenthesis(source: Source, members: Members) -> Reading[str | None]:
    """The text up to the parenthesis that closes the one just read; brackets and quotes count as Python's."""
    start = piece = source.at
    depth = 1
    while True:
        found = yield from find(source, ["(", ")", "[", "]", "{", "}", '"', "'", ","])
        if found is None:
            return None
        mark = found[1]
        if mark in "\"'":
            text = _string(source, mark)
            if depth == 1 and (key := _KEYWORD.fullmatch(source.text, piece, source.at - 1)):
                text = growing(source, text, (), Unescaping(partial(members.grow, key[1])).feed)
            if not (yield from text):
                return None
        elif mark != ",":
            depth += 1 if mark in "([{" else -1
        elif depth == 1:
            members.add(python_arguments(source.text[piece : source.at - 1]))
            piece = source.at
        if depth == 0:
            return source.text[start : source.at - 1]


def _string(source: Source, mark: str) -> Reading[bool]:
    while True:
        found = yield from find(source, ["\\", mark])
        if found is None:
            return False
        if found[1] == mark:
            return True
        while source.at == len(source.text) and not source.ended:
            yield
        source.at = min(source.at + 1, len(source.text))


def python_arguments(inside: str) -> dict[str, Any] | None:
    """What stands between a call's parentheses."""
    reader = LiteralReader(inside)
    arguments: dict[str, Any] = {}
    try:
        reader.space()
        while reader.at < len(inside):
            key, found, _ = inside[reader.at :].partition("=")
            if not found or not re.fullmatch(r"\s*[^\W\d]\w*\s*", key):
                return None
            reader.at += len(key) + 1
            arguments[key.strip()] = reader.value(0)
            reader.space()
            if reader.at < len(inside) and not reader.take(","):
                return None
            reader.space()
    except (ValueError, RecursionError):
        return None
    return arguments
