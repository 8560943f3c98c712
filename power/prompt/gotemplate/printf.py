"""Go's `fmt.Sprintf` and `fmt.Sprint`: a format's verbs, one after the other, and the arguments they take.

A port of `doPrintf` (fmt/print.go, Go 1.26).  Nothing is an error: what is wrong with
a verb is said in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from power.prompt.gotemplate.values import go_string, type_name
from power.prompt.gotemplate.verbs import Verb, formatted

MAX_NUMBER = 1_000_000  # of a width or a precision
_FLAGS = {"+": "plus", "-": "minus", "#": "sharp", " ": "space", "0": "zero"}


def sprint(values: Sequence[Any]) -> str:
    """Values one after the other, with a space between two of which neither is a string."""
    out: list[str] = []
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            out.append(" ")
        out.append(go_string(value))
    return "".join(out)


def sprintf(form: str, values: Sequence[Any]) -> str:
    """`form` with its verbs replaced."""
    return _Printer(form, values).run()


class _Printer:
    def __init__(self, form: str, values: Sequence[Any]) -> None:
        self._form = form
        self._values = values
        self._at = 0  # in the form
        self._next = 0  # of the values
        self._reordered = False
        self._good_index = True  # of the verb that is being read
        self._out: list[str] = []

    def run(self) -> str:
        while self._at < len(self._form):
            verb = self._form.find("%", self._at)
            self._out.append(self._form[self._at : verb if verb >= 0 else None])
            if verb < 0:
                break
            self._at = verb + 1
            self._verb()
        rest = self._values[self._next :]
        if rest and not self._reordered:
            extra = ["<nil>" if value is None else f"{type_name(value)}={go_string(value)}" for value in rest]
            self._out.append(f"%!(EXTRA {', '.join(extra)})")
        return "".join(self._out)

    def _verb(self) -> None:
        verb = Verb()
        self._good_index = True
        while (flag := self._peek()) in _FLAGS:
            setattr(verb, _FLAGS[flag], True)
            self._at += 1
        indexed = self._index()
        indexed = self._width(verb, indexed)
        indexed = self._precision(verb, indexed)
        if not indexed:
            indexed = self._index()
        if self._at >= len(self._form):
            self._out.append("%!(NOVERB)")
            return
        verb.letter = self._form[self._at]
        self._at += 1
        self._write(verb)

    def _write(self, verb: Verb) -> None:
        if verb.letter == "%":
            self._out.append("%")
        elif not self._good_index:
            self._out.append(f"%!{verb.letter}(BADINDEX)")
        elif self._next >= len(self._values):
            self._out.append(f"%!{verb.letter}(MISSING)")
        else:
            self._next += 1
            self._out.append(formatted(self._values[self._next - 1], verb.settled()))

    def _width(self, verb: Verb, indexed: bool) -> bool:
        if self._peek() == "*":
            self._at += 1
            verb.width = self._number_argument("%!(BADWIDTH)")
            if verb.width is not None and verb.width < 0:
                verb.width, verb.minus, verb.zero = -verb.width, True, False
            return False
        verb.width = self._number()
        if indexed and verb.width is not None:  # as in "%[3]2d"
            self._good_index = False
        return indexed

    def _precision(self, verb: Verb, indexed: bool) -> bool:
        if self._peek() != ".":
            return indexed
        self._at += 1
        if indexed:  # as in "%[3].2d"
            self._good_index = False
        indexed = self._index()
        if self._peek() == "*":
            self._at += 1
            precision = self._number_argument("%!(BADPREC)", least=0)
            verb.precision = precision
            return False
        verb.precision = self._number() or 0
        return indexed

    def _peek(self) -> str:
        return self._form[self._at : self._at + 1]

    def _number(self) -> int | None:
        start = self._at
        while self._peek().isascii() and self._peek().isdigit():
            self._at += 1
        digits = self._form[start : self._at]
        if len(digits) > 7 or int(digits or 0) > MAX_NUMBER:
            self._at = len(self._form)  # Go gives up, too
            return None
        return int(digits) if digits else None

    def _number_argument(self, otherwise: str, least: int = -MAX_NUMBER) -> int | None:
        value = None
        if self._next < len(self._values):
            value = self._values[self._next]
            self._next += 1
        good = isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_NUMBER
        if not good:
            self._out.append(otherwise)
        return value if good else None

    def _index(self) -> bool:
        """Read a `[n]` if there is one; whether there was."""
        if self._peek() != "[":
            return False
        self._reordered = True
        end = self._form.find("]", self._at)
        digits = self._form[self._at + 1 : end]
        self._at = end + 1 if end >= 0 else self._at + 1
        if end >= 0 and digits.isascii() and digits.isdigit() and len(digits) < 8:
            if 0 < int(digits) <= len(self._values):
                self._next = int(digits) - 1
            else:
                self._good_index = False
            return True
        self._good_index = False
        return False
