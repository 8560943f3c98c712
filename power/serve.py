"""Where everything is opened, and closed in reverse.

::

    serve ─ listener ─ store ─ models ─ connections ─ exchanges

A stop (SIGINT, SIGTERM) turns away what has not begun to run, gives what has
`drain_seconds`, and then leaves the blocks one after the other: connections,
workers, store.  Meanwhile the door stays open, so that whoever comes gets a 503
and a health check its answer, and no router a refused connection.  A second
signal does not wait.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from typing import Any

import trio

from power.api import create_app
from power.config import Config
from power.generate import Power
from power.listen import listen, serve_connections, url_of
from power.metrics import Metrics
from power.sched import open_models
from power.store import open_store

log = logging.getLogger(__name__)


async def serve(
    config: Config,
    *,
    bind: str | None = None,
    stop: Callable[[], Awaitable[Any]] = trio.sleep_forever,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` returns or the caller's scope is cancelled.

    `bind` is `unix:PATH` for a server of one's own instead of the configured
    address. `task_status` gets the base URL (or `bind`) once it listens.

    Raises:
        ConfigError: the address is taken or not ours.
    """
    metrics = Metrics()
    with closing(listen(config, bind)) as listener:
        async with (
            # A command's own server comes and goes: tidying up is for one that stays.
            open_store(config, prune=bind is None, noprune=config.noprune) as store,
            open_models(config, metrics) as models,
        ):
            power = Power(config, store, models, metrics)
            app = create_app(power)

            async def drain() -> None:
                await stop()
                power.stop()
                with trio.move_on_after(config.drain_seconds):
                    await app.under_way.wait_none()

            log.info("listening on %s, models in %s", url_of(listener), config.models_dir)
            task_status.started(url_of(listener))
            await serve_connections(app, listener, drain)


async def serve_until_signalled(config: Config) -> None:
    """`power serve`: serve until SIGINT or SIGTERM."""
    asked = trio.Event()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch_signals, signals, asked, nursery.cancel_scope, config.drain_seconds)
            await serve(config, stop=asked.wait)
            nursery.cancel_scope.cancel()


async def _watch_signals(
    signals: AsyncIterator[int], asked: trio.Event, scope: trio.CancelScope, seconds: float
) -> None:
    async for number in signals:
        if asked.is_set():
            log.warning("stopping at once")
            scope.cancel()
        else:
            log.info("%s: stopping; running requests have %g seconds", signal.Signals(number).name, seconds)
            asked.set()
