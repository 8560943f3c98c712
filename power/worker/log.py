"""llama.cpp's log: to stderr, and the last errors kept for a message.

Never to stdout, never to the socket.  Warnings and errors always; everything
else only with POWER_DEBUG in the environment, since llama.cpp says some hundred
lines for every model it loads.
"""

from __future__ import annotations

import os
import re
import sys
from collections import deque

import llama_cpp.llama_cpp as c

WARN, ERROR, CONTINUED = 3, 4, 5  # ggml_log_level in ggml.h; the bindings' comment has other numbers
# "CUDA0 KV buffer size =  12.00 MiB", one for each device and purpose; RS is a recurrent state.
_BUFFER = re.compile(r"(\S+) +(model|KV|RS|compute|output) buffer size = +([\d.]+) MiB")
MIB = 2**20
# Warnings at every load about what we want: a pool larger than what one sequence may use
# (llama.cpp takes it for one sequence's context), and a sliding window's cells kept for reuse.
_FALSE_ALARMS = ("possible training context overflow", "using full-size SWA cache")


class Log:
    """Takes llama.cpp's log over for the whole process, and as long as it lives.

    Attributes:
        buffers: bytes by device ("CPU", "CUDA0", …) and purpose ("model", "KV", "RS", "compute", "output"),
            of all contexts so far. The log is the only place that tells.
    """

    def __init__(self) -> None:
        self.buffers: dict[tuple[str, str], int] = {}
        self._level = 0
        self._all = bool(os.environ.get("POWER_DEBUG"))
        self._errors: deque[str] = deque(maxlen=3)
        # An attribute, since ctypes would free the callback while C still calls it.
        self._callback = c.llama_log_callback(self._write)
        c.llama_log_set(self._callback, None)

    @property
    def kv_bytes(self) -> int:
        """Of all caches."""
        return sum(size for (_, purpose), size in self.buffers.items() if purpose in ("KV", "RS"))

    @property
    def device_bytes(self) -> dict[str, int]:
        """Of all purposes, by device."""
        sizes: dict[str, int] = {}
        for (device, _), size in self.buffers.items():
            sizes[device] = sizes.get(device, 0) + size
        return sizes

    def last_errors(self) -> str:
        """The last error lines, in one."""
        return "; ".join(line.strip() for line in self._errors if line.strip())

    def _write(self, level: int, text: bytes, _user_data: int | None) -> None:
        line = text.decode(errors="replace")
        self._level = level = self._level if level == CONTINUED else level
        if level == ERROR:
            self._errors.append(line)
        if found := _BUFFER.search(line):
            self._count(found[1], found[2], int(float(found[3]) * MIB))
        if self._all or (level in (WARN, ERROR) and not any(alarm in line for alarm in _FALSE_ALARMS)):
            sys.stderr.write(line)
            sys.stderr.flush()

    def _count(self, device: str, purpose: str, size: int) -> None:
        before = self.buffers.get((device, purpose), 0)
        # Compute buffers are told of again whenever they are planned anew; all others add up.
        self.buffers[device, purpose] = max(before, size) if purpose == "compute" else before + size
