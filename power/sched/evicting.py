"""Who has to leave memory so that the first in line can come in, or how long that one waits.

* An idle model goes, the one not used for longest.
* A busy one never goes: it may be told to take no new requests, after the first
  in line has been `PATIENCE` seconds without a chance, and leaves when those it
  has are answered.  Otherwise a model that is always in use would shut out all
  others for ever.
* One that came by driving another out stays about as long as its loading took.
  So two models that are wanted in turns, with room for one, spend at most half of
  the time on loading, and requests for either are served in batches.

Pure: a decision about values.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

PATIENCE = 10.0  # seconds
MAX_PROTECTED = 10.0  # seconds that a model stays at least, however long it took to load


class Resident(msgspec.Struct, frozen=True, kw_only=True):
    """A model in memory. Times are on one clock, in seconds."""

    key: str
    is_idle: bool
    is_leaving: bool  # it takes no new requests
    last_used: float
    ready_at: float  # infinity: it is loading
    protected_until: float


class Retire(msgspec.Struct, frozen=True):
    key: str


class Wait(msgspec.Struct, frozen=True):
    """For the end of one that leaves, or of any request, and no longer than `until`."""

    until: float


def make_room(residents: Sequence[Resident], now: float, waiting_since: float) -> Retire | Wait:
    """The next step; there is at least one resident."""
    if any(model.is_leaving and model.is_idle for model in residents):
        return Wait(float("inf"))  # its end is a matter of moments, and will be told
    staying = [model for model in residents if not model.is_leaving]
    idle = [model for model in staying if model.is_idle]
    if ripe := [model for model in idle if model.protected_until <= now]:
        return Retire(min(ripe, key=lambda model: model.last_used).key)
    times = [model.protected_until for model in idle]
    busy = [model for model in staying if not model.is_idle]
    if busy and len(busy) == len(residents):  # nobody goes by itself
        loaded = [model for model in busy if model.ready_at < float("inf")]
        ripe = [model for model in loaded if model.protected_until <= now]
        if ripe and now >= waiting_since + PATIENCE:
            return Retire(min(ripe, key=lambda model: model.ready_at).key)
        times += [max(waiting_since + PATIENCE, model.protected_until) for model in loaded]
    return Wait(min(times, default=float("inf")))


def protection(ready_at: float, load_seconds: float) -> float:
    """Until when a model stays that came by driving another out."""
    return ready_at + min(MAX_PROTECTED, load_seconds)
