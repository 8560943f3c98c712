"""What a request says about its turn: who asks, how urgent it is, how long it would wait."""

from __future__ import annotations

import hashlib

import msgspec

from power.errors import BadRequest

# As in vLLM's `priority`, a lower number is served earlier. Bounded, since every
# step between two numbers is time that the higher one may have to wait.
PRIORITIES = range(-10, 11)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One request's claim on a slot."""

    client: str = ""  # who shares the slots fairly with whom; see `client_id`
    priority: int = 0  # lower: earlier
    slot: int | None = None  # the number of a slot it would like to have, if that is free
    max_queue_seconds: float | None = None  # from the request to its slot, loading included; None: as the server likes


ANYBODY = Claim()


def read_claim(client: str, priority: int | None, max_queue_seconds: float | None) -> Claim:
    """The claim of a request that said this much; raises BadRequest for what is out of range."""
    if priority is not None and priority not in PRIORITIES:
        raise BadRequest(
            f"priority must be from {PRIORITIES[0]} (first) to {PRIORITIES[-1]} (last), not {priority}",
            field="priority",
        )
    # Written so that NaN, which compares false with everything, fails too.
    if max_queue_seconds is not None and not max_queue_seconds > 0:
        raise BadRequest("max_queue_seconds must be more than 0", field="max_queue_seconds")
    return Claim(client=client, priority=priority or 0, max_queue_seconds=max_queue_seconds)


def client_id(secret: str, address: str) -> str:
    """Who asks: whoever has this key, or without one whoever is at this address.

    A key is never kept, nor shown anywhere: eight bytes of its hash tell one from another.
    """
    return hashlib.blake2s(secret.encode(), digest_size=8).hexdigest() if secret else address
