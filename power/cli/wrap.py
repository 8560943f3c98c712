"""Wrap words while they are still arriving.

A word is printed letter by letter as it comes.  Only when it crosses the
margin is it taken back, the cursor moved to where it began, and printed again
on the next line; so nobody waits for a word to be complete.  (As Ollama's CLI
does in cmd/cmd.go, `displayResponse`.)
"""

from __future__ import annotations

from rich.cells import get_character_cell_size

MARGIN = 5  # columns kept free at the right, as Ollama does
NARROWEST = 10  # columns; wrapping for less helps nobody


class WordWrap:
    """Text in; out comes the same with line breaks and cursor movements for a terminal of `width` columns."""

    def __init__(self, width: int) -> None:
        self._room = max(width - MARGIN, NARROWEST)  # columns of a line
        self._column = 0
        self._word = ""  # since the last blank in this line
        self._word_columns = 0

    def feed(self, text: str) -> str:
        return "".join(map(self._put, text))

    def _put(self, char: str) -> str:
        if char == "\n":
            self._column = 0
            self._end_word()
            return char
        columns = get_character_cell_size(char)
        self._column += columns
        if char.isspace():
            self._end_word()
            return char if self._column <= self._room else ""  # a break will stand for it
        self._word += char
        self._word_columns += columns
        return char if self._column <= self._room else self._break(char, columns)

    def _end_word(self) -> None:
        self._word, self._word_columns = "", 0

    def _break(self, char: str, columns: int) -> str:
        """Go on in the next line: with all of the word, if it can ever fit into one."""
        begun = self._word.removesuffix(char)
        begun_columns = self._word_columns - columns
        if self._word_columns > self._room or not begun:
            self._word, self._word_columns, self._column = char, columns, columns
            return f"\n{char}"
        self._column = self._word_columns
        return f"\x1b[{begun_columns}D\x1b[K\n{begun}{char}"
