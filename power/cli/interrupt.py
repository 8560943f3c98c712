"""Ctrl-C ends what is going on, not the program."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import trio


@contextmanager
def stop_on_interrupt() -> Iterator[trio.CancelScope]:
    """SIGINT cancels the block; its scope's `cancelled_caught` then tells so.

    Python's own way, KeyboardInterrupt, may come up anywhere in the tree.
    """
    token = trio.lowlevel.current_trio_token()
    with trio.CancelScope() as scope:
        before = signal.signal(signal.SIGINT, lambda *_: token.run_sync_soon(scope.cancel))
        try:
            yield scope
        finally:
            signal.signal(signal.SIGINT, before)
