"""Who waits, who sits: the one place where that changes.

A pure state machine, no waiting in it.  A place is in exactly one state::

    take ──> waiting ──plan──> seated ──ended──────────────> gone
                │                │ │                           ^
                │ leave          │ │ leave                     │
                │                │ └──> leaving ──ended────────┤
                │                └─lost─> waiting (again) or ──┤
                └───────────────────────────────────────────────┘

A place that leaves while it sits keeps its slot until the worker confirms the
end: so the worker never has more sequences than slots, and never more than two
commands per slot on the way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count

import msgspec
import trio

from power.errors import Overloaded, PowerError
from power.sched.mailbox import Mailbox
from power.worker.wire import Start

# A sequence that has streamed nothing is run again when its worker dies, but only
# once: it may be the very prompt that kills workers.
MAX_TRIES = 2


class Place:
    """One request's place in a model's queue, then in one of its slots."""

    def __init__(self, start: Start, on_end: Callable[[], None]) -> None:
        self.start = start
        self.id = start.id
        self.mailbox = Mailbox()
        self.taken_at = trio.current_time()  # seconds, trio's clock
        self.seated_at = 0.0
        self.has_streamed = False
        self.n_tries = 0
        self._on_end: Callable[[], None] | None = on_end

    def end(self) -> None:
        """Tell the owner, once, that the model has no more to do for this place."""
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end()


class SlotTable:
    """At most `n_slots` places sit, at most `max_waiting` wait for one, first come first served."""

    _ids = count(1)  # never used twice in this process, over all models

    def __init__(self, n_slots: int, max_waiting: int) -> None:
        self.n_slots = n_slots
        self.max_waiting = max_waiting
        self.waiting: deque[Place] = deque()
        self.seated: dict[int, Place] = {}
        self.leaving: set[int] = set()
        self._mean_seconds = 1.0  # a sitting's duration, moving average

    def __repr__(self) -> str:
        return f"<SlotTable [{len(self.seated)} seated, {len(self.leaving)} leaving, {len(self.waiting)} waiting]>"

    @property
    def n_free(self) -> int:
        return self.n_slots - len(self.seated) - len(self.leaving)

    def take(self, start: Start, on_end: Callable[[], None]) -> Place:
        """A new place at the end of the queue.

        Raises:
            Overloaded: the queue is full.
        """
        if len(self.waiting) >= self.max_waiting + max(0, self.n_free):
            raise Overloaded(
                "server busy, please try again.  maximum pending requests exceeded", retry_after=self.retry_after()
            )
        place = Place(msgspec.structs.replace(start, id=next(self._ids)), on_end)
        self.waiting.append(place)
        return place

    def retry_after(self) -> int:
        """Whole seconds until about half of today's queue has been served."""
        rounds = 1 + len(self.waiting) / (2 * self.n_slots)
        return max(1, min(60, round(rounds * self._mean_seconds)))

    def plan(self) -> list[Place]:
        """Seat waiting places while slots are free; return those now seated."""
        seated = []
        while self.waiting and self.n_free > 0:
            place = self.waiting.popleft()
            place.n_tries += 1
            place.seated_at = trio.current_time()
            self.seated[place.id] = place
            seated.append(place)
        return seated

    def leave(self, place: Place) -> bool:
        """The request has gone. True if the worker has to be told."""
        place.end()
        if self.seated.pop(place.id, None) is not None:
            self.leaving.add(place.id)
            return True
        if place in self.waiting:
            self.waiting.remove(place)
        return False

    def ended(self, id: int) -> Place | None:
        """The worker has freed this sequence's slot. Its place, unless the request had left before."""
        self.leaving.discard(id)
        place = self.seated.pop(id, None)
        if place is not None:
            self._mean_seconds += 0.2 * (trio.current_time() - place.seated_at - self._mean_seconds)
            place.end()
        return place

    def lost(self, error: PowerError) -> None:
        """The worker is gone. Places that have streamed nothing wait again, in front; the others fail."""
        self.leaving.clear()
        for place in reversed(list(self.seated.values())):
            if place.has_streamed or place.n_tries >= MAX_TRIES:
                place.mailbox.fail(error)
                place.end()
            else:
                self.waiting.appendleft(place)
        self.seated.clear()

    def close(self, error: PowerError) -> None:
        """Fail everybody: the model will not come back."""
        for place in [*self.seated.values(), *self.waiting]:
            place.mailbox.fail(error)
            place.end()
        self.seated.clear()
        self.waiting.clear()
        self.leaving.clear()
