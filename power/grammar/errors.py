"""What can be wrong with a schema, a pattern or a grammar that somebody sent."""

from __future__ import annotations

from power.errors import BadRequest


class SchemaError(BadRequest):
    """A schema says something that cannot be compiled; `keyword` and `pointer` say what and where."""

    def __init__(self, message: str, *, keyword: str | None = None, pointer: str = "") -> None:
        super().__init__(f"{message} (at {pointer or '/'})", field="format")
        self.reason = message
        self.keyword = keyword
        self.pointer = pointer


class PatternError(BadRequest):
    """A regular expression is malformed, or says something that no automaton can; `at` is an index into it."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(f"{message} at character {at + 1} of the pattern", field="regex")
        self.at = at


class TooLarge(BadRequest):
    """What was asked for is well formed and past a stated limit."""

    def __init__(self, message: str) -> None:
        super().__init__(message, field="format")


class GrammarError(BadRequest):
    """A GBNF grammar is malformed or dangerous; `line` and `column` count from one."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"{message} at line {line}, column {column}", field="grammar")
        self.line = line
        self.column = column
