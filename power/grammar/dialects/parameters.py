"""Read arguments that stand between tags, each of its own.

Models forget tags: the one that opens a value behind its key, and the one that
closes it before the next key or the end of the call.  Where there is no other way
to read a call, it is read as if they were there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from power.grammar.dialects.around import Around
from power.grammar.dialects.dialect import CDATA, Dialect
from power.grammar.dialects.header import words
from power.grammar.dialects.literals import load_json
from power.grammar.dialects.members import Members, growing
from power.grammar.dialects.source import MAX_HEADER, Reading, Source, find, peek_any, skip_space, take, take_loosely
from power.grammar.dialects.typed import Tools


class ParameterReader:
    """Reads the arguments of one call, up to what closes it."""

    def __init__(self, dialect: Dialect, around: Around, tools: Tools) -> None:
        self._dialect = dialect
        self._around = around
        self._tools = tools
        self._next_key = _pattern_of_key(dialect)
        ends = dialect.value_close.strip(), *words(dialect.key_open)[:1], *around.close[:1]
        self._ends = tuple(filter(None, ends))

    def read(
        self, source: Source, name: str, more: Callable[[str], None] | None = None
    ) -> Reading[dict[str, Any] | None]:
        """The arguments of a call of the tool `name`; `more` is told them as JSON, one by one."""
        key_open = words(self._dialect.key_open)
        arguments: dict[str, Any] = {}
        members = Members(more)
        while True:
            if (yield from take_loosely(source, key_open)):
                pair = yield from self._parameter(source, name, members)
                if pair is None:
                    return None
                members.add(dict([pair]))
                arguments[pair[0]] = pair[1]
            elif (yield from self._around.take_close(source)):
                members.done(arguments)
                return arguments
            else:
                yield from skip_space(source)
                cut_off = source.ended and source.at == len(source.text)
                complete = bool(arguments) and self._tools.has_required(name, arguments)
                if not (cut_off and complete):
                    return None
                members.done(arguments)
                return arguments

    def _parameter(self, source: Source, tool: str, members: Members) -> Reading[tuple[str, Any] | None]:
        ends = {words(end): kind for kind, end in reversed(self._dialect.key_ends)}
        firsts = tuple(dict.fromkeys(each[0] for each in ends))
        found = yield from find(source, firsts, limit=MAX_HEADER)
        if found is None:
            return None
        source.at -= len(found[1])
        kind = ""
        for end, of_type in ends.items():
            if (yield from take_loosely(source, end)):
                kind = of_type
                break
        if not kind:
            yield from take(source, found[1])
            yield from skip_space(source)
            kind = next(kind for end, kind in ends.items() if end[0] == found[1])
        key = found[0].strip()
        is_text = kind == "string" if self._dialect.is_typed else self._tools.is_text(tool, key)
        text = yield from self._growing_value(source, key if is_text else "", members)
        return None if text is None else (key, self._typed(tool, key, kind, text))

    def _growing_value(self, source: Source, key: str, members: Members) -> Reading[str | None]:
        """The text of a value, of which the members are told meanwhile if there is a `key`."""
        if self._dialect.key_ends[0][1].endswith("\n"):
            yield from take(source, "\n")
        value = self._value(source)
        if key and not self._dialect.cdata:
            value = growing(source, value, self._ends, partial(members.grow, key))
        return (yield from value)

    def _value(self, source: Source) -> Reading[str | None]:
        """The text up to what closes a value: a closing tag that nothing of a call follows is part of it."""
        close = self._dialect.value_close.strip()
        start = source.at
        around = words(self._dialect.key_open), self._around.close, self._around.end, self._around.open
        follows = [each[0] for each in around if each]
        while True:
            found = yield from find(source, [close])
            if found is None:
                source.at = start
                return (yield from self._unclosed(source))
            end = source.at
            yield from skip_space(source)
            if source.at == len(source.text) or (yield from peek_any(source, follows)) or _is_cut(source, follows):
                text = source.text[start : end - len(close)]
                begun = self._next_key.search(text) if close not in text else None
                if begun is None:
                    source.at = end
                    return self._unwrapped(text)
                source.at = start + begun.start()
                return text[: begun.start()].rstrip()
            source.at = end

    def _unclosed(self, source: Source) -> Reading[str | None]:
        """The same where nothing closes the value but the end of its call."""
        ends = self._around.close[:1]
        found = (yield from find(source, ends)) if ends else None
        if found is None:
            return None
        begun = self._next_key.search(found[0])
        end = begun.start() if begun else len(found[0])
        source.at -= len(found[0]) - end + len(found[1])
        return found[0][:end].rstrip()

    def _unwrapped(self, text: str) -> str:
        """Without the line end that the dialect has behind values."""
        text = text.removesuffix("\n") if self._dialect.value_close.startswith("\n") else text
        if self._dialect.cdata and text.startswith(CDATA[0]) and text.endswith(CDATA[1]):
            return text[len(CDATA[0]) : -len(CDATA[1])]
        return text

    def _typed(self, tool: str, key: str, kind: str, text: str) -> Any:
        if not self._dialect.is_typed:
            return self._tools.value(tool, key, text)
        if kind == "string":
            return text
        try:
            return load_json(text)
        except (ValueError, RecursionError):
            return text


def _pattern_of_key(dialect: Dialect) -> re.Pattern[str]:
    """What stands between a value and the next one."""
    end = dialect.key_ends[0][1] if dialect.key_ends else ""
    before, behind = (r"\s*".join(map(re.escape, words(text))) for text in (dialect.key_open, end))
    return re.compile(rf"{before}\s*[\w.\-]+\s*{behind}")


def _is_cut(source: Source, follows: list[str]) -> bool:
    """Whether the text ends within one of these."""
    return source.ended and any(word.startswith(source.rest.rstrip()) for word in follows)
