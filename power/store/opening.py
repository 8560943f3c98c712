"""Open the store: with a nursery for pulls and pushes, and tidied if that is asked for."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import trio

from power.config import Config
from power.errors import PowerError
from power.store.limits import LIMITS, Limits
from power.store.store import Store
from power.store.transfers import Transfers

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_store(
    config: Config, *, prune: bool = False, noprune: bool = False, limits: Limits = LIMITS
) -> AsyncIterator[Store]:
    """The store at `config.models_dir`, which need not exist yet.

    With `prune`, old blobs that no model refers to are removed meanwhile; with
    `noprune` they are left even when a model is replaced. Leaving cancels the
    pulls and pushes that still run; what they got stays for the next time.
    """
    limits = msgspec.structs.replace(limits, realms=(*limits.realms, *config.registry_realms))
    async with trio.open_nursery() as nursery:
        transfers = Transfers(nursery)
        store = Store(
            config.models_dir,
            data_dir=config.data_dir,
            go_template=config.go_template,
            noprune=noprune,
            limits=limits,
            transfers=transfers,
        )
        await trio.to_thread.run_sync(store.blobs.rename_old)
        if prune and not noprune:
            nursery.start_soon(_prune, store)
        yield store
        nursery.cancel_scope.cancel()


async def _prune(store: Store) -> None:
    try:
        n_removed = await trio.to_thread.run_sync(store.prune)
    except PowerError as error:
        log.warning("%s", error)
    else:
        log.log(logging.INFO if n_removed else logging.DEBUG, "removed %d files that no model refers to", n_removed)
