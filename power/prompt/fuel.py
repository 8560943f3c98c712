"""What a template may cost: one purse for time and memory, paid from before the work is done.

A template comes with a model file from anywhere, so it is hostile until proven
otherwise.  Interrupting Python in the middle of `'x' * 10**9` is not possible,
so nothing is interrupted: every operation first pays for what it will read and
write, in bytes, and what cannot be paid is not begun.  As every byte that is
ever made was paid for, the purse bounds memory as well as time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Set, ValuesView
from contextlib import contextmanager
from contextvars import ContextVar
from sys import getsizeof
from typing import Any

from jinja2.utils import Namespace

from power.errors import BadRequest

# Bytes. What a template may make for an empty conversation; the largest real
# one, with forty tools, makes 2**20.
BASE = 16 * 2**20
PER_BYTE = 64  # so many bytes more for every byte of the conversation: templates copy every message several times
# And so many more for each message, up to so many in all: some (Reka's) add every message to what they have so far.
PER_BYTE_AND_MESSAGE = 2
MAX_FOR_MESSAGES = 2**28
STEP = 64  # what one turn of a loop costs beside its work: some 100 ns
MAX_SECONDS = 0.4  # of the thread's own time, for a short conversation
# So much more for each message. Most templates take 0.15 ms for one; some look at all before it, 1 us for each.
MESSAGE_SECONDS = 0.002
LONGEST_SECONDS = 10
PAYS_PER_LOOK = 128  # at the clock
ITEMS_PER_LOOK = 2**14  # some 5 ms
LARGE = 2**16  # bytes; after such a payment the clock is looked at in any case
_TOO_MUCH = "it needs more time or memory than it may take"


class _Clock:
    """So many seconds of the thread's own time, from the first look on: most templates are done before it."""

    __slots__ = ("_end", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = 0.0

    def is_over(self) -> bool:
        now = time.thread_time()
        self._end = self._end or now + self.seconds
        return now > self._end


_shared: ContextVar[_Clock | None] = ContextVar("clock", default=None)


class TooExpensive(Exception):
    """The template asks for more than it may."""


class OutOfFuel(BadRequest):
    """What a request is told of that; there is no use in trying the template with something else."""


def seconds_for(n_messages: int) -> float:
    """What the rendering of so many messages may take."""
    return min(LONGEST_SECONDS, MAX_SECONDS + MESSAGE_SECONDS * n_messages)


@contextmanager
def sharing_time(seconds: float) -> Iterator[None]:
    """All that is rendered in the block takes no longer than this together."""
    token = _shared.set(_Clock(seconds))
    try:
        yield
    finally:
        _shared.reset(token)


class Fuel:
    """What one rendering has left to spend."""

    __slots__ = ("_clock", "_n_pays", "_total", "left")

    def __init__(self, conversation: Any, n_messages: int = 0) -> None:
        """Enough for any sane template over `conversation`, the variables it is given, of so many messages."""
        self.left = self._total = 2**62
        self._n_pays = 0
        self._clock = _shared.get() or _Clock(MAX_SECONDS)
        n_bytes = self.measure(conversation)
        for_messages = min(MAX_FOR_MESSAGES, PER_BYTE_AND_MESSAGE * n_bytes * n_messages)
        self.left = self._total = BASE + PER_BYTE * n_bytes + for_messages

    def __repr__(self) -> str:
        return f"<Fuel {self.left} of {self._total}>"

    def pay(self, n_bytes: int) -> None:
        """Raises TooExpensive if that is more than is left, or the time is up."""
        self.left -= n_bytes
        if self.left < 0:
            raise TooExpensive(f"{_TOO_MUCH} ({self._total} bytes in all)")
        self._n_pays += 1
        if self._n_pays % PAYS_PER_LOOK == 0 or n_bytes > LARGE:
            self._look_at_the_clock()

    def measure(self, value: Any) -> int:
        """About the bytes in `value`, counting what it holds each time it holds it.

        Raises:
            TooExpensive: it is more than is left, as of a list that holds itself, or the time is up.
        """
        if type(value) is str:
            return getsizeof(value)
        total = n_items = 0
        todo = [value]
        while todo:
            item = todo.pop()
            n_items += 1
            if n_items % ITEMS_PER_LOOK == 0:
                self._look_at_the_clock()
            kind = type(item)
            if kind is str:
                total += getsizeof(item)
            elif kind is dict:
                total += 64 + 32 * len(item)
                todo += item.keys()
                todo += item.values()
            elif kind is list or kind is tuple:
                total += 64 + 8 * len(item)
                todo += item
            else:
                total += _size(item)
                todo += _contents(item)
            if total > self.left:
                raise TooExpensive("a value is too large")
        return total

    def charged(self, items: Iterable[Any]) -> Iterator[Any]:
        """The same items, each of which costs a step."""
        for item in items:
            self.pay(STEP)
            yield item

    def _look_at_the_clock(self) -> None:
        if self._clock.is_over():
            raise TooExpensive(f"{_TOO_MUCH} ({self._clock.seconds:.1f} seconds)")


class Holder:
    """A value that holds others, and says which, so that they are measured."""

    __slots__ = ()

    def held(self) -> Iterable[Any]:
        raise NotImplementedError


def attributes_of(namespace: Namespace) -> dict[str, Any]:
    """What a template has put into it."""
    attributes: dict[str, Any] = object.__getattribute__(namespace, "_Namespace__attrs")
    return attributes


def _size(item: Any) -> int:
    return getsizeof(item) if isinstance(item, str | bytes | int) else 64


def _contents(item: Any) -> Iterable[Any]:
    """What is inside of the less common containers."""
    if isinstance(item, Holder):
        return item.held()
    if isinstance(item, Namespace):
        return attributes_of(item).values()
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    return item if isinstance(item, list | tuple | Set | ValuesView) else ()
