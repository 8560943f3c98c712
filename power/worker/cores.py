"""How many threads to compute with."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def count_cores() -> int:
    """Physical cores this process may run on: two threads of one core share its arithmetic units."""
    return len({_siblings(cpu) for cpu in _processors()})


def bounded(n_threads: int) -> int:
    """No more threads than processors: a thousand of them on two wait for each other, for seconds a token."""
    return min(n_threads, len(_processors()))


def _processors() -> Collection[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # only Linux tells
        return range(os.cpu_count() or 1)


def _siblings(cpu: int) -> str:
    try:
        return Path(_TOPOLOGY.format(cpu)).read_text().strip()
    except OSError:  # a container may hide it; then every processor counts
        return str(cpu)
