"""Those that wait for a model to come into memory, one behind the other: first come, first served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from power.claim import Claim
from power.errors import PowerError
from power.options import LoadOptions
from power.sched.loads import model_key
from power.sched.memory import Needs
from power.sched.slots import Crowd
from power.sched.use import Use
from power.worker.wire import Load

if TYPE_CHECKING:
    from power.store import StoredModel  # only passed on, never looked into


class Waiter:
    """Somebody in the line: for a model that is not loaded, or not as it is wanted."""

    def __init__(self, stored: StoredModel, wanted: LoadOptions, load: Load, claim: Claim, deadline: float) -> None:
        self.stored = stored
        self.wanted = wanted
        self.load = load
        self.claim = claim
        self.deadline = deadline
        self.since = trio.current_time()
        self.needs: Needs | None = None  # not measured yet
        self.has_displaced = False  # another model had to go for it
        self.use: Use | None = None
        self.error: PowerError | None = None
        self.answered = trio.Event()

    @property
    def key(self) -> str:
        return model_key(self.stored)

    def answer(self, outcome: Use | PowerError) -> None:
        if isinstance(outcome, Use):
            self.use = outcome
        else:
            self.error = outcome
        self.answered.set()


class Line:
    """At most `most` waiters, and no more than the `crowd` has room for."""

    def __init__(self, crowd: Crowd, most: int) -> None:
        self._crowd = crowd
        self._most = most
        self._waiters: list[Waiter] = []

    def __iter__(self) -> Iterator[Waiter]:
        """Those who have no answer yet, the first in front."""
        return iter([waiter for waiter in self._waiters if not waiter.answered.is_set()])

    @property
    def is_full(self) -> bool:
        return len(self._waiters) >= self._most or self._crowd.is_full

    @contextmanager
    def standing(self, waiter: Waiter) -> Iterator[None]:
        """It stands in the line during the block."""
        self._waiters.append(waiter)
        self._crowd.n += 1
        try:
            yield
        finally:
            self._waiters.remove(waiter)
            self._crowd.n -= 1

    def position(self, waiter: Waiter) -> int:
        """How many are let in until it is, itself included; 0: it does not wait."""
        waiting = list(self)
        return waiting.index(waiter) + 1 if waiter in waiting else 0
