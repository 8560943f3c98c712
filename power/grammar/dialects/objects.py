"""Read calls that hold their names, alone or in a list."""

from __future__ import annotations

import re

from power.grammar.dialects.around import Around
from power.grammar.dialects.called import ARGUMENT_KEYS, NAME_KEYS, Call, call_of
from power.grammar.dialects.dialect import Dialect, Syntax
from power.grammar.dialects.members import Members, told
from power.grammar.dialects.pythonic import python_arguments, take_parenthesis
from power.grammar.dialects.source import (
    MAX_HEADER,
    Reading,
    Source,
    find,
    peek_any,
    skip_space,
    take,
    take_json,
    take_loosely,
)
from power.grammar.dialects.telling import Telling
from power.grammar.dialects.typed import Tools

_NAMED = re.compile(rf'"(?:{"|".join(NAME_KEYS)})"\s*:\s*"([^"\\]+)"')


class ObjectReader:
    """Reads JSON objects and Python calls.

    Attributes:
        unfinished: the name of a call that did not end.
    """

    def __init__(self, dialect: Dialect, around: Around, tools: Tools, telling: Telling | None = None) -> None:
        self._dialect = dialect
        self._around = around
        self._tools = tools
        self._telling = telling if _can_be_told(dialect) else None
        text, arguments = r'"([^"\\]+)"', r"\s*:\s*(?=\{)"
        key = "" if dialect.keyed else f'"{re.escape(dialect.arguments_key)}"'
        self._name = re.compile(rf"\{{\s*{text}" if dialect.keyed else _member(dialect.name_key) + text)
        self._id = re.compile(_member(dialect.id_key) + text) if dialect.id_key else None
        self._arguments = re.compile(key + arguments)
        self.unfinished = ""

    def read(self, source: Source) -> Reading[list[Call] | None]:
        """A call, or a list of them, if that comes next."""
        start = source.at
        found = yield from self._calls(source)
        if not found:
            source.at = start
            return None
        return found

    def _calls(self, source: Source) -> Reading[list[Call]]:
        if not (yield from self._around.take_open(source)) and self._around.triggers:
            return []
        yield from skip_space(source)
        in_list = yield from take(source, "[")
        read = self._object if self._dialect.syntax is Syntax.OBJECT else self._python
        found: list[Call] = []
        while (call := (yield from read(source))) is not None:
            found.append(call)
            if not in_list and not self._around.in_section and self._around.open:
                break
            yield from take_loosely(source, [","])
        closed = in_list and (yield from take_loosely(source, ["]"]))
        while closed and (yield from take(source, "]")):
            pass  # one too many, as models write
        if found and self._around.close and not (yield from self._around.take_close(source)):
            yield from skip_space(source)
            # Something else in the place of what closes: it was about calls, not one.
            if not (closed or source.at == len(source.text)):
                return []
        return found

    def _object(self, source: Source) -> Reading[Call | None]:
        start = source.at
        yield from skip_space(source)
        if not (yield from peek_any(source, ["{"])) or not (yield from self._is_promising(source)):
            source.at = start
            return None
        yield from self._tell(source)
        text = yield from take_json(source)
        if text is None and (named := _NAMED.search(source.text, source.at)):
            self.unfinished = named[1]
        call = call_of(text, self._dialect) if text else None
        if call is None or (not self._around.triggers and call.name not in self._tools):
            source.at = start
            return None
        return call

    def _tell(self, source: Source) -> Reading[None]:
        """Tell of the call that comes next while it comes; nothing is read of it."""
        start = source.at
        while self._telling is not None and not source.ended:
            if found := self._arguments.search(source.text, start, start + MAX_HEADER):
                head = source.text[start : found.start()]
                if name := self._name.search(head):
                    given = self._id.search(head) if self._id else None
                    self._telling.begin(name[1], given[1] if given else "", source.text[: found.end()])
                    source.at = found.end()
                    yield from told(source, take_json(source), self._telling.more)
                break
            if len(source.text) - start > MAX_HEADER:
                break
            yield
        source.at = start

    def _is_promising(self, source: Source) -> Reading[bool]:
        """Whether an object without a mark before it can still be a call, by its first key."""
        if self._around.triggers:
            return True
        start = source.at
        yield from take(source, "{")
        keys = (*NAME_KEYS, *ARGUMENT_KEYS, self._dialect.name_key, self._dialect.id_key, "type", "function", "id")
        promising = yield from take_loosely(source, ['"'])
        promising = promising and bool((yield from peek_any(source, [f'{key}"' for key in keys if key])))
        source.at = start
        return promising

    def _python(self, source: Source) -> Reading[Call | None]:
        start = source.at
        yield from skip_space(source)
        found = yield from find(source, ["("], limit=MAX_HEADER)
        name = found[0].strip() if found else ""
        call = None
        if re.fullmatch(r"[^\W\d][\w.\-]*", name) and (self._around.triggers or name in self._tools):
            self.unfinished = name
            if self._telling is not None:
                self._telling.begin(name, "", source.text[: source.at])
            members = Members(self._telling.more if self._telling is not None else None)
            inside = yield from take_parenthesis(source, members)
            arguments = python_arguments(inside) if inside is not None else None
            if arguments is not None:
                members.done(arguments)
                call = Call(name, arguments)
            if inside is not None:
                self.unfinished = ""
        if call is None:
            source.at = start
        return call


def _can_be_told(dialect: Dialect) -> bool:
    """Whether a call says who is called before it says with what."""
    if dialect.syntax is Syntax.PYTHON or dialect.keyed:
        return True
    if dialect.escaped:
        return False
    # An id that comes later is not waited for: the call has one of ours then, in what is told and in its whole.
    return dialect.name_key in dialect.keys[: dialect.keys.index(dialect.arguments_key)]


def _member(key: str) -> str:
    return rf'"{re.escape(key)}"\s*:\s*'
