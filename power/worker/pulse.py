"""A thread that says now and then that the process is alive, while the loop is at work.

The loop cannot: one `llama_decode` may take many seconds, and then it is silent.
But a process that merely *is* has not proved much either: a deadlock in a driver
looks just like that.  So the pulse goes on only while something moves: the loop
comes round, the process uses its processors, or waits for pages from the disk.
(Not while the model is loaded, which may wait for a file server for as long as
it likes: how far loading is, is told apart from this.)  A stopped process says
nothing by itself.  What silence means is the server's to decide; see
`power.sched.scheduler`.
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


class Pulse:
    """Sends `Alive` whenever nothing else was sent for `seconds`, though there is work.

    Attributes:
        is_loading: the model is on its way into memory, which is work, too.
    """

    def __init__(self, line: Line, seconds: float) -> None:
        self.is_loading = True
        self._line = line
        self._seconds = seconds
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    def _beat(self) -> None:
        before = Progress(self._line)
        while True:
            time.sleep(self._seconds)
            now = Progress(self._line)
            if self._is_due() and (self.is_loading or now.is_beyond(before)):
                try:
                    self._line.send(Alive())
                except EOFError:
                    return
            before = now

    def _is_due(self) -> bool:
        return not self._line.is_waiting and time.monotonic() - self._line.last_sent >= self._seconds
