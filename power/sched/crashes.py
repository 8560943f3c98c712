"""Models whose processes keep dying: when they are tried again, and what is said until then.

Loading a large model takes minutes of a machine's disk and processors, so one
that dies each time must not be loaded again for every request that comes.  Each
death is a strike; from the second on there is a pause, twice as long each time.
A request that was answered wipes the slate.  What counts as one is up to the
caller: a model *and how it is loaded*, or somebody's strange options would keep
it from everybody else.

Pure: times come in as arguments.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

import msgspec

from power.errors import Overloaded

FIRST_PAUSE = 5.0  # seconds, after the second strike
MAX_PAUSE = 300.0
MAX_REMEMBERED = 256  # models; the one that died longest ago is forgotten first


class Record(msgspec.Struct, frozen=True):
    n_strikes: int
    until: float  # when it is tried again
    why: str


class Crashes:
    """The models that died last, by whatever key they have."""

    def __init__(self) -> None:
        self._records: dict[Hashable, Record] = {}

    def died(self, key: Hashable, n_times: int, why: str, now: float) -> None:
        """It has died so often in a row, and nothing was answered in between."""
        before = self._records.pop(key, None)
        n_strikes = n_times + (before.n_strikes if before else 0)
        self._records[key] = Record(n_strikes, now + pause_after(n_strikes), why)
        while len(self._records) > MAX_REMEMBERED:
            del self._records[next(iter(self._records))]

    def recovered(self, key: Hashable) -> None:
        self._records.pop(key, None)

    def check(self, key: Hashable, name: str, now: float) -> None:
        """Let a request through to a model that may be tried.

        Raises:
            Overloaded: it has died too often, and its pause is not over.
        """
        record = self._records.get(key)
        if record is not None and record.until > now:
            raise crashing(name, record.n_strikes, record.why, record.until - now)


def crashing(name: str, n_times: int, why: str, pause: float | None = None) -> Overloaded:
    """What whoever wants the model is told for so many seconds; None: as many as so many deaths take."""
    seconds = math.ceil(pause_after(n_times) if pause is None else pause)
    return Overloaded(
        f"model '{name}' keeps crashing ({n_times} times in a row, last: {why}); "
        f"it is tried again in {seconds} seconds",
        reason="crashing",
        retry_after=seconds,
    )


def pause_after(n_strikes: int) -> float:
    # The exponent is bounded, since so large a power would overflow.
    return 0.0 if n_strikes < 2 else min(MAX_PAUSE, FIRST_PAUSE * 2.0 ** min(n_strikes - 2, 30))
