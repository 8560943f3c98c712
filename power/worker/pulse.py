"""A thread that says now and then that the process is alive, while the loop is at work.

The loop cannot: one `llama_decode` may take many seconds, and then it is silent.
But a process that merely *is* has not proved much either: a deadlock in a driver
looks just like that.  So the pulse goes on only while something moves: the loop
comes round, the process uses its processors, or waits for pages from the disk.
A stopped process says nothing by itself.  What silence means is the server's to
decide; see `power.sched.scheduler`.
"""

from __future__ import annotations

import resource
import threading
import time
from typing import Protocol

from power.worker.wire import Alive, Event

# Seconds of processor time in one period: more than this thread takes itself, and
# less than one that computes, or reads a file through a slow network.
LEAST_COMPUTING = 0.001


class Line(Protocol):
    """The worker's end of the socket."""

    is_waiting: bool  # for a command: there is nothing to do
    n_looks: int  # for commands, so far: the loop has come round
    last_sent: float  # time.monotonic

    def send(self, *events: Event) -> None: ...


class Progress:
    """What the process had done at some time."""

    def __init__(self, line: Line) -> None:
        self.n_looks = line.n_looks
        self.computed = time.process_time()  # seconds, all threads
        self.n_page_reads = resource.getrusage(resource.RUSAGE_SELF).ru_majflt

    def is_beyond(self, before: Progress) -> bool:
        return (
            self.n_looks != before.n_looks
            or self.computed - before.computed > LEAST_COMPUTING
            or self.n_page_reads != before.n_page_reads
        )


def start_pulse(line: Line, seconds: float) -> None:
    """Send `Alive` whenever nothing else was sent for so long, though the loop is at work."""
    threading.Thread(target=_beat, args=(line, seconds), name="pulse", daemon=True).start()


def _beat(line: Line, seconds: float) -> None:
    before = Progress(line)
    while True:
        time.sleep(seconds)
        now = Progress(line)
        if not line.is_waiting and time.monotonic() - line.last_sent >= seconds and now.is_beyond(before):
            try:
                line.send(Alive())
            except EOFError:
                return
        before = now
