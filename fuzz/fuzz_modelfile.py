# Invariant: any text is a Modelfile or refused with a place inside it; what was read is written and read back the same.
"""Composes commands, quotes and line ends."""

import random
import re

import mutate

from power.store.modelfile import KEYWORDS, ROLES, Modelfile, ModelfileError, read_modelfile

PIECES = [
    *KEYWORDS,
    *ROLES,
    "FROM a\n",
    "\nSYSTEM ",
    "PARAMETER stop ",
    "MESSAGE user ",
    '"',
    '"""',
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "#",
    "\ufeff",
    "\x00",
    "é🙂",
]


def check(rng: random.Random) -> None:
    text = mutate.compose(PIECES, rng)
    check_text(text)
    check_text(mutate.mutate(text.encode(rng.choice(["utf-8", "utf-16"])), rng))


def check_text(text: str | bytes) -> None:
    read = outcome(text)
    if isinstance(read, ModelfileError):
        if isinstance(text, str):
            lines = re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff"))
            assert 1 <= read.line <= len(lines), (text, read)
            assert 1 <= read.column <= len(lines[read.line - 1]) + 1, (text, read)
        return
    try:
        written = str(read)
    except ValueError:  # a text that no quotes can hold
        return
    assert commands(read_modelfile(written)) == commands(read), text


def outcome(text: str | bytes) -> Modelfile | ModelfileError:
    try:
        return read_modelfile(text)
    except ModelfileError as error:
        return error


def commands(modelfile: Modelfile) -> list[tuple[str, str, str]]:
    return [(command.keyword, command.name, command.value) for command in modelfile.commands]


if __name__ == "__main__":
    mutate.run(check)
