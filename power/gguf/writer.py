"""Write a GGUF file: every offset is planned first, then the tensors stream by.

    write_gguf("out.gguf", {"general.architecture": "llama", ...}, [array_source("output.weight", weights)])

Nothing of a tensor is held but the piece that is being written, and the file
appears under its name whole or not at all.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from power.gguf.encode import Encoded, Writable
from power.gguf.layout import GGUFError, padded
from power.gguf.plan import Buffer, Plan, TensorSource, array_source, plan_gguf

__all__ = ["Buffer", "Plan", "Progress", "TensorSource", "array_source", "plan_gguf", "write_gguf", "write_plan"]

Progress = Callable[[int, int], None]
"""Called with the bytes written so far and the bytes of the whole file."""


def write_gguf(
    path: str | os.PathLike[str],
    metadata: Mapping[str, Writable | Encoded],
    tensors: Iterable[TensorSource] = (),
    *,
    alignment: int | None = None,
    version: int = 3,
    big_endian: bool = False,
    pad_end: bool = True,
    progress: Progress | None = None,
) -> Plan:
    """Write a GGUF, keys and tensors in the order given.

    The file is written beside `path`, synced and renamed, so a reader sees the
    old one or the new one; a failure leaves nothing behind. A link at `path` is
    replaced, not what it points to.

    Args:
        metadata: plain values, `Typed` ones, or `Encoded` ones as `Metadata.encoded` gives them.
        tensors: their `chunks` are asked for one after the other.
        alignment: of the tensors; None takes general.alignment out of the metadata, or else 32.
        big_endian: the byte order of all but the tensors, whose chunks have to be in it already.
        pad_end: whether the last tensor is followed by padding, as llama.cpp wants it.

    Raises:
        GGUFError: what was given makes no valid GGUF, or the file cannot be written.
    """
    plan = plan_gguf(metadata, tensors, alignment=alignment, version=version, big_endian=big_endian, pad_end=pad_end)
    write_plan(path, plan, progress=progress)
    return plan


def write_plan(path: str | os.PathLike[str], plan: Plan, *, progress: Progress | None = None) -> None:
    """Write what was planned; GGUFError and guarantees as of `write_gguf`."""
    path = Path(path)
    if not path.name or "\0" in str(path):
        raise GGUFError(f"{str(path)!r} is no name of a file")
    try:
        with _replacing(path) as file:
            for piece in _pieces(plan):
                file.write(piece)
                if progress is not None:
                    progress(file.tell(), plan.n_bytes)
    except OSError as error:
        raise GGUFError(f"{path.name} cannot be written: {error.strerror or error}") from error


def _pieces(plan: Plan) -> Iterator[bytes | memoryview]:
    yield plan.header
    at = len(plan.header)
    for source in plan.tensors:
        n_written = 0
        for chunk in source.chunks():
            data = _bytes_of(chunk)
            n_written += len(data)
            if n_written > source.n_bytes:
                break
            yield data
        if n_written != source.n_bytes:
            more = "or more " if n_written > source.n_bytes else ""
            raise GGUFError(f"tensor {source.name!r} gave {n_written} bytes {more}instead of {source.n_bytes}")
        at += n_written
        padding = min(padded(at, plan.alignment), plan.n_bytes) - at
        yield bytes(padding)
        at += padding


def _bytes_of(chunk: Buffer) -> memoryview:
    if isinstance(chunk, np.ndarray):  # whatever its dtype, of which memoryviews do not know all
        return memoryview(np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).data)
    return memoryview(chunk).cast("B")


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends well, and else vanishes."""
    mode = path.stat().st_mode & 0o777 if path.is_file() else None
    partial_path = path.with_name(f".{path.name[:50]}.{secrets.token_hex(6)}.partial")
    try:
        with partial_path.open("xb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial_path.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            partial_path.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # Without it the name may point to the old file again after a power cut.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
