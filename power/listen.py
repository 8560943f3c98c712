"""The listening side of the server: sockets, connections, and their end.

Hypercorn speaks HTTP; accepting connections and ending them is done here, in
one nursery, because some things have to be otherwise than in `hypercorn.trio`:
a write to a client that no longer reads must end some day (Hypercorn shields
it for ever, and then neither the exchange nor the server can), a stop must
not wait for such a client, and whatever goes wrong in a connection ends that
connection and no other.  HTTP/2 is not spoken: without TLS no client asks for it
unprompted, and streams that are reset as fast as they are opened (CVE-2023-44487)
found Hypercorn without an answer.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config as HypercornConfig
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState

from power.config import Config
from power.errors import ConfigError

log = logging.getLogger(__name__)

GRACE = 1.0  # seconds for the last bytes of what was answered when the door closed
# Seconds one write may take: a client whose window stays shut this long is not
# slow but gone. Long enough for a person who pauses a pipe to read.
WRITE_SECONDS = 300.0
# Seconds a connection may be open without a whole request: clients pool connections between turns of a chat, and
# one that sends its head letter by letter is cut off, too.
IDLE_SECONDS = 300.0
BACKLOG = 1024  # connections; bursts of clients wait in the kernel rather than being refused


def listen(config: Config, bind: str | None = None) -> socket.socket:
    """A listening socket on the configured address, or on `bind` (`unix:PATH`).

    Raises:
        ConfigError: the address is taken, or not ours.
    """
    try:
        listener = _bind_unix(bind.removeprefix("unix:")) if bind else _bind_tcp(config)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {bind or f'{config.host}:{config.port}'}: {error.strerror or error}. "
            "Is another Power or Ollama running there? Choose another port with --port or OLLAMA_HOST, "
            "or talk to the running one with `power run`"
        ) from error
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where clients reach it: `http://host:port`, or `unix:PATH`."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve_connections(
    app: Callable[..., Awaitable[None]], listener: socket.socket, stop: Callable[[], Awaitable[Any]]
) -> None:
    """Serve `app` on `listener` until `stop` returns; then what is being written has `GRACE` seconds."""
    context = WorkerContext(None)
    writes: set[trio.CancelScope] = set()
    connection = partial(_Connection, writes, ASGIWrapper(_framework(app)), _settings(), context, ConnectionState({}))
    async with trio.open_nursery() as connections:
        try:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(
                    partial(trio.serve_listeners, connection, [_trio_listener(listener)], handler_nursery=connections)
                )
                await stop()
                accepting.cancel_scope.cancel()
        finally:  # asked to stop or cancelled: from now on no write holds anything up
            await context.terminated.set()  # also closes idle connections
            for write in writes:
                write.shield = False
        connections.cancel_scope.deadline = trio.current_time() + GRACE


def _framework(app: Callable[..., Awaitable[None]]) -> ASGIFramework:
    return app


class _Connection(TCPServer):
    """Hypercorn's connection, with writes that end. `writes` holds the scopes of those under way."""

    def __init__(self, writes: set[trio.CancelScope], *arguments: Any) -> None:
        super().__init__(*arguments)
        self._writes = writes
        self._is_over = False  # nothing more will be read
        self._life = trio.CancelScope()

    async def run(self) -> None:
        try:
            with self._life:
                await super().run()
        except Exception as error:  # of Hypercorn or a parser below it: the exchanges answer for their own
            log.error("a connection failed", exc_info=error)

    async def _read_data(self) -> None:
        made = self.protocol
        made.protocol = _Http1(
            made.app, made.config, made.context, made.task_group, made.state, made.ssl, made.client, made.server,
            made.send,
        )  # fmt: skip
        await super()._read_data()
        # The clock of an idle connection would keep a closed one open, and its descriptor, until it has run out.
        self._is_over = True
        await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated) and self._is_over:
            return
        if not isinstance(event, RawData):
            await super().protocol_send(event)
            return
        async with self.send_lock:
            try:
                await self._write(event.data)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                await self.protocol.handle(Closed())
                # Who reads may wait for the end of an exchange that is none any more, before it looks further.
                self._life.cancel()

    async def _write(self, data: bytes) -> None:
        # Half a write is worth nothing to the client, so a cancelled exchange does
        # not cut it; but neither may it hold the exchange, or a stop, for ever.
        with trio.fail_after(WRITE_SECONDS, shield=not self.context.terminated.is_set()) as write:
            self._writes.add(write)
            try:
                await self.stream.send_all(data)
            finally:
                self._writes.discard(write)


class _Http1(H11Protocol):
    """HTTP/1.1, whatever else the client would like to change to."""

    async def _check_protocol(self, event: h11.Request) -> None:
        """WebSockets are found elsewhere; any other upgrade may be passed over (RFC 9110, 7.8)."""


def _trio_listener(listener: socket.socket) -> trio.SocketListener:
    return trio.SocketListener(trio.socket.from_stdlib_socket(listener))


def _bind_unix(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    return listener


def _bind_tcp(config: Config) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it: a token must not wait for the next to share its packet.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _settings() -> HypercornConfig:
    settings = HypercornConfig()
    settings.keep_alive_timeout = IDLE_SECONDS
    settings.include_server_header = False
    settings.accesslog = None
    settings.errorlog = logging.getLogger("hypercorn.error")
    settings.h11_max_incomplete_size = 64 * 1024  # bytes of request head
    return settings
