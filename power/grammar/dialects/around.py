"""What stands around the calls of a dialect, as a reader looks for it.

Models take their marks less seriously than templates do: any whitespace may stand
between them, the first of several may be missing, and so may those that close.
"""

from __future__ import annotations

from power.grammar.dialects.dialect import Dialect, Syntax
from power.grammar.dialects.header import before_hole, words
from power.grammar.dialects.source import Reading, Source, skip_space, take, take_loosely


class Around:
    """The marks around a dialect's calls.

    Attributes:
        section, open, close, end: those that open a section and a call, and close a call and a section.
        triggers: what a call can begin with; empty if calls have no mark before them.
        in_section: whether a section has been opened, so that a call may need no mark of its own.
    """

    def __init__(self, dialect: Dialect) -> None:
        holds_name = dialect.syntax in (Syntax.OBJECT, Syntax.PYTHON)
        # Brackets of a list or an object are read apart.
        before, behind = ("[ \n", "]) \n") if holds_name else ("", "")
        self.section = words(dialect.section_open.rstrip(before) if before else dialect.section_open)
        call_open = before_hole(dialect.call_open)
        self.open = words(call_open.rstrip(before) if before else call_open)
        self.close = words(dialect.call_close.lstrip(behind) if behind else dialect.call_close)
        self.end = words(dialect.section_close.lstrip(behind) if behind else dialect.section_close)
        # A model that forgets the first of several marks still means a call.
        marks = [*self.section[:1], *(word for n, word in enumerate(self.open) if n == 0 or _is_mark(word))]
        self.triggers = tuple(dict.fromkeys(marks))
        self.in_section = False

    def take_section(self, source: Source) -> Reading[None]:
        """What opens a section, if that comes next."""
        self.in_section = bool(self.section) and (yield from take_loosely(source, self.section))

    def take_open(self, source: Source) -> Reading[bool]:
        """What opens a call, or the part of it from one of its marks on."""
        for first in range(len(self.open)):
            may_begin = first == 0 or _is_mark(self.open[first])
            if may_begin and (yield from take_loosely(source, self.open[first:])):
                return True
        return not self.open and self.in_section

    def take_close(self, source: Source) -> Reading[bool]:
        """Whether anything of what closes a call comes next; it is read as far as it is there."""
        return (yield from _take_parts(source, self.close))

    def take_end(self, source: Source) -> Reading[None]:
        """What closes the section, and marks that close more than was open, as models write."""
        yield from _take_parts(source, self.end)
        extra = tuple(word for word in (*self.close, *self.end) if _is_mark(word))
        while (yield from _take_parts(source, extra)):
            pass


def _take_parts(source: Source, close: tuple[str, ...]) -> Reading[bool]:
    taken = False
    start = source.at
    for word in close:
        before = source.at
        yield from skip_space(source)
        if (yield from take(source, word)):
            taken, start = True, source.at
        elif source.ended and word.startswith(source.rest.rstrip()) and source.rest.strip():
            source.at = len(source.text)
            return True
        else:
            source.at = before
    source.at = start
    return taken


def _is_mark(word: str) -> bool:
    """Whether a word is unlikely in prose."""
    return len(word) > 2 and (word[0] in "<[]" or "|" in word)
