"""Quantise a model in a process of its own.

llama.cpp may abort on a file it does not like, and computes for minutes without
a pause; neither is for the server's own process.  The child
(`power.worker.quantize`) reports on its standard output, line by line, and ends
when its standard input does: with us.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import msgspec
import trio

from power.errors import BadRequest, PowerError, StoreError
from power.gguf import Facts

log = logging.getLogger(__name__)

SOURCES = ("F32", "F16", "BF16")  # what may be quantised without losing twice
KILL_SECONDS = 1.0
FULL = 2**24  # bytes; with less than that left, it is the disk that failed


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What the child says."""

    completed: int = 0  # bytes of the source's tensors
    total: int = 0
    error: str = ""


def check_source(facts: Facts) -> None:
    """Raises BadRequest if the model cannot be quantised because it has been already."""
    if facts.quantization not in SOURCES:
        raise BadRequest("quantization is only supported for F16, BF16 and F32 models", field="quantize")


async def quantize(
    source: Path, out: Path, kind: str, *, imatrix: Path | None, n_threads: int, progress: Callable[[int, int], None]
) -> None:
    """Write `source`, a GGUF that has been checked, as a GGUF of another type.

    `progress` takes bytes done and bytes in all. Cancelling kills the child.

    Raises:
        BadRequest: llama.cpp cannot make this type of this model; the message is its own.
        StoreError: the disk is full.
        PowerError: the child died.
    """
    command = [sys.executable, "-m", "power.worker.quantize", str(source), str(out), kind, str(n_threads)]
    error = ""
    async with trio.open_nursery() as nursery:
        process = await nursery.start(partial(_run, command + ([str(imatrix)] if imatrix else [])))
        nursery.start_soon(_log_lines, process.stderr)
        async for line in _lines(process.stdout):
            error = error or line.error
            if line.total:
                progress(line.completed, line.total)
    if (error or process.returncode) and shutil.disk_usage(out.parent).free < FULL:
        raise StoreError("the model cannot be quantized: no space left on the disk")
    if error:
        raise BadRequest(f"the model cannot be quantized to {kind}: {error}", field="quantize")
    if process.returncode:
        raise PowerError(f"quantizing failed: its process ended with status {process.returncode}")


async def _run(command: list[str], task_status: trio.TaskStatus[trio.Process]) -> None:
    await trio.run_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,  # Ctrl-C is for us, who then cancel
        check=False,
        env={"OMP_WAIT_POLICY": "passive", **os.environ},
        deliver_cancel=_stop,
        task_status=task_status,
    )


async def _stop(process: trio.Process) -> None:
    process.terminate()
    await trio.sleep(KILL_SECONDS)
    process.kill()


async def _lines(stream: trio.abc.ReceiveStream) -> AsyncIterator[Line]:
    rest = b""
    async for data in stream:
        *complete, rest = (rest + data).split(b"\n")
        for line in complete:
            try:
                yield msgspec.json.decode(line, type=Line)
            except msgspec.DecodeError:  # llama.cpp writes where it likes
                log.debug("quantize: %s", line.decode(errors="replace"))


async def _log_lines(stream: trio.abc.ReceiveStream) -> None:
    async for data in stream:
        log.debug("quantize: %s", data.decode(errors="replace").rstrip())
