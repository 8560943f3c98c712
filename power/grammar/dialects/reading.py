"""Read calls of one dialect out of a `Source`, one syntax at a time.

Each reader begins where a mark of its dialect has been seen.  It returns a call and
leaves the source behind it, or returns None and leaves the source where it was:
what is no call is somebody else's text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from power.grammar.dialects.dialect import CDATA, Dialect, Syntax
from power.grammar.dialects.elements import read_elements
from power.grammar.dialects.header import Named, after_holes, before_hole, read_header, words
from power.grammar.dialects.literals import LiteralReader, literal, load_json
from power.grammar.dialects.source import Reading, Source, find, peek_any, skip_space, take, take_json, take_loosely
from power.grammar.dialects.typed import Tools

NAME_KEYS = ("name", "tool_name", "function_name", "tool")
ARGUMENT_KEYS = ("arguments", "parameters", "args", "input")
_NAMED = re.compile(rf'"(?:{"|".join(NAME_KEYS)})"\s*:\s*"([^"\\]+)"')
MAX_HEADER = 400  # characters between a mark and the arguments


class Call(NamedTuple):
    """One call, as written."""

    name: str
    arguments: dict[str, Any]
    id: str = ""


class CallReader:
    """Reads the calls of one dialect.

    Attributes:
        triggers: what a call can begin with; empty if calls have no mark before them.
        unfinished: the name of a call that the end of the text has cut off.
    """

    def __init__(self, dialect: Dialect, tools: Tools) -> None:
        self.dialect = dialect
        self._tools = tools
        self._in_section = False
        self.unfinished = ""
        self._section = words(_bare(dialect.section_open, dialect))
        self._open = words(_bare(before_hole(dialect.call_open), dialect))
        # A model that forgets the first of several marks still means a call.
        marks = [*self._section[:1], *(word for n, word in enumerate(self._open) if n == 0 or _is_mark(word))]
        self.triggers = tuple(dict.fromkeys(marks))
        self._close = words(_bare_close(dialect.call_close, dialect))
        self._end = words(_bare_close(dialect.section_close, dialect))

    def section(self, source: Source, emit: Callable[[Call], None]) -> Reading[int]:
        """Read as many calls as there are, and the marks around them; how many."""
        self.unfinished = ""
        start = source.at
        self._in_section = bool(self._section) and (yield from take_loosely(source, self._section))
        count, after = 0, start
        calls = self._objects if self.dialect.syntax in (Syntax.OBJECT, Syntax.PYTHON) else self._named
        while (found := (yield from calls(source))) is not None:
            for call in found:
                emit(call)
            count, after = count + len(found), source.at
        if not source.ended:
            self.unfinished = ""
        source.at = after
        if count and self._end:
            yield from self._take_close(source, self._end)
        return count

    # -- a name with arguments behind it --

    def _named(self, source: Source) -> Reading[list[Call] | None]:
        start = source.at
        call = yield from self._read_named(source)
        if call is None:
            source.at = start
            return None
        return [call]

    def _read_named(self, source: Source) -> Reading[Call | None]:
        if not (yield from self._take_open(source)):
            return None
        header = yield from self._header(source)
        if header is None:
            return None
        self.unfinished = header.name
        arguments = yield from self._arguments(source, header.name)
        if arguments is None:
            return None
        self.unfinished = ""
        return Call(header.name, arguments, header.id)

    def _take_open(self, source: Source) -> Reading[bool]:
        """What opens a call, or the part of it from one of its marks on."""
        for first in range(len(self._open)):
            may_begin = first == 0 or _is_mark(self._open[first])
            if may_begin and (yield from take_loosely(source, self._open[first:])):
                return True
        return not self._open and self._in_section

    def _header(self, source: Source) -> Reading[Named | None]:
        dialect = self.dialect
        ends = words(after_holes(dialect.name_end))
        braced = dialect.syntax in (Syntax.ARGUMENTS, Syntax.BRACES)
        others = ["{"] if braced else [each[0] for each in (words(dialect.key_open), self._close, self._end) if each]
        stops = others if braced or not ends else [ends[-1], *others]
        found = yield from find(source, stops, limit=MAX_HEADER)
        if found is None:
            return None
        text, stop = found
        if stop in others:
            source.at -= len(stop)
        else:
            text += stop
        return read_header(text, opened=dialect.call_open, name_end=dialect.name_end.removesuffix("{"))

    def _arguments(self, source: Source, name: str) -> Reading[dict[str, Any] | None]:
        match self.dialect.syntax:
            case Syntax.ARGUMENTS:
                return (yield from self._json_arguments(source))
            case Syntax.BRACES:
                return (yield from self._braces(source))
            case Syntax.ELEMENTS:
                return (yield from self._elements(source, name))
        return (yield from self._parameters(source, name))

    def _json_arguments(self, source: Source) -> Reading[dict[str, Any] | None]:
        text = yield from take_json(source)
        arguments = dictionary(text)
        if arguments is not None:
            yield from self._take_close(source, self._close)
        return arguments

    def _braces(self, source: Source) -> Reading[dict[str, Any] | None]:
        start, depth, quote = source.at, 0, self.dialect.quote
        while True:
            found = yield from find(source, ["{", "}", quote] if quote else ["{", "}"])
            if found is None:
                return None
            if found[1] == quote:
                if (yield from find(source, [quote])) is None:
                    return None
            else:
                depth += 1 if found[1] == "{" else -1
            if depth == 0:
                break
        try:
            arguments = literal(source.text[start : source.at], quote=quote)
        except (ValueError, RecursionError):
            return None
        yield from self._take_close(source, self._close)
        return arguments if isinstance(arguments, dict) else None

    def _elements(self, source: Source, name: str) -> Reading[dict[str, Any] | None]:
        found = yield from find(source, [self._close[0]])
        if found is None:
            return None
        try:
            return read_elements(found[0], self.dialect.element, self._tools.schema(name))
        except ValueError:
            return None

    def _parameters(self, source: Source, name: str) -> Reading[dict[str, Any] | None]:
        key_open = words(self.dialect.key_open)
        arguments: dict[str, Any] = {}
        while True:
            if (yield from take_loosely(source, key_open)):
                pair = yield from self._parameter(source, name)
                if pair is None:
                    return None
                arguments[pair[0]] = pair[1]
            elif (yield from self._take_close(source, self._close)):
                return arguments
            else:
                yield from skip_space(source)
                cut_off = source.ended and source.at == len(source.text)
                complete = bool(arguments) and self._tools.has_required(name, arguments)
                return arguments if cut_off and complete else None

    def _parameter(self, source: Source, tool: str) -> Reading[tuple[str, Any] | None]:
        ends = {words(end): kind for kind, end in reversed(self.dialect.key_ends)}
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
        text = (yield from self._value(source)) if kind else None
        if text is None:
            return None
        key = found[0].strip()
        return key, self._typed(tool, key, kind, text)

    def _value(self, source: Source) -> Reading[str | None]:
        """The text up to what closes a value: a closing tag that nothing of a call follows is part of it."""
        close = self.dialect.value_close.strip()
        start = source.at
        follows = [each[0] for each in (words(self.dialect.key_open), self._close, self._end, self._open) if each]
        while True:
            found = yield from find(source, [close])
            if found is None:
                return None
            end = source.at
            yield from skip_space(source)
            if source.at == len(source.text) or (yield from peek_any(source, follows)):
                source.at = end
                return self._unwrapped(source.text[start : end - len(close)])
            source.at = end

    def _unwrapped(self, text: str) -> str:
        """Without the line ends that the dialect has around values."""
        ends = self.dialect.key_ends[0][1]
        before = "\n" if ends.endswith("\n") else ""
        after = "\n" if self.dialect.value_close.startswith("\n") else ""
        text = text.removeprefix(before).removesuffix(after)
        if self.dialect.cdata and text.startswith(CDATA[0]) and text.endswith(CDATA[1]):
            return text[len(CDATA[0]) : -len(CDATA[1])]
        return text

    def _typed(self, tool: str, key: str, kind: str, text: str) -> Any:
        if not self.dialect.is_typed:
            return self._tools.value(tool, key, text)
        if kind == "string":
            return text
        try:
            return load_json(text)
        except (ValueError, RecursionError):
            return text

    def _take_close(self, source: Source, close: tuple[str, ...]) -> Reading[bool]:
        """Whether anything of what closes comes next; it is read as far as it is there."""
        taken = False
        start = source.at
        for word in close:
            before = source.at
            yield from skip_space(source)
            if (yield from take(source, word)):
                taken, start = True, source.at
            elif source.ended and word.startswith(source.rest.rstrip()) and source.rest.strip():
                taken, source.at = True, len(source.text)
                return True
            else:
                source.at = before
        source.at = start
        return taken

    # -- calls that hold their names, alone or in a list --

    def _objects(self, source: Source) -> Reading[list[Call] | None]:
        start = source.at
        found = yield from self._read_objects(source)
        if not found:
            source.at = start
            return None
        return found

    def _read_objects(self, source: Source) -> Reading[list[Call]]:
        if not (yield from self._take_open(source)) and self.triggers:
            return []
        yield from skip_space(source)
        in_list = yield from take(source, "[")
        read = self._object if self.dialect.syntax is Syntax.OBJECT else self._python
        found: list[Call] = []
        while (call := (yield from read(source))) is not None:
            found.append(call)
            if not in_list and not self._in_section and self._open:
                break
            yield from take_loosely(source, [","])
        closed = in_list and (yield from take_loosely(source, ["]"]))
        while closed and (yield from take(source, "]")):
            pass  # one too many, as models write
        if found and self._close and not (yield from self._take_close(source, self._close)):
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
        text = yield from take_json(source)
        if text is None and (named := _NAMED.search(source.text, source.at)):
            self.unfinished = named[1]
        call = self._call(text)
        if call is None or (not self.triggers and call.name not in self._tools):
            source.at = start
            return None
        return call

    def _is_promising(self, source: Source) -> Reading[bool]:
        """Whether an object without a mark before it can still be a call, by its first key."""
        if self.triggers:
            return True
        start = source.at
        yield from take(source, "{")
        keys = (*NAME_KEYS, *ARGUMENT_KEYS, self.dialect.name_key, self.dialect.id_key, "type", "function", "id")
        promising = yield from take_loosely(source, ['"'])
        promising = promising and bool((yield from peek_any(source, [f'{key}"' for key in keys if key])))
        source.at = start
        return promising

    def _call(self, text: str | None) -> Call | None:
        try:
            value = load_json(text or "")
        except (ValueError, RecursionError):
            return None
        return _call_of(value, self.dialect)

    def _python(self, source: Source) -> Reading[Call | None]:
        start = source.at
        yield from skip_space(source)
        found = yield from find(source, ["("], limit=MAX_HEADER)
        name = found[0].strip() if found else ""
        call = None
        if re.fullmatch(r"[^\W\d][\w.\-]*", name) and (self.triggers or name in self._tools):
            self.unfinished = name
            inside = yield from _parenthesis(source)
            call = _python_call(name, inside)
            if inside is not None:
                self.unfinished = ""
        if call is None:
            source.at = start
        return call


def _is_mark(word: str) -> bool:
    """Whether a word is unlikely in prose."""
    return len(word) > 2 and (word[0] in "<[]" or "|" in word)


def _bare(opening: str, dialect: Dialect) -> str:
    """Without brackets of a list or an object, which are read apart."""
    return opening.rstrip("[ \n") if dialect.syntax in (Syntax.OBJECT, Syntax.PYTHON) else opening


def _bare_close(closing: str, dialect: Dialect) -> str:
    return closing.lstrip("]) \n") if dialect.syntax in (Syntax.OBJECT, Syntax.PYTHON) else closing


def dictionary(text: str | None) -> dict[str, Any] | None:
    """JSON arguments: an object, or an object in a string, or nothing."""
    if text is None:
        return None
    try:
        value = load_json(text)
        value = load_json(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _call_of(value: Any, dialect: Dialect) -> Call | None:
    if not isinstance(value, dict):
        return None
    if dialect.keyed and len(value) == 1:
        name, arguments = next(iter(value.items()))
        return Call(name, arguments) if name and isinstance(arguments, dict) else None
    call_id = _first(value, (dialect.id_key, "id", "tool_call_id"))
    inner = value.get(dialect.wrapper_key or "function")
    if isinstance(inner, dict):
        value = inner
    name = _first(value, (dialect.name_key, *NAME_KEYS))
    arguments = _first(value, (dialect.arguments_key, *ARGUMENT_KEYS))
    if isinstance(arguments, str):
        arguments = dictionary(arguments)
        if arguments is None:
            return None
    arguments = {} if arguments is None else arguments  # a tool without parameters
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return None
    return Call(name, arguments, call_id if isinstance(call_id, str) else "")


def _first(value: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((value[key] for key in keys if key in value), None)


def _parenthesis(source: Source) -> Reading[str | None]:
    """The text up to the parenthesis that closes the one just read; brackets and quotes count as Python's."""
    start, depth = source.at, 1
    while True:
        found = yield from find(source, ["(", ")", "[", "]", "{", "}", '"', "'"])
        if found is None:
            return None
        mark = found[1]
        if mark in "\"'":
            if not (yield from _string(source, mark)):
                return None
        else:
            depth += 1 if mark in "([{" else -1
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


def _python_call(name: str, inside: str | None) -> Call | None:
    if inside is None:
        return None
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
    return Call(name, arguments)
