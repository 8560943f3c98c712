"""A sign of life on stderr while a model loads or reads its prompt."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle

import trio

from power.cli.groups import unwrapped

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PERIOD = 0.1  # seconds
DELAY = 0.2  # seconds; what is faster needs no sign of life
CLEAR = "\x1b[K"  # the rest of the line
HIDE, ERASE = "\x1b[?25l", "\r\x1b[K\x1b[?25h"  # the cursor; the line, and show the cursor again


@asynccontextmanager
async def spinner() -> AsyncIterator[Spinner]:
    """Spin until what this yields is stopped, or the block ends; only on a terminal."""
    spinner = Spinner()
    if not sys.stderr.isatty():
        yield spinner
        return
    with unwrapped():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(spinner.spin)
            try:
                yield spinner
            finally:
                spinner.stop()


class Spinner:
    """Something that turns, and behind it what is waited for."""

    def __init__(self) -> None:
        self._scope = trio.CancelScope()
        self._is_shown = False
        self._text = ""

    def say(self, text: str) -> None:
        """What is waited for, from the next turn on."""
        self._text = text

    async def spin(self) -> None:
        """Turn, until stopped."""
        with self._scope:
            await trio.sleep(DELAY)
            for frame in cycle(FRAMES):
                # Once stopped, the line belongs to the answer.
                if self._scope.cancel_called:
                    return
                self._is_shown = True
                _write(f"{HIDE}\r{frame} {self._text}{CLEAR}")
                await trio.sleep(PERIOD)

    def stop(self) -> None:
        """Leave an empty line, at once: what comes next is printed into it."""
        self._scope.cancel()
        if self._is_shown:
            self._is_shown = False
            _write(ERASE)


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
