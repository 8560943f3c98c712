"""Get one blob: several parts at a time, hashed meanwhile, resumed where it broke off.

::

    _fetch_parts × n ──> the partial file ──> _hash        follows the front without holes
                    └──> _record                            now and then: flush, then say how far
                    └──> _report                            now and then: the event for people

Parts are begun from front to back, so that the hash, which has to go from front
to back, is nearly done when the last one is.  The blob gets its name when its
hash is right and it is on the disk; until then it is `-partial`, and whatever
ends us leaves that and its records for the next time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import trio

from power.errors import RegistryError, StoreError
from power.store import parts
from power.store.files import sync_directory
from power.store.limits import Limits, delay
from power.store.network import Transient, body_of
from power.store.parts import Part

WRITE = 2**20  # bytes written by one visit to a thread; the visit costs ~0.1 ms
READ = 2**18  # bytes read at once for hashing; they stay in the processor's cache
HASH = 2**26  # bytes hashed by one visit to a thread, so that a cancellation does not wait long
MAX_PIECES = 1024  # written by one call; Linux' IOV_MAX
GOOD = 2**16  # bytes; an attempt that brings so many is no failure even if it breaks off

Open = Callable[[int, int | None], AbstractAsyncContextManager[httpx.Response]]
"""Opens the blob from one byte to before another (None: the end, and from the start)."""


class DigestMismatch(RegistryError):
    """What came is not what the digest says."""

    def __init__(self, wanted: str, got: str) -> None:
        super().__init__(f"digest mismatch, file must be downloaded again: want {wanted}, got {got}")


class Download:
    """One blob on its way to `blob`. Run it once."""

    def __init__(self, open_range: Open, blob: Path, size: int, limits: Limits, version: str = "") -> None:
        self._open = open_range
        self._blob = blob
        self._size = size
        self._limits = limits
        self._version = version
        self._file = -1  # descriptor of the partial file
        self._parts: list[Part] = []
        self._waiting: Iterator[Part] = iter(())
        self._progressed = trio.Event()
        self._hash = hashlib.sha256()
        self._n_hashed = 0  # bytes
        self._recorded: dict[int, int] = {}  # part -> bytes that its record says
        self.is_resumed = False

    @property
    def completed(self) -> int:
        """Bytes that are there."""
        return sum(part.completed for part in self._parts)

    async def run(self, report: Callable[[int], None]) -> str:
        """Fetch what is missing; the hash of the whole ("sha256:…"). The file stays partial.

        `report` gets the number of bytes that are there, now and then.

        Raises:
            RegistryError: it cannot be had; what came so far stays.
            OSError: the disk does not take it.
        """
        await trio.to_thread.run_sync(self._prepare)
        try:
            with _single_error():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._record_often)
                    nursery.start_soon(self._report_often, report)
                    await self._fetch_and_hash()
                    nursery.cancel_scope.cancel()
        finally:
            # A cancelled thread cannot be waited for otherwise; flushing is bounded by what was written in a second.
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._close)
        report(self._size)
        return f"sha256:{self._hash.hexdigest()}"

    async def keep(self, blob: Path) -> None:
        """Give the finished file its name; OSError."""
        await trio.to_thread.run_sync(self._rename, blob)

    async def discard(self) -> None:
        """Remove what came; OSError."""
        await trio.to_thread.run_sync(parts.discard, self._blob)

    def _prepare(self) -> None:
        found = parts.load(self._blob, self._size, self._version)
        if found is None:
            parts.discard(self._blob)
        self.is_resumed = found is not None
        self._parts = found or parts.plan(self._size, self._limits)
        self._waiting = iter([part for part in self._parts if not part.is_complete])
        self._blob.parent.mkdir(parents=True, exist_ok=True)
        path = parts.partial_path(self._blob)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        os.ftruncate(self._file, self._size)

    def _close(self) -> None:
        try:
            self._record(final=True)
        finally:
            os.close(self._file)

    def _rename(self, blob: Path) -> None:
        descriptor = os.open(parts.partial_path(self._blob), os.O_RDONLY)
        try:
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(parts.partial_path(self._blob), blob)
        sync_directory(blob.parent)
        parts.discard(self._blob)

    async def _fetch_and_hash(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hash_all)
            for _ in range(self._limits.n_connections):
                nursery.start_soon(self._fetch_parts)

    async def _fetch_parts(self) -> None:
        for part in self._waiting:  # shared: each takes the next that nobody has
            n_failed = 0
            while not part.is_complete:
                before = part.completed
                try:
                    await self._fetch(part)
                except Transient as error:
                    n_failed = 1 if part.completed - before >= GOOD else n_failed + 1
                    if n_failed >= self._limits.attempts:
                        raise RegistryError(f"max retries exceeded: {error.message}") from error
                    await trio.sleep(delay(self._limits, n_failed, error.retry_after))

    async def _fetch(self, part: Part) -> None:
        """Append to the part until it is complete; Transient if that did not come so far."""
        is_whole = part.position == 0 and part.end == self._size
        async with self._open(part.position, None if is_whole else part.end) as response:
            n_skipped = _check_range(response, part.position, part.end, self._size)
            async with body_of(response) as chunks:
                await self._append_all(part, chunks, n_skipped)
        if not part.is_complete:
            raise Transient(f"the connection ended {part.end - part.position} bytes too early")

    async def _append_all(self, part: Part, chunks: AsyncIterator[bytes], n_skipped: int) -> None:
        batch: list[bytes] = []
        n_bytes = 0
        try:
            async for chunk in chunks:
                batch.append(chunk[n_skipped:])
                n_bytes += len(batch[-1])
                n_skipped = max(0, n_skipped - len(chunk))
                if n_bytes >= WRITE or part.position + n_bytes >= part.end:
                    await self._append(part, batch, n_bytes)
                    batch, n_bytes = [], 0
                    if part.is_complete:
                        return
        except httpx.TransportError:
            await self._append(part, batch, n_bytes)  # what came is ours, however little a poor line brings at a time
            raise
        await self._append(part, batch, n_bytes)

    async def _append(self, part: Part, batch: list[bytes], n_bytes: int) -> None:
        if not n_bytes:
            return
        surplus = part.position + n_bytes - part.end
        if surplus > 0:  # more than was asked for; the rest is another part's
            batch[-1] = batch[-1][:-surplus]
            n_bytes -= surplus
        await trio.to_thread.run_sync(_write, self._file, batch, part.position)
        part.completed += n_bytes
        self._progressed.set()

    async def _hash_all(self) -> None:
        while self._n_hashed < self._size:
            end = min(parts.frontier(self._parts), self._n_hashed + HASH)
            if end > self._n_hashed:
                await trio.to_thread.run_sync(_hash, self._hash, self._file, self._n_hashed, end)
                self._n_hashed = end
            else:
                await self._progressed.wait()
                self._progressed = trio.Event()

    async def _report_often(self, report: Callable[[int], None]) -> None:
        while True:
            report(self.completed)
            await trio.sleep(self._limits.report_every)

    async def _record_often(self) -> None:
        while True:
            await trio.to_thread.run_sync(self._record)
            await trio.sleep(self._limits.record_every)

    def _record(self, final: bool = False) -> None:
        """Say on disk how far the parts are."""
        # Taken before the flush, so that they say no more than it wrote.
        now = {part.n: part.completed for part in self._parts}
        if now == self._recorded:
            return
        os.fdatasync(self._file)
        for part in self._parts:
            if self._recorded.get(part.n) != now[part.n]:
                parts.save(self._blob, part, now[part.n], self._version)
                self._recorded[part.n] = now[part.n]


def _check_range(response: httpx.Response, start: int, end: int, size: int) -> int:
    """How many bytes at the body's beginning were not asked for.

    Raises:
        RegistryError: it is of another file, or of another range than was asked for.
    """
    host = response.url.host
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise RegistryError(f"{host} answers compressed, though it was asked not to")
    if response.status_code == 206:
        said = response.headers.get("Content-Range", "")
        if said not in (f"bytes {start}-{end - 1}/{size}", f"bytes {start}-{end - 1}/*"):
            raise RegistryError(f"{host} answers {said!r} where bytes {start}-{end - 1}/{size} were asked for")
        return 0
    length = response.headers.get("Content-Length", str(size))
    if length != str(size):
        raise RegistryError(f"{host} has {length} bytes of what should be {size}")
    return start


def _write(descriptor: int, batch: list[bytes], position: int) -> None:
    if len(batch) < MAX_PIECES:
        n_written = os.pwritev(descriptor, batch, position)
        if n_written == sum(map(len, batch)):
            return
    data = memoryview(b"".join(batch))
    while data:  # the system may take less than it is given, above all when the disk is nearly full
        n_written = os.pwrite(descriptor, data, position)
        data, position = data[n_written:], position + n_written


def _hash(hashed: Any, descriptor: int, start: int, end: int) -> None:
    buffer = memoryview(bytearray(READ))
    while start < end:
        n_read = os.preadv(descriptor, [buffer[: end - start]], start)
        if not n_read:
            raise StoreError("a file that is being downloaded was cut by somebody else")
        hashed.update(buffer[:n_read])
        start += n_read


@contextmanager
def _single_error() -> Iterator[None]:
    """The first of what a nursery's tasks raise, by itself: they all fail for the same reason."""
    try:
        yield
    except BaseExceptionGroup as group:
        errors = group.subgroup(Exception)
        if errors is None:
            raise
        raise _first(errors) from None


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
