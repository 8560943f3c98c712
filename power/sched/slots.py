"""Who waits, who sits: the one place where that changes.

A pure state machine, no waiting in it.  A place is in exactly one state::

    take ──> waiting ──plan──> seated ──ended──────────────> gone
                │                │ │                           ^
                │ leave, expel   │ │ leave                     │
                │                │ └──> leaving ──ended────────┤
                │                └─lost─> waiting (again) or ──┤
                └───────────────────────────────────────────────┘

A place that leaves while it sits keeps its slot until the worker confirms the
end: so the worker never has more sequences than slots, and never more than two
commands per slot on the way.  Who of those that wait is seated next is
`power.sched.fair`'s to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count

import msgspec
import trio

from power.claim import ANYBODY, Claim
from power.errors import Overloaded, PowerError
from power.sched.fair import FairQueue
from power.sched.place import Place, Sitting
from power.worker.wire import Done, Task

# A sequence that has streamed nothing is run again when its worker dies, but only
# once: it may be the very prompt that kills workers.
MAX_TRIES = 2
# Seconds that a count of the queue is good for: to count for each of some hundred that want to know their position,
# whenever somebody comes or goes, would be work that grows with the square of the queue.
COUNT_SECONDS = 0.2
MAX_RETRY_AFTER = 300  # seconds; whoever is told to come back later than that will not
# The words are Ollama's, two spaces and all: clients look for them.
BUSY = "server busy, please try again.  maximum pending requests exceeded"


class Crowd:
    """How many wait at all models of a server together."""

    def __init__(self, limit: float = math.inf) -> None:
        self.limit = limit
        self.n = 0

    @property
    def is_full(self) -> bool:
        return self.n >= self.limit


class SlotTable:
    """At most `n_slots` places sit, at most `max_waiting` wait for one, as their claims have it."""

    _ids = count(1)  # never used twice in this process, over all models

    def __init__(self, n_slots: int, max_waiting: int, crowd: Crowd | None = None) -> None:
        self.n_slots = n_slots
        self.max_waiting = max_waiting
        self.waiting: FairQueue[Place] = FairQueue()
        self.seated: dict[int, Place] = {}
        self.leaving: dict[int, Place] = {}
        self._sittings = {slot: Sitting(slot=slot) for slot in range(n_slots)}  # the last one of each, if it is over
        self._crowd = crowd or Crowd()
        self._mean_seconds = 1.0  # a sitting's duration, moving average
        self._positions: dict[int, int] = {}  # by id, as they were at `_counted_at`
        self._counted_at = -math.inf

    def __repr__(self) -> str:
        return f"<SlotTable [{len(self.seated)} seated, {len(self.leaving)} leaving, {len(self.waiting)} waiting]>"

    @property
    def n_free(self) -> int:
        return self.n_slots - len(self.seated) - len(self.leaving)

    @property
    def is_working(self) -> bool:
        """Whether the worker owes us a word."""
        return bool(self.seated or self.leaving)

    @property
    def oldest_wait(self) -> float:
        """Seconds that the one has waited who came first."""
        now = trio.current_time()
        return now - min((place.taken_at for place in self.waiting), default=now)

    def position(self, place: Place) -> int | None:
        """Where it stands in the queue, 1 being next, as it was a moment ago; None: it did not wait then, or sits."""
        if place.id in self.seated:
            return None
        now = trio.current_time()
        if now >= self._counted_at + COUNT_SECONDS:
            self._positions = {waiting.id: n for n, waiting in enumerate(self.waiting.order(), 1)}
            self._counted_at = now
        return self._positions.get(place.id)

    def sittings(self) -> list[Sitting]:
        """What each slot does, or did last."""
        now = [place.sitting(is_processing=True) for place in (*self.seated.values(), *self.leaving.values())]
        return list((self._sittings | {sitting.slot: sitting for sitting in now}).values())

    def next_id(self) -> int:
        """A number that nothing else sent to a worker has."""
        return next(self._ids)

    def take(self, task: Task, on_end: Callable[[], None], claim: Claim = ANYBODY) -> Place:
        """A new place in the queue. Where there is no room, the client that has most waiting gives one back.

        Raises:
            Overloaded: the queue is full, and no client has more of it than this one.
        """
        if self._is_full():
            greediest = self.waiting.greediest(claim.client)
            if greediest is None:
                raise self.refusal()
            self.expel(greediest, self.refusal("pushed-out"))
        place = Place(msgspec.structs.replace(task, id=self.next_id()), claim, on_end)
        self._wait(place)
        return place

    def refusal(self, reason: str = "full") -> Overloaded:
        return Overloaded(BUSY, reason=reason, retry_after=self.retry_after())

    def _is_full(self) -> bool:
        # Whoever finds a free slot does not wait, and is not counted.
        return len(self.waiting) >= self.max_waiting + max(0, self.n_free) or (
            self._crowd.is_full and len(self.waiting) >= self.n_free
        )

    def retry_after(self) -> int:
        """Whole seconds until whoever would come last now had its turn: mean service time x position / slots."""
        rounds = (len(self.waiting) + 1) / self.n_slots
        return max(1, min(MAX_RETRY_AFTER, math.ceil(rounds * self._mean_seconds)))

    def plan(self) -> list[Place]:
        """Seat waiting places while slots are free; return those now seated."""
        now = trio.current_time()
        seated = []
        while self.n_free > 0 and (place := self.waiting.pop(now)) is not None:
            self._crowd.n -= 1
            place.n_tries += 1
            place.seated_at = now
            place.prefilled = None  # of a worker that died
            place.moved.set()
            place.sit(self._free_slot(place.claim.slot))
            self.seated[place.id] = place
            seated.append(place)
        return seated

    def leave(self, place: Place) -> bool:
        """The request has gone. True if the worker has to be told."""
        place.end()
        if self.seated.pop(place.id, None) is not None:
            self.leaving[place.id] = place
            return True
        self._remove(place)
        return False

    def expel(self, place: Place, error: PowerError) -> None:
        """End a place that waits."""
        self._remove(place)
        place.fail(error)

    def ended(self, id: int, done: Done | None = None) -> Place | None:
        """The worker has freed this sequence's slot. Its place, unless the request had left before."""
        place = self.seated.pop(id, None)
        gone = place or self.leaving.pop(id, None)
        if gone is not None:
            self._sittings[gone.slot] = gone.sitting(is_processing=False)
            self.waiting.settle(gone, None if done is None else done.n_prompt - done.n_cached + done.n_generated)
        if place is not None:
            self._mean_seconds += 0.2 * (trio.current_time() - place.seated_at - self._mean_seconds)
            place.end()
        return place

    def lost(self, error: PowerError) -> int:
        """The worker is gone. Places that have streamed nothing wait again, in front; the others fail.

        Returns how many those are.
        """
        n_failed = 0
        for place in self.leaving.values():
            self.waiting.settle(place, None)
        self.leaving.clear()
        for place in self.seated.values():
            if place.has_streamed or place.n_tries >= MAX_TRIES:
                self.waiting.settle(place, None)
                place.fail(error)
                n_failed += 1
            else:
                self.waiting.undo(place, trio.current_time())
                self._crowd.n += 1
        self.seated.clear()
        return n_failed

    def turn_away(self, error: PowerError) -> int:
        """Fail everybody who waits. Returns how many those were."""
        waiting = list(self.waiting)
        for place in waiting:
            self.expel(place, error)
        return len(waiting)

    def close(self, error: PowerError) -> int:
        """Fail everybody: the model will not come back. Returns how many had sat, once."""
        n_failed = len(self.seated) + sum(place.n_tries > 0 for place in self.waiting)
        for place in [*self.seated.values(), *self.leaving.values()]:
            self.waiting.settle(place, None)
        for place in self.seated.values():
            place.fail(error)
        self.seated.clear()
        self.leaving.clear()
        self.turn_away(error)
        return n_failed

    def _free_slot(self, wanted: int | None) -> int:
        taken = {place.slot for place in (*self.seated.values(), *self.leaving.values())}
        free = [slot for slot in range(self.n_slots) if slot not in taken]
        return wanted if wanted in free else free[0]

    def _wait(self, place: Place) -> None:
        self.waiting.add(place, trio.current_time())
        self._crowd.n += 1

    def _remove(self, place: Place) -> None:
        if self.waiting.remove(place):
            self._crowd.n -= 1
