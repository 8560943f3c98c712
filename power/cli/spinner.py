"""A sign of life on stderr while a model loads or reads its prompt."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import cycle

import trio

from power.cli.groups import unwrapped

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PERIOD = 0.1  # seconds
DELAY = 0.2  # seconds; what is faster needs no sign of life
HIDE, ERASE = "\x1b[?25l", "\r\x1b[K\x1b[?25h"  # the cursor; the line, and show the cursor again


@asynccontextmanager
async def spinner() -> AsyncIterator[Callable[[], None]]:
    """Spin until what this yields is called, or the block ends; only on a terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    spinner = _Spinner()
    with unwrapped():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(spinner.spin)
            try:
                yield spinner.stop
            finally:
                spinner.stop()


class _Spinner:
    def __init__(self) -> None:
        self._scope = trio.CancelScope()
        self._is_shown = False

    async def spin(self) -> None:
        with self._scope:
            await trio.sleep(DELAY)
            for frame in cycle(FRAMES):
                # Once stopped, the line belongs to the answer.
                if self._scope.cancel_called:
                    return
                self._is_shown = True
                _write(f"{HIDE}\r{frame} ")
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
