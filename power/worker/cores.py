"""How many threads to compute with."""

from __future__ import annotations

import os
from pathlib import Path

_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def count_cores() -> int:
    """Physical cores this process may run on: two threads of one core share its arithmetic units."""
    return len({_siblings(cpu) for cpu in os.sched_getaffinity(0)})


def _siblings(cpu: int) -> str:
    try:
        return Path(_TOPOLOGY.format(cpu)).read_text().strip()
    except OSError:  # a container may hide it; then every processor counts
        return str(cpu)
