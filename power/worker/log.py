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
# "CPU KV buffer size =  12.00 MiB", one for each device and kind of cache; RS is a recurrent state.
_KV_BUFFER = re.compile(r"(?:KV|RS) buffer size = +([\d.]+) MiB")
MIB = 2**20
# Warnings at every load about what we want: a pool larger than what one sequence may use
# (llama.cpp takes it for one sequence's context), and a sliding window's cells kept for reuse.
_FALSE_ALARMS = ("possible training context overflow", "using full-size SWA cache")


class Log:
    """Takes llama.cpp's log over for the whole process, and as long as it lives.

    Attributes:
        kv_bytes: memory of the contexts' caches so far. The log is the only place that tells.
    """

    def __init__(self) -> None:
        self.kv_bytes = 0
        self._level = 0
        self._all = bool(os.environ.get("POWER_DEBUG"))
        self._errors: deque[str] = deque(maxlen=3)
        # An attribute, since ctypes would free the callback while C still calls it.
        self._callback = c.llama_log_callback(self._write)
        c.llama_log_set(self._callback, None)

    def last_errors(self) -> str:
        """The last error lines, in one."""
        return "; ".join(line.strip() for line in self._errors if line.strip())

    def _write(self, level: int, text: bytes, _user_data: int | None) -> None:
        line = text.decode(errors="replace")
        self._level = level = self._level if level == CONTINUED else level
        if level == ERROR:
            self._errors.append(line)
        if found := _KV_BUFFER.search(line):
            self.kv_bytes += int(float(found[1]) * MIB)
        if self._all or (level in (WARN, ERROR) and not any(alarm in line for alarm in _FALSE_ALARMS)):
            sys.stderr.write(line)
            sys.stderr.flush()
