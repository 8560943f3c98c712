"""Questions to a worker that are answered at once, slots or no slots."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

import trio

from power.errors import PowerError
from power.worker.wire import Reply

MAX_QUESTIONS = 64  # on their way to a worker at a time; more wait their turn


class Answer:
    """What one question waits for."""

    def __init__(self) -> None:
        self._known = trio.Event()
        self._event: Reply | None = None
        self._error: PowerError | None = None

    def set(self, event: Reply) -> None:
        self._event = event
        self._known.set()

    def fail(self, error: PowerError) -> None:
        self._error = error
        self._known.set()

    async def wait(self) -> Reply:
        """The answer; raises what `fail` was given."""
        await self._known.wait()
        if self._event is None:
            assert self._error is not None
            raise self._error
        return self._event


class Questions:
    """Those that one worker has been asked, by their ids."""

    def __init__(self) -> None:
        self._asked: dict[int, Answer] = {}
        self._limit = trio.CapacityLimiter(MAX_QUESTIONS)

    def __len__(self) -> int:
        return len(self._asked)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """To be waited for before one asks."""
        return self._limit

    @contextmanager
    def asking(self, id: int) -> Iterator[Answer]:
        """The answer to come, for as long as somebody waits for it."""
        answer = self._asked[id] = Answer()
        try:
            yield answer
        finally:
            self._asked.pop(id, None)

    def answered(self, reply: Reply) -> None:
        if answer := self._asked.get(reply.id):
            answer.set(reply)

    def refused(self, id: int, error: PowerError) -> None:
        if answer := self._asked.get(id):
            answer.fail(error)

    def fail(self, error: PowerError) -> None:
        """None of them will be answered."""
        for answer in self._asked.values():
            answer.fail(error)
        self._asked.clear()
