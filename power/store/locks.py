"""Locks between the processes that share a store.

A lock is `flock` on a file of its own in `<models_dir>/locks`, beside the two
folders that Ollama reads.  The kernel drops it when its holder dies, whatever
way, so no lock is ever stale.  What is locked, and by whom:

    sha256-<hex>            shared by whoever counts on a blob until a manifest
                            names it; exclusive while it is removed
    sha256-<hex>.download   exclusive while its `-partial` files are written
    manifests               exclusive while a manifest is written or removed

So whoever removes a blob asks only for locks that it gets at once, looks for
references *after* it has them, and never takes away what somebody holds.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import trio

from power.errors import StoreError
from power.store.files import explained

PATIENCE = 10.0  # seconds; the longest that anybody holds a lock others wait for is a few small writes
POLL = 0.01  # seconds; `flock` can wait, but not for a bounded time


class Locks:
    """The locks of the store at `models_dir`. Every method blocks; any thread may call."""

    def __init__(self, models_dir: Path, *, patience: float = PATIENCE) -> None:
        self._models_dir = models_dir
        self._folder = models_dir / "locks"
        self._patience = patience

    @contextmanager
    def shared(self, names: Iterable[str]) -> Iterator[None]:
        """Hold these with others; StoreError if somebody keeps one to himself for too long."""
        with ExitStack() as held:
            for name in sorted(set(names)):  # one order for all, so that nobody waits in a circle
                held.enter_context(self._wait(name, fcntl.LOCK_SH))
            yield

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Hold it alone; StoreError if that cannot be had in time."""
        with self._wait(name, fcntl.LOCK_EX):
            yield

    @contextmanager
    def try_exclusive(self, names: Iterable[str]) -> Iterator[list[str]]:
        """Hold alone those of the names that nobody else holds at this moment."""
        with ExitStack() as held:
            yield [name for name in sorted(set(names)) if held.enter_context(self._at_once(name))]

    @contextmanager
    def _at_once(self, name: str) -> Iterator[bool]:
        descriptor = self._take(name, fcntl.LOCK_EX)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                self._release(name, descriptor)

    @contextmanager
    def _wait(self, name: str, kind: int) -> Iterator[None]:
        deadline = time.monotonic() + self._patience
        while (descriptor := self._take(name, kind)) is None:
            if time.monotonic() > deadline:
                raise StoreError(f"another process keeps the store's lock {name!r}; try again later")
            time.sleep(POLL)
        try:
            yield
        finally:
            self._release(name, descriptor)

    def _take(self, name: str, kind: int) -> int | None:
        """The descriptor of a lock that is ours now, or None. StoreError if there can be no locks."""
        path = self._folder / name
        with explained("lock something", self._models_dir):
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
        except BlockingIOError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def _release(self, name: str, descriptor: int) -> None:
        """The last holder takes the file away; who opened it meanwhile sees that it is not there any more."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path = self._folder / name
            if _is_at(descriptor, path):
                path.unlink(missing_ok=True)
        except OSError:
            pass  # others hold it, or the disk is read-only now: a file without a lock harms nobody
        finally:
            os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


@asynccontextmanager
async def hold(locks: Locks, digests: Iterable[str]) -> AsyncIterator[None]:
    """While inside, nobody removes these blobs ("sha256:<hex>"), there already or not yet; StoreError like `shared`."""
    context = locks.shared([digest.replace(":", "-") for digest in digests])
    await trio.to_thread.run_sync(context.__enter__)
    try:
        yield
    finally:
        context.__exit__(None, None, None)
