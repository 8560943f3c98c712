"""Who of those that wait is next: start-time fair queueing between clients, priorities above it.

Each client has a queue of its own, and only its first place competes with those
of others.  Among equals that client goes first whose work so far, in tokens
computed, is least: start-time fair queueing (Goyal, Vin and Cheng, 1996), where
a client's tag moves on by what its requests cost, and a client that comes (back)
begins at the tag that is being served, so that nobody saves up and nobody pays
for an hour ago.  One client with 200 requests and one with a single request so
take turns.

A lower `priority` goes before a higher one.  It would starve it, if it never
ended; so a place that is first of its client's gains one step of priority for
every `AGEING` seconds, until it has caught up with the most urgent there is.

Pure: times come in as arguments, nothing waits.
"""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from power.claim import Claim

AGEING = 5.0  # seconds at the head of one's client's queue that make up for one step of priority
# Clients remembered without having anything here: their tags are worth little, and
# whoever invents a new key for each request must not fill our memory with them.
MAX_IDLE = 1024
FIRST_COST = 256.0  # tokens; a guess until the first request has ended


class Waiting(Protocol):
    """What may wait here: `id` rises with every one that comes."""

    @property
    def id(self) -> int: ...
    @property
    def claim(self) -> Claim: ...


P = TypeVar("P", bound=Waiting)


class _Client(Generic[P]):
    """One client's queue, and its place in virtual time."""

    __slots__ = ("n_served", "since", "tag", "waiting")

    def __init__(self, tag: float) -> None:
        self.tag = tag  # tokens, virtual time: where its next request starts
        self.since = 0.0  # when its first place became the first
        self.waiting: list[P] = []  # the next one first
        self.n_served = 0  # places popped that have not ended

    @property
    def head(self) -> P:
        return self.waiting[0]


class FairQueue(Generic[P]):
    """Places that wait, one queue for each client."""

    def __init__(self) -> None:
        self._clients: dict[str, _Client[P]] = {}
        self._now = 0.0  # virtual time: the start tag last served
        self._n_waiting = 0
        self._charged: dict[int, float] = {}  # id -> tokens, of those popped that have not ended
        self._mean_cost = FIRST_COST  # tokens, moving average

    def __len__(self) -> int:
        return self._n_waiting

    def __iter__(self) -> Iterator[P]:
        """Those that wait, client by client."""
        for client in self._clients.values():
            yield from client.waiting

    @property
    def n_clients(self) -> int:
        """Clients with something waiting."""
        return sum(bool(client.waiting) for client in self._clients.values())

    def n_waiting(self, name: str) -> int:
        client = self._clients.get(name)
        return len(client.waiting) if client else 0

    def add(self, place: P, now: float) -> None:
        """Let it wait, behind what its client has with the same or a lower priority and a lower id."""
        name = place.claim.client
        if name not in self._clients:
            self._forget()
            self._clients[name] = _Client(self._now)
        client = self._clients[name]
        if not client.waiting:
            client.tag = max(client.tag, self._now)
            client.since = now
        insort(client.waiting, place, key=_rank)
        self._n_waiting += 1

    def pop(self, now: float) -> P | None:
        """The next one, which its client pays for; `settle` tells later what it really cost."""
        queued = [client for client in self._clients.values() if client.waiting]
        if not queued:
            return None
        best = min(client.head.claim.priority for client in queued)

        def turn(client: _Client[P]) -> tuple[float, float, int]:
            place = client.head
            aged = place.claim.priority - math.floor((now - client.since) / AGEING)
            return max(best, aged), client.tag, place.id

        client = min(queued, key=turn)
        place = client.waiting.pop(0)
        self._n_waiting -= 1
        self._now = max(self._now, client.tag)
        self._charged[place.id] = self._mean_cost
        client.tag += self._mean_cost
        client.since = now
        client.n_served += 1
        return place

    def settle(self, place: P, cost: float | None) -> None:
        """A place that was popped has ended, having cost so many tokens; None: nobody knows."""
        client = self._clients[place.claim.client]
        charged = self._charged.pop(place.id)
        client.n_served -= 1
        if cost is not None:
            client.tag += cost - charged
            self._mean_cost += 0.1 * (cost - self._mean_cost)
        self._rest()

    def undo(self, place: P, now: float) -> None:
        """A place that was popped waits again, as if it had not been."""
        client = self._clients[place.claim.client]
        client.tag -= self._charged.pop(place.id)
        client.n_served -= 1
        self.add(place, now)

    def remove(self, place: P) -> bool:
        """Forget one that waits; False: it does not."""
        client = self._clients.get(place.claim.client)
        if client is None or place not in client.waiting:
            return False
        client.waiting.remove(place)
        self._n_waiting -= 1
        self._rest()
        return True

    def greediest(self, newcomer: str) -> P | None:
        """The place that has to go so that `newcomer` may have one where there is no more room.

        It is the last of the client that has most waiting, provided that this client
        has more than the newcomer even then; otherwise the newcomer is one too many.
        """
        client = max(self._clients.values(), key=lambda client: len(client.waiting), default=None)
        if client is None or len(client.waiting) < self.n_waiting(newcomer) + 2:
            return None
        return client.waiting[-1]

    def ahead_of(self, place: P) -> int:
        """How many would be served before it if nobody came or left, and all cost the same."""
        for n, other in enumerate(self.order()):
            if other is place:
                return n
        raise ValueError("it does not wait here")

    def order(self) -> Iterator[P]:
        """Those that wait, as they would be served if nobody came or left, and all cost the same."""

        def entry(client: _Client[P], tag: float, index: int) -> tuple[int, float, int, int, _Client[P]]:
            place = client.waiting[index]
            return place.claim.priority, tag, place.id, index, client

        heap = [entry(client, client.tag, 0) for client in self._clients.values() if client.waiting]
        heapq.heapify(heap)
        while heap:
            _, tag, _, index, client = heapq.heappop(heap)
            yield client.waiting[index]
            if index + 1 < len(client.waiting):
                heapq.heappush(heap, entry(client, tag + self._mean_cost, index + 1))

    def _rest(self) -> None:
        """When nothing waits and nothing runs, everybody is even."""
        if not self._n_waiting and not self._charged:
            self._clients.clear()
            self._now = 0.0

    def _forget(self) -> None:
        """Keep no more than MAX_IDLE clients that have nothing here; those furthest behind lose least by it."""
        if len(self._clients) < MAX_IDLE:
            return
        idle = [name for name, client in self._clients.items() if not client.waiting and not client.n_served]
        idle.sort(key=lambda name: self._clients[name].tag)
        for name in idle[: len(idle) // 2 + 1]:
            del self._clients[name]


def _rank(place: Waiting) -> tuple[int, int]:
    return place.claim.priority, place.id
