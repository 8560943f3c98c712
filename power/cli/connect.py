"""The server the CLI talks to: the one that is running, or one of its own.

Where nobody answers at the configured address, the very tree that `power serve`
runs is opened in this process, on a Unix socket that only we know, and it ends
with the command.  So there is one way to a model, not two.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from tempfile import TemporaryDirectory

import trio

from power.cli.groups import unwrapped
from power.client import Client, open_client
from power.config import Config
from power.errors import ServerUnreachable

UNREACHABLE = "could not connect to power server, run 'power serve' to start it"


@asynccontextmanager
async def open_running(config: Config) -> AsyncIterator[Client]:
    """The running server.

    Raises:
        ServerUnreachable: there is none.
    """
    async with open_client(config) as client:
        if not await client.is_running():
            raise ServerUnreachable(f"{UNREACHABLE} (nobody answers at {config.url})")
        yield client


@asynccontextmanager
async def open_power(config: Config) -> AsyncIterator[Client]:
    """The running server, or a tree of our own where a server of this machine is meant.

    Raises:
        ServerUnreachable: the configured server is on another machine, and does not answer.
    """
    async with open_client(config) as client:
        if await client.is_running():
            yield client
            return
    if not config.is_loopback:
        raise ServerUnreachable(f"could not connect to the server at {config.url}")
    async with open_own(config) as client:
        yield client


@asynccontextmanager
async def open_own(config: Config) -> AsyncIterator[Client]:
    """A client of a tree in this process."""
    # Here and not above: it brings in the whole house, which a client of a running server does not need.
    from power.serve import serve

    if not logging.root.handlers:
        # What goes wrong is told by the command itself.
        logging.getLogger("power.api").setLevel(logging.CRITICAL)
    with TemporaryDirectory(prefix="power-") as directory, unwrapped():
        async with trio.open_nursery() as nursery:
            await nursery.start(_end_on_signals)
            address = await nursery.start(partial(serve, config, bind=f"unix:{directory}/socket"))
            async with open_client(address) as client:
                yield client
            nursery.cancel_scope.cancel()


async def _end_on_signals(task_status: trio.TaskStatus[None]) -> None:
    """Asked to end, or with the terminal gone, close what was opened; the status is what shells make of it."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            raise SystemExit(128 + number)
