"""How patient a transfer is, and how much it does at a time."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Where a figure is Ollama's own, it says so."""

    stall: float = 30.0  # seconds without a byte after which a request is given up; Ollama's
    attempts: int = 6  # failures in a row, each without progress, that end a transfer; Ollama's
    backoff: float = 1.0  # seconds before the second attempt, doubled before every other; Ollama's
    # Ollama splits into 16 parts of 100 MB and more, fetched at once. Ours are smaller and fetched from front to
    # back, so that hashing, which has to go from front to back, is nearly done when the last part is.
    part_bytes: int = 16 * 2**20
    max_parts: int = 256  # of a larger file the parts are larger: each is a small file in the store
    n_connections: int = 8
    record_every: float = 1.0  # seconds between records of how far the parts are
    report_every: float = 0.06  # seconds between two events about one blob; Ollama's
    realms: tuple[str, ...] = ()  # host[:port] of token services that may have our signature, beside the registry


LIMITS = Limits()

MAX_RETRY_AFTER = 60.0  # seconds; a registry may ask for longer, and is asked again nevertheless


def delay(limits: Limits, n_failed: int, retry_after: float | None = None) -> float:
    """Seconds to wait after so many failures in a row."""
    wait = limits.backoff * float(2 ** (n_failed - 1))
    return min(max(wait, retry_after or 0.0), MAX_RETRY_AFTER)
