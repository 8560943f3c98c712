"""Those that wait for a model to come into memory, one behind the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from power.claim import Claim
from power.errors import PowerError
from power.options import LoadOptions
from power.sched.loads import model_key
from power.sched.memory import Needs
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
