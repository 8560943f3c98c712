"""Bring a blob into the store, unless it is there: alone, checked, and under its own name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from power.store import parts
from power.store.blobs import Blobs
from power.store.digest import parse_digest
from power.store.download import DigestMismatch, Download
from power.store.files import explained
from power.store.limits import Limits
from power.store.locks import Locks
from power.store.registry import Registry
from power.store.transfers import Progress, Report

POLL = 0.25  # seconds between two looks at what another one is downloading


async def pull_blob(
    registry: Registry, digest: str, size: int, blobs: Blobs, locks: Locks, limits: Limits, report: Report
) -> None:
    """Have the blob in the store when this returns. The caller holds it.

    Raises:
        RegistryError: it cannot be had, or is not what its digest says.
        StoreError: the disk does not take it.
    """
    how_far = partial(tell, report, digest, size)
    with explained("download a blob", blobs.models_dir):
        async with alone(digest, size, blobs, locks, how_far) as is_needed:
            if is_needed:
                await _download(registry, digest, size, blobs, limits, how_far)
    how_far(size)


async def _download(
    registry: Registry, digest: str, size: int, blobs: Blobs, limits: Limits, how_far: Callable[[int], None]
) -> None:
    while True:
        download = Download(partial(registry.open_blob, digest), blobs.path(digest), size, limits)
        got = await download.run(how_far)
        if got == digest:
            return await download.keep(blobs.path(digest))
        await download.discard()
        # Parts of an earlier time may be to blame: of another program, or torn by a power cut.
        if not download.is_resumed:
            raise DigestMismatch(digest, got)


@asynccontextmanager
async def alone(
    digest: str, size: int, blobs: Blobs, locks: Locks, how_far: Callable[[int], None]
) -> AsyncIterator[bool]:
    """The right to download this blob, which one has at a time; False if it is there, perhaps by now."""
    name = f"sha256-{parse_digest(digest)}.download"
    while not await trio.to_thread.run_sync(blobs.use, digest, size):
        with locks.try_exclusive([name]) as ours:
            # Whoever had the lock until a moment ago may have finished.
            if ours:
                yield not await trio.to_thread.run_sync(blobs.use, digest, size)
                return
        how_far(size - await trio.to_thread.run_sync(parts.missing, blobs.path(digest), size))
        await trio.sleep(POLL)
    yield False


def tell(report: Report, digest: str, size: int, completed: int) -> None:
    """Report that so much of a blob is here."""
    short = digest.removeprefix("sha256:")[:12]
    report(Progress(f"pulling {short}", digest, size, completed))
