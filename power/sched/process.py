"""A worker process, as a block: it runs while the block does.

The process is a task (`trio.run_process`) in the block's own nursery, so it
cannot outlive it; end-of-file on the socket is how its death is noticed, and
raised as `WorkerDied` by whoever reads.  llama.cpp writes to both standard
streams, so those go to a pipe of their own, whose last lines say why it died.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from power.errors import LoadFailed, WorkerDied
from power.worker.wire import Command, Event, WireError, encode, event_reader

log = logging.getLogger(__name__)

READ_SIZE = 256 * 1024  # bytes; one read takes what many steps have written
LOG_LINES = 20  # kept to explain a death
# Seconds between SIGTERM and SIGKILL. The worker holds nothing worth saving; the
# time is for GPU drivers to give memory back in order.
STOP_SECONDS = 2.0
EXIT_SECONDS = 5.0  # from end-of-file on the socket to an exit status


class Worker:
    """The server's end of one worker process."""

    def __init__(self, stream: trio.SocketStream, process: trio.Process, lines: deque[str]) -> None:
        self.pid = process.pid
        self._stream = stream
        self._process = process
        self._lines = lines
        self._frames = event_reader()

    async def send(self, command: Command) -> None:
        """Hand over a command.

        A dead worker is not reported here: `receive` does that, with the reason.
        """
        try:
            await self._stream.send_all(encode(command))
        except trio.BrokenResourceError:
            log.debug("worker %d no longer reads", self.pid)

    async def receive(self) -> list[Event]:
        """What the worker has said since, at least one event.

        Raises:
            WorkerDied: it has ended, or said something that is no event.
        """
        while True:
            try:
                data = await self._stream.receive_some(READ_SIZE)
            except trio.BrokenResourceError:
                data = b""
            if not data:
                raise await self._death()
            try:
                events = list(self._frames.feed(data))
            except WireError as error:
                raise WorkerDied(f"the model's process sent nonsense: {error}") from error
            if events:
                return events

    def kill(self) -> None:
        """End it at once, whatever it does; `receive` will tell."""
        self._process.kill()

    async def _death(self) -> WorkerDied:
        """Why the socket ended, once the exit status is known."""
        with trio.move_on_after(EXIT_SECONDS):
            await self._process.wait()
        status = self._process.returncode
        message = f"the model's process has unexpectedly stopped ({_describe(status)})"
        if self._lines:
            message += f": {self._lines[-1]}"
        return WorkerDied(message, status)


def _describe(status: int | None) -> str:
    if status is None:
        return "still running, but closed its socket"
    if status == -signal.SIGILL:
        return "killed by SIGILL: llama.cpp was compiled for another processor, see README.md"
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


@asynccontextmanager
async def open_worker() -> AsyncIterator[Worker]:
    """A running worker that has been told nothing yet.

    Raises:
        LoadFailed: (in a group) the process could not be started.
    """
    ours, theirs = socket.socketpair()
    read_end, write_end = os.pipe()
    lines: deque[str] = deque(maxlen=LOG_LINES)
    async with (
        trio.SocketStream(trio.socket.from_stdlib_socket(ours)) as stream,
        trio.lowlevel.FdStream(read_end) as output,
        trio.open_nursery() as nursery,
    ):
        try:
            process = await nursery.start(partial(_run_process, theirs.fileno(), write_end))
        except OSError as error:
            raise LoadFailed(f"the model's process could not be started: {error}") from error
        finally:
            # Ours to close at once: a copy kept open here would hide the worker's end-of-file.
            theirs.close()
            os.close(write_end)
        nursery.start_soon(_keep_lines, output, lines, process.pid)
        try:
            yield Worker(stream, process, lines)
        finally:
            nursery.cancel_scope.cancel()


async def _run_process(fd: int, write_end: int, task_status: trio.TaskStatus[trio.Process]) -> None:
    await trio.run_process(
        [sys.executable, "-m", "power.worker", str(fd)],
        stdin=subprocess.DEVNULL,
        stdout=write_end,
        stderr=write_end,
        pass_fds=(fd,),
        process_group=0,  # or Ctrl-C would kill it before the tree has drained
        check=False,
        # libgomp reads this once, when it is loaded: threads that spin while they
        # wait cost up to 24x on shared cores.
        # NVML, which counts GPUs by their place on the bus, has to mean the same ones.
        # And a failed assertion of llama.cpp's calls a debugger, where one is installed: it holds the corpse for
        # seconds, and its last words hide the assertion's.
        env={
            "OMP_WAIT_POLICY": "passive",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "GGML_NO_BACKTRACE": "1",
            **os.environ,
        },
        deliver_cancel=_stop_politely,
        task_status=task_status,
    )


async def _stop_politely(process: trio.Process) -> None:
    process.terminate()
    await trio.sleep(STOP_SECONDS)
    process.kill()


async def _keep_lines(output: trio.lowlevel.FdStream, lines: deque[str], pid: int) -> None:
    rest = b""
    async for data in output:
        *complete, rest = (rest + data).split(b"\n")
        # A line without an end must not grow without bound.
        rest = rest[-4096:]
        for line in complete:
            text = line.decode(errors="replace").rstrip()
            if text:
                lines.append(text)
                log.debug("worker %d: %s", pid, text)
