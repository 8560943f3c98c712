"""Read calls of one dialect out of a `Source`, one section at a time.

Each reader begins where a mark of its dialect has been seen.  It returns calls and
leaves the source behind them, or returns None and leaves the source where it was:
what is no call is somebody else's text.
"""

from __future__ import annotations

from collections.abc import Callable

from power.grammar.dialects.around import Around
from power.grammar.dialects.called import Call
from power.grammar.dialects.dialect import Dialect, Syntax
from power.grammar.dialects.header import words
from power.grammar.dialects.named import NamedReader
from power.grammar.dialects.objects import ObjectReader
from power.grammar.dialects.source import Reading, Source, take_loosely
from power.grammar.dialects.telling import Telling
from power.grammar.dialects.typed import Tools


class CallReader:
    """Reads the calls of one dialect.

    Attributes:
        triggers: what a call can begin with; empty if calls have no mark before them.
        unfinished: the name of a call that the end of the text has cut off.
        cut: the text of calls of which parts were told before the end cut them off.
    """

    def __init__(self, dialect: Dialect, tools: Tools, telling: Telling | None = None) -> None:
        self._around = Around(dialect)
        # Commas and spaces between calls are the readers' affair; what looks like a mark is nobody's text.
        self._separator = tuple(words(dialect.separator)) if "<" in dialect.separator else ()
        holds_name = dialect.syntax in (Syntax.OBJECT, Syntax.PYTHON)
        self._reader = (ObjectReader if holds_name else NamedReader)(dialect, self._around, tools, telling)
        self.triggers = self._around.triggers
        self.unfinished = ""
        self.cut = ""
        self._telling = telling

    def section(self, source: Source, emit: Callable[[Call], None]) -> Reading[int]:
        """Read as many calls as there are, and the marks around them; how many."""
        self._reader.unfinished = ""
        start = source.at
        yield from self._around.take_section(source)
        count, after = 0, start
        while (found := (yield from self._reader.read(source))) is not None:
            for call in found:
                emit(call)
            count, after = count + len(found), source.at
            if self._separator:
                yield from take_loosely(source, self._separator)
        self.unfinished = self._reader.unfinished if source.ended else ""
        source.at = after
        if self._telling:
            if source.ended:
                self.cut, source.at = source.rest, len(source.text)
                return count
            self._telling.cut_off()  # no grammar held it after all, and it is text
        if count:
            yield from self._around.take_end(source)
        return count
