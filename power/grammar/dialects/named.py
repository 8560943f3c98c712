"""Read calls that have their name before their arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from power.grammar.dialects.around import Around
from power.grammar.dialects.braces import braced, repaired, take_braces
from power.grammar.dialects.called import Call, dictionary
from power.grammar.dialects.dialect import Dialect, Syntax
from power.grammar.dialects.elements import elements_of, take_elements
from power.grammar.dialects.header import Named, after_holes, read_header, words
from power.grammar.dialects.members import Members, told
from power.grammar.dialects.parameters import ParameterReader
from power.grammar.dialects.source import MAX_HEADER, Reading, Source, find, skip_space, take_json
from power.grammar.dialects.telling import Telling
from power.grammar.dialects.typed import Tools


class NamedReader:
    """Reads one call at a time.

    Attributes:
        unfinished: the name of a call whose arguments did not end.
    """

    def __init__(self, dialect: Dialect, around: Around, tools: Tools, telling: Telling | None = None) -> None:
        self._dialect = dialect
        self._around = around
        self._tools = tools
        self._telling = telling
        self._parameters = ParameterReader(dialect, around, tools)
        self.unfinished = ""

    def read(self, source: Source) -> Reading[list[Call] | None]:
        """A call, if one comes next."""
        start = source.at
        call = yield from self._call(source)
        if call is None:
            source.at = start
            return None
        return [call]

    def _call(self, source: Source) -> Reading[Call | None]:
        if not (yield from self._around.take_open(source)):
            return None
        header = yield from self._header(source)
        if header is None:
            return None
        self.unfinished = header.name
        if self._telling is not None:
            self._telling.begin(header.name, header.id, source.text[: source.at])
        arguments = yield from self._arguments(source, header.name)
        if arguments is None:
            return None
        self.unfinished = ""
        return Call(header.name, arguments, header.id)

    def _header(self, source: Source) -> Reading[Named | None]:
        dialect = self._dialect
        ends = words(after_holes(dialect.name_end))
        braced = dialect.syntax in (Syntax.ARGUMENTS, Syntax.BRACES)
        around = words(dialect.key_open), self._around.close, self._around.end
        others = ["{"] if braced else [each[0] for each in around if each]
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
        match self._dialect.syntax:
            case Syntax.ARGUMENTS:
                return (yield from self._json_arguments(source))
            case Syntax.BRACES:
                return (yield from self._braces(source, name))
            case Syntax.ELEMENTS:
                return (yield from self._elements(source, name))
        return (yield from self._parameters.read(source, name, self._more))

    @property
    def _more(self) -> Callable[[str], None] | None:
        return self._telling.more if self._telling is not None else None

    def _json_arguments(self, source: Source) -> Reading[dict[str, Any] | None]:
        yield from skip_space(source)
        text = yield from told(source, take_json(source), self._more)
        arguments = dictionary(text)
        if arguments is not None:
            yield from self._around.take_close(source)
        return arguments

    def _braces(self, source: Source, name: str) -> Reading[dict[str, Any] | None]:
        start, quote = source.at, self._dialect.quote
        members = Members(self._more)
        text = yield from take_braces(source, quote, members)
        arguments = braced(text, quote)
        if arguments is None and self._around.close:
            source.at = start
            found = yield from find(source, self._around.close[:1])
            if found is None:
                return None
            source.at -= len(found[1])
            arguments = repaired(found[0], quote, self._tools.schema(name))
        if arguments is not None:
            members.done(arguments)
            yield from self._around.take_close(source)
        return arguments

    def _elements(self, source: Source, name: str) -> Reading[dict[str, Any] | None]:
        mark, schema = self._dialect.element, self._tools.schema(name)
        members = Members(self._more)
        text = yield from take_elements(source, mark, schema, self._around.close[0], members)
        arguments = elements_of(text, mark, schema) if text is not None else None
        if arguments is not None:
            members.done(arguments)
        return arguments
