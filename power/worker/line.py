"""The worker's end of the socket to the server."""

from __future__ import annotations

import os
import select
import socket
import threading
import time

from power.worker.wire import Command, Event, FrameReader, encode

RECEIVE_SIZE = 65536  # bytes


class Line:
    """Commands in, events out, over a connected Unix socket. Any thread may send, one receives.

    Attributes:
        is_waiting: for a command, having nothing else to do.
        n_looks: how often it was asked for commands.
        last_sent: when (time.monotonic) something was sent.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.is_waiting = False
        self.n_looks = 0
        self.last_sent = time.monotonic()
        self._connection = connection
        self._sending = threading.Lock()
        self._reader: FrameReader[Command] = FrameReader(Command)  # type: ignore[arg-type]  # a union is no `type` to mypy

    def receive(self, *, wait: bool) -> list[Command]:
        """The commands that are there; with `wait`, at least one.

        Raises:
            EOFError: the server has closed its end.
            WireError: it does not speak our protocol.
        """
        self.n_looks += 1
        while True:
            self.is_waiting = wait
            try:
                data = self._connection.recv(RECEIVE_SIZE, 0 if wait else socket.MSG_DONTWAIT)
            except BlockingIOError:
                return []
            except ConnectionResetError:
                raise EOFError from None
            finally:
                self.is_waiting = False
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
        data = b"".join(map(encode, events))
        try:
            with self._sending:
                self._connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError from None
        self.last_sent = time.monotonic()


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
