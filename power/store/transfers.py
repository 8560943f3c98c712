"""Transfers that run for whoever wants them: pulls and pushes with an audience.

A transfer is a task in the store's own nursery.  Who wants it follows it; who
comes later to the same one gets what the others have seen, in short, and then
what they see.  When the last follower leaves, it is cancelled.

A follower that reads slowly misses intermediate figures, never a step: of one
status only the newest figures wait for it, so what waits is bounded by the
number of layers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager

import msgspec
import trio

from power.errors import StoreError


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the wire's progress: what is being done, and how far it is."""

    status: str
    digest: str = ""
    total: int = 0  # bytes
    completed: int = 0  # bytes


Report = Callable[[Progress], None]
Work = Callable[[Report], Awaitable[None]]


class Transfers:
    """The transfers that run in a nursery, by what they transfer."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._running: dict[Hashable, _Transfer] = {}

    def __len__(self) -> int:
        return len(self._running)

    @asynccontextmanager
    async def follow(self, key: Hashable, work: Work) -> AsyncIterator[AsyncIterator[Progress]]:
        """Join the transfer of this key, or begin it as `work`; inside, its progress.

        The iterator ends when the transfer is done, and raises what ended it otherwise.
        """
        transfer = self._running.get(key)
        if transfer is None:
            transfer = self._running[key] = _Transfer()
            self._nursery.start_soon(self._run, key, transfer, work, name=f"transfer {key}")
        follower = _Follower(transfer)
        transfer.followers.add(follower)
        try:
            yield follower
        finally:
            transfer.followers.remove(follower)
            if not transfer.followers:
                self._forget(key, transfer)  # whoever comes now begins anew, and need not wait for this one's end
                transfer.scope.cancel()

    async def _run(self, key: Hashable, transfer: _Transfer, work: Work) -> None:
        transfer.error = StoreError("the store is closing")  # what a cancellation leaves
        try:
            with transfer.scope:
                await work(transfer.report)
                transfer.error = None
        except Exception as error:  # not lost: every follower raises it
            transfer.error = error
        finally:
            transfer.is_done = True
            self._forget(key, transfer)
            transfer.wake()

    def _forget(self, key: Hashable, transfer: _Transfer) -> None:
        if self._running.get(key) is transfer:
            del self._running[key]


class _Transfer:
    """One that runs, or has run to its end."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.followers: set[_Follower] = set()
        self.seen: dict[str, Progress] = {}  # the newest of every status, in the order of their first appearance
        self.error: Exception | None = None
        self.is_done = False

    def report(self, progress: Progress) -> None:
        self.seen[progress.status] = progress
        for follower in self.followers:
            follower.waiting[progress.status] = progress
        self.wake()

    def wake(self) -> None:
        for follower in self.followers:
            follower.news.set()


class _Follower:
    """One who follows a transfer: an iterator over its progress."""

    def __init__(self, transfer: _Transfer) -> None:
        self._transfer = transfer
        self.waiting = dict(transfer.seen)
        self.news = trio.Event()

    def __aiter__(self) -> _Follower:
        return self

    async def __anext__(self) -> Progress:
        await trio.lowlevel.checkpoint()
        while not self.waiting:
            if self._transfer.is_done:
                raise self._transfer.error or StopAsyncIteration
            await self.news.wait()
            self.news = trio.Event()
        return self.waiting.pop(next(iter(self.waiting)))
