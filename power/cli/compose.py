"""Make messages of typed lines: `\"\"\"` opens and closes one of several lines."""

from __future__ import annotations

QUOTES = '"""'


class Composer:
    """Lines in, messages out."""

    def __init__(self) -> None:
        self._head = ""  # what stood before the quotes
        self._text: str | None = None  # what came after them, while they are open

    @property
    def is_open(self) -> bool:
        return self._text is not None

    def feed(self, line: str) -> str | None:
        """Take a line, or a paste of several; return the message it completes.

        Line breaks right after the opening and right before the closing quotes
        are no part of the message.
        """
        if self._text is None:
            head, opened, rest = line.partition(QUOTES)
            if not opened or head.strip() not in ("", "/set system"):
                return line
            self._head, self._text = head, rest
        else:
            self._text += "\n" + line
        body = self._text.rstrip()
        if not body.endswith(QUOTES):
            return None
        self._text = None
        return self._head + body.removesuffix(QUOTES).strip("\n")

    def clear(self) -> None:
        """Forget an open message."""
        self._text = None
