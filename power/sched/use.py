"""One user's hold on a model, and what its tasks may ask of the model's memory."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from power.claim import ANYBODY, Claim
from power.sched.mailbox import Mailbox
from power.sched.model import Model
from power.sched.scheduler import Turn
from power.sched.watch import Watch
from power.worker.wire import Task

Admit = Callable[[Model, Task], None]
"""See to it that the task's model has the context for it; raises LoadFailed or Overloaded for want of memory."""


class Use:
    """One user's hold on a model. `release` may be called early, and any number of times."""

    def __init__(self, model: Model, admit: Admit, claim: Claim = ANYBODY, deadline: float = math.inf) -> None:
        self.model = model
        self._admit = admit
        self._claim = claim
        self._deadline = deadline
        self._held = True
        self._watch: Watch | None = None
        model.enter()

    def another(self) -> Use:
        """A second hold, for a second generation should the first be refused."""
        use = Use(self.model, self._admit, self._claim, self._deadline)
        use._watch = self._watch
        return use

    def show(self, watch: Watch) -> None:
        """Let `watch` see the model, and the places that are taken from now on."""
        watch.model = self.model
        self._watch = watch

    def release(self) -> None:
        if self._held:
            self._held = False
            self.model.leave()

    @asynccontextmanager
    async def generate(self, task: Task) -> AsyncIterator[Mailbox]:
        """A slot of the model. The hold ends with the generation, even if the reader lags behind.

        Raises:
            Overloaded: the queue is full, no slot was free in time, or other models have the memory it takes.
            LoadFailed: there is not enough memory for it.
        """
        self._admit(self.model, task)
        turn = Turn(self.release, self._claim, self._deadline, self._watch)
        async with self.model.scheduler.generate(task, turn) as mailbox:
            yield mailbox
