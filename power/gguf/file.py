"""A file that others may write to while it is open.

Touching a mapped page that is no longer in its file kills the process (SIGBUS),
and no check beforehand can rule that out. So what Power itself reads it reads by
offset, which comes up short instead; a map is made only for those who ask for
one, and only after looking at the size once more.
"""

from __future__ import annotations

import mmap
import os
import stat
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from power.gguf.layout import GGUFError

PIECE_BYTES = 2**21  # of `pieces`: stays in the processor's cache between reading and use


class File:
    """A regular file, open for reading; closed when nothing refers to it any more."""

    def __init__(self, path: Path) -> None:
        """Raises GGUFError if there is no such file, or it is not a regular one."""
        self.path = path
        self._descriptor = _open(path)
        weakref.finalize(self, os.close, self._descriptor)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise GGUFError("is not a regular file")
        self.size = status.st_size  # bytes, when it was opened
        self._map: npt.NDArray[np.uint8] | None = None

    def __repr__(self) -> str:
        return f"<{self.path.name}: {self.size} bytes>"

    def read(self, start: int, n_bytes: int) -> npt.NDArray[np.uint8]:
        """A copy of the bytes; GGUFError if the file does not have them (any more)."""
        data = np.empty(n_bytes, np.uint8)
        self.read_into(data, start)
        return data

    def read_into(self, buffer: npt.NDArray[Any], start: int) -> None:
        """Fill a contiguous buffer of bytes; GGUFError like `read`."""
        view, done = memoryview(buffer.data).cast("B") if buffer.nbytes else memoryview(b""), 0
        while done < len(view):
            n_read = self._read_some(view[done:], start + done)
            if n_read == 0:
                raise GGUFError(f"the file has become shorter: it ends at byte {start + done} of {self.size}")
            done += n_read

    def _read_some(self, view: memoryview, start: int) -> int:
        try:
            return os.preadv(self._descriptor, [view], start)
        except OSError as error:  # a disk or a network that fails
            raise GGUFError(f"{self.path.name} cannot be read: {error.strerror} (at byte {start})") from error

    def pieces(self, start: int, n_bytes: int, piece_bytes: int = PIECE_BYTES) -> Iterator[npt.NDArray[np.uint8]]:
        """The bytes, a copy of at most `piece_bytes` at a time; GGUFError like `read`.

        Every piece is in the same memory: it is good until the next is asked for.
        """
        buffer = np.empty(min(n_bytes, piece_bytes), np.uint8)
        for done in range(0, n_bytes, piece_bytes):
            piece = buffer[: min(piece_bytes, n_bytes - done)]
            self.read_into(piece, start + done)
            yield piece

    def view(self, start: int, n_bytes: int) -> npt.NDArray[np.uint8]:
        """The bytes, mapped and not copied, read-only.

        Use it on files that nobody cuts short meanwhile: then the process dies of SIGBUS.

        Raises:
            GGUFError: the file has become shorter since it was opened.
        """
        if os.fstat(self._descriptor).st_size < self.size:
            raise GGUFError(f"the file has become shorter than the {self.size} bytes it was opened with")
        if self._map is None:
            self._map = self._mapped()
        return self._map[start : start + n_bytes]

    def _mapped(self) -> npt.NDArray[np.uint8]:
        try:
            return np.frombuffer(mmap.mmap(self._descriptor, self.size, access=mmap.ACCESS_READ), np.uint8)
        except (OSError, ValueError) as error:  # ValueError: shorter than we said
            raise GGUFError(f"{self.path.name} cannot be mapped: {error}") from error


def _open(path: Path) -> int:
    try:
        # Without O_NONBLOCK, opening a FIFO waits for its writer, maybe for ever.
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise GGUFError(f"cannot be opened: {error.strerror or error}") from error
    except ValueError as error:  # a zero byte in the name
        raise GGUFError(f"cannot be opened: {error}") from error
