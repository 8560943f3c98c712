from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from power.worker.pulse import Pulse
from power.worker.wire import Alive, Event

PERIOD = 0.02  # seconds


class Line:
    def __init__(self) -> None:
        self.is_waiting = False
        self.n_looks = 0
        self.last_sent = -1e9
        self.sent: list[Event] = []
        self.arrived = threading.Event()
        self.is_closed = False

    def send(self, *events: Event) -> None:
        if self.is_closed:
            raise EOFError
        self.sent += events
        self.arrived.set()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.is_closed = True  # which ends the thread, once it has something to say
    line.is_waiting = False
    line.n_looks += 1


def test_a_process_that_works_says_that_it_is_alive(line: Line) -> None:
    Pulse(line, PERIOD).is_loading = False

    while not line.arrived.is_set():  # the loop comes round
        line.n_looks += 1
        time.sleep(PERIOD / 4)

    assert line.sent[0] == Alive()


def test_computing_is_a_sign_of_life_also_in_one_long_step(line: Line) -> None:
    Pulse(line, PERIOD).is_loading = False

    while not line.arrived.is_set():
        sum(range(10_000))

    assert line.sent[0] == Alive()


def test_a_loop_that_waits_for_a_command_has_no_pulse(line: Line) -> None:
    line.is_waiting = True
    Pulse(line, PERIOD).is_loading = False

    for _ in range(10):
        line.n_looks += 1
        time.sleep(PERIOD)

    assert not line.sent


def test_a_process_that_loads_is_alive_whatever_it_waits_for(line: Line) -> None:
    pulse = Pulse(line, PERIOD)

    assert line.arrived.wait(60)

    pulse.is_loading = False
