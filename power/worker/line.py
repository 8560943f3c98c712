"""The worker's end of the socket to the server."""

from __future__ import annotations

import os
import select
import socket
import threading

from power.worker.wire import Command, Event, FrameReader, encode

RECEIVE_SIZE = 65536  # bytes


class Line:
    """Commands in, events out, over a connected Unix socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader: FrameReader[Command] = FrameReader(Command)  # type: ignore[arg-type]  # a union is no `type` to mypy

    def receive(self, *, wait: bool) -> list[Command]:
        """The commands that are there; with `wait`, at least one.

        Raises:
            EOFError: the server has closed its end.
            WireError: it does not speak our protocol.
        """
        while True:
            try:
                data = self._connection.recv(RECEIVE_SIZE, 0 if wait else socket.MSG_DONTWAIT)
            except BlockingIOError:
                return []
            except ConnectionResetError:
                raise EOFError from None
            if not data:
                raise EOFError
            commands = list(self._reader.feed(data))
            if commands:
                return commands

    def send(self, *events: Event) -> None:
        """All events, in order and in one write; nothing if there are none. Blocks while the server does not read.

        Raises:
            EOFError: the server has closed its end.
        """
        if not events:
            return
        try:
            self._connection.sendall(b"".join(map(encode, events)))
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError from None


def leave_with_server(connection: socket.socket) -> None:
    """End this process as soon as the server's end is closed, also in the middle of a decode.

    The kernel could signal a parent's death (PR_SET_PDEATHSIG), but it would
    signal the death of the *thread* that started us, which may end at any time.
    """
    threading.Thread(target=_wait_for_hang_up, args=(connection.fileno(),), daemon=True).start()


def _wait_for_hang_up(fd: int) -> None:
    poll = select.poll()
    # Not for POLLIN: commands are read by the loop. Linux alone tells the end of the other
    # side's writing; elsewhere a hang-up is reported without being asked for.
    poll.register(fd, getattr(select, "POLLRDHUP", 0))
    poll.poll()
    os._exit(0)
