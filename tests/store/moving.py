"""Pull and push to the end, without waiting long for anything."""

from __future__ import annotations

from power.store import Progress, Store, pull, push
from power.store.limits import Limits

QUICK = Limits(backoff=0.01, stall=2, part_bytes=1000, report_every=0.01, record_every=0.01)


async def pulled(store: Store, name: str, limits: Limits = QUICK, *, insecure: bool = True) -> list[Progress]:
    async with pull(store, name, insecure=insecure, limits=limits) as events:
        return [event async for event in events]


async def pushed(store: Store, name: str, destination: str | None = None, limits: Limits = QUICK) -> list[Progress]:
    async with push(store, name, insecure=True, destination=destination, limits=limits) as events:
        return [event async for event in events]
