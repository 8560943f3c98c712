"""How a Go template fails: in Go's words, with the place."""

from __future__ import annotations

from power.errors import BadRequest


class GoTemplateError(BadRequest):
    """The template cannot be parsed or executed; `line` and `column` count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message, field="template")
        self.line = line
        self.column = column


def place(text: str, at: int) -> tuple[int, int]:
    """Line and column, from 1, of a character."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def parse_error(text: str, at: int, what: str) -> GoTemplateError:
    line, column = place(text, at)
    return GoTemplateError(f"template: :{line}: {what} (line {line}, column {column})", line, column)


def run_error(text: str, at: tuple[int, int], what: str) -> GoTemplateError:
    line, column = place(text, at[0])
    # Go counts these columns from 0.
    return GoTemplateError(
        f'template: :{line}:{column - 1}: executing "" at <{text[at[0] : at[1]]}>: {what}', line, column
    )
